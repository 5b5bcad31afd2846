"""Stacks of frames of a rollout."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from drl_latent.data import FrameDataset
from drl_latent.data.stacking import StackedFrames

ENV = "DrlLatent/Reach-v0"


class Replay(gym.Env):
    """Shows the frames of a data set again, episode by episode."""

    def __init__(self, data: FrameDataset) -> None:
        self.data, self.row = data, -1
        self.observation_space = gym.spaces.Box(0, 255, data.image_shape, np.uint8)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        self.row = (self.row + 1) % len(self.data)
        return np.array(self.data.frames[self.row]), {}

    def step(self, action: int):
        self.row += 1
        last = self.row + 1 == len(self.data)
        over = last or self.data.episode[self.row + 1] != self.data.episode[self.row]
        return np.array(self.data.frames[self.row]), 0.0, bool(over), False, {}


def test_stacks_are_what_an_agent_sees(rollouts: FrameDataset):
    stacked = rollouts.stacked(3)
    venv = VecFrameStack(DummyVecEnv([lambda: Replay(rollouts)]), 3)
    shown = [venv.reset()[0]]
    while len(shown) < len(rollouts):
        observation, _, over, infos = venv.step(np.array([0]))
        if over[0]:
            shown.append(infos[0]["terminal_observation"])
        if len(shown) < len(rollouts):
            shown.append(observation[0])
    np.testing.assert_array_equal(stacked.frames[:], np.stack(shown))


def test_stacks_read_like_an_array(rollouts: FrameDataset):
    stacked = rollouts.stacked(4)
    frames = stacked.frames
    assert isinstance(frames, StackedFrames)
    assert len(stacked) == len(frames) == len(rollouts)
    assert stacked.image_shape == (64, 64, 12)
    assert frames.shape == (200, 64, 64, 12)
    assert frames.dtype == np.uint8
    whole = frames[:]
    assert isinstance(whole, np.ndarray)
    rows = np.array([0, 1, 40, 41, 42, 199])
    np.testing.assert_array_equal(frames[rows], whole[rows])
    np.testing.assert_array_equal(frames[5], whole[5])
    np.testing.assert_array_equal(frames[-1], whole[199])
    np.testing.assert_array_equal(frames[10:50:7], whole[10:50:7])
    assert frames[np.array([], dtype=np.int64)].shape == (0, 64, 64, 12)
    with pytest.raises(IndexError):
        frames[200]
    # The newest frame is last; before an episode's first there is nothing.
    np.testing.assert_array_equal(whole[..., 9:], rollouts.frames)
    assert not whole[41, ..., :9].any()
    np.testing.assert_array_equal(whole[42, ..., 6:9], rollouts.frames[41])
    assert not whole[42, ..., :6].any()


def test_stacked_data_sets_keep_the_rest(rollouts: FrameDataset, frames: FrameDataset):
    stacked = rollouts.stacked(2)
    np.testing.assert_array_equal(stacked.factors, rollouts.factors)
    np.testing.assert_array_equal(stacked.pairs("consecutive"), rollouts.pairs("consecutive"))
    assert stacked.fingerprint != rollouts.fingerprint != rollouts.stacked(3).fingerprint
    assert rollouts.stacked(1) is rollouts
    with pytest.raises(ValueError, match="1 frame or more, got 0"):
        rollouts.stacked(0)
    with pytest.raises(ValueError, match="stacked already"):
        stacked.stacked(2)
    with pytest.raises(ValueError, match='Collect with source="rollout"'):
        frames.stacked(2)
