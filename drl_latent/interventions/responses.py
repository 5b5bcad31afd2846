"""What a reading of the code is, as a function of a factor's value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import make_interp_spline

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import BINS


@dataclass(frozen=True, eq=False)
class Response:
    """The conditional median of R readings, given the value of a factor.

    Of a discrete factor, the median of each class. Of a continuous one, the medians of up to 20
    bins that hold equally many distinct values, joined by straight lines at the median value of
    each bin, and continued to the ends of what was seen. Nothing is taken to be monotone: a
    reading may rise and fall again.

    Args:
        factor: Name of the factor, for messages.
        discrete: Whether the values are classes.
        seen: The classes, ascending; or the lowest and the highest value of a continuous factor.
        values: Where the medians stand, float [V], ascending.
        medians: The medians, float [V, R].
    """

    factor: str
    discrete: bool
    seen: FloatArray
    values: FloatArray
    medians: FloatArray

    @classmethod
    def fit(cls, factor: str, values: FloatArray, readings: FloatArray, discrete: bool) -> Response:
        """Take the medians of readings, [N, R], at values, [N], at least two of them distinct."""
        distinct = np.unique(values)
        if discrete or len(distinct) <= BINS:
            groups = np.searchsorted(distinct, values)
        else:
            edges = np.quantile(distinct, np.linspace(0, 1, BINS + 1)[1:-1])
            groups = np.searchsorted(edges, values, side="right")
        rows = [groups == g for g in np.unique(groups)]
        return cls(
            factor,
            discrete,
            distinct if discrete else distinct[[0, -1]],
            np.array([np.median(values[r]) for r in rows]),
            np.array([np.median(readings[r], axis=0) for r in rows]),
        )

    def __call__(self, values: ArrayLike) -> FloatArray:
        """Return the readings, [M, R], at values, [M].

        Raises:
            ValueError: A value is no class, or lies outside the range that was seen.
        """
        wanted = np.asarray(values, dtype=np.float64)
        if self.discrete:
            return self.medians[self._classes(wanted)]
        low, high = self.seen
        # Values are stored in single precision, and people give 0.36.
        slack = 1e-5 * (high - low)
        inside = (wanted >= low - slack) & (wanted <= high + slack)
        if not inside.all():
            raise ValueError(
                f"{self.factor} cannot be set to {wanted[~inside][0]:.6g}: the frames that the "
                f"editor was fitted on have values from {low:.6g} to {high:.6g}. Give one of "
                "these, or fit on frames that show more."
            )
        line: FloatArray = make_interp_spline(self.values, self.medians, k=1)(wanted)
        return line

    def _classes(self, wanted: FloatArray) -> NDArray[np.int64]:
        """Return the index of the class of each value, [M]."""
        # Again because of single precision: neither 0.2 nor 0.4 is exact in it.
        nearest = np.abs(wanted[:, None] - self.seen).argmin(axis=1)
        known = np.isclose(wanted, self.seen[nearest], rtol=1e-5, atol=1e-6)
        if not known.all():
            classes = ", ".join(f"{value:.6g}" for value in self.seen)
            raise ValueError(
                f"{self.factor} cannot be set to {wanted[~known][0]:.6g}: the frames that the "
                f"editor was fitted on have the values {classes}. Give one of these."
            )
        return nearest
