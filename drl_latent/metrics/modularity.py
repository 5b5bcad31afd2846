"""Modularity: does each code speak of one factor alone?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from drl_latent.metrics.base import METRICS, MetricResult
from drl_latent.metrics.information import mutual_information
from drl_latent.metrics.inputs import BINS, check_inputs

# Nats below which mutual information is rounding: one row in a million already carries more.
RESOLUTION = 1e-9


@METRICS.register("modularity")
def modularity(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
) -> MetricResult:
    """Modularity, in [0, 1], higher is better.

    Ridgeway & Mozer 2018, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
    eq. 2: for each code, 1 minus the sum of its squared mutual information with all factors but
    the best, over (K - 1) times the best squared; then the mean over codes. Dead codes, and codes
    without any information, are in no mean. The score is 0 where all are, and 1 for every
    informative code where a single factor varies. Codes of pure noise score well above 0 (0.7 on
    3,000 samples of 5 factors), since only ratios of their information count: read modularity
    beside explicitness.

    Args:
        codes: [N, D], finite.
        factors: [N, K], finite; see `drl_latent.metrics.inputs` for which are discrete.
        bins: Bins of each code and continuous factor.
        names: K names of factors.
        discrete: One bool a factor, to override its type.

    Returns:
        `per_code` holds each code's modularity, `matrix` the mutual information in nats.

    Raises:
        ValueError: The inputs are not what `check_inputs` expects, or all factors are constant.
    """
    inputs = check_inputs(codes, factors, names=names, discrete=discrete)
    information = mutual_information(inputs, bins)
    squared = np.square(information)
    best = squared.max(axis=1)
    informative = best > RESOLUTION**2
    others = max(len(inputs.kept) - 1, 1)
    per_code = np.full(len(best), np.nan)
    rest = squared.sum(axis=1) - best
    per_code[informative] = 1 - rest[informative] / (others * best[informative])
    score = float(per_code[informative].mean()) if informative.any() else 0.0
    return MetricResult(
        metric="modularity",
        score=score,
        parts={"modularity": score},
        names=inputs.names,
        per_code=per_code,
        matrix=inputs.full_columns(information),
        matrix_holds="mutual information (nats)",
        active=inputs.active,
        left_out=inputs.left_out,
        settings={"bins": bins},
        n=len(inputs.codes),
    )
