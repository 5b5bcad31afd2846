"""Accuracy and R2 on held-out rows, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drl_latent.metrics.base import FloatArray, Interval
from drl_latent.metrics.inputs import IntArray

LEVEL = 0.95

Values = FloatArray | IntArray


@dataclass(frozen=True, eq=False)
class RowScores:
    """Held-out scores, one a factor, and 95% intervals of each and of their mean.

    There are no intervals where no draws were asked for.
    """

    values: FloatArray
    intervals: list[Interval]
    interval: Interval | None


def score_rows(
    truths: Sequence[Values],
    predictions: Sequence[Values],
    discrete: Sequence[bool],
    *,
    groups: IntArray,
    resamples: int,
    seed: int,
) -> RowScores:
    """Return accuracies and R2s, one a factor, with percentile intervals.

    The M held-out rows, in whole groups, are drawn again with replacement, the same rows for
    every factor. The intervals say how far a score depends on the rows tested on; they leave out
    how far it depends on the rows fitted on.

    Args:
        truths: [M] each, or [M, 2] for a circular factor: the R2 is that of both columns together.
        predictions: [M] each, or [M, 2].
        discrete: Whether to score accuracy, rather than R2.
        groups: [M], from 0: rows that belong together.
        resamples: Number of draws, 0 for no intervals.
        seed: Of the draws.
    """
    # Every score is a function of sums over rows, so a draw is one product with counts.
    m = len(groups)
    terms = [_terms(*one, m) for one in zip(truths, predictions, discrete, strict=True)]
    ends = np.cumsum([term.shape[1] for term in terms])[:-1]
    rows = np.concatenate(terms, axis=1)
    of_group = np.stack([np.bincount(groups, weights=column) for column in rows.T], axis=1)
    sizes = np.bincount(groups)

    def scores(counts: IntArray) -> FloatArray:
        sums = np.split(counts @ of_group / (counts @ sizes), ends)
        return np.array([_score(s, kind) for s, kind in zip(sums, discrete, strict=True)])

    values = scores(np.ones(len(sizes), dtype=np.int64))
    if not resamples:
        return RowScores(values, [], None)
    rng = np.random.default_rng(seed)
    chances = np.full(len(sizes), 1 / len(sizes))
    drawn = np.array([scores(rng.multinomial(len(sizes), chances)) for _ in range(resamples)])
    tail = 100 * (1 - LEVEL) / 2
    # A handful of rows can be drawn all alike, where R2 is undefined.
    low, high = np.nanpercentile(drawn, [tail, 100 - tail], axis=0)
    ends_of_mean = np.nanpercentile(np.nanmean(drawn, axis=1), [tail, 100 - tail])
    intervals = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    return RowScores(values, intervals, (float(ends_of_mean[0]), float(ends_of_mean[1])))


def _terms(truth: Values, predicted: Values, is_class: bool, m: int) -> FloatArray:
    """[M, 1] for accuracy; for R2 over C columns [M, 1 + 2C]: errors, values, their squares."""
    if is_class:
        return (truth == predicted).astype(np.float64)[:, None]
    wanted, given = truth.reshape(m, -1), predicted.reshape(m, -1)
    error = np.square(wanted - given).sum(axis=1, keepdims=True)
    centred = wanted - wanted.mean(axis=0)
    return np.concatenate([error, centred, np.square(centred)], axis=1)


def _score(sums: FloatArray, is_class: bool) -> float:
    if is_class:
        return float(sums[0])
    means, squares = np.split(sums[1:], 2)
    variance = float((squares - np.square(means)).sum())
    return 1 - float(sums[0]) / variance if variance > 0 else np.nan
