"""A vectorised environment whose observations are latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from drl_latent.checkpoint import Encoder


class VecLatent(VecEnvWrapper):
    """Encodes each frame once, all environments in one batch.

    The agent, and its replay or rollout buffer, see float32 latents in place of images; vectors of
    a Dict observation follow the latents. Terminal observations are encoded in the same batch.

    Args:
        venv: Environments that give uint8 images [H, W, C], or a Dict of one such image and of
            vectors.
        encoder: The encoder.

    Raises:
        ValueError: The images do not fit the encoder.
    """

    def __init__(self, venv: VecEnv, encoder: Encoder) -> None:
        self.encoder = encoder
        self._image_key, self._vector_keys = image_and_vectors(venv.observation_space, encoder)
        super().__init__(venv, observation_space=latent_space(venv.observation_space, encoder))

    def reset(self) -> NDArray[np.float32]:
        """Reset all environments and return latents, float32 [n_envs, D + P]."""
        observations = self.venv.reset()
        return encode_observations(observations, self.encoder, self._image_key, self._vector_keys)

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any], list[Any]]:
        """Return latents, rewards, dones and infos of the step that was begun."""
        observations, rewards, dones, infos = self.venv.step_wait()
        ended = [i for i, info in enumerate(infos) if "terminal_observation" in info]
        if ended:
            observations = _append(observations, [infos[i]["terminal_observation"] for i in ended])
        latents = encode_observations(
            observations, self.encoder, self._image_key, self._vector_keys
        )
        for row, i in enumerate(ended):
            infos[i]["terminal_observation"] = latents[self.num_envs + row]
        return latents[: self.num_envs], rewards, dones, infos


def image_and_vectors(
    space: spaces.Space[Any], encoder: Encoder
) -> tuple[str | None, tuple[str, ...]]:
    """Return the key of the image (None for a Box) and the keys of the vectors.

    Raises:
        ValueError: There is not exactly one image, or it does not fit the encoder.
    """
    if isinstance(space, spaces.Box):
        encoder.check(space.shape, str(space.dtype))
        return None, ()
    if not isinstance(space, spaces.Dict):
        raise ValueError(f"VecLatent needs a Box or Dict observation space, got {space}.")
    images = [k for k, part in space.spaces.items() if len(part.shape or ()) == 3]
    vectors = tuple(k for k, part in space.spaces.items() if len(part.shape or ()) == 1)
    if len(images) != 1 or len(vectors) != len(space.spaces) - 1:
        raise ValueError(f"VecLatent needs one image beside vectors, got {space}.")
    image = space[images[0]]
    encoder.check(image.shape or (), str(image.dtype))
    return images[0], vectors


def latent_space(space: spaces.Space[Any], encoder: Encoder) -> spaces.Box:
    """Return the space of latents and vectors, Box float32 [D + P]."""
    _, vectors = image_and_vectors(space, encoder)
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    size = encoder.latent_dim + sum(int(np.prod(parts[k].shape or ())) for k in vectors)
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


def encode_observations(
    observations: Any, encoder: Encoder, image_key: str | None, vector_keys: tuple[str, ...]
) -> NDArray[np.float32]:
    """Return a batch of observations as latents and vectors, float32 [N, D + P]."""
    if image_key is None:
        return encoder(observations)
    vectors = [np.asarray(observations[k], dtype=np.float32) for k in vector_keys]
    return np.concatenate([encoder(observations[image_key]), *vectors], axis=1)


def _append(observations: Any, more: list[Any]) -> Any:
    if isinstance(observations, dict):
        return {
            k: np.concatenate([v, np.stack([m[k] for m in more])]) for k, v in observations.items()
        }
    return np.concatenate([observations, np.stack(more)])
