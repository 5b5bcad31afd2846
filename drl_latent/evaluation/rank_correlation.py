"""Rank correlation over encoders and seeds, which are not independent of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

FEWEST = 4
"""Points below which a rank correlation says nothing."""
_SHARE = 0.5
"""Share of the draws that must have a correlation for there to be an interval."""
_FLAT = 1e-9

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RankCorrelation:
    """A Spearman correlation, and how sure it is.

    Attributes:
        rho: The correlation, in [-1, 1]; NaN with fewer than 4 points, or where one side is
            constant.
        low: Lower end of its interval, NaN where there is none.
        high: Upper end of its interval.
        p: Two-sided, by permutation; NaN where there is no correlation.
        n: Points that it is of: those where nothing is missing.
        clusters: Clusters that these belong to.
    """

    rho: float
    low: float
    high: float
    p: float
    n: int
    clusters: int


def rank_correlation(
    x: ArrayLike,
    y: ArrayLike,
    clusters: ArrayLike,
    *,
    control: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 2_000,
    permutations: int = 2_000,
    seed: int = 0,
) -> RankCorrelation:
    """Return Spearman's correlation of two columns, partial where a third one is controlled for.

    The partial correlation is Pearson's, of what is left of the ranks of each after a straight
    line in the ranks of `control`.

    The interval is the percentile bootstrap's: whole clusters are drawn with replacement, and then
    points within each that was drawn. Seeds of one recipe are alike, and what is asked is whether
    the relation holds for other recipes: drawing points alone would take five seeds of three
    recipes for fifteen independent cases, and give an interval that is far too narrow. With few
    clusters it is still narrow, and cannot be better than they are many.

    The p-value is that of a permutation test that keeps to what is exchangeable if x and y have
    nothing to do with each other: whole clusters of equally many points change places, and points
    within a cluster do. With a control, what is left of y changes places, and the control is taken
    out of it again (Freedman & Lane 1983, "A nonstochastic interpretation of reported significance
    levels"): that p is approximate, and somewhat too small with few clusters.

    Args:
        x: [N]; not finite where unknown.
        y: [N], likewise.
        clusters: [N], what each point belongs to, such as the recipe of its encoder.
        control: [N], likewise, what is controlled for.
        confidence: Coverage of the interval, in (0, 1).
        resamples: Draws of the bootstrap.
        permutations: Permutations, drawn with repetition.
        seed: Of both.

    Raises:
        ValueError: The columns differ in length.
    """
    given = [x, y] if control is None else [x, y, control]
    columns = [np.asarray(column, dtype=np.float64) for column in given]
    names = np.asarray(clusters)
    if any(column.shape != names.shape or column.ndim != 1 for column in columns):
        shapes = [list(column.shape) for column in (*columns, names)]
        raise ValueError(f"Expected columns of one length, one value a point, got {shapes}.")
    known = np.isfinite(columns).all(axis=0)
    labels = np.unique(names[known], return_inverse=True)[1]
    order = np.argsort(labels, kind="stable")
    data = np.stack([column[known][order] for column in columns])
    sizes = np.bincount(labels)
    n, count = data.shape[1], len(sizes)
    rho = float(_spearman(data[:, None])[0]) if n >= FEWEST else np.nan
    if np.isnan(rho):
        return RankCorrelation(np.nan, np.nan, np.nan, np.nan, n, count)
    rng = np.random.default_rng(seed)
    drawn = np.concatenate([_spearman(data[:, rows]) for rows in _resamples(sizes, resamples, rng)])
    drawn = drawn[np.isfinite(drawn)]
    low = high = np.nan
    if len(drawn) >= max(1, _SHARE * resamples):
        tail = 100 * (1 - confidence) / 2
        low, high = (float(end) for end in np.percentile(drawn, [tail, 100 - tail]))
    p = _permutation_p(data, rho, _permutations(sizes, permutations, rng))
    return RankCorrelation(rho, low, high, p, n, count)


def _spearman(data: Floats) -> Floats:
    """Return the correlation of each of B samples, [C, B, n], of x, y and maybe a control."""
    ranks = rankdata(data, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    if len(ranks) == 3:
        ranks = np.stack([_without(side, ranks[2]) for side in ranks[:2]])
    return _cosine(ranks[0], ranks[1])


def _without(values: Floats, control: Floats) -> Floats:
    """Return what is left of centred values, [..., n], after a line in a centred control."""
    square = np.square(control).sum(axis=-1, keepdims=True)
    slope = (values * control).sum(axis=-1, keepdims=True) / np.where(square > 0, square, 1.0)
    left = values - slope * control
    # What the control explains wholly leaves rounding errors, which must not be correlated.
    scale = np.square(values).sum(axis=-1, keepdims=True)
    is_flat = np.square(left).sum(axis=-1, keepdims=True) <= _FLAT * scale
    return np.where(is_flat, 0.0, left)


def _cosine(a: Floats, b: Floats) -> Floats:
    """Return the correlations of centred rows, [..., n]; NaN where one is constant."""
    size = np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum(axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.clip((a * b).sum(axis=-1) / size, -1.0, 1.0)
    return np.where(size > 0, found, np.nan)


def _resamples(sizes: Ints, count: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Yield drawn rows, [B, n], of `count` samples in all, those of the same length together.

    Args:
        sizes: Points of each cluster; their rows follow each other.
        count: Number of samples.
        rng: Source of randomness.
    """
    starts, most = np.cumsum(sizes) - sizes, sizes.max()
    chosen = rng.integers(len(sizes), size=(count, len(sizes)))
    places = (rng.random((*chosen.shape, most)) * sizes[chosen][..., None]).astype(np.int64)
    rows = (starts[chosen][..., None] + places).reshape(count, -1)
    is_used = (np.arange(most) < sizes[chosen][..., None]).reshape(count, -1)
    lengths = is_used.sum(axis=1)
    for length in np.unique(lengths):
        same = lengths == length
        yield rows[same][is_used[same]].reshape(-1, length)


def _permutations(sizes: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Return permutations of the rows, [count, n]: see `rank_correlation` for which."""
    starts = np.cumsum(sizes) - sizes
    permuted = np.empty((count, sizes.sum()), dtype=np.int64)
    for size in np.unique(sizes):
        alike = np.flatnonzero(sizes == size)
        # Whole clusters first, and then the points of each on their own.
        moved = rng.random((count, len(alike))).argsort(axis=1)
        inside = rng.random((count, len(alike), size)).argsort(axis=2)
        rows = starts[alike][:, None] + np.arange(size)
        permuted[:, rows.ravel()] = (starts[alike][moved][..., None] + inside).reshape(count, -1)
    return permuted


def _permutation_p(data: Floats, rho: float, permuted: Ints) -> float:
    """Return how often permuted points correlate as much, themselves counted once."""
    ranks = rankdata(data, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    if len(ranks) == 3:
        left = _without(ranks[:2], ranks[2])
        moved = _without(left[1][permuted], np.broadcast_to(ranks[2], permuted.shape))
        found = _cosine(np.broadcast_to(left[0], permuted.shape), moved)
    else:
        found = _cosine(np.broadcast_to(ranks[0], permuted.shape), ranks[1][permuted])
    # Equal correlations may differ in the last digit.
    reached = int((np.abs(np.nan_to_num(found)) >= abs(rho) - 1e-9).sum())
    return (1 + reached) / (1 + len(permuted))
