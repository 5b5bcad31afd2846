"""Push: slide an object over a table to a mark, with a tool on an x-y stage."""

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
    MOST_DRAWS,
    geoms_of,
    paint,
    paint_floor,
    position,
    scale,
    set_light,
    show_shape,
)

STAGE, TABLE, MARKED = 0.45, 0.28, 0.24
"""Half the widths of the squares of tool, object and goal, metres: round an object there is room
for the tool, wherever the object lies."""
SUCCESS_RADIUS = 0.08
"""Distance of object and goal that counts as there, metres."""
TOOL_RADIUS = 0.05
_BEHIND = 0.15
"""How far from the object's centre the tool stands to push it, metres."""
_BELL = 0.1
"""Distance of object and goal at which the reward for being near has fallen to 1/e, metres."""
_NEAREST_START = 0.18
_APART = 0.17
"""How far at the start, metres and at least, the goal is beyond the object and the tool before it,
both along y."""

_SHAPES = {
    "box": ("object_box",),
    "cylinder": ("object_cylinder",),
    "cross": ("object_bar_x", "object_bar_y"),
}
# Where the joints' values are, in the order of the scene: looking each up by its name at each step
# takes longer than the physics.
_OBJECT, _TOOL = slice(0, 2), slice(3, 5)
# Only these of the drawn factors change how an object moves.
_FELT = ("object_shape", "object_size", "object_mass", "object_friction")


