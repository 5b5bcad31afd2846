"""The values that latents take: of a quantised latent only these, and none between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import MAX_DISCRETE_VALUES


@dataclass(frozen=True, eq=False)
class Levels:
    """What each of D latents can be set to.

    Args:
        observed: One entry a latent: the sorted values that occur, float [V], where the latent is
            quantised; None where it takes any value.
    """

    observed: tuple[NDArray[np.floating] | None, ...]

    @classmethod
    def of(cls, codes: NDArray[np.floating]) -> Levels:
        """Find the levels in a sample of codes, [N, D].

        A latent counts as quantised where it has few distinct values: at most 20, and at most one
        for every two rows, since few rows have few values.
        """
        most = min(MAX_DISCRETE_VALUES, len(codes) // 2)
        distinct = [np.unique(column) for column in codes.T]
        return cls(tuple(values if len(values) <= most else None for values in distinct))

    def snap(self, codes: FloatArray) -> FloatArray:
        """Return codes, [M, D], with each quantised latent at its nearest level."""
        snapped = codes.copy()
        for d, levels in enumerate(self.observed):
            if levels is not None:
                nearest = np.abs(codes[:, d, None] - levels).argmin(axis=1)
                snapped[:, d] = levels[nearest]
        return snapped


def latent_steps(
    codes: NDArray[np.floating], steps: int, percentiles: tuple[float, float]
) -> NDArray[np.floating]:
    """Return even steps through the range of each latent, [steps, D], on its levels if it has any.

    Args:
        codes: [N, D], a sample.
        steps: Number of steps, 2 or more.
        percentiles: Ends of the range, percentiles of the sample.
    """
    low, high = np.percentile(codes, percentiles, axis=0)
    return Levels.of(codes).snap(np.linspace(low, high, steps))
