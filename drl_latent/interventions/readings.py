"""What a reader says of one factor in images, and how much of the factor's variance that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, r2_score

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.splits import on_circle


@dataclass(frozen=True, eq=False)
class Reading:
    """One factor, read from N images.

    Args:
        values: Class probabilities, [N, C], of a discrete factor; values, [N], of any other.
        variance: How much the factor varies from frame to frame, above 0; see `factor_variance`.
        period: What brings a circular factor back to where it was; None where it is not circular.

    Raises:
        ValueError: The shape is wrong, the variance or the period not above 0, or classes have a
            period.
    """

    values: FloatArray
    variance: float
    period: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float64))
        if self.values.ndim not in (1, 2):
            raise ValueError(
                f"A reading is [N] values or [N, C] class probabilities, got "
                f"{list(self.values.shape)}."
            )
        if not self.variance > 0:
            raise ValueError(
                f"The variance of a factor must be above 0, got {self.variance}: leave out a "
                "factor that does not vary."
            )
        if self.period is not None and (self.is_discrete or not self.period > 0):
            raise ValueError(
                f"A period is above 0 and belongs to values [N], got {self.period} for a reading "
                f"of shape {list(self.values.shape)}."
            )

    @property
    def is_discrete(self) -> bool:
        """Whether the values are probabilities of classes."""
        return self.values.ndim == 2

    @property
    def likeliest(self) -> FloatArray | NDArray[np.int64]:
        """The likeliest class, or the value, [N]."""
        return self.values.argmax(axis=1) if self.is_discrete else self.values

    @property
    def points(self) -> FloatArray:
        """The reading as points of a space where distances mean something, [N, P].

        The probabilities themselves, the value, or the angle's cosine and sine.
        """
        if self.is_discrete:
            return self.values
        return self.values[:, None] if self.period is None else on_circle(self.values, self.period)

    def movement(self, *shape: int) -> FloatArray:
        """Return how much readings vary within groups of images, in ``[0, 1]``.

        The variance of `points` within a group, over `variance`, clipped at 1: 0 where all
        readings are equal, 1 where they vary as much as from frame to frame.

        Args:
            shape: ``(*groups, size)``, a shape of N in all.

        Returns:
            [*groups].
        """
        points = self.points
        varied = points.reshape(*shape, points.shape[1]).var(axis=-2).sum(axis=-1)
        return np.minimum(varied / self.variance, 1.0)

    def agreement(self, truth: Reading) -> float:
        """Return how well this agrees with another reading, at most 1.

        Accuracy of the likeliest class, or R2; of a circular factor, R2 of `points`. NaN where
        `truth` is always the same.
        """
        if np.ptp(truth.likeliest) == 0:
            return float("nan")
        if self.is_discrete:
            return float(accuracy_score(truth.likeliest, self.likeliest))
        return float(r2_score(truth.points, self.points, multioutput="variance_weighted"))


Readings = dict[str, Reading]
"""Factor name -> what was read."""

Reader = Callable[[NDArray[np.uint8]], Readings]
"""From images, uint8 [N, h, w, C], to readings of all N."""


def factor_variance(column: FloatArray, discrete: bool, period: float | None = None) -> float:
    """Return the variance of the true values, [N], as `Reading.points` would have it.

    The Gini impurity of classes (1 - 1 / C where C are equally frequent), the variance of values,
    or the circular variance of angles (1 minus the squared length of their mean).
    """
    if discrete:
        shares = np.unique(column, return_counts=True)[1] / len(column)
        return float(1 - np.square(shares).sum())
    points = column[:, None] if period is None else on_circle(column, period)
    return float(points.var(axis=0).sum())
