"""A vectorised environment whose observations are latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from drl_latent.checkpoint import Encoder

Floats = NDArray[np.float32]


class VecLatent(VecEnvWrapper):
    """Encodes each frame once, those of all environments and cameras in one batch.

    The agent, and its replay or rollout buffer, see a float32 vector in place of images: the
    latents of each image and then the vectors of a Dict observation, both in the order of the
    space. Terminal observations are encoded in the same batch.

    A stack is what ``VecFrameStack(VecLatent(venv, encoder), n_stack)`` gives: the last `n_stack`
    of these vectors, latents and proprioception alike, the oldest first. At the start of an
    episode the missing ones are zeros. (So they are not the latents of the black images that
    ``VecFrameStack`` puts before an encoder.) The terminal observation has the stack of the
    episode that ended.

    For running statistics, wrap it in ``VecNormalize``. Fixed ones are `mean` and `std`::

        codes = encoder(dataset.frames[:2000])
        # A latent that says nothing hardly varies: do not blow up its noise.
        VecLatent(venv, encoder, mean=codes.mean(0), std=np.maximum(codes.std(0), 0.1))

    Args:
        venv: Environments that give uint8 images [H, W, C], or a Dict of such images and of
            vectors.
        encoder: The encoder.
        n_stack: Number of steps in an observation.
        mean: What is subtracted from the latents of each image, [D] or a number.
        std: What they are divided by then, [D] or a number, above 0.

    Raises:
        ValueError: The images do not fit the encoder, something else is observed, or `n_stack`,
            `mean` or `std` is out of range.
    """

    def __init__(
        self,
        venv: VecEnv,
        encoder: Encoder,
        n_stack: int = 1,
        *,
        mean: ArrayLike = 0.0,
        std: ArrayLike = 1.0,
    ) -> None:
        observed = venv.observation_space
        self.encoder = encoder
        self._image_keys, self._vector_keys = image_and_vectors(observed, encoder)
        self._mean = _per_latent("mean", mean, encoder.latent_dim)
        self._std = _per_latent("std", std, encoder.latent_dim)
        if self._std.min() <= 0:
            raise ValueError(
                f"std must be above 0, got {self._std.min():g}. A latent that hardly varies needs "
                "a lower bound: np.maximum(std, 0.1)."
            )
        space = latent_space(observed, encoder, n_stack)
        # The last steps of each environment, oldest first.
        self._stack = np.zeros((venv.num_envs, n_stack, space.shape[0] // n_stack), np.float32)
        super().__init__(venv, observation_space=space)

    def reset(self) -> Floats:
        """Reset all environments and return float32 [n_envs, n_stack * (D * images + P)]."""
        latents = self._encode(self.venv.reset())
        self._stack = np.zeros_like(self._stack)
        return self._observe(latents)

    def step_wait(self) -> tuple[Floats, NDArray[Any], NDArray[Any], list[Any]]:
        """Return observations, rewards, dones and infos of the step that was begun."""
        observations, rewards, dones, infos = self.venv.step_wait()
        ended = [i for i, info in enumerate(infos) if "terminal_observation" in info]
        if ended:
            observations = _append(observations, [infos[i]["terminal_observation"] for i in ended])
        latents = self._encode(observations)
        for i, last in zip(ended, latents[self.num_envs :], strict=True):
            stack = np.concatenate([self._stack[i, 1:], last[None]])
            infos[i]["terminal_observation"] = stack.reshape(-1)
        self._stack[np.asarray(dones, bool)] = 0
        return self._observe(latents[: self.num_envs]), rewards, dones, infos

    def _encode(self, observations: Any) -> Floats:
        return encode_observations(
            observations, self.encoder, self._image_keys, self._vector_keys, self._mean, self._std
        )

    def _observe(self, latents: Floats) -> Floats:
        """Put latents at the end of the stack, and return it as observations."""
        self._stack = np.concatenate([self._stack[:, 1:], latents[:, None]], axis=1)
        # Each wrapper has a list of its own, which stays empty; the environments fill theirs.
        self.reset_infos = self.venv.unwrapped.reset_infos
        return self._stack.reshape(self.num_envs, -1).copy()


def image_and_vectors(
    space: spaces.Space[Any], encoder: Encoder
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the keys of the images (None for a Box, which is one) and those of the vectors.

    Raises:
        ValueError: There is no image or something else, or an image does not fit the encoder.
    """
    if isinstance(space, spaces.Box):
        encoder.check(space.shape, str(space.dtype))
        return None, ()
    if not isinstance(space, spaces.Dict):
        raise ValueError(f"VecLatent needs a Box or Dict observation space, got {space}.")
    images = tuple(k for k, part in space.spaces.items() if len(part.shape or ()) == 3)
    vectors = tuple(k for k, part in space.spaces.items() if len(part.shape or ()) == 1)
    if not images or len(images) + len(vectors) != len(space.spaces):
        raise ValueError(
            "VecLatent needs images [H, W, C], at least one, and vectors [P] beside them, got "
            f"{space}. Leave other entries out of the observation, or flatten them."
        )
    for key in images:
        encoder.check(space[key].shape or (), str(space[key].dtype))
    return images, vectors


def latent_space(space: spaces.Space[Any], encoder: Encoder, n_stack: int = 1) -> spaces.Box:
    """Return the space of stacked latents and vectors, an unbounded Box of float32.

    Its shape is [n_stack * (D * images + P)].

    Raises:
        ValueError: As of `image_and_vectors`, or `n_stack` is below 1.
    """
    if n_stack < 1:
        raise ValueError(f"n_stack is the number of steps in an observation, 1 or more: {n_stack}.")
    images, vectors = image_and_vectors(space, encoder)
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    size = encoder.latent_dim * (1 if images is None else len(images))
    size += sum(int(np.prod(parts[k].shape or ())) for k in vectors)
    return spaces.Box(-np.inf, np.inf, (n_stack * size,), np.float32)


def encode_observations(
    observations: Any,
    encoder: Encoder,
    image_keys: str | tuple[str, ...] | None,
    vector_keys: tuple[str, ...],
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
) -> Floats:
    """Return a batch of observations as latents and vectors, float32 [N, D * images + P].

    Args:
        observations: Images, uint8 [N, H, W, C], or a dict of such images and of vectors [N, P].
        encoder: The encoder; it is called once.
        image_keys: Key or keys of the images, in the order of their latents; None where
            `observations` are the images.
        vector_keys: Keys of the vectors, in their order.
        mean: What is subtracted from the latents of each image, [D] or a number.
        std: What they are divided by then, [D] or a number.
    """
    keys = (image_keys,) if isinstance(image_keys, str) else image_keys
    images = [observations] if keys is None else [observations[key] for key in keys]
    codes = encoder(images[0] if len(images) == 1 else np.concatenate(images))
    codes = np.divide(np.subtract(codes, mean), std, dtype=np.float32)
    parts = np.split(codes, len(images))
    vectors = [np.asarray(observations[key], np.float32) for key in vector_keys]
    return np.concatenate([*parts, *vectors], axis=1)


def _per_latent(name: str, given: ArrayLike, latents: int) -> Floats:
    array = np.asarray(given, np.float32)
    if array.shape not in ((), (latents,)) or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be a finite number, or {latents} of them, one for each latent; got "
            f"{'one that is not finite' if array.shape in ((), (latents,)) else array.shape}."
        )
    return array


def _append(observations: Any, more: list[Any]) -> Any:
    if isinstance(observations, dict):
        return {
            k: np.concatenate([v, np.stack([m[k] for m in more])]) for k, v in observations.items()
        }
    return np.concatenate([observations, np.stack(more)])
