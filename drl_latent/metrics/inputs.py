"""What metrics read: checked codes and factors, and the types of factors.

Which factors are discrete:
    A column of whole numbers, or one with at most 20 distinct values, is **discrete**: its values
    are classes and are never binned again. Any other column is **continuous**: metrics that count
    (mutual information, groups, ROC) put it in 20 equal-width bins, metrics that predict regress
    on it. The type is read from the values, so an array of integers and the same array stored as
    floats score alike. `discrete=[...]`, one bool a factor, overrides the rule.

Which factors are circular:
    Those with a period: `periods=[...]`, one number a factor, 0 where there is none. A circular
    factor that is discrete is a set of classes like any other. A continuous one is binned around
    the circle, and predicted as its cosine and sine.

Which rows belong together:
    Rows of a rollout resemble their neighbours. `groups=[...]`, one number a row, such as the
    episode, keeps rows of a group together wherever rows are held out or drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drl_latent.metrics.base import BoolArray, FloatArray

IntArray = NDArray[np.int64]

BINS = 20
MAX_DISCRETE_VALUES = 20
# With no more rows than this, every continuous column would pass for a discrete one.
MIN_ROWS = MAX_DISCRETE_VALUES + 1


@dataclass(frozen=True, eq=False)
class Inputs:
    """Checked codes [N, D] and factors [N, K], with what is known about their columns.

    Attributes:
        codes: [N, D], finite float64.
        factors: [N, K], finite float64.
        names: K names.
        discrete: [K], True where the values are classes.
        periods: [K], the period of a circular factor, 0 where there is none.
        groups: [N], from 0: the group of each row, its own where none were given.
        active: [D], False for dead codes, which never vary beyond rounding.
        varying: [K], False for factors that are left out because they have a single value.
    """

    codes: FloatArray
    factors: FloatArray
    names: tuple[str, ...]
    discrete: BoolArray
    periods: FloatArray
    groups: IntArray
    active: BoolArray
    varying: BoolArray

    @property
    def live(self) -> FloatArray:
        """[N, A]: the active codes; one column of zeros where all are dead.

        Only these are fitted on, so that adding a dead code changes no score.
        """
        if not self.active.any():
            return np.zeros((len(self.codes), 1))
        return np.ascontiguousarray(self.codes[:, self.active])

    @property
    def kept(self) -> list[int]:
        """Columns of the factors that vary."""
        return [int(k) for k in np.flatnonzero(self.varying)]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the factors that do not vary."""
        return tuple(np.array(self.names, dtype=object)[~self.varying])

    def labels(self, k: int, bins: int = BINS) -> IntArray:
        """[N]: factor `k` as classes 0, 1, ...: its own where discrete, `bins` bins otherwise."""
        column = self.factors[:, k]
        if self.discrete[k]:
            return np.unique(column, return_inverse=True)[1]
        return np.unique(bins_of(column, self.periods[k], bins), return_inverse=True)[1]

    def named(self, values: Sequence[float] | FloatArray) -> dict[str, float]:
        """Name one value for each factor of `kept`, in that order, but those that are NaN."""
        pairs = zip(self.kept, values, strict=True)
        return {self.names[k]: float(value) for k, value in pairs if not np.isnan(value)}

    def rows(self, chosen: IntArray) -> Inputs:
        """Return some of the rows, with the columns judged anew except for types of factors."""
        z, y = self.codes[chosen], self.factors[chosen]
        return replace(
            self,
            codes=z,
            factors=y,
            groups=self.groups[chosen],
            active=varying_columns(z),
            varying=np.ptp(y, axis=0) > 0,
        )

    def full_rows(self, values: FloatArray, dead: float) -> FloatArray:
        """Put values [A, ...] of the active codes into [D, ...], `dead` elsewhere."""
        full = np.full((len(self.active), *values.shape[1:]), dead)
        if self.active.any():
            full[self.active] = values
        return full

    def full_columns(self, values: FloatArray) -> FloatArray:
        """Put [D, len(kept)] into [D, K], NaN for the factors that were left out."""
        full = np.full((len(values), len(self.names)), np.nan)
        full[:, self.kept] = values
        return full


