from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from drl_latent import Encoder
from drl_latent.agents import FrameReplayBuffer, VecLatent
from drl_latent.envs import make_env


def vec(n: int = 2, **kwargs) -> VecEnv:
    return make_vec_env(
        lambda **options: make_env("DrlLatent/Reach-v0", **options), n, seed=3, env_kwargs=kwargs
    )


class Cameras(gym.Env):
    """Shows random frames of two cameras, and joints, in episodes of given lengths."""

    def __init__(self, lengths: list[int], seed: int = 0, keys: tuple[str, ...] = ()) -> None:
        image = spaces.Box(0, 255, (64, 64, 3), np.uint8)
        parts = {
            "front": image,
            "joints": spaces.Box(-np.inf, np.inf, (3,), np.float64),
            "wrist": image,
        }
        self.observation_space = spaces.Dict({k: parts[k] for k in keys}) if keys else image
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.lengths, self.rng, self.episode = lengths, np.random.default_rng(seed), -1

    def _draw(self, space: spaces.Space):
        if space.dtype == np.uint8:
            return self.rng.integers(0, 256, space.shape, dtype=np.uint8)
        return self.rng.normal(size=space.shape)

    def _observation(self):
        space = self.observation_space
        if isinstance(space, spaces.Dict):
            return {key: self._draw(part) for key, part in space.items()}
        return self._draw(space)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        self.episode, self.count = self.episode + 1, 0
        return self._observation(), {"episode_number": self.episode}

    def step(self, action):
        self.count += 1
        over = self.count >= self.lengths[self.episode % len(self.lengths)]
        # By turns a time limit and an end.
        limited = over and self.episode % 2 == 0
        return self._observation(), 0.0, over and not limited, limited, {}


def cameras(lengths: list[int], n: int = 2, keys: tuple[str, ...] = ()) -> VecEnv:
    # Each environment starts elsewhere in the list, so that they end at different times.
    starts = [lengths[i % len(lengths) :] + lengths for i in range(n)]
    return DummyVecEnv([lambda i=i: Cameras(starts[i], i, keys) for i in range(n)])


