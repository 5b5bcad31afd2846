"""Intervals over episodes: of rates and means, and of differences of two."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

Ends = tuple[NDArray[np.float64], NDArray[np.float64]]
Sums = tuple[ArrayLike, ArrayLike, ArrayLike]


def wilson(wins: ArrayLike, episodes: ArrayLike, confidence: float = 0.95) -> Ends:
    """Return the ends of Wilson's interval of each proportion ``wins / episodes``.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", without a
    continuity correction.
    """
    k, n = np.asarray(wins, dtype=np.float64), np.asarray(episodes, dtype=np.float64)
    z = float(norm.ppf((1 + confidence) / 2))
    centre = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    # Rounding must not leave a rate of 0 or 1 outside of its interval.
    low, high = np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)
    return low, high


def newcombe(
    wins: ArrayLike,
    episodes: ArrayLike,
    other_wins: ArrayLike,
    other_episodes: ArrayLike,
    confidence: float = 0.95,
) -> Ends:
    """Return the ends of the interval of a difference of two independent proportions.

    Newcombe 1998, method 10: the distances of the two rates from the ends of their own Wilson
    intervals, combined as independent errors are.
    """
    first = np.asarray(wins, dtype=np.float64) / np.asarray(episodes, dtype=np.float64)
    second = np.asarray(other_wins, dtype=np.float64) / np.asarray(other_episodes, np.float64)
    low, high = wilson(wins, episodes, confidence)
    other_low, other_high = wilson(other_wins, other_episodes, confidence)
    difference = first - second
    return (
        difference - np.hypot(first - low, other_high - second),
        difference + np.hypot(high - first, second - other_low),
    )


def student(mean: ArrayLike, episodes: ArrayLike, spread: ArrayLike, confidence: float) -> Ends:
    """Return the ends of Student's interval of each mean; NaN where it is of one episode.

    Args:
        mean: Means.
        episodes: How many each is of.
        spread: Standard deviations of what each is of, with ``n - 1``.
        confidence: Coverage, in (0, 1).
    """
    centre, n, deviation = (np.asarray(x, np.float64) for x in (mean, episodes, spread))
    half = t.ppf((1 + confidence) / 2, np.where(n > 1, n - 1, np.nan)) * deviation / np.sqrt(n)
    return centre - half, centre + half


def welch(first: Sums, second: Sums, confidence: float = 0.95) -> Ends:
    """Return the ends of the interval of a difference of two independent means.

    Welch 1947, "The generalization of 'Student's' problem when several different population
    variances are involved": the variances may differ.

    Args:
        first: Sums, how many each is of, and the standard deviations of these, with ``n - 1``.
        second: Likewise, of what is taken away.
        confidence: Coverage, in (0, 1).
    """
    (s, n, d), (o, m, e) = (
        [np.asarray(column, np.float64) for column in columns] for columns in (first, second)
    )
    errors = d**2 / n, e**2 / m
    both = errors[0] + errors[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = both**2 / (errors[0] ** 2 / (n - 1) + errors[1] ** 2 / (m - 1))
        half = t.ppf((1 + confidence) / 2, freedom) * np.sqrt(both)
    # Without any spread the difference is what it is.
    half = np.where(both == 0, 0.0, half)
    return s / n - o / m - half, s / n - o / m + half
