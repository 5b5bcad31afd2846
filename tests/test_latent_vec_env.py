from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack

from drl_latent import Encoder
from drl_latent.agents import VecLatent
from drl_latent.envs import make_env


def vec(n: int = 2, **kwargs) -> VecEnv:
    return make_vec_env(
        lambda **options: make_env("DrlLatent/Reach-v0", **options), n, seed=3, env_kwargs=kwargs
    )


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


def test_latents_stack(encoder: Encoder):
    venv = VecFrameStack(VecLatent(vec(), encoder), 3)
    assert venv.reset().shape == (2, 30)
    venv.close()


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
