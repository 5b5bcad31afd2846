"""Aggregates of the scores of runs, all on the last axis and all able to weigh runs by counts.

A resample of runs with replacement is how often each run was drawn: counts, ``[B, N]`` for B
resamples of N runs. So an aggregate of all resamples is a few array operations.

Reference:
    Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_TRIMMED = 0.25


def weighted_mean(scores: ArrayLike, counts: ArrayLike | None = None) -> FloatArray:
    """Return the mean.

    Args:
        scores: Scores of runs, [..., N].
        counts: How often each run counts, [..., N]; once each unless given.

    Returns:
        [...], a scalar for one row; NaN where all counts are 0.

    Raises:
        ValueError: There are no scores, or the shapes do not fit.
    """
    x, c = _checked(scores, counts)
    with np.errstate(invalid="ignore"):
        return np.asarray((x * c).sum(axis=-1) / c.sum(axis=-1))[()]


def interquartile_mean(scores: ArrayLike, counts: ArrayLike | None = None) -> FloatArray:
    """Return the mean of the middle half of the runs.

    The lowest and the highest ``floor(N / 4)`` runs are left out, as in
    `scipy.stats.trim_mean` at 0.25; so it is the mean for up to 3 runs.

    Args:
        scores: As in `weighted_mean`.
        counts: As in `weighted_mean`, integers.

    Returns:
        As `weighted_mean`.

    Raises:
        ValueError: As `weighted_mean`.
    """
    x, c = _checked(scores, counts)
    order = np.argsort(x, axis=-1, kind="stable")
    if x.ndim == 1:
        x, c = x[order], c[..., order]
    else:
        x, c = np.broadcast_arrays(x, c)
        order = np.broadcast_to(order, x.shape)
        x, c = np.take_along_axis(x, order, -1), np.take_along_axis(c, order, -1)
    ends = np.cumsum(c, axis=-1)
    total = ends[..., -1:]
    cut = np.floor(_TRIMMED * total)
    # Run i fills the places from ends - c to ends; those between the cuts are kept.
    kept = np.clip(np.minimum(ends, total - cut) - np.maximum(ends - c, cut), 0, None)
    with np.errstate(invalid="ignore"):
        return np.asarray((x * kept).sum(axis=-1) / kept.sum(axis=-1))[()]


def optimality_gap(
    scores: ArrayLike, counts: ArrayLike | None = None, *, target: float = 1.0
) -> FloatArray:
    """Return how far runs stay below a target on average; those above it count as at it.

    Args:
        scores: As in `weighted_mean`.
        counts: As in `weighted_mean`.
        target: The score that is good enough.

    Returns:
        As `weighted_mean`; 0 or more, and 0 where all runs reach the target.

    Raises:
        ValueError: As `weighted_mean`.
    """
    return weighted_mean(np.maximum(target - np.asarray(scores, dtype=np.float64), 0), counts)


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> FloatArray:
    """Return the share of runs that score above each threshold.

    Args:
        scores: Scores of runs, [N].
        thresholds: [T].

    Returns:
        [T], in [0, 1].

    Raises:
        ValueError: There are no scores.
    """
    x, _ = _checked(scores, None)
    return np.asarray((x > np.asarray(thresholds)[:, None]).mean(axis=-1))


def probability_of_improvement(scores: ArrayLike, others: ArrayLike) -> float:
    """Return how likely a run of one agent scores higher than a run of another.

    The share of pairs of runs, one of each agent, in which the first scores higher; a tie counts
    one half. It is the Mann-Whitney U, over the number of pairs.

    Args:
        scores: Scores of the runs of the one, [N].
        others: Scores of the runs of the other, [M].

    Returns:
        In [0, 1]; 0.5 where neither is better.

    Raises:
        ValueError: There are no scores.
    """
    x, y = _checked(scores, None)[0][:, None], _checked(others, None)[0][None]
    return float(((x > y) + 0.5 * (x == y)).mean())


def _checked(scores: ArrayLike, counts: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    x = np.asarray(scores, dtype=np.float64)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"Expected scores of at least one run, got shape {x.shape}.")
    c = np.ones(x.shape[-1]) if counts is None else np.asarray(counts, dtype=np.float64)
    if c.shape[-1:] != x.shape[-1:]:
        raise ValueError(f"Expected a count for each of {x.shape[-1]} runs, got shape {c.shape}.")
    return x, c
