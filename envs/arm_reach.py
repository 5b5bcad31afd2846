"""ArmReach: move the hand of a two-link arm to an object on a table."""

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
    LIGHTS,
    MOST_DRAWS,
    geoms_of,
    orbit_camera,
    paint,
    paint_floor,
    scale,
    set_light,
    show_shape,
)

LINK = 0.42
"""Length of each of the two links, metres."""
BASE = np.array([0.0, -0.4])
"""Where the shoulder is, metres."""
SUCCESS_RADIUS = 0.08
"""Distance at which the hand touches an object of the default size, metres."""
_IN_VIEW = 0.45

_SHAPES = {
    "box": ("object_box",),
    "cylinder": ("object_cylinder",),
    "cross": ("object_bar_x", "object_bar_y"),
}


@register_env("ArmReach-v0", max_episode_steps=50)
class ArmReachEnv(FactorEnv):
    """Turn the two joints of an arm until its hand is over the coloured object.

    Actions are the speeds of shoulder and elbow for 0.05 s (5 steps of 0.01 s): 1 is 2 rad/s, times
    ``drive_gain``. The elbow bends one way, so each place has one pose. An episode lasts 50 steps
    and does not end on success: the hand has to stay. ``info["is_success"]`` is whether its centre
    is within 0.08 m of the object's centre. The dense reward is minus that distance in metres, plus
    1 while it is a success; the sparse one is 0 for success and -1 otherwise.
    ``info["distance"]`` gives the distance.

    Proprioception is the joints' angles and speeds in rad and rad/s, and the hand's position in
    metres, float32 [6]; the true state adds the object's position in metres and the drives' gain,
    float32 [9].

    Angles are uniform over their ranges where frames are rendered from factors, which puts the hand
    outside the image at times, with the arm still in it; an episode starts with the hand in view.
    """

    FACTORS = FactorSpace(
        (
            Factor("object_hue", "appearance", values=HUES),
            Factor("object_saturation", "appearance", values=(0.5, 0.95), default=1),
            Factor("object_shape", "geometry", values=tuple(_SHAPES)),
            Factor("object_size", "geometry", values=(0.8, 1.0, 1.2), default=1),
            Factor("floor_hue", "appearance", values=HUES, default=3),
            Factor("light", "appearance", values=LIGHTS, default=2),
            Factor("camera_distance", "viewpoint", values=(2.6, 2.8, 3.0)),
            Factor("drive_gain", "dynamics", values=(0.6, 1.0, 1.4), default=1),
            Factor("shoulder", "state", low=-1.75, high=0.6, bins=18),
            Factor("elbow", "state", low=0.15, high=2.25, bins=18),
            Factor("object_x", "state", low=-0.34, high=0.34, bins=18, default=4),
            Factor("object_y", "state", low=0.0, high=0.36, bins=10, default=5),
        )
    )
    SCENE = "arm_reach.xml"
    CAMERA = "overhead"
    FRAME_SKIP = 5

    _colour: Mapping[str, float] = MappingProxyType({"object_hue": 0.0, "object_saturation": 0.95})
    """Hue and saturation are set one after the other, but are one colour of the model."""

    def _set_factor(self, name: str, value: Value) -> None:
        model, pristine = self.model, self.pristine
        match name:
            case "object_hue" | "object_saturation":
                self._colour = {**self._colour, name: float(value)}
                hue, saturation = self._colour["object_hue"], self._colour["object_saturation"]
                paint(model, geoms_of(_SHAPES), hue, saturation)
            case "object_shape":
                show_shape(model, _SHAPES, str(value))
            case "object_size":
                scale(model, pristine, geoms_of(_SHAPES), float(value))
            case "floor_hue":
                paint_floor(model, float(value))
            case "light":
                set_light(model, pristine, float(value))
            case "camera_distance":
                orbit_camera(model, self.CAMERA, 0, 90, float(value))
            case "drive_gain":
                model.actuator_gainprm[:, 0] = pristine.actuator_gainprm[:, 0] * float(value)
            case "shoulder" | "elbow":
                self.data.joint(name).qpos[0] = float(value)
            case "object_x":
                self.data.mocap_pos[0, 0] = float(value)
            case "object_y":
                self.data.mocap_pos[0, 1] = float(value)

    def _draw_state(self, fixed: Mapping[str, Value]) -> dict[str, Value]:
        """Draw the hand in view, and not nearer to the object than twice the success radius."""
        for _ in range(MOST_DRAWS):
            drawn = super()._draw_state(fixed)
            hand = hand_position(float(drawn["shoulder"]), float(drawn["elbow"]))
            place = np.array([drawn["object_x"], drawn["object_y"]], dtype=np.float64)
            apart = np.linalg.norm(hand - place) > 2 * SUCCESS_RADIUS
            if apart and (np.abs(hand) < _IN_VIEW).all():
                break
        return drawn

    def _read_state(self) -> dict[str, float]:
        shoulder, elbow = self.data.qpos
        x, y, _ = self.data.mocap_pos[0]
        return {"shoulder": shoulder, "elbow": elbow, "object_x": x, "object_y": y}

    def _proprioception(self) -> NDArray[np.float32]:
        return np.concatenate([self.data.qpos, self.data.qvel, self._hand()]).astype(np.float32)

    def _true_state(self) -> NDArray[np.float32]:
        gain = float(self._values["drive_gain"])
        state = [self._proprioception(), self.data.mocap_pos[0, :2], [gain]]
        return np.concatenate(state).astype(np.float32)

    def expert_action(self) -> NDArray[np.float32]:
        """Turn each joint towards the pose whose hand is over the object."""
        error = joint_angles(self.data.mocap_pos[0, :2]) - self.data.qpos
        # At the highest gain a full command turns a joint by 0.14 rad in a step.
        return np.clip(7 * error, -1, 1).astype(np.float32)

    def _hand(self) -> NDArray[np.float64]:
        return np.array(self.data.body("hand").xpos[:2])

    def _distance(self) -> float:
        return float(np.linalg.norm(self._hand() - self.data.mocap_pos[0, :2]))

    def _is_success(self) -> bool:
        return self._distance() < SUCCESS_RADIUS

    def _dense_reward(self) -> float:
        return float(self._is_success()) - self._distance()

    def _info(self) -> dict[str, object]:
        return super()._info() | {"distance": self._distance()}


def hand_position(shoulder: float, elbow: float) -> NDArray[np.float64]:
    """Return where the hand is, metres [2], for angles of the joints in radians."""
    angles = np.array([shoulder, shoulder + elbow])
    return BASE + LINK * np.array([-np.sin(angles).sum(), np.cos(angles).sum()])


def joint_angles(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angles of shoulder and elbow, radians [2], that put the hand at `place` [2].

    A place out of reach gives the stretched arm that points to it.
    """
    x, y = place - BASE
    elbow = 2 * np.arccos(min(1.0, np.hypot(x, y) / (2 * LINK)))
    return np.array([np.arctan2(-x, y) - elbow / 2, elbow])
