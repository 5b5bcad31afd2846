"""Reach: move an effector on an x-y stage to an object on a table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.base import FactorEnv, register_env
from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.factors import Factor, Value
from drl_latent.envs.scene import (
    HUES,
    LIGHTS,
    geoms_of,
    paint,
    position,
    scale,
    set_light,
    show_shape,
)

REACH = 0.36
"""Half the width of the square that effector and object move in, metres."""
SUCCESS_RADIUS = 0.08
"""Distance at which the effector touches an object of the default size, metres."""

_SHAPES = {
    "box": ("object_box",),
    "cylinder": ("object_cylinder",),
    "cross": ("object_bar_x", "object_bar_y"),
}


@register_env("Reach-v0", max_episode_steps=40)
class ReachEnv(FactorEnv):
    """Move the dark effector onto the coloured object.

    Actions are the effector's velocity along x and y, in metres a second, for 0.05 s (5 steps of
    0.01 s). An episode lasts 40 steps and does not end on success: the effector has to stay.
    ``info["is_success"]`` is whether its centre is within 0.08 m of the object's centre. The dense
    reward is minus that distance in metres, plus 1 while it is a success; the sparse one is 0 for
    success and -1 otherwise. ``info["distance"]`` gives the distance.

    Proprioception is position and velocity of the effector, float32 [4]; the true state adds the
    object's position, float32 [6].
    """

    FACTORS = FactorSpace(
        (
            Factor("object_hue", "appearance", values=HUES),
            Factor("object_shape", "geometry", values=tuple(_SHAPES)),
            Factor("object_size", "geometry", values=(0.8, 1.0, 1.2), default=1),
            Factor("floor_hue", "appearance", values=HUES, default=3),
            Factor("light", "appearance", values=LIGHTS, default=2),
            position("effector_x", REACH, 4),
            position("effector_y", REACH, 4),
            position("object_x", REACH, 12),
            position("object_y", REACH, 12),
        )
    )
    SCENE = "reach.xml"
    CAMERA = "overhead"
    FRAME_SKIP = 5

    def _set_factor(self, name: str, value: Value) -> None:
        model, data = self.model, self.data
        match name:
            case "object_hue":
                paint(model, geoms_of(_SHAPES), float(value), saturation=0.75, value=1.0)
            case "object_shape":
                show_shape(model, _SHAPES, str(value))
            case "object_size":
                scale(model, self.pristine, geoms_of(_SHAPES), float(value))
            case "floor_hue":
                paint(model, ["floor"], float(value), saturation=0.35, value=0.45)
            case "light":
                set_light(model, self.pristine, float(value))
            case "effector_x" | "effector_y":
                data.joint(name).qpos[0] = float(value)
            case "object_x":
                data.mocap_pos[0, 0] = float(value)
            case "object_y":
                data.mocap_pos[0, 1] = float(value)

    def _draw_state(self, fixed: Mapping[str, Value]) -> dict[str, Value]:
        """Draw positions, not nearer to each other than twice the success radius."""
        while True:
            drawn = super()._draw_state(fixed)
            gap_x = float(drawn["effector_x"]) - float(drawn["object_x"])
            gap_y = float(drawn["effector_y"]) - float(drawn["object_y"])
            if len(fixed) > 1 or np.hypot(gap_x, gap_y) > 2 * SUCCESS_RADIUS:
                return drawn

    def _read_state(self) -> dict[str, float]:
        x, y = self.data.qpos
        object_x, object_y, _ = self.data.mocap_pos[0]
        return {"effector_x": x, "effector_y": y, "object_x": object_x, "object_y": object_y}

    def _proprioception(self) -> NDArray[np.float32]:
        return np.concatenate([self.data.qpos, self.data.qvel]).astype(np.float32)

    def _true_state(self) -> NDArray[np.float32]:
        return np.concatenate([self._proprioception(), self.data.mocap_pos[0, :2]]).astype(
            np.float32
        )

    def expert_action(self) -> NDArray[np.float32]:
        """Go straight to the object."""
        error = self.data.mocap_pos[0, :2] - self.data.qpos
        return np.clip(10 * error, -1, 1).astype(np.float32)

    def _distance(self) -> float:
        return float(np.linalg.norm(self.data.qpos - self.data.mocap_pos[0, :2]))

    def _is_success(self) -> bool:
        return self._distance() < SUCCESS_RADIUS

    def _dense_reward(self) -> float:
        return float(self._is_success()) - self._distance()

    def _info(self) -> dict[str, object]:
        return super()._info() | {"distance": self._distance()}
