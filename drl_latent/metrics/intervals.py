"""Bootstrap intervals of held-out scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import IntArray

RESAMPLES = 1000
LEVEL = 0.95

Values = FloatArray | IntArray


def score_intervals(
    truths: Sequence[Values],
    predictions: Sequence[Values],
    discrete: Sequence[bool],
    *,
    seed: int,
) -> list[tuple[float, float]]:
    """Return 95% percentile intervals of accuracies and R2s, one a factor.

    The M held-out rows are drawn again with replacement, 1,000 times, the same rows for every
    factor. The intervals say how far a score depends on the rows tested on; they leave out how
    far it depends on the rows fitted on.

    Args:
        truths: [M] each.
        predictions: [M] each.
        discrete: Whether to score accuracy, rather than R2.
        seed: Of the draws.
    """
    # Every score is a function of sums over rows, so a resample is one product with row counts.
    terms = []
    for truth, predicted, is_class in zip(truths, predictions, discrete, strict=True):
        if is_class:
            terms.append(np.stack([truth == predicted] * 3).astype(np.float64))
        else:
            centred = truth - np.mean(truth)
            terms.append(np.stack([np.square(truth - predicted), centred, np.square(centred)]))
    rows = np.concatenate(terms).T
    m = len(rows)
    rng = np.random.default_rng(seed)
    means = np.empty((RESAMPLES, rows.shape[1]))
    for sums in means:
        counts = np.bincount(rng.integers(m, size=m), minlength=m)
        sums[:] = counts @ rows / m
    tail = 100 * (1 - LEVEL) / 2
    intervals = []
    for i, is_class in enumerate(discrete):
        first, mean, square = means[:, 3 * i : 3 * i + 3].T
        if is_class:
            scores = first
        else:
            variance = square - np.square(mean)
            # A handful of rows can be drawn all alike, where R2 is undefined.
            scores = 1 - first[variance > 0] / variance[variance > 0]
        low, high = np.percentile(scores, [tail, 100 - tail])
        intervals.append((float(low), float(high)))
    return intervals
