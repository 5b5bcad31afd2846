"""Resamples of seeds within tasks, and intervals from them that hold with few seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from drl_latent.evaluation import episode_intervals

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Method = Literal["student", "percentile"]
METHODS: tuple[str, ...] = get_args(Method)

ONE_SEED = "one seed: no interval"
ALIKE = "all seeds alike: no interval"
_UNBOUNDED = "in-distribution score cannot be told from 0: no interval"


@dataclass(frozen=True, eq=False)
class Stratum:
    """Runs of one task.

    Args:
        scores: Columns of scores of the R runs, [R] each: one, or in and out of distribution.
        drawn: The same with resampled episodes, [B, R] each; `scores` where they are not drawn.
        counts: How often each run was drawn, [B, R].
        seeds: Outer seed of each run, [R].
    """

    scores: tuple[FloatArray, ...]
    drawn: tuple[FloatArray, ...]
    counts: FloatArray
    seeds: IntArray

    @property
    def n_seeds(self) -> int:
        """Number of outer seeds."""
        return len(np.unique(self.seeds))


Statistic = Callable[[Sequence[Sequence[FloatArray]], Sequence[FloatArray | None]], FloatArray]
"""From columns of scores and counts of each stratum to a statistic, [] or [B]."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval; NaN ends where there is none, and `note` says why."""

    value: float
    low: float
    high: float
    note: str = ""


def draw_counts(
    seeds: IntArray, draws: int, rng: np.random.Generator, *, leave_one_out: bool
) -> FloatArray:
    """Return how often each run is in each resample: outer seeds first, runs within them next.

    Args:
        seeds: Outer seed of each run, [R].
        draws: Number of resamples B.
        rng: Source of the draws.
        leave_one_out: Draw G seeds from a random G - 1 of the G each time, rather than from all.
            Then the variance of a mean over resamples is ``s^2 / G`` with the unbiased ``s^2``,
            and not smaller by ``(G - 1) / G``, which is a third with three seeds.

    Returns:
        [B, R]; each row sums to R where seeds have equally many runs.

    Reference:
        Hesterberg (2004), "Unbiasing the Bootstrap: Bootknife Sampling vs. Smoothing".
    """
    groups = [np.flatnonzero(seeds == seed) for seed in np.unique(seeds)]
    n = len(groups)
    if leave_one_out and n > 1:
        left_out = rng.integers(n, size=(draws, 1))
        picks = rng.integers(n - 1, size=(draws, n))
        picks += picks >= left_out
    else:
        picks = rng.integers(n, size=(draws, n))
    times = (picks[:, :, None] == np.arange(n)).sum(axis=1)
    counts = np.zeros((draws, len(seeds)))
    for number, members in enumerate(groups):
        size = len(members)
        chances = np.full(size, 1 / size)
        counts[:, members] = rng.multinomial(times[:, number] * size, chances)
    return counts


