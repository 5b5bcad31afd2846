"""Select: of two objects on a table, move an effector to the one of the right shape."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.base import FactorEnv, register_env
from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.factors import Factor, Value
from drl_latent.envs.scene import (
    HUES,
    MOST_DRAWS,
    geoms_of,
    orbit_camera,
    paint,
    paint_floor,
    position,
    show_shape,
)

REACH = 0.3
"""Half the width of the square that effector and objects move in, metres."""
SUCCESS_RADIUS = 0.08
"""Distance at which the effector touches an object, metres."""
_APART = 0.24
"""Least distance of the two objects at the start: they do not overlap."""

_TARGET = {"cross": ("target_bar_x", "target_bar_y")}
_DISTRACTOR = {"box": ("distractor_box",), "cylinder": ("distractor_cylinder",)}
_TEXTURES = ("plain", "checker")


@register_env("Select-v0", max_episode_steps=40)
class SelectEnv(FactorEnv):
    """Move the effector onto the object that is a cross, whatever the colours and positions.

    The other object is a box or a cylinder. Both draw their hue from the same list, and may share
    it: shape alone says which is which, so a policy has to use one factor and ignore another.

    Actions are the effector's velocity along x and y, in metres a second, for 0.05 s (5 steps of
    0.01 s). An episode lasts 40 steps and does not end on success: the effector has to stay.
    ``info["is_success"]`` is whether its centre is within 0.08 m of the centre of the cross. The
    dense reward is minus that distance in metres, plus 1 while it is a success; the sparse one is 0
    for success and -1 otherwise. ``info["distance"]`` gives the distance, and
    ``info["at_distractor"]`` whether the effector is within 0.08 m of the wrong object.

    Proprioception is position and velocity of the effector, float32 [4]; the true state adds the
    position of the cross and that of the other object, in this order, float32 [8].
    """

    FACTORS = FactorSpace(
        (
            Factor("target_hue", "appearance", values=HUES),
            Factor("distractor_hue", "appearance", values=HUES, default=2),
            Factor("distractor_shape", "geometry", values=tuple(_DISTRACTOR)),
            Factor("floor_hue", "appearance", values=HUES, default=3),
            Factor("floor_texture", "appearance", values=_TEXTURES),
            Factor("lamp_x", "appearance", values=(-0.6, 0.0, 0.6), default=1),
            Factor("camera_azimuth", "viewpoint", values=(-15.0, 0.0, 15.0), default=1),
            Factor("camera_elevation", "viewpoint", values=(90.0, 75.0, 60.0)),
            position("effector_x", REACH, 4),
            position("effector_y", REACH, 4),
            position("target_x", REACH, 14),
            position("target_y", REACH, 13),
            position("distractor_x", REACH, 4),
            position("distractor_y", REACH, 13),
        )
    )
    SCENE = "select.xml"
    CAMERA = "overhead"
    FRAME_SKIP = 5

    _view: Mapping[str, float] = MappingProxyType({"camera_azimuth": 0.0, "camera_elevation": 90.0})
    """Both angles are set one after the other, but are one pose of the camera."""

    def _set_factor(self, name: str, value: Value) -> None:
        model, data = self.model, self.data
        match name:
            case "target_hue":
                paint(model, geoms_of(_TARGET), float(value))
            case "distractor_hue":
                paint(model, geoms_of(_DISTRACTOR), float(value))
            case "distractor_shape":
                show_shape(model, _DISTRACTOR, str(value))
            case "floor_hue":
                paint_floor(model, float(value))
            case "floor_texture":
                checker = model.material("checker").id
                model.geom("floor").matid[:] = checker if value == "checker" else -1
            case "lamp_x":
                model.light("lamp").pos[0] = float(value)
            case "camera_azimuth" | "camera_elevation":
                self._view = {**self._view, name: float(value)}
                azimuth, elevation = self._view["camera_azimuth"], self._view["camera_elevation"]
                orbit_camera(model, self.CAMERA, azimuth, elevation, distance=2.6)
            case "effector_x" | "effector_y":
                data.joint(name).qpos[0] = float(value)
            case "target_x" | "target_y" | "distractor_x" | "distractor_y":
                body, axis = name.split("_")
                data.mocap_pos[model.body(body).mocapid[0], "xy".index(axis)] = float(value)

    def _draw_state(self, fixed: Mapping[str, Value]) -> dict[str, Value]:
        """Draw positions: the objects do not overlap, and the effector is at neither."""
        for _ in range(MOST_DRAWS):
            drawn = super()._draw_state(fixed)
            effector, target, other = (
                np.array([drawn[f"{what}_x"], drawn[f"{what}_y"]], dtype=np.float64)
                for what in ("effector", "target", "distractor")
            )
            away = min(np.linalg.norm(effector - target), np.linalg.norm(effector - other))
            if np.linalg.norm(target - other) > _APART and away > 2 * SUCCESS_RADIUS:
                break
        return drawn

    def _read_state(self) -> dict[str, float]:
        places = [self.data.qpos, self._place("target"), self._place("distractor")]
        return dict(zip(self.FACTORS.state.names, np.concatenate(places), strict=True))

    def _proprioception(self) -> NDArray[np.float32]:
        return np.concatenate([self.data.qpos, self.data.qvel]).astype(np.float32)

    def _true_state(self) -> NDArray[np.float32]:
        places = [self._place("target"), self._place("distractor")]
        return np.concatenate([self._proprioception(), *places]).astype(np.float32)

    def expert_action(self) -> NDArray[np.float32]:
        """Go straight to the cross."""
        error = self._place("target") - self.data.qpos
        return np.clip(10 * error, -1, 1).astype(np.float32)

    def _place(self, body: str) -> NDArray[np.float64]:
        return self.data.mocap_pos[self.model.body(body).mocapid[0], :2]

    def _distance(self, body: str = "target") -> float:
        return float(np.linalg.norm(self.data.qpos - self._place(body)))

    def _is_success(self) -> bool:
        return self._distance() < SUCCESS_RADIUS

    def _dense_reward(self) -> float:
        return float(self._is_success()) - self._distance()

    def _info(self) -> dict[str, object]:
        at_distractor = self._distance("distractor") < SUCCESS_RADIUS
        return super()._info() | {"distance": self._distance(), "at_distractor": at_distractor}
