"""Observations of several environments in memory that processes share."""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs
from stable_baselines3.common.vec_env.util import dict_to_obs, obs_space_info

_ALIGNMENT = 64
"""Bytes; arrays begin at multiples of it."""


class SharedObservations:
    """A batch of observations that one process writes and another reads.

    Args:
        space: Space of one observation.
        n: Number of environments.
        name: Name of memory that another process has made; memory is made unless given.
    """

    def __init__(self, space: spaces.Space[Any], n: int, name: str | None = None) -> None:
        keys, shapes, dtypes = obs_space_info(space)
        starts, end = {}, 0
        for key in keys:
            starts[key] = end
            size = n * int(np.prod(shapes[key])) * np.dtype(dtypes[key]).itemsize
            end += -(-size // _ALIGNMENT) * _ALIGNMENT
        self._space = space
        self._memory = SharedMemory(name, create=name is None, size=max(end, 1))
        self.arrays: dict[Any, NDArray[Any]] = {
            key: np.ndarray((n, *shapes[key]), dtypes[key], self._memory.buf, starts[key])
            for key in keys
        }
        """By key of a Dict, number in a Tuple, or None: arrays [n, ...]."""

    @property
    def name(self) -> str:
        """What another process finds the memory by."""
        return self._memory.name

    def copy(self) -> VecEnvObs:
        """Return the observations as they are now."""
        copies = {key: array.copy() for key, array in self.arrays.items()}
        return dict_to_obs(self._space, copies)

    def forget_name(self) -> None:
        """Let the memory go when the last process that has it does, however that ends."""
        self._memory.unlink()

    def close(self) -> None:
        """Let go of the memory; no view of its arrays may be left."""
        self.arrays.clear()
        self._memory.close()
