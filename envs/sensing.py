"""What an adapted environment's agent observes besides pixels, and acts with."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from drl_latent.envs.rendering import mujoco
from drl_latent.registry import UnknownNameError


class Flattener:
    """Turns observations into float32 vectors.

    Args:
        space: The space of the observations: vectors, or a dict of vectors, of which a goal
            environment's ``observation`` and ``desired_goal`` are taken and all of any other.

    Raises:
        ValueError: They are neither.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self._names: tuple[str, ...] | None = None
        if isinstance(space, spaces.Dict):
            goal = ("observation", "desired_goal")
            self._names = goal if set(goal) <= set(space.keys()) else tuple(space.keys())
        elif not isinstance(space, spaces.Box):
            raise ValueError(f"Observations have to be a vector or a dict of vectors, got {space}.")

    def __call__(self, observation: Any) -> NDArray[np.float32]:
        """Return an observation as one vector, float32 [S]."""
        parts = [observation] if self._names is None else [observation[n] for n in self._names]
        return np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)


def float32_box(space: spaces.Space[Any]) -> spaces.Box:
    """Return the same box with float32 bounds.

    Raises:
        UnknownNameError: It is no box.
    """
    if not isinstance(space, spaces.Box):
        raise UnknownNameError("action space", type(space).__name__, ["Box"])
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def robot_joints(model: mujoco.MjModel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where positions and speeds of the joints are that a robot has sensors in."""
    kinds = mujoco.mjtTrn
    joints: set[int] = set()
    for kind, target in zip(model.actuator_trntype, model.actuator_trnid[:, 0], strict=True):
        if kind in (kinds.mjTRN_JOINT, kinds.mjTRN_JOINTINPARENT):
            joints.add(int(target))
        elif kind == kinds.mjTRN_TENDON:
            start = model.tendon_adr[target]
            wraps = slice(start, start + model.tendon_num[target])
            is_joint = model.wrap_type[wraps] == mujoco.mjtWrap.mjWRAP_JOINT
            joints |= {int(joint) for joint in model.wrap_objid[wraps][is_joint]}
    joints |= {j for j in range(model.njnt) if model.joint(j).name.startswith("robot")}
    positions: list[int] = []
    speeds: list[int] = []
    for joint in sorted(joints):
        position, speed = model.joint(joint).qposadr[0], model.joint(joint).dofadr[0]
        positions += range(position, position + len(model.joint(joint).qpos0))
        speeds += range(speed, speed + len(model.joint(joint).damping))
    return np.array(positions, dtype=np.int64), np.array(speeds, dtype=np.int64)
