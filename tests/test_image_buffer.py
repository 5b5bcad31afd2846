"""The buffer that stores frames once gives what Stable-Baselines3's buffers give."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import DDPG, DQN, SAC, TD3
from stable_baselines3.common.buffers import DictReplayBuffer, NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecFrameStack,
    VecNormalize,
    VecTransposeImage,
)

from drl_latent.agents.image_buffer import FrameReplayBuffer

STEPS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from(["terminated", "truncated", "both"])),
    min_size=1,
    max_size=6,
)


class Film(gym.Env):
    """Shows random frames, often the same one again, in episodes of given lengths and ends."""

    def __init__(
        self,
        episodes: list[tuple[int, str]] | None = None,
        seed: int = 0,
        shape: tuple[int, ...] = (16, 17, 1),
        image_only: bool = True,
        action_space: spaces.Space | None = None,
    ) -> None:
        self.episodes = episodes or [(7, "truncated"), (5, "terminated")]
        self.rng = np.random.default_rng(seed)
        image = spaces.Box(0, 255, shape, np.uint8)
        if len(shape) == 1:
            image = spaces.Box(-np.inf, np.inf, shape, np.float32)
        self.observation_space = image
        if not image_only:
            self.observation_space = spaces.Dict(
                {
                    "image": image,
                    "joints": spaces.Box(-np.inf, np.inf, (3,), np.float32),
                    "wrist": spaces.Box(0, 255, (max(18, shape[0]), 36, 3), np.uint8),
                }
            )
        self.action_space = action_space or spaces.Box(-1, 1, (2,), np.float32)
        self.episode = -1

    def _frame(self, space: spaces.Space) -> np.ndarray:
        if space.dtype != np.uint8:
            # Often the same again, as images are.
            return self.rng.integers(-1, 2, space.shape).astype(np.float32)
        shape = space.shape
        kind = self.rng.integers(4)
        if kind < 2:
            return np.full(shape, 100 * kind, np.uint8)
        return self.rng.integers(0, 256, shape, dtype=np.uint8)

    def _observation(self) -> Any:
        if isinstance(self.observation_space, spaces.Box):
            return self._frame(self.observation_space)
        return {key: self._frame(space) for key, space in self.observation_space.items()}

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        self.episode, self.step_count = self.episode + 1, 0
        return self._observation(), {}

    def step(self, action: Any):
        self.step_count += 1
        length, end = self.episodes[self.episode % len(self.episodes)]
        over = self.step_count >= length
        terminated, truncated = over and end != "truncated", over and end != "terminated"
        reward = float(self.rng.normal())
        return self._observation(), reward, terminated, truncated, {}


def film(n_envs: int, n_stack: int, layout: str = "transposed", seed: int = 0, **kwargs) -> VecEnv:
    if layout == "first":
        kwargs["shape"] = (3, 16, 17)
    elif layout == "vector":
        kwargs["shape"] = (2,)
    lengths = kwargs.pop("episodes", None)
    venv: VecEnv = DummyVecEnv(
        [
            # Each environment starts elsewhere in the list, so that they end at different times.
            lambda i=i: Film(lengths and lengths[i % len(lengths) :] + lengths, seed + i, **kwargs)
            for i in range(n_envs)
        ]
    )
    venv = VecFrameStack(venv, n_stack)
    return VecTransposeImage(venv) if layout == "transposed" else venv


def both(
    venv: VecEnv, n_stack: int, size: int, timeouts: bool = True
) -> tuple[ReplayBuffer, FrameReplayBuffer]:
    args = (size, venv.observation_space, venv.action_space, "cpu", venv.num_envs)
    is_dict = isinstance(venv.observation_space, spaces.Dict)
    theirs = (DictReplayBuffer if is_dict else ReplayBuffer)(
        *args, handle_timeout_termination=timeouts
    )
    ours = FrameReplayBuffer(*args, handle_timeout_termination=timeouts, n_stack=n_stack)
    return theirs, ours


def play(venv: VecEnv, steps: int, *buffers: Any, resets: tuple[int, ...] = ()) -> None:
    """Store what Stable-Baselines3 stores while it collects, from a reset on."""
    rng = np.random.default_rng(1)
    observation = venv.reset()
    for step in range(steps):
        if step in resets:
            observation = venv.reset()
        actions = rng.uniform(-1, 1, (venv.num_envs, 2)).astype(np.float32)
        new, rewards, dones, infos = venv.step(actions)
        for buffer in buffers:
            algorithm: Any = SimpleNamespace(_vec_normalize_env=None, _last_obs=observation)
            OffPolicyAlgorithm._store_transition(
                algorithm, buffer, actions, new, rewards, dones, infos
            )
        observation = new


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, tuple):
        for name in expected._fields:
            assert_same(getattr(found, name), getattr(expected, name))
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif expected is not None:
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.is_contiguous()
        assert torch.equal(found, expected)


def assert_all_same(theirs: ReplayBuffer, ours: FrameReplayBuffer, seed: int = 0) -> None:
    """Every transition is the same, and so is what sampling gives."""
    assert (ours.size(), ours.pos, ours.full) == (theirs.size(), theirs.pos, theirs.full)
    rows, envs = (a.ravel() for a in np.indices((theirs.size(), theirs.n_envs)))
    found = ours.transitions(rows, envs)
    stored = [(theirs.observations, found.observations)]
    stored += [(theirs.next_observations, found.next_observations)]
    for arrays, tensors in stored:
        arrays, tensors = (a if isinstance(a, dict) else {"": a} for a in (arrays, tensors))
        assert list(arrays) == list(tensors)
        for key in arrays:
            np.testing.assert_array_equal(tensors[key].numpy(), arrays[key][rows, envs])
    samples = []
    for buffer in (ours, theirs):
        np.random.seed(seed)  # noqa: NPY002
        samples.append(buffer.sample(40))
    assert_same(*samples)


@settings(max_examples=60, deadline=None)
@given(
    episodes=STEPS,
    n_envs=st.integers(1, 3),
    n_stack=st.integers(1, 4),
    size=st.integers(1, 40),
    steps=st.integers(1, 60),
    layout=st.sampled_from(["transposed", "last", "first", "vector"]),
    timeouts=st.booleans(),
    resets=st.lists(st.integers(1, 59), max_size=2),
    seed=st.integers(0, 2**16),
)
def test_each_transition_is_that_of_the_plain_buffer(
    episodes, n_envs, n_stack, size, steps, layout, timeouts, resets, seed
):
    venv = film(n_envs, n_stack, layout, seed, episodes=episodes)
    theirs, ours = both(venv, n_stack, size, timeouts)
    play(venv, steps, theirs, ours, resets=tuple(resets))
    assert_all_same(theirs, ours, seed)


@settings(max_examples=20, deadline=None)
@given(
    episodes=STEPS,
    n_envs=st.integers(1, 2),
    n_stack=st.integers(1, 3),
    size=st.integers(1, 30),
    layout=st.sampled_from(["transposed", "last"]),
    seed=st.integers(0, 2**16),
)
def test_each_transition_with_a_dict_is_that_of_the_dict_buffer(
    episodes, n_envs, n_stack, size, layout, seed
):
    venv = film(n_envs, n_stack, layout, seed, episodes=episodes, image_only=False)
    theirs, ours = both(venv, n_stack, size)
    play(venv, 35, theirs, ours, resets=(11,))
    assert_all_same(theirs, ours, seed)


@settings(max_examples=40, deadline=None)
@given(
    episodes=STEPS,
    n_envs=st.integers(1, 3),
    n_stack=st.integers(1, 3),
    n_steps=st.integers(1, 5),
    size=st.integers(1, 40),
    steps=st.integers(1, 60),
    timeouts=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_returns_of_several_steps_are_those_of_the_n_step_buffer(
    episodes, n_envs, n_stack, n_steps, size, steps, timeouts, seed
):
    venv = film(n_envs, n_stack, "transposed", seed, episodes=episodes)
    args = (size, venv.observation_space, venv.action_space, "cpu", n_envs)
    kwargs = {"handle_timeout_termination": timeouts, "n_steps": n_steps, "gamma": 0.9}
    theirs = NStepReplayBuffer(*args, **kwargs)
    ours = FrameReplayBuffer(*args, **kwargs, n_stack=n_stack)
    play(venv, steps, theirs, ours)
    normalised = VecNormalize(venv, norm_obs=False)
    normalised.ret_rms.var = np.array(3.7)
    for env in (None, normalised):
        samples = []
        for buffer in (ours, theirs):
            np.random.seed(seed)  # noqa: NPY002
            samples.append(buffer.sample(40, env))
        found, expected = samples
        if n_steps == 1:
            # The algorithms' own gamma, where a buffer gives none.
            assert torch.equal(expected.discounts, torch.full((40, 1), 0.9))
            expected = expected._replace(discounts=None)
        assert_same(found, expected)


def test_returns_of_several_steps_with_a_dict():
    # Stable-Baselines3 has none to compare with.
    venv = film(2, 2, image_only=False)
    args = (60, venv.observation_space, venv.action_space, "cpu", 2)
    one = FrameReplayBuffer(*args, n_stack=2)
    three = FrameReplayBuffer(*args, n_stack=2, n_steps=3, gamma=0.5)
    play(venv, 20, one, three)
    rows, envs = (a.ravel() for a in np.indices((20, 2)))
    single, found = one.transitions(rows, envs), three.transitions(rows, envs)
    counts = []
    for at, (row, env) in enumerate(zip(rows, envs, strict=True)):
        expected, last = 0.0, row
        for step in range(3):
            last = row + step
            expected += 0.5**step * one.rewards[last, env]
            if one.dones[last, env] or last == 19:
                break
        counts.append(last - row + 1)
        assert float(found.rewards[at]) == pytest.approx(expected, abs=1e-6)
        assert float(found.discounts[at]) == 0.5 ** counts[-1]
        assert found.dones[at] == single.dones[2 * last + env]
        for key, now in found.observations.items():
            assert torch.equal(now[at], single.observations[key][at])
            after = found.next_observations[key][at]
            assert torch.equal(after, single.next_observations[key][2 * last + env])
    assert set(counts) == {1, 2, 3}


def test_the_films_wrap_end_and_are_cut_off():
    # What the properties above rest on: the streams have what is hard.
    venv = film(2, 3)
    theirs, ours = both(venv, 3, 40)
    play(venv, 50, theirs, ours)
    assert theirs.full
    assert theirs.pos == 10
    assert 0 < (theirs.dones * theirs.timeouts).sum() < theirs.dones.sum()
    assert_all_same(theirs, ours)


def test_rewards_and_vectors_are_normalised_and_images_are_not():
    venv = VecNormalize(film(2, 2, image_only=False), norm_obs_keys=["joints"])
    theirs, ours = both(venv, 2, 40)
    play(venv.venv, 30, theirs, ours)
    for _ in range(20):
        venv.step(np.zeros((2, 2), np.float32))
    samples = []
    for buffer in (ours, theirs):
        np.random.seed(0)  # noqa: NPY002
        samples.append(buffer.sample(30, env=venv))
    assert_same(*samples)
    assert not torch.equal(samples[0].rewards, ours.transitions(*np.zeros((2, 30), int)).rewards)


@pytest.mark.parametrize("n_stack", [1, 3])
def test_a_frame_is_stored_once(n_stack: int):
    episodes = [(50, "truncated")]
    venv = film(1, n_stack, episodes=episodes, shape=(64, 64, 3))
    theirs, ours = both(venv, n_stack, 1000)
    play(venv, 1100, theirs, ours)
    plain = sum(
        a.nbytes for a in (theirs.observations, theirs.next_observations, theirs.actions)
    ) + sum(a.nbytes for a in (theirs.rewards, theirs.dones, theirs.timeouts))
    assert plain / 1000 == pytest.approx(24_576 * n_stack, rel=0.01)
    assert ours.nbytes / 1000 < 13_000
    assert ours.nbytes / plain < 1.06 / (2 * n_stack)


def test_final_frames_take_no_more_memory_when_the_buffer_is_full():
    venv = film(2, 3, episodes=[(1, "terminated"), (2, "truncated")])
    theirs, ours = both(venv, 3, 64)
    play(venv, 100, theirs, ours)
    full = ours.nbytes
    play(venv, 400, theirs, ours)
    assert_all_same(theirs, ours)
    assert ours.nbytes <= full * 1.1
    # Each step of these episodes may end one: twice as many frames as steps, and room to grow.
    assert ours.nbytes < 64 * (2 * 16 * 17) * 1.5


def test_a_stream_may_begin_within_an_episode():
    venv = film(2, 3, episodes=[(9, "terminated")])
    theirs, ours = both(venv, 3, 30)
    observation = venv.reset()
    for step in range(25):
        new, rewards, dones, infos = venv.step(np.zeros((2, 2), np.float32))
        if step == 12:
            for buffer in (theirs, ours):
                buffer.reset()
        if not dones.any() and step > 3:
            for buffer in (theirs, ours):
                buffer.add(observation, new, np.zeros((2, 2)), rewards, dones, infos)
        elif dones.any():
            after = np.stack([info["terminal_observation"] for info in infos])
            for buffer in (theirs, ours):
                buffer.add(observation, after, np.zeros((2, 2)), rewards, dones, infos)
        observation = new
    assert 0 < ours.size() < 15
    assert_all_same(theirs, ours)


def test_extend_adds_many_steps():
    venv = film(2, 2)
    theirs, ours = both(venv, 2, 30)
    steps: list[list[Any]] = []
    recorder = SimpleNamespace(add=lambda *step: steps.append(list(step)))
    play(venv, 20, recorder)
    columns = [list(column) for column in zip(*steps, strict=True)]
    for buffer in (theirs, ours):
        buffer.extend(*columns)
    assert_all_same(theirs, ours)


def test_what_is_stored_does_not_change_with_the_arrays_that_were_given():
    venv = film(1, 2, "first")
    theirs, ours = both(venv, 2, 30)
    observation = venv.reset().copy()
    for _ in range(6):
        new, rewards, dones, infos = venv.step(np.zeros((1, 2), np.float32))
        given = new.copy()
        for buffer in (theirs, ours):
            buffer.add(observation, given, np.zeros((1, 2)), rewards, dones, infos)
        given[:] = 7
        observation = new.copy()
    assert_all_same(theirs, ours)
    sample = ours.transitions(np.array([3]), np.array([0]))
    sample.observations[:] = 9
    sample.rewards[:] = 9
    assert_all_same(theirs, ours)


def test_a_pickled_buffer_goes_on():
    venv = film(2, 3)
    theirs, ours = both(venv, 3, 30)
    play(venv, 20, theirs, ours)
    ours = pickle.loads(pickle.dumps(ours))
    play(venv, 20, theirs, ours)
    assert_all_same(theirs, ours)


@pytest.mark.parametrize("steps", [0, 1, 20, 45])
@pytest.mark.parametrize("layout", ["transposed", "vector", "dict"])
def test_a_restored_buffer_goes_on(steps: int, layout: str, tmp_path: Path):
    venv = film(2, 3, "last" if layout == "dict" else layout, image_only=layout != "dict")
    theirs, ours = both(venv, 3, 60)
    play(venv, steps, theirs, ours)
    np.savez(tmp_path / "state.npz", **ours.state())
    _, restored = both(venv, 3, 60)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
        restored.restore(arrays)
    for more in (0, 20):
        play(venv, more, theirs, restored)
        if theirs.size():
            assert_all_same(theirs, restored)


SMALL = {"features_extractor_kwargs": {"cnn_output_dim": 8}}


def algorithm_of(name: str) -> Any:
    if name in ("TQC", "QRDQN"):
        return getattr(pytest.importorskip("sb3_contrib"), name)
    return {"DDPG": DDPG, "DQN": DQN, "SAC": SAC, "TD3": TD3}[name]


def train(
    cls: type[ReplayBuffer] | None, name: str, folder: Path, is_dict: bool, n_steps: int = 1
) -> dict[str, torch.Tensor]:
    """Train in two calls, of which the second resets within an episode and loads the buffer."""
    is_discrete = name.endswith("DQN")
    actions = spaces.Discrete(3) if is_discrete else spaces.Box(-1, 1, (2,), np.float32)
    venv = film(2, 3, "last", shape=(36, 36, 1), image_only=not is_dict, action_space=actions)
    own: dict[str, Any] = {"replay_buffer_kwargs": {"n_stack": 3}} if cls else {}
    if cls and n_steps > 1:
        own["replay_buffer_kwargs"] |= {"n_steps": n_steps, "gamma": 0.99}
    elif n_steps > 1:
        own["n_steps"] = n_steps
    model = algorithm_of(name)(
        "MultiInputPolicy" if is_dict else "CnnPolicy",
        venv,
        # Fewer than the steps: the buffer wraps.
        buffer_size=60,
        learning_starts=10,
        batch_size=4,
        train_freq=4,
        replay_buffer_class=cls,
        policy_kwargs={"net_arch": [8]} if not is_dict else {"net_arch": [8], **SMALL},
        seed=0,
        device="cpu",
        **own,
    )
    model.learn(101)
    model.save_replay_buffer(folder / "buffer")
    model.load_replay_buffer(folder / "buffer")
    assert isinstance(model.replay_buffer, cls or ReplayBuffer)
    model.learn(99)
    return model.policy.state_dict()


@pytest.mark.parametrize(
    ("name", "is_dict", "n_steps"),
    [
        ("DDPG", False, 1),
        ("DQN", False, 1),
        ("QRDQN", True, 1),
        ("SAC", False, 3),
        ("SAC", True, 1),
        ("TD3", True, 1),
        ("TQC", False, 1),
    ],
)
def test_training_with_it_gives_the_same_policy(
    name: str, is_dict: bool, n_steps: int, tmp_path: Path
):
    with_it = train(FrameReplayBuffer, name, tmp_path, is_dict, n_steps)
    plain = train(None, name, tmp_path, is_dict, n_steps)
    assert with_it.keys() == plain.keys()
    assert all(torch.equal(with_it[key], plain[key]) for key in plain)


def test_without_its_settings_stacks_are_stored_whole():
    venv = film(2, 3)
    theirs, _ = both(venv, 3, 30)
    ours = FrameReplayBuffer(30, venv.observation_space, venv.action_space, "cpu", 2)
    play(venv, 40, theirs, ours)
    assert_all_same(theirs, ours)


@pytest.mark.parametrize("layout", ["transposed", "last"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n_stack", [1, 3])
def test_samples_are_contiguous_as_those_of_the_plain_buffer(layout, channels, n_stack):
    venv = film(2, n_stack, layout, shape=(16, 17, channels))
    theirs, ours = both(venv, n_stack, 30)
    play(venv, 20, theirs, ours)
    for buffer in (theirs, ours):
        sample = buffer.sample(5)
        for images in (sample.observations, sample.next_observations):
            assert images.dtype == torch.uint8
            assert images.is_contiguous()


@pytest.mark.parametrize(("real", "told"), [(3, 2), (2, 3), (1, 3), (4, 2), (2, 6), (6, 2), (3, 9)])
def test_a_wrong_number_of_frames_is_noticed(real: int, told: int):
    venv = film(2, real, shape=(20, 20, 6 if real < 3 else 3 if real == 3 else 1))
    if venv.observation_space.shape[0] % told:
        with pytest.raises(ValueError, match=f"n_stack={told} does not divide the"):
            both(venv, told, 40)
        return
    _, ours = both(venv, told, 40)
    with pytest.raises(ValueError, match=f"n_stack={told} is wrong for this environment"):
        play(venv, 40, ours)


def test_a_missing_step_is_noticed_and_nothing_is_stored():
    venv = film(1, 3, seed=3)
    theirs, ours = both(venv, 3, 40)
    steps: list[list[Any]] = []
    play(venv, 6, SimpleNamespace(add=lambda *step: steps.append(list(step))))
    for step in steps[:3]:
        theirs.add(*step)
        ours.add(*step)
    with pytest.raises(ValueError, match="steps are missing between two calls of add"):
        ours.add(*steps[5])
    assert_all_same(theirs, ours)
    theirs.add(*steps[3])
    ours.add(*steps[3])
    assert_all_same(theirs, ours)


def buffer_of(space: spaces.Space, **kwargs) -> FrameReplayBuffer:
    return FrameReplayBuffer(10, space, spaces.Discrete(2), "cpu", **{"n_stack": 1, **kwargs})


@pytest.mark.parametrize(
    ("space", "kwargs", "says"),
    [
        (spaces.Box(-1, 1, (4,), np.float32), {"n_stack": 3}, "divide the 4 numbers of the vector"),
        (spaces.Box(-1, 1, (4, 4), np.float32), {}, "stores images, uint8"),
        (spaces.Box(0, 1, (3, 64, 64), np.float32), {}, "Leave images uint8"),
        (spaces.Box(0, 255, (64, 64), np.uint8), {}, "stores images, uint8"),
        (spaces.Discrete(3), {}, r"there is none in Discrete\(3\)"),
        (spaces.Dict({"a": spaces.Box(-1, 1, (4,), np.float32)}), {}, "stores images, uint8"),
        (spaces.Box(0, 255, (9, 64, 64), np.uint8), {"n_stack": 2}, "does not divide the 9"),
        (spaces.Box(0, 255, (9, 64, 64), np.uint8), {"n_stack": 0}, "n_stack=0"),
        (spaces.Box(0, 255, (64, 9, 64), np.uint8), {}, 'give channels_order="first"'),
        (spaces.Box(0, 255, (8, 8, 12), np.uint8), {}, 'give channels_order="first"'),
        (
            spaces.Box(0, 255, (3, 8, 8), np.uint8),
            {"channels_order": "lsat"},
            "channels_order='lsat'",
        ),
        (
            spaces.Dict({"cam": spaces.Box(0, 255, (9, 64, 64), np.uint8)}),
            {"n_stack": 4},
            "image 'cam'",
        ),
        (
            spaces.Box(0, 255, (3, 64, 64), np.uint8),
            {"optimize_memory_usage": True},
            "leave optimize_memory_usage=False",
        ),
        (spaces.Box(0, 255, (3, 64, 64), np.uint8), {"n_steps": 0}, "n_steps of 1 or more"),
        (spaces.Box(0, 255, (3, 64, 64), np.uint8), {"gamma": 1.5}, "gamma from 0 to 1"),
    ],
)
def test_what_cannot_be_stored_is_refused(space: spaces.Space, kwargs: dict, says: str):
    with pytest.raises(ValueError, match=says):
        buffer_of(space, **kwargs)


def test_small_images_are_told_where_their_channels_are():
    space = spaces.Box(0, 255, (8, 8, 12), np.uint8)
    buffer = buffer_of(space, n_stack=4, channels_order="last")
    assert buffer._rings[""]._frames.shape[2:] == (8, 8, 3)


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 3, 8, 8), np.float32), np.zeros((2, 3, 8, 8), np.uint8)]
)
def test_observations_of_another_type_or_shape_are_refused(wrong: np.ndarray):
    buffer = buffer_of(spaces.Box(0, 255, (3, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"uint8 \[1, 3, 8, 8\], got (float32|uint8 \[2)"):
        buffer.add(wrong, wrong, np.zeros(1), np.zeros(1), np.zeros(1), [{}])
    assert buffer.size() == 0
