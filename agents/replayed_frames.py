"""Frames out of what an agent has stored to learn from: a replay buffer, or its last rollout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer

from drl_latent.agents.image_buffer import FrameReplayBuffer
from drl_latent.pretraining.batches import others_of_episode

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class ReplayedFrames:
    """Stored transitions of E environments over T steps, in the order of time.

    Args:
        ends: Whether no frame of the same episode is known to follow, bool [T, E].
        read: From the key of an image (``""`` of a Box), steps and environments, int [B] each, to
            that image of the observations, [B, ...]; of those that follow, if the last is true.
    """

    ends: NDArray[np.bool_]
    read: Callable[[str, Indices, Indices, bool], NDArray[Any]]

    def draw(
        self, n: int, key: str, rng: np.random.Generator, in_pairs: bool, same_episode: bool
    ) -> NDArray[Any]:
        """Draw images of `key`, as they are stored, [n, ...].

        Args:
            n: Number of frames; an even one of pairs, a multiple of 4 with `same_episode`.
            key: Which image of the observations.
            rng: Source of the draws.
            in_pairs: Whether to draw pairs of frames in time: images i and i + n / 2.
            same_episode: Whether pairs i and i + n / 4 have to be of one episode.

        Raises:
            ValueError: There are no two frames of one episode.
        """
        steps, n_envs = self.ends.shape
        if not in_pairs:
            times, envs = np.divmod(rng.integers(0, self.ends.size, n), n_envs)
            return self.read(key, times, envs, False)
        # By environment, then by time: an episode's transitions are next to each other.
        joined = np.flatnonzero(~self.ends.T)
        if not len(joined):
            raise ValueError(
                "No two frames of one episode are stored yet, so none can be paired: collect more "
                "before learning starts, or take an objective that learns from single frames."
            )
        chosen = rng.integers(0, len(joined), n // (4 if same_episode else 2))
        if same_episode:
            begins = np.ones((n_envs, steps), bool)
            begins[:, 1:] = self.ends.T[:, :-1]
            episode = begins.ravel().cumsum()[joined]
            chosen = np.concatenate([chosen, others_of_episode(chosen, episode, rng)])
        envs, times = np.divmod(joined[chosen], steps)
        return np.concatenate([self.read(key, times, envs, after) for after in (False, True)])


def of_rollout(buffer: RolloutBuffer) -> ReplayedFrames:
    """Return the frames of a full rollout buffer, before minibatches are drawn from it.

    They stay what they are when the buffer is used and emptied.
    """
    observations: Any = buffer.observations
    if isinstance(observations, dict):
        # A copy of the dict: the buffer puts flattened arrays in it when minibatches are drawn.
        observations = dict(observations)
    ends = np.ones((buffer.buffer_size, buffer.n_envs), bool)
    ends[:-1] = buffer.episode_starts[1:] != 0

    def read(key: str, times: Indices, envs: Indices, after: bool) -> NDArray[Any]:
        return _part(observations, key)[times + after, envs]

    return ReplayedFrames(ends, read)


def of_replay(buffer: ReplayBuffer) -> ReplayedFrames:
    """Return the frames that are in a replay buffer now."""
    size = buffer.size()
    rows = (np.arange(size) + (buffer.pos if buffer.full else 0)) % buffer.buffer_size
    if buffer.optimize_memory_usage and buffer.full:
        rows = rows[1:]  # the oldest one's observation has been overwritten

    def read(key: str, times: Indices, envs: Indices, after: bool) -> NDArray[Any]:
        at = rows[times]
        if isinstance(buffer, FrameReplayBuffer):
            return buffer.images(key, at, envs, after=after)
        if after and not buffer.optimize_memory_usage:
            return _part(buffer.next_observations, key)[at, envs]
        return _part(buffer.observations, key)[(at + after) % buffer.buffer_size, envs]

    return ReplayedFrames(buffer.dones[rows] != 0, read)


def _part(observations: Any, key: str) -> NDArray[Any]:
    images: NDArray[Any] = observations[key] if key else observations
    return images
