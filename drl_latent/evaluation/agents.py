"""What can be evaluated, and the agent that marks the floor."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from drl_latent.envs import Observation


class Agent(Protocol):
    """Anything with actions for batches of observations.

    `LatentAgent` is one, and `SB3Agent` makes one of a model of Stable-Baselines3. One that has an
    ``action_space`` or an ``observation_space``, of a single environment, is refused where an
    environment has others.
    """

    @property
    def observation(self) -> Observation:
        """The ``observation`` that its environments are made with."""

    def reset(self) -> None:
        """Forget the steps before: what comes next begins an episode."""

    def predict(self, observations: Any) -> NDArray[np.float32]:
        """Return actions, float [N, A], for a batch of N observations."""


class RandomAgent:
    """Uniform random actions: the floor of every task.

    Args:
        action_space: The space to draw from.
        seed: Seed of the draws.
    """

    observation: Literal["state"] = "state"

    def __init__(self, action_space: spaces.Box, seed: int = 0) -> None:
        self.action_space = action_space
        self._rng = np.random.default_rng(seed)

    def reset(self) -> None:
        """Do nothing: it remembers no steps."""

    def predict(self, observations: Any) -> NDArray[np.float32]:
        """Return random actions, float32 [N, A], for N observations."""
        low, high = self.action_space.low, self.action_space.high
        size = (len(observations), *low.shape)
        return self._rng.uniform(low, high, size).astype(np.float32)
