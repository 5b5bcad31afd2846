"""How concentrated effects are: does each cause have one effect, or many?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from drl_latent.metrics.base import FloatArray

RESAMPLES = 1000
LEVEL = 0.95


def concentration(effects: FloatArray) -> FloatArray:
    """Return for each row of non-negative effects, [R, C], how much of it is one entry, [R].

    The largest share of the row, from 1 / C to 1, rescaled to ``[0, 1]``: 0 where all entries are
    equal, 1 where one entry is all there is, NaN where there is none. A single column is all.
    """
    columns = effects.shape[1]
    total = effects.sum(axis=1)
    if columns < 2:
        return np.where(total > 0, 1.0, np.nan)
    unknown = np.full(len(effects), np.nan)
    share = np.divide(effects.max(axis=1), total, out=unknown, where=total > 0)
    return (share - 1 / columns) / (1 - 1 / columns)


def weighted_concentration(effects: FloatArray) -> float:
    """Return the mean of `concentration` over rows, each weighted by its sum; 0 without effects."""
    weights = effects.sum(axis=1)
    if not weights.sum() > 0:
        return 0.0
    return float(np.average(np.nan_to_num(concentration(effects)), weights=weights))


def bootstrap_interval(
    samples: Sequence[FloatArray], score: Callable[[list[FloatArray]], float], seed: int
) -> tuple[float, float]:
    """Return the 95% percentile interval of a score of means.

    Args:
        samples: One or more arrays [n_i, ...]; the rows of each are drawn again with replacement,
            1,000 times.
        score: Function of the means, [...] each, in the order of the samples.
        seed: Of the draws.
    """
    rows = [np.arange(len(sample)) for sample in samples]

    def resampled(*drawn: np.ndarray) -> float:
        return score([sample[d].mean(axis=0) for sample, d in zip(samples, drawn, strict=True)])

    found = stats.bootstrap(
        rows,
        resampled,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        vectorized=False,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)