class Counting:
    """An encoder that counts the batches it is given."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self.batches = encoder, []

    def __getattr__(self, name: str):
        return getattr(self._encoder, name)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        self.batches.append(len(frames))
        return self._encoder(frames)


def test_observations_are_the_codes_of_the_frames(encoder: Encoder):
    raw, latent = vec(), VecLatent(vec(), encoder)
    assert latent.observation_space.shape == (10,)
    np.testing.assert_array_equal(latent.reset(), encoder(raw.reset()))
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(85):
        actions = rng.uniform(-1, 1, (2, 2)).astype(np.float32)
        frames, rewards, dones, infos = raw.step(actions)
        codes, latent_rewards, latent_dones, latent_infos = latent.step(actions)
        np.testing.assert_allclose(codes, encoder(frames), atol=1e-6)
        np.testing.assert_array_equal(rewards, latent_rewards)
        np.testing.assert_array_equal(dones, latent_dones)
        for info, latent_info in zip(infos, latent_infos, strict=True):
            if "terminal_observation" in info:
                ended += 1
                np.testing.assert_allclose(
                    latent_info["terminal_observation"],
                    encoder(info["terminal_observation"][None])[0],
                    atol=1e-6,
                )
                assert latent_info["TimeLimit.truncated"]
    assert ended == 4
    raw.close()
    latent.close()


def test_each_step_is_one_batch(encoder: Encoder):
    counting = Counting(encoder)
    venv = VecLatent(vec(3), counting)  # type: ignore[arg-type]
    venv.reset()
    for _ in range(40):
        venv.step(np.zeros((3, 2), np.float32))
    assert counting.batches == [3] * 40 + [6]
    venv.close()


def test_proprioception_follows_the_latents(encoder: Encoder):
    venv = VecLatent(vec(observation="dict"), encoder)
    assert venv.observation_space.shape == (14,)
    observations = venv.reset()
    assert observations.shape == (2, 14)
    assert observations.dtype == np.float32
    expected = [env.unwrapped._proprioception() for env in venv.unwrapped.envs]
    np.testing.assert_array_equal(observations[:, 10:], expected)
    for _ in range(40):
        *_, infos = venv.step(np.zeros((2, 2), np.float32))
    assert infos[0]["terminal_observation"].shape == (14,)
    venv.close()


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    n=st.integers(1, 3),
    n_stack=st.integers(1, 4),
)
def test_a_stack_of_latents_is_the_latents_of_a_stack(encoder, lengths, n, n_stack):
    by_hand = VecFrameStack(cameras(lengths, n), n_stack)
    venv = VecLatent(cameras(lengths, n), encoder, n_stack)

    def check(observed: np.ndarray, images: np.ndarray, since_reset: int) -> None:
        frames = images.reshape(64, 64, n_stack, 3).transpose(2, 0, 1, 3)
        expected = encoder(np.ascontiguousarray(frames))
        # What was before the episode is zeros here, and black images there.
        missing = max(n_stack - 1 - since_reset, 0)
        assert not frames[:missing].any()
        expected[:missing] = 0
        np.testing.assert_allclose(observed.reshape(n_stack, 10), expected, atol=1e-5)

    counts = np.zeros(n, int)
    for observed, images in zip(venv.reset(), by_hand.reset(), strict=True):
        check(observed, images, 0)
    for _ in range(11):
        observed, _, dones, infos = venv.step(np.zeros((n, 2)))
        images, _, _, image_infos = by_hand.step(np.zeros((n, 2)))
        counts += 1
        for i in np.flatnonzero(dones):
            last, last_images = (x[i]["terminal_observation"] for x in (infos, image_infos))
            check(last, last_images, counts[i])
        assert [i for i in range(n) if "terminal_observation" in infos[i]] == list(
            np.flatnonzero(dones)
        )
        counts[dones] = 0
        for i in range(n):
            check(observed[i], images[i], counts[i])


def test_a_stack_is_that_of_vec_frame_stack_with_vectors_and_cameras(encoder: Encoder):
    keys = ("front", "joints", "wrist")
    around = VecFrameStack(VecLatent(cameras([4, 2, 3], keys=keys), encoder), 3)
    within = VecLatent(cameras([4, 2, 3], keys=keys), encoder, n_stack=3)
    assert within.observation_space == around.observation_space
    assert within.observation_space == spaces.Box(-np.inf, np.inf, (3 * 23,), np.float32)
    np.testing.assert_array_equal(within.reset(), around.reset())
    for step in range(12):
        if step == 7:
            np.testing.assert_array_equal(within.reset(), around.reset())
        observed, _, dones, infos = within.step(np.zeros((2, 2)))
        expected, *_, expected_infos = around.step(np.zeros((2, 2)))
        assert observed.dtype == np.float32
        np.testing.assert_array_equal(observed, expected)
        for i in np.flatnonzero(dones):
            last = infos[i]["terminal_observation"]
            assert within.observation_space.contains(last)
            np.testing.assert_array_equal(last, expected_infos[i]["terminal_observation"])


def test_all_cameras_and_environments_are_one_batch(encoder: Encoder):
    keys = ("wrist", "joints", "front")
    raw = cameras([3], 2, keys)
    counting = Counting(encoder)
    venv = VecLatent(cameras([3], 2, keys), counting)  # type: ignore[arg-type]
    frames, observed = raw.reset(), venv.reset()
    order = list(raw.observation_space.spaces)
    images = [key for key in order if key != "joints"]
    expected = [encoder(frames[key]) for key in images] + [frames["joints"].astype(np.float32)]
    np.testing.assert_allclose(observed, np.concatenate(expected, axis=1), atol=1e-6)
    for _ in range(3):
        *_, infos = venv.step(np.zeros((2, 2)))
        *_, raw_infos = raw.step(np.zeros((2, 2)))
    # Two cameras of two environments, and at the end of both episodes once more.
    assert counting.batches == [4, 4, 4, 8]
    last = raw_infos[1]["terminal_observation"]
    expected = [encoder(last[key][None])[0] for key in images] + [last["joints"]]
    np.testing.assert_allclose(
        infos[1]["terminal_observation"], np.concatenate(expected), atol=1e-6
    )


def test_observations_are_not_changed_later_and_may_be_written(encoder: Encoder):
    venv = VecLatent(cameras([2]), encoder, n_stack=2)
    first = venv.reset()
    kept = first.copy()
    second, *_ = venv.step(np.zeros((2, 2)))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second[:, :10], kept[:, 10:])
    kept = second.copy()
    second[:] = 7
    *_, infos = venv.step(np.zeros((2, 2)))
    np.testing.assert_array_equal(infos[0]["terminal_observation"][:10], kept[0, 10:])


def test_fixed_statistics_normalise_the_latents_alone(encoder: Encoder):
    keys = ("front", "joints", "wrist")
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=10), rng.uniform(0.5, 2, 10)
    plain = VecLatent(cameras([2], keys=keys), encoder, 2)
    normalised = VecLatent(cameras([2], keys=keys), encoder, 2, mean=mean, std=std)
    # Zeros stay where there is nothing yet: they are the mean then.
    shift = np.concatenate([mean, mean, np.zeros(3)])
    scale = np.concatenate([std, std, np.ones(3)])
    first, found = plain.reset(), normalised.reset()
    assert not found[:, :23].any()
    np.testing.assert_allclose(found[:, 23:], (first[:, 23:] - shift) / scale, rtol=1e-4, atol=1e-5)
    assert found.dtype == np.float32
    for _ in range(2):
        *_, infos = plain.step(np.zeros((2, 2)))
        *_, found_infos = normalised.step(np.zeros((2, 2)))
    last = infos[0]["terminal_observation"].reshape(2, 23)
    found = found_infos[0]["terminal_observation"].reshape(2, 23)
    np.testing.assert_allclose(found, (last - shift) / scale, rtol=1e-4, atol=1e-5)


def test_running_statistics_of_stable_baselines(encoder: Encoder):
    plain = VecLatent(cameras([3, 4]), encoder, n_stack=2)
    venv = VecNormalize(VecLatent(cameras([3, 4]), encoder, n_stack=2))
    plain.reset()
    venv.reset()
    ended = 0
    for _ in range(9):
        codes, _, dones, infos = plain.step(np.zeros((2, 2)))
        observed, *_, found_infos = venv.step(np.zeros((2, 2)))
        np.testing.assert_array_equal(venv.get_original_obs(), codes)
        np.testing.assert_array_equal(observed, venv.normalize_obs(codes))
        for i in np.flatnonzero(dones):
            ended += 1
            last = infos[i]["terminal_observation"]
            np.testing.assert_array_equal(
                found_infos[i]["terminal_observation"], venv.normalize_obs(last)
            )
    assert ended == 4
    assert np.abs(observed).max() <= venv.clip_obs


@pytest.mark.parametrize("algorithm", [PPO, SAC])
def test_what_the_agent_stores_is_normalised_once(algorithm: type, encoder: Encoder):
    venv = VecNormalize(VecLatent(cameras([3, 4]), encoder, n_stack=2), norm_reward=False)
    short = {"n_steps": 8, "batch_size": 4} if algorithm is PPO else {"learning_starts": 8}
    model = algorithm("MlpPolicy", venv, policy_kwargs={"net_arch": [8]}, device="cpu", **short)
    model.learn(32)
    if algorithm is SAC:
        stored = model.replay_buffer
        raw = stored.next_observations[: stored.pos]
        goes_on = stored.dones[: stored.pos - 1] == 0
        np.testing.assert_array_equal(
            raw[:-1][goes_on], stored.observations[1 : stored.pos][goes_on]
        )
        # The final observation goes on from the one before it, in units of latents.
        np.testing.assert_allclose(
            raw[..., :10], stored.observations[: stored.pos, :, 10:], atol=1e-4
        )
    venv.close()


def test_latents_are_replayed_from_half_the_memory(encoder: Encoder):
    policies, sizes = [], []
    for kwargs in (
        {},
        {"replay_buffer_class": FrameReplayBuffer, "replay_buffer_kwargs": {"n_stack": 2}},
    ):
        model = SAC(
            "MlpPolicy",
            VecLatent(cameras([3, 4]), encoder, n_stack=2),
            policy_kwargs={"net_arch": [8]},
            buffer_size=50,
            learning_starts=8,
            batch_size=8,
            seed=0,
            device="cpu",
            **kwargs,
        )
        model.learn(70)
        policies.append(model.policy.state_dict())
        arrays = [v for v in vars(model.replay_buffer).values() if isinstance(v, np.ndarray)]
        sizes.append(sum(array.nbytes for array in arrays))
        if kwargs:
            sizes[-1] = model.replay_buffer.nbytes
    assert all(np.array_equal(policies[0][key], policies[1][key]) for key in policies[0])
    # Four latents of 10 numbers a transition there, one here, and here each ends an episode of 3.
    assert sizes[1] < 0.6 * sizes[0]


def test_seeds_options_and_infos_of_resets_pass_through(encoder: Encoder):
    venv = VecLatent(vec(), encoder)
    venv.seed(5)
    first = venv.reset()
    assert not np.array_equal(venv.reset(), first)
    venv.seed(5)
    np.testing.assert_array_equal(venv.reset(), first)
    names = venv.get_attr("factor_space")[0].names
    hue = names.index("object_hue")
    values = []
    for index in (0, 2):
        venv.set_options({"factors": {"object_hue": index}})
        venv.reset()
        values.append([info["factors"][hue] for info in venv.reset_infos])
    assert values[0][0] == values[0][1] != values[1][0] == values[1][1]
    assert venv.env_is_wrapped(Monitor) == [True, True]
    assert venv.env_is_wrapped(gym.wrappers.TransformReward) == [False, False]
    venv.close()


def test_infos_of_later_episodes(encoder: Encoder):
    # Wrappers of Stable-Baselines3 do not pass them on.
    venv = VecLatent(VecMonitor(cameras([2, 3])), encoder)
    venv.reset()
    for _ in range(3):
        venv.step(np.zeros((2, 2)))
    assert [info["episode_number"] for info in venv.reset_infos] == [1, 1]


def test_environments_in_processes(encoder: Encoder):
    lengths = [2, 3]
    here = VecLatent(cameras(lengths), encoder, n_stack=2)
    there = VecLatent(
        SubprocVecEnv(
            [lambda i=i: Cameras(lengths[i % 2 :] + lengths, i) for i in range(2)],
            start_method="fork",
        ),
        encoder,
        n_stack=2,
    )
    try:
        np.testing.assert_array_equal(there.reset(), here.reset())
        for _ in range(5):
            (found, *_, infos), (expected, *_, expected_infos) = (
                venv.step(np.zeros((2, 2))) for venv in (there, here)
            )
            np.testing.assert_array_equal(found, expected)
            for info, other in zip(infos, expected_infos, strict=True):
                assert np.array_equal(
                    info.get("terminal_observation", 0), other.get("terminal_observation", 0)
                )
        assert list(there.reset_infos) == list(here.reset_infos)
    finally:
        there.close()


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"n_stack": 0}, "number of steps in an observation, 1 or more: 0"),
        ({"mean": np.zeros(9)}, r"mean must be .* 10 of them.* got \(9,\)"),
        ({"mean": np.full(10, np.nan)}, "mean must be a finite number.*not finite"),
        ({"std": np.ones((10, 1))}, r"std must be .* got \(10, 1\)"),
        ({"std": np.eye(10)[0]}, r"std must be above 0, got 0.*np.maximum\(std"),
    ],
)
def test_wrong_settings_are_refused(encoder: Encoder, kwargs: dict, says: str):
    with pytest.raises(ValueError, match=says):
        VecLatent(cameras([3]), encoder, **kwargs)


def test_what_is_neither_image_nor_vector_is_refused(encoder: Encoder):
    class Odd(Cameras):
        def __init__(self, **parts: spaces.Space) -> None:
            super().__init__([3], keys=("joints",))
            self.observation_space = spaces.Dict({**self.observation_space.spaces, **parts})

    with pytest.raises(ValueError, match=r"needs images .* at least one"):
        VecLatent(DummyVecEnv([Odd]), encoder)
    image = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match=r"Leave other entries out .*or flatten"):
        VecLatent(DummyVecEnv([lambda: Odd(image=image, grip=spaces.Discrete(2))]), encoder)
    other = spaces.Box(0, 255, (32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match=r"got uint8 \[N, 32, 32, 3\]"):
        VecLatent(DummyVecEnv([lambda: Odd(image=image, wrist=other)]), encoder)


def test_wrong_frames_are_refused(encoder: Encoder):
    venv = vec(1, image_size=84)
    with pytest.raises(ValueError, match=r"\[N, 64, 64, 3\] .* \[N, 84, 84, 3\]"):
        VecLatent(venv, encoder)
    venv.close()
    state = vec(1, observation="state")
    with pytest.raises(ValueError, match="This encoder takes uint8 frames"):
        VecLatent(state, encoder)
    state.close()
    discrete = DummyVecEnv([lambda: __import__("gymnasium").make("FrozenLake-v1")])
    with pytest.raises(ValueError, match="Box or Dict"):
        VecLatent(discrete, encoder)
    discrete.close()
