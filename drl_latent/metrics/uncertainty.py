"""How sure a score is: a 95% interval from halves of the rows, and what a random code gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from scipy.stats import t as student_t

from drl_latent.metrics.base import Interval
from drl_latent.metrics.inputs import Inputs, IntArray
from drl_latent.metrics.splits import agree

RESAMPLES = 50
LEVEL = 0.95
# Fewer rows or groups than this have halves that say nothing.
_FEWEST = 10


def half_sample_interval(
    score: Callable[..., float],
    data: tuple[Inputs, ...],
    *,
    centre: float,
    resamples: int,
    seed: int,
    bounds: tuple[float, float],
) -> Interval | None:
    """Return a 95% interval of a score: the m out of n bootstrap with m = n / 2.

    Politis & Romano 1994, "Large Sample Confidence Regions Based on Subsamples under Minimal
    Assumptions". Half of the rows, drawn without replacement, have the variance of a mean of all
    rows: the standard deviation of the scores of halves is the standard error of the score. No
    row comes twice, as it would in the ordinary bootstrap, where copies inflate mutual information
    and sit on both sides of a split. Predictors are fitted anew on each half. The interval is for
    the rows: it does not say what another seed of the encoder would do.

    Args:
        score: From inputs like `data` to the score.
        data: The rows, or those fitted on and those held out, which are halved separately.
        centre: The score of all rows.
        resamples: Number of halves.
        seed: Of the draws.
        bounds: What the interval is clipped to.

    Returns:
        The interval, or None where there are fewer than 10 rows or groups of them in a part, or
        fewer than 3 halves in which some factor varies and which the metric can score.
    """
    if any(part.groups.max() + 1 < _FEWEST for part in data):
        return None
    scores = _scores_of_halves(score, data, resamples, seed)
    values = np.array([value for value in scores if np.isfinite(value)])
    if len(values) < 3:
        return None
    reach = student_t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1)
    low, high = np.clip([centre - reach, centre + reach], *bounds)
    return float(low), float(high)


def random_codes(data: tuple[Inputs, ...], seed: int) -> tuple[Inputs, ...]:
    """Return the inputs with codes replaced by independent draws from a standard normal."""
    rng = np.random.default_rng([seed, 1])
    return tuple(
        replace(
            part,
            codes=rng.standard_normal(part.codes.shape),
            active=np.ones(part.codes.shape[1], dtype=bool),
        )
        for part in data
    )


def _scores_of_halves(
    score: Callable[..., float], data: tuple[Inputs, ...], resamples: int, seed: int
) -> Iterator[float]:
    """Yield the scores of halves of the groups of each part, but of halves without a score.

    All rows have one: a half can still be too small for the metric, or hold nothing that varies.
    """
    rng = np.random.default_rng([seed, 2])
    for _ in range(resamples):
        halves = tuple(part.rows(_half(part.groups, rng)) for part in data)
        try:
            value = score(*(agree(*halves) if len(halves) == 2 else halves))
        except ValueError:
            continue
        yield value


def _half(groups: IntArray, rng: np.random.Generator) -> IntArray:
    """Rows of half of the groups."""
    count = int(groups.max()) + 1
    chosen = np.zeros(count, dtype=bool)
    chosen[rng.permutation(count)[: count // 2]] = True
    return np.flatnonzero(chosen[groups])
