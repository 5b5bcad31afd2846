"""The statistics of runs that a study is summarised by, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drl_latent.evaluation.aggregates import interquartile_mean, optimality_gap, weighted_mean
from drl_latent.evaluation.seed_bootstrap import (
    Estimate,
    Method,
    Statistic,
    Stratum,
    estimate,
    estimate_ratio,
)

FloatArray = NDArray[np.float64]

OF_A_PART = ("mean", "iqm", "optimality_gap")
"""Statistics of one column of scores."""
OF_TWO_PARTS = ("generalization_gap", "retention")
"""Statistics of two: scores in and out of distribution."""


def estimate_statistic(
    name: str,
    strata: Sequence[Stratum],
    ranges: Sequence[Sequence[tuple[float, float]]],
    *,
    trials: float | None = None,
    target: float = 1.0,
    method: Method = "student",
    confidence: float = 0.95,
) -> Estimate:
    """Return one of the statistics of `drl_latent.evaluation.summarize_study`.

    Args:
        name: One of `OF_A_PART` or `OF_TWO_PARTS`.
        strata: Runs of each task.
        ranges: The least and the largest score there can be, of each task and column.
        trials: Number of episodes, where scores are rates of success.
        target: The score that is good enough for the optimality gap.
        method: The kind of interval.
        confidence: Coverage that is aimed at.
    """
    lows, highs = np.array(ranges, dtype=np.float64).transpose(2, 1, 0)
    if name == "mean":
        return estimate(
            _mean,
            strata,
            bounds=(float(lows[0].mean()), float(highs[0].mean())),
            trials=trials,
            method=method,
            confidence=confidence,
        )
    if name == "iqm":
        # A rate of success in the middle half, unless runs of several scales are mixed.
        mixed = len(set(lows[0])) > 1 or len(set(highs[0])) > 1
        return estimate(
            _iqm,
            strata,
            bounds=(float(lows[0].min()), float(highs[0].max())),
            trials=None if mixed or trials is None else trials / 2,
            method=method,
            confidence=confidence,
        )
    if name == "optimality_gap":
        most = max(target - float(lows[0].min()), 0.0)
        return estimate(
            _shortfall(target),
            strata,
            bounds=(0.0, most),
            trials=trials if most > 0 else None,
            method=method,
            confidence=confidence,
        )
    if name == "generalization_gap":
        least, most = float((lows[0] - highs[1]).mean()), float((highs[0] - lows[1]).mean())
        return estimate(_gap, strata, bounds=(least, most), method=method, confidence=confidence)
    if name == "retention":
        found = estimate_ratio(_mean, strata, method=method, confidence=confidence)
        floor = 0.0 if (lows[1] == 0).all() else -np.inf
        return Estimate(found.value, max(found.low, floor), found.high, found.note)
    raise ValueError(f"Expected one of {[*OF_A_PART, *OF_TWO_PARTS]}, got {name!r}.")


def _mean(
    scores: Sequence[Sequence[FloatArray]], counts: Sequence[FloatArray | None]
) -> FloatArray:
    means = [weighted_mean(s[0], c) for s, c in zip(scores, counts, strict=True)]
    return np.asarray(np.mean(means, axis=0))


def _iqm(scores: Sequence[Sequence[FloatArray]], counts: Sequence[FloatArray | None]) -> FloatArray:
    runs = np.concatenate([s[0] for s in scores], axis=-1)
    drawn = [c for c in counts if c is not None]
    return interquartile_mean(runs, np.concatenate(drawn, axis=-1) if drawn else None)


def _shortfall(target: float) -> Statistic:
    def statistic(
        scores: Sequence[Sequence[FloatArray]], counts: Sequence[FloatArray | None]
    ) -> FloatArray:
        gaps = [optimality_gap(s[0], c, target=target) for s, c in zip(scores, counts, strict=True)]
        return np.asarray(np.mean(gaps, axis=0))

    return statistic


def _gap(scores: Sequence[Sequence[FloatArray]], counts: Sequence[FloatArray | None]) -> FloatArray:
    return _mean([[s[0] - s[1]] for s in scores], counts)
