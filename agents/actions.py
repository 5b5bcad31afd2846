"""Actions that are chosen from a finite number, for algorithms that need that."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import DiscretizeAction
from numpy.typing import NDArray

BINS = 3
"""Values of each dimension of an action; the middle one is at rest where bounds are symmetric."""
_MOST = 1_000


def discretized(env: gym.Env[Any, Any], bins: int = BINS) -> gym.Env[Any, Any]:
    """Return the environment with one discrete action for each combination of `bins` values.

    Each value is the centre of one of `bins` equal parts of its dimension's range.

    Raises:
        ValueError: There would be more than a thousand actions.
    """
    size = int(np.prod(env.action_space.shape or ()))
    if bins**size > _MOST:
        raise ValueError(
            f"{bins} values of each of {size} dimensions are {bins**size:,} actions: too many to "
            "choose among. Use an algorithm for continuous actions, such as SAC or PPO."
        )
    return DiscretizeAction(env, bins)


def action_table(space: spaces.Box, bins: int = BINS) -> NDArray[np.float32]:
    """Return the action that each number stands for in `discretized`, float32 [bins ** A, A]."""

    class OnlyActions(gym.Env[Any, Any]):
        action_space = space
        observation_space = spaces.Discrete(1)

    wrapper = DiscretizeAction(OnlyActions(), bins)
    return np.stack([wrapper.action(i) for i in range(bins ** int(np.prod(space.shape)))])
