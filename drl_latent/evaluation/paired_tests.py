"""Tests of paired differences, and the interval of a probability of improvement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from drl_latent.evaluation.seed_bootstrap import ALIKE, ONE_SEED

FloatArray = NDArray[np.float64]

_RESAMPLES = 9_999


def paired_difference(
    differences: Sequence[FloatArray], confidence: float = 0.95
) -> tuple[float, float, str]:
    """Return the mean over tasks of the mean paired difference, with Student's interval.

    Degrees of freedom are Satterthwaite's over tasks.

    Args:
        differences: Differences of pairs of scores, [N] of each task.
        confidence: Coverage that is aimed at.

    Returns:
        The difference, half of the width of its interval (NaN where there is none), and why.
    """
    value = float(np.mean([d.mean() for d in differences]))
    if min(d.size for d in differences) < 2:
        return value, np.nan, ONE_SEED
    variances = np.array([d.var(ddof=1) / d.size for d in differences])
    if variances.sum() < 1e-24:
        return value, np.nan, ALIKE
    free = np.array([d.size - 1 for d in differences])
    df = variances.sum() ** 2 / (variances**2 / free).sum()
    error = np.sqrt(variances.sum()) / len(differences)
    return value, float(stats.t.ppf((1 + confidence) / 2, df) * error), ""


def paired_permutation_test(
    differences: Sequence[ArrayLike], *, resamples: int = _RESAMPLES, seed: int = 0
) -> float:
    """Return the two-sided p of the mean over tasks of the mean paired difference.

    Args:
        differences: Differences of pairs of scores, an array a task.
        resamples: Number of draws of signs; all of them where there are no more, so that p is
            exact.
        seed: Of the draws.

    Returns:
        In (0, 1]; at least ``2 / 2^n`` for n pairs, NaN without pairs.
    """
    tasks = [np.asarray(d, dtype=np.float64) for d in differences if np.size(d)]
    if not tasks:
        return float("nan")
    weighted = np.concatenate([d / (d.size * len(tasks)) for d in tasks])

    def total(x: FloatArray, y: FloatArray, axis: int) -> FloatArray:
        return np.asarray((x - y).sum(axis=axis))

    if weighted.size == 1:
        # The two signs of a single difference are equally likely.
        return 1.0
    result = stats.permutation_test(
        (weighted, np.zeros_like(weighted)),
        total,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        random_state=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def holm(p: ArrayLike) -> FloatArray:
    """Return p-values corrected for their number by Holm's method; NaN stays and is not counted.

    Args:
        p: [M].

    Returns:
        [M], at most 1.
    """
    values = np.asarray(p, dtype=np.float64)
    corrected = np.full_like(values, np.nan)
    order = [i for i in np.argsort(values, kind="stable") if not np.isnan(values[i])]
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min((len(order) - rank) * values[i], 1.0))
        corrected[i] = largest
    return corrected


def improvement_interval(
    probability: float, sizes: Sequence[tuple[int, int]], confidence: float = 0.95
) -> tuple[float, float]:
    """Return Newcombe's interval of a probability of improvement, the mean over tasks.

    The ends are the probabilities that are just `z` of their own standard errors away.

    Args:
        probability: In [0, 1].
        sizes: Independent runs of the one and of the other, one pair a task.
        confidence: Coverage that is aimed at.
    """
    z = float(stats.norm.ppf((1 + confidence) / 2))

    def excess(p: float) -> float:
        variance = 0.0
        for m, n in sizes:
            pairs = 1 + ((m + n) / 2 - 1) * ((1 - p) / (2 - p) + p / (1 + p))
            variance += p * (1 - p) * pairs / (m * n)
        return (probability - p) ** 2 - z**2 * variance / len(sizes) ** 2

    def end(bound: float) -> float:
        if probability == bound:
            return bound
        # A probability of 0 or 1 solves the equation itself: the other end is looked for beside.
        inner = min(max(probability, 1e-9), 1 - 1e-9)
        return float(optimize.brentq(excess, min(bound, inner), max(bound, inner)))

    return end(0.0), end(1.0)