@register_env("Push-v0", max_episode_steps=60)
class PushEnv(FactorEnv):
    """Push the coloured object onto the ring on the table.

    An episode starts with the tool on the near side of the object, lower in the image, and the ring
    beyond it, at most 45 degrees to the side.

    Actions are the tool's velocity along x and y, in metres a second, for 0.05 s (5 steps of
    0.01 s); a heavy object with much friction slows it down. The object slides without turning and
    stops at the rim of its part of the table, 0.28 m from the middle. After it was pushed it slides
    on, by default for 3 cm at most: what has to be done can be told from where things are. An
    episode lasts 60 steps and does not end on success: the object has to stay.
    ``info["is_success"]`` is whether the object's centre is within 0.08 m of the ring's, which
    ``info["distance"]`` gives. The sparse reward is 0 for success and -1 otherwise. The dense one
    is minus this distance d, minus half of the tool's distance from the place behind the object
    that it pushes from (both in metres), plus exp(-(d / 0.1)^2), plus 1 while it is a success.

    Proprioception is position and velocity of the tool, float32 [4]; the true state adds position
    and velocity of the object, position of the goal, and the object's shape (an index), size,
    mass (relative) and friction coefficient, float32 [14].
    """

    FACTORS = FactorSpace(
        (
            Factor("object_hue", "appearance", values=HUES),
            Factor("object_shape", "geometry", values=tuple(_SHAPES)),
            Factor("object_size", "geometry", values=(0.8, 0.9, 1.0), default=2),
            Factor("goal_hue", "appearance", values=(0.15, 0.5, 0.85), default=0),
            Factor("floor_hue", "appearance", values=HUES, default=3),
            Factor("light", "appearance", values=LIGHTS, default=2),
            Factor("object_mass", "dynamics", values=(0.5, 1.0, 2.0), default=1),
            Factor("object_friction", "dynamics", values=(0.5, 1.0, 1.5), default=2),
            position("effector_x", STAGE, 3),
            position("effector_y", STAGE, 3),
            position("object_x", TABLE, 7),
            position("object_y", TABLE, 8),
            position("goal_x", MARKED, 15),
            position("goal_y", MARKED, 15),
        )
    )
    SCENE = "push.xml"
    CAMERA = "overhead"
    FRAME_SKIP = 5

    def _set_factor(self, name: str, value: Value) -> None:
        model, pristine, data = self.model, self.pristine, self.data
        match name:
            case "object_hue":
                paint(model, geoms_of(_SHAPES), float(value))
            case "object_shape":
                show_shape(model, _SHAPES, str(value), solid=True)
            case "object_size":
                scale(model, pristine, geoms_of(_SHAPES), float(value), flat=True)
            case "goal_hue":
                # Less bright than the object: what stands out most is learned first, and the object
                # not at all where the ring outshines it.
                paint(model, ["goal_mark"], float(value), saturation=0.3, value=0.7)
            case "floor_hue":
                paint_floor(model, float(value), ["floor", "goal_centre"])
            case "light":
                set_light(model, pristine, float(value))
            case "object_mass":
                body, original = model.body("object"), pristine.body("object")
                body.mass[:] = original.mass * float(value)
                # What MuJoCo scales the softness of contacts by when it compiles the scene.
                body.invweight0[:] = original.invweight0 / float(value)
            case "object_friction":
                for geom in geoms_of(_SHAPES):
                    model.geom(geom).friction[0] = float(value)
            case "effector_x" | "effector_y" | "object_x" | "object_y":
                data.joint(name).qpos[0] = float(value)
            case "goal_x":
                data.mocap_pos[0, 0] = float(value)
            case "goal_y":
                data.mocap_pos[0, 1] = float(value)

    def _draw_state(self, fixed: Mapping[str, Value]) -> dict[str, Value]:
        """Draw positions: the tool in front of the object, and the goal some way beyond it."""
        space = self.factor_space.state
        rows = space.sample_values(MOST_DRAWS, self.np_random)
        for name, value in fixed.items():
            rows[:, space.column(name)] = float(value)
        tool, thing, goal = (
            rows[:, [space.column(f"{what}_x"), space.column(f"{what}_y")]].T
            for what in ("effector", "object", "goal")
        )
        aside, beyond = goal - thing
        fits = (beyond > _NEAREST_START) & (np.abs(aside) < beyond) & (thing[1] - tool[1] > _APART)
        # The first that fits; just the first where what is fixed leaves none.
        row = rows[np.argmax(fits)]
        return {f.name: float(v) for f, v in zip(space, row, strict=True)} | dict(fixed)

    def _read_state(self) -> dict[str, float]:
        places = np.concatenate([self._tool, self._object, self._goal])
        return dict(zip(self.FACTORS.state.names, places, strict=True))

    def _proprioception(self) -> NDArray[np.float32]:
        return np.concatenate([self._tool, self.data.qvel[_TOOL]]).astype(np.float32)

    def _true_state(self) -> NDArray[np.float32]:
        speed = self.data.qvel[_OBJECT]
        felt = [self.FACTORS[name].number(self._values[name]) for name in _FELT]
        state = [*self._proprioception(), *self._object, *speed, *self._goal, *felt]
        return np.array(state, dtype=np.float32)

    def expert_action(self) -> NDArray[np.float32]:
        """Go round to the far side of the object, then push it straight to the goal."""
        way = self._goal - self._object
        left = float(np.linalg.norm(way))
        ahead = way / max(left, 1e-9)
        side = np.array([-ahead[1], ahead[0]])
        place = self._tool - self._object
        behind, beside = -float(place @ ahead), float(place @ side)
        if left < 0.4 * SUCCESS_RADIUS:
            return np.zeros(2, np.float32)
        if behind > 0 and abs(beside) < 0.03:
            # Slower as the goal comes near, for the object slides on; back onto the line meanwhile.
            move = ahead * np.clip(5 * left, 0.15, 0.8) - side * 6 * beside
        else:
            angle = np.arctan2(place[1], place[0])
            turn = np.arctan2(-ahead[1], -ahead[0]) - angle
            turn = (turn + np.pi) % (2 * np.pi) - np.pi
            bend = angle + np.clip(turn, -0.5, 0.5)
            clear = self._reach_of_object() + TOOL_RADIUS + 0.03
            corner = self._object + clear * np.array([np.cos(bend), np.sin(bend)])
            move = 12 * (np.clip(corner, -STAGE, STAGE) - self._tool)
        return (move / max(1.0, float(np.abs(move).max()))).astype(np.float32)

    @property
    def _tool(self) -> NDArray[np.float64]:
        return np.array(self.data.qpos[_TOOL])

    @property
    def _object(self) -> NDArray[np.float64]:
        return np.array(self.data.qpos[_OBJECT])

    @property
    def _goal(self) -> NDArray[np.float64]:
        return np.array(self.data.mocap_pos[0, :2])

    def _reach_of_object(self) -> float:
        """Return the distance from the object's centre to its farthest corner, metres."""
        first, *_ = _SHAPES[str(self._values["object_shape"])]
        x, y, _ = self.model.geom(first).size
        return float(x if self._values["object_shape"] == "cylinder" else np.hypot(x, y))

    def _distance(self) -> float:
        return float(np.linalg.norm(self._object - self._goal))

    def _is_success(self) -> bool:
        return self._distance() < SUCCESS_RADIUS

    def _dense_reward(self) -> float:
        left = self._distance()
        ahead = (self._goal - self._object) / max(left, 1e-9)
        behind = self._object - _BEHIND * ahead
        away = float(np.linalg.norm(self._tool - behind))
        bell = float(np.exp(-((left / _BELL) ** 2)))
        return float(self._is_success()) + bell - left - 0.5 * away

    def _info(self) -> dict[str, object]:
        return super()._info() | {"distance": self._distance()}