def draw_episodes(results: FloatArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """Return scores of runs with their episodes drawn again, the same episodes for all runs.

    Runs are evaluated on common episodes, so the luck of that draw does not average out over
    runs; neither does it here.

    Args:
        results: [R, E], NaN for an episode that a run did not meet.
        draws: Number of resamples B.
        rng: Source of the draws.

    Returns:
        [B, R].
    """
    e = results.shape[1]
    counts = rng.multinomial(e, np.full(e, 1 / e), size=draws).astype(np.float64)
    met = ~np.isnan(results)
    with np.errstate(invalid="ignore"):
        scores = (counts @ np.where(met, results, 0).T) / (counts @ met.T)
    return np.asarray(np.where(np.isnan(scores), np.nanmean(results, axis=1), scores))


def estimate(
    statistic: Statistic,
    strata: Sequence[Stratum],
    *,
    method: Method = "student",
    confidence: float = 0.95,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    trials: float | None = None,
) -> Estimate:
    """Return a statistic of several tasks with its interval.

    ``"student"``: value and quantile of Student's t times the standard deviation over resamples.
    Degrees of freedom are those of the seeds, by Satterthwaite over tasks.
    ``"percentile"``: quantiles over resamples. It cannot be wider than the seeds seen, and with n
    seeds holds the mean at most about ``1 - 2^(1-n)`` of the time: 0.75 for three.

    Args:
        statistic: What is estimated.
        strata: One for each task, resampled with ``leave_one_out`` for ``"student"`` and without
            for ``"percentile"``.
        method: The kind of interval.
        confidence: Coverage that is aimed at, in (0, 1).
        bounds: The least and the largest value that the statistic can take.
        trials: For a rate of success: the episodes that it is the rate of. Student's interval
            is made on the logit scale between the bounds, so that it is not symmetric near one,
            and is at least Wilson's over the episodes, so that it has a width where all seeds are
            alike.

    Reference:
        Efron & Tibshirani (1993), "An Introduction to the Bootstrap", 12 and 13; Satterthwaite
        (1946), "An Approximate Distribution of Estimates of Variance Components".
    """
    value = float(statistic([s.scores for s in strata], [None] * len(strata)))
    trials = trials if method == "student" else None
    if not np.isfinite(value):
        return Estimate(value, np.nan, np.nan)
    if min(s.n_seeds for s in strata) < 2:
        return Estimate(value, np.nan, np.nan, ONE_SEED)
    drawn = statistic([s.drawn for s in strata], [s.counts for s in strata])
    low = high = value
    if np.ptp(drawn) > 1e-12:
        tail = (1 - confidence) / 2
        if method == "percentile":
            low, high = (float(x) for x in np.quantile(drawn, [tail, 1 - tail]))
        else:
            reach = _quantile(statistic, strata, confidence) * float(drawn.std(ddof=1))
            low, high = _around(value, reach, bounds, trials)
    elif trials is None:
        return Estimate(value, np.nan, np.nan, ALIKE)
    if trials is not None:
        floor, top = bounds
        ends = wilson((value - floor) / (top - floor), trials, confidence)
        low, high = (
            min(low, floor + ends[0] * (top - floor)),
            max(high, floor + ends[1] * (top - floor)),
        )
    return Estimate(value, max(low, bounds[0]), min(high, bounds[1]))


def estimate_ratio(
    statistic: Statistic,
    strata: Sequence[Stratum],
    *,
    method: Method = "student",
    confidence: float = 0.95,
) -> Estimate:
    """Return the ratio of a statistic of the second column to that of the first.

    ``"student"`` is Fieller's interval: the ratios that a test of ``second - ratio * first`` does
    not reject. It is unbounded, so there is none, where the first cannot be told from 0.

    Args:
        statistic: Of one column.
        strata: As in `estimate`, with two columns.
        method: The kind of interval.
        confidence: Coverage that is aimed at.

    Reference:
        Fieller (1954), "Some Problems in Interval Estimation".
    """

    def column(i: int) -> Statistic:
        return lambda scores, counts: statistic([[s[i]] for s in scores], counts)

    def difference(
        scores: Sequence[Sequence[FloatArray]], counts: Sequence[FloatArray | None]
    ) -> FloatArray:
        return statistic([[s[1] - ratio * s[0]] for s in scores], counts)

    bare = [None] * len(strata)
    first, second = (float(column(i)([s.scores for s in strata], bare)) for i in (0, 1))
    if not np.isfinite(first) or first <= 0:
        note = "in-distribution score is 0 or less: no ratio" if first <= 0 else ""
        return Estimate(np.nan, np.nan, np.nan, note)
    ratio = second / first
    if min(s.n_seeds for s in strata) < 2:
        return Estimate(ratio, np.nan, np.nan, ONE_SEED)
    drawn = [column(i)([s.drawn for s in strata], [s.counts for s in strata]) for i in (0, 1)]
    if np.ptp(drawn[0]) < 1e-12 and np.ptp(drawn[1]) < 1e-12:
        return Estimate(ratio, np.nan, np.nan, ALIKE)
    if method == "percentile":
        if drawn[0].min() <= 0:
            return Estimate(ratio, np.nan, np.nan, _UNBOUNDED)
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn[1] / drawn[0], [tail, 1 - tail])
        return Estimate(ratio, float(low), float(high))
    t2 = _quantile(difference, strata, confidence) ** 2
    (v11, v12), (_, v22) = np.cov(drawn[0], drawn[1])
    # (second - r first)^2 = t^2 (v22 - 2 r v12 + r^2 v11), solved for r.
    a, b, c = first**2 - t2 * v11, first * second - t2 * v12, second**2 - t2 * v22
    if a <= 0:
        return Estimate(ratio, np.nan, np.nan, _UNBOUNDED)
    width = np.sqrt(max(b**2 - a * c, 0))
    return Estimate(ratio, float((b - width) / a), float((b + width) / a))


def wilson(rate: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a rate, which need not be a whole number of trials.

    Args:
        rate: In [0, 1].
        trials: Number of independent trials, more than 0.
        confidence: Coverage that is aimed at.

    Reference:
        Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    rate = min(max(rate, 0.0), 1.0)
    low, high = episode_intervals.wilson(rate * trials, trials, confidence)
    # Rounding must not put an end on the wrong side of the rate.
    return min(max(float(low), 0.0), rate), max(min(float(high), 1.0), rate)


def _around(
    value: float, reach: float, bounds: tuple[float, float], trials: float | None
) -> tuple[float, float]:
    """Ends at a distance, on the logit scale between bounds that are both finite."""
    low, high = bounds
    if not np.isfinite(high - low) or trials is None:
        return value - reach, value + reach
    width = high - low
    # As many failures as are rarest still to be seen: at a bound itself there is no logit.
    nearest = 1 / (2 * trials)
    rate = float(np.clip((value - low) / width, nearest, 1 - nearest))
    step = reach / width / (rate * (1 - rate))
    ends = special.expit(special.logit(rate) + np.array([-step, step]))
    return low + width * float(ends[0]), low + width * float(ends[1])


def _quantile(statistic: Statistic, strata: Sequence[Stratum], confidence: float) -> float:
    """Student's quantile with the degrees of freedom of all strata."""
    variances = np.array([statistic([s.drawn], [s.counts]).var(ddof=1) for s in strata])
    free = np.array([s.n_seeds - 1 for s in strata])
    spread = float((variances**2 / free).sum())
    df = float(variances.sum() ** 2 / spread) if spread > 0 else float(free.min())
    return float(special.stdtrit(df, (1 + confidence) / 2))
