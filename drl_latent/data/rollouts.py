"""Frames along episodes of random actions, with all that a transition has."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from drl_latent.data.writing import Chunk
from drl_latent.envs import FactorScene

_MEAN_HOLD = 6
"""Mean number of steps that a rollout keeps an action: a new one each step would not get far."""


def roll(
    env: gym.Env[Any, Any],
    base: FactorScene,
    chunk: Chunk,
    start: int,
    rng: np.random.Generator,
) -> None:
    """Fill a chunk with whole episodes; the last one is cut off where the chunk ends.

    Args:
        env: The environment, with its time limit.
        base: The scene in it.
        chunk: The rows to fill.
        start: Row of the data set that the chunk begins at.
        rng: Source of randomness.
    """
    total, row = len(chunk["frames"]), 0
    while row < total:
        rows = {name: array[row:] for name, array in chunk.items()}
        length = _run_episode(env, base, rows, rng)
        if length == total - row - 1 and length > 2:
            # One frame would be left, an episode without a step: cut this one shorter instead.
            length -= 1
        _end_episode(rows, length)
        rows["episode"][:length] = start + row
        row += length


def _run_episode(
    env: gym.Env[Any, Any], base: FactorScene, rows: Chunk, rng: np.random.Generator
) -> int:
    """Write one episode into the first of `rows`, and return how many frames it has."""
    low, high = base.action_space.low, base.action_space.high  # type: ignore[attr-defined]
    observation, _ = env.reset(seed=int(rng.integers(2**31)))
    action, over, last = low, False, len(rows["frames"]) - 1
    for row in range(last + 1):
        rows["frames"][row], rows["factors"][row] = observation, base.factor_values
        if over or row == last:
            break
        if row == 0 or rng.random() < 1 / _MEAN_HOLD:
            action = rng.uniform(low, high).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        rows["actions"][row], rows["rewards"][row] = action, reward
        rows["terminated"][row], rows["truncated"][row] = terminated, truncated
        over = terminated or truncated
    return row + 1


def _end_episode(rows: Chunk, length: int) -> None:
    """Say that nothing follows the last frame, and that what did not terminate was cut off."""
    last = length - 1
    rows["actions"][last] = rows["rewards"][last] = np.nan
    rows["terminated"][last] = rows["truncated"][last] = False
    if last:
        rows["truncated"][last - 1] |= not rows["terminated"][last - 1]
