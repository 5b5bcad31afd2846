"""Interventions on the simulator, for the metrics that are defined by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from drl_latent.data.pairs import PairSampler
from drl_latent.envs import FactorScene, make_env
from drl_latent.interventions.code_responses import Encode
from drl_latent.metrics.base import FloatArray


class SimulatorSampler:
    """Codes of rendered images in which one factor keeps its value and all others are drawn anew.

    A `Sampler` of `drl_latent.metrics.sampling`, for `factor_vae`, `beta_vae` and `irs`::

        with SimulatorSampler(encoder, "DrlLatent/Reach-v0", env_kwargs=kwargs) as sampler:
            factor_vae(codes, factors, names=data.factor_space.names, sampler=sampler,
                       votes=400, test_votes=400)

    with the keyword arguments that the data were collected with: factors that vary in the one have
    to vary in the other.

    Each row is drawn as the scene draws its factors, so within its part of a split, and then its
    factor is set to the value that the group keeps, itself drawn from that part. This is an
    intervention: the factor no longer depends on the others, and combinations may arise that the
    part does not hold. Metrics render many images: see their settings.

    Args:
        encoder: Encodes frames, uint8 [N, H, W, C], to codes [N, D].
        env: An environment with factors, or its id as in `drl_latent.data.collect`.
        env_kwargs: Keyword arguments of the environment where its id is given.
        batch: Frames rendered and encoded at a time.

    Attributes:
        names: Factors that can be kept: those that vary, and show in an image.

    Raises:
        ValueError: The environment has no factors, or none that varies and shows; `batch` is
            below 1.
    """

    def __init__(
        self,
        encoder: Encode,
        env: gym.Env[Any, Any] | str,
        *,
        env_kwargs: Mapping[str, Any] | None = None,
        batch: int = 1000,
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch is {batch}; expected 1 frame or more, e.g. 1000.")
        self._encoder, self._batch = encoder, batch
        made = make_env(env, **(env_kwargs or {})) if isinstance(env, str) else env
        self._owned = made if isinstance(env, str) else None
        try:
            scene = made.unwrapped
            if not isinstance(scene, FactorScene):
                raise ValueError(f"{env} has no factors of variation: {type(scene).__name__}.")
            self._scene, self._columns = scene, PairSampler(scene).columns
        except ValueError:
            self.close()
            raise
        self.names = tuple(scene.factor_space.names[column] for column in self._columns)

    def fixed(self, column: int, groups: int, n: int, rng: np.random.Generator) -> FloatArray:
        """Return codes [groups, n, D] of groups that keep factor `names[column]`.

        Args:
            column: Which of `names` keeps its value within each group.
            groups: Number of groups; the value of each is drawn independently.
            n: Rows of each.
            rng: All draws come from it.
        """
        values = self.values(column, groups, n, rng)
        rows = values.reshape(groups * n, -1)
        codes = [
            np.asarray(self._encoder(self._scene.render_values(rows[i : i + self._batch])))
            for i in range(0, len(rows), self._batch)
        ]
        return np.concatenate(codes).astype(np.float64).reshape(groups, n, -1)

    def values(
        self, column: int, groups: int, n: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the factor values, float32 [groups, n, K], of such groups; see `fixed`."""
        rows = self._scene.sample_factor_values(groups * n, rng).reshape(groups, n, -1)
        kept = self._columns[column]
        rows[:, :, kept] = self._scene.sample_factor_values(groups, rng)[:, None, kept]
        return rows

    def close(self) -> None:
        """Close the environment, if it was made here."""
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> SimulatorSampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