def check_inputs(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
    periods: Sequence[float] | None = None,
    groups: ArrayLike | None = None,
) -> Inputs:
    """Check codes and factors and find out what they are.

    A code is dead where its standard deviation is at most 1e-8, or at most a millionth of its
    largest magnitude, which is what rounding to single precision leaves of a constant.

    Args:
        codes: [N, D], finite numbers.
        factors: [N, K], finite numbers.
        names: K distinct names, "factor_0", "factor_1"... by default.
        discrete: One bool a factor, to override the rule of this module.
        periods: The period of each factor that is circular, in the factor's unit; 0 for others.
        groups: [N], the group of each row: numbers or names.

    Raises:
        ValueError: `codes` or `factors` is not a matrix of finite numbers, they differ in N, N is
            below 21, `names`, `discrete` or `periods` does not fit K, `groups` does not fit N, or
            no factor varies.
    """
    z, y = finite_matrix(codes, "codes"), finite_matrix(factors, "factors")
    same_rows(z, y, "codes", "factors")
    if len(z) < MIN_ROWS:
        raise ValueError(
            f"Got {len(z)} rows; expected at least {MIN_ROWS}, and a few thousand for a score that "
            "means something. Encode more images."
        )
    k = y.shape[1]
    labels = tuple(f"factor_{i}" for i in range(k)) if names is None else tuple(map(str, names))
    if len(labels) != k or len(set(labels)) != k:
        raise ValueError(
            f"names is {labels}; expected {k} distinct names, one a column of factors."
        )
    if discrete is None:
        kinds = np.array([is_discrete(column) for column in y.T])
    else:
        kinds = np.asarray(discrete, dtype=bool)
        if kinds.shape != (k,):
            raise ValueError(
                f"discrete has shape {kinds.shape}; expected {k} bools, one a column of factors."
            )
    varying = np.ptp(y, axis=0) > 0
    require_varying(varying, labels)
    return Inputs(
        codes=z,
        factors=y,
        names=labels,
        discrete=kinds,
        periods=_checked_periods(periods, k),
        groups=_checked_groups(groups, len(z)),
        active=varying_columns(z),
        varying=varying,
    )


def is_discrete(column: FloatArray) -> bool:
    """Whether the values [N] of one factor are classes, by the rule of this module."""
    whole = bool(np.all(column == np.round(column)))
    return whole or len(np.unique(column)) <= MAX_DISCRETE_VALUES


def bins_of(column: FloatArray, period: float, bins: int = BINS) -> IntArray:
    """[N]: the bin of each value of a continuous factor, on its circle where it has a period."""
    if not period:
        return equal_width_bins(column, bins)
    # A remainder can round up to the period itself.
    return np.minimum((np.mod(column, period) / period * bins).astype(np.int64), bins - 1)


def equal_width_bins(column: FloatArray, bins: int = BINS) -> IntArray:
    """[N]: index, from 0, of the equal-width bin between the extremes that each value is in."""
    edges = np.histogram_bin_edges(column, bins)
    return np.digitize(column, edges[1:-1])


def _checked_periods(periods: Sequence[float] | None, k: int) -> FloatArray:
    if periods is None:
        return np.zeros(k)
    values = np.asarray(periods, dtype=np.float64)
    if values.shape != (k,) or not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(
            f"periods is {list(periods)}; expected {k} numbers, one a column of factors: the "
            "period of a circular factor, 0 for any other."
        )
    return values


def _checked_groups(groups: ArrayLike | None, n: int) -> IntArray:
    if groups is None:
        return np.arange(n)
    values = np.asarray(groups)
    if values.shape != (n,):
        raise ValueError(
            f"groups have shape {values.shape}; expected ({n},), the group of each row, such as "
            "its episode."
        )
    return np.unique(values, return_inverse=True)[1]


def finite_matrix(values: ArrayLike, what: str) -> FloatArray:
    """Return `values` as float64 [rows, columns], or raise a ValueError that calls it `what`."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{what} have dtype {array.dtype}; expected real numbers. Turn categories into "
            "integers, e.g. with numpy.unique(..., return_inverse=True)."
        )
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{what} have shape {array.shape}; expected a matrix with one row an image and at "
            "least one column. Reshape a single column with [:, None]."
        )
    matrix = array.astype(np.float64)
    if not np.isfinite(matrix).all():
        bad = np.flatnonzero(~np.isfinite(matrix).all(axis=0)).tolist()
        raise ValueError(
            f"{what} hold NaN or infinity, in columns {bad}; expected finite numbers. Drop these "
            "rows, or look for an encoder that diverged."
        )
    return matrix


def varying_columns(codes: FloatArray) -> BoolArray:
    """Return which columns of codes [N, D] vary by more than rounding, D bools."""
    active: BoolArray = codes.std(axis=0) > np.maximum(1e-8, 1e-6 * np.abs(codes).max(axis=0))
    return active


def same_rows(a: FloatArray, b: FloatArray, a_name: str, b_name: str) -> None:
    """Raise a ValueError if two matrices differ in their number of rows."""
    if len(a) != len(b):
        raise ValueError(
            f"{a_name} have {len(a)} rows and {b_name} {len(b)}; expected one row of each for "
            f"every image. Matrices of [columns, rows] must be transposed first."
        )


def require_varying(varying: BoolArray, names: Sequence[str]) -> None:
    """Raise a ValueError if no factor varies."""
    if not varying.any():
        raise ValueError(
            f"None of the factors {list(names)} varies; expected at least one with two values in "
            "the rows to fit on and in any rows held out. Sample other factor combinations."
        )
