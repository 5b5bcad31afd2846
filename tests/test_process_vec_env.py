"""Environments in several processes give what they give in one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from types import SimpleNamespace
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from drl_latent.agents import ProcessVecEnv, process_vec_env, train_agent

SEED = 5


class Odd(gym.Env):
    """Observes its number, the count of its steps and a random number; fails on request."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 7}
    render_mode = "rgb_array"

    def __init__(self, number: int, keys: tuple[str, ...] = ()) -> None:
        box = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.keys, self.number, self.count = keys, number, 0
        self.observation_space = spaces.Dict(dict.fromkeys(keys, box)) if keys else box
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def _look(self):
        seen = np.array([self.number, self.count, self.np_random.random()], np.float32)
        return {key: seen + i for i, key in enumerate(self.keys)} if self.keys else seen

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.count = (options or {}).get("count", 0)
        return self._look(), {"options": options}

    def step(self, action):
        self.count += 1
        over = self.count > self.number + 2
        return self._look(), float(action.sum()), over, self.number % 2 == 0 and over, {"a": action}

    def render(self):
        return np.full((4, 4, 3), self.number, np.uint8)

    def plus(self, more: int, *, number: int = 1) -> int:
        return (self.number + more) * number

    def fail(self) -> None:
        raise KeyError(f"number {self.number}")

    def die(self) -> None:
        os._exit(3)


def odd(n: int, keys: tuple[str, ...] = ()) -> list[Callable[[], gym.Env]]:
    return [partial(Odd, i, keys) for i in range(n)]


@pytest.fixture
def venv() -> Iterator[ProcessVecEnv]:
    """Five environments in two processes."""
    made = ProcessVecEnv(odd(5), 2)
    yield made
    made.close()


def run(venv: VecEnv, steps: int) -> list:
    """All that a number of steps of random actions gives, after a reset."""
    rng = np.random.default_rng(0)
    found: list = [venv.reset(), [dict(info) for info in venv.reset_infos]]
    for _ in range(steps):
        actions = rng.uniform(-1, 1, (venv.num_envs, *venv.action_space.shape)).astype(np.float32)
        found += [venv.step(actions), [dict(info) for info in venv.reset_infos]]
    return found


@pytest.mark.parametrize("keys", [(), ("a", "b")])
@pytest.mark.parametrize("processes", [1, 2, 5])
def test_streams_are_those_of_one_process(processes: int, keys: tuple[str, ...]):
    streams = []
    for venv in (DummyVecEnv(odd(5, keys)), ProcessVecEnv(odd(5, keys), processes)):
        venv.seed(SEED)
        venv.set_options([{"count": i % 2} for i in range(5)])
        assert venv.metadata["render_fps"] == 7
        # A second reset has neither seed nor options.
        streams.append(run(venv, 9) + run(venv, 3))
        venv.close()
    np.testing.assert_equal(streams[1], streams[0])


def test_observations_are_copies(venv: ProcessVecEnv):
    first = venv.reset()
    before = first.copy()
    venv.step(np.zeros((5, 2), np.float32))
    np.testing.assert_equal(first, before)


def test_frames_of_an_environment_are_those_of_one_process():
    streams = []
    for several in ({}, {"vec_env_cls": ProcessVecEnv, "vec_env_kwargs": {"processes": 2}}):
        venv = make_vec_env("DrlLatent/Reach-v0", 3, seed=SEED, **several)
        assert venv.env_is_wrapped(Monitor) == [True] * 3
        streams.append(run(venv, 4))
        venv.close()
    np.testing.assert_equal(streams[1][:1], streams[0][:1])
    for other, one in zip(streams[1][2::2], streams[0][2::2], strict=True):
        np.testing.assert_equal(other[:3], one[:3])


def test_methods_and_attributes_reach_the_environments_that_are_meant(venv: ProcessVecEnv):
    assert venv.env_method("plus", 1, number=2) == [2, 4, 6, 8, 10]
    assert venv.env_method("plus", 1, indices=[4, 0, 3]) == [5, 1, 4]
    assert venv.get_attr("number", indices=-1) == [4]
    venv.set_attr("number", 7, indices=[1, 3])
    assert venv.get_attr("number") == [0, 7, 2, 7, 4]
    assert not venv.has_attr("nothing")
    assert [image.mean() for image in venv.get_images()] == [0, 7, 2, 7, 4]


def test_an_error_comes_with_its_traceback_and_nothing_is_out_of_step(venv: ProcessVecEnv):
    with pytest.raises(KeyError, match="number 0") as caught:
        venv.env_method("fail")
    assert "in fail" in caught.value.__notes__[0]
    assert venv.env_method("plus", 0) == [0, 1, 2, 3, 4]


def test_a_process_that_is_gone_is_named(venv: ProcessVecEnv):
    with pytest.raises(RuntimeError, match="environments 3 to 4 ended with code 3"):
        venv.env_method("die", indices=4)
    # Also later, to whatever is asked.
    with pytest.raises(RuntimeError, match="environments 3 to 4 ended with code 3"):
        venv.step(np.zeros((5, 2), np.float32))


def test_an_environment_that_cannot_be_made_leaves_no_process():
    def broken() -> gym.Env:
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model"):
        ProcessVecEnv([*odd(2), broken], 3)


def test_closing_ends_the_processes_also_within_a_step(venv: ProcessVecEnv):
    venv.reset()
    venv.step_async(np.zeros((5, 2), np.float32))
    began = time.monotonic()
    venv.close()
    venv.close()
    assert time.monotonic() - began < 4
    assert [worker.exitcode for worker in venv._workers] == [0, 0]
    # Nothing else can find the memory that they shared, from the start.
    with pytest.raises(FileNotFoundError):
        SharedMemory(venv._seen.name)


@pytest.mark.parametrize("processes", [0, 6])
def test_numbers_of_processes_that_make_no_sense_are_refused(processes: int):
    with pytest.raises(ValueError, match=f"number of environments, 5; got {processes}"):
        ProcessVecEnv(odd(5), processes)


def test_a_process_that_may_start_no_others_says_so(monkeypatch: pytest.MonkeyPatch):
    """As in a piece of a study."""
    daemon = SimpleNamespace(daemon=True)
    monkeypatch.setattr(process_vec_env.multiprocessing, "current_process", lambda: daemon)
    with pytest.raises(ValueError, match="env_processes=1"):
        ProcessVecEnv(odd(2), 2)


def test_an_agent_is_the_same_with_any_number_of_processes(tmp_path):
    agents = [
        train_agent(
            "DrlLatent/Reach-v0",
            tmp_path / str(processes),
            inputs="state",
            steps=192,
            n_envs=3,
            env_processes=processes,
            settings={"n_steps": 32, "batch_size": 32},
            evaluate_every=96,
            evaluation_episodes=2,
            progress=False,
        )
        for processes in (1, 2)
    ]
    for one, other in zip(*(agent.policy.state_dict().values() for agent in agents), strict=True):
        assert (one == other).all()
    histories = [agent.history for agent in agents]
    np.testing.assert_equal(histories[0].episodes.to_numpy(), histories[1].episodes.to_numpy())
