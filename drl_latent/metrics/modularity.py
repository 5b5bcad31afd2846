"""Modularity: does each code speak of one factor alone?"""

from __future__ import annotations

import numpy as np

from drl_latent.metrics.base import Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.information import mutual_information, unbiased
from drl_latent.metrics.inputs import BINS, Inputs

# Nats below which mutual information is rounding: one row in a million already carries more.
RESOLUTION = 1e-9


@define_metric("modularity", unbiased=unbiased)
def modularity(
    inputs: Inputs,
    *,
    bins: int = BINS,
    estimator: str = "binned",
    conditional: bool = False,
    seed: int = 0,
) -> Score:
    """Modularity, in [0, 1], higher is better.

    Ridgeway & Mozer 2018, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
    eq. 2: for each code, 1 minus the sum of its squared mutual information with all factors but
    the best, over (K - 1) times the best squared; then the mean over codes. Dead codes, and codes
    without any information, are in no mean. The score is 0 where all are, and 1 for every
    informative code where a single factor varies. Codes of pure noise score well above 0 (0.7 on
    3,000 samples of 5 factors), since only ratios of their information count: read modularity
    beside explicitness.

    Settings:
        bins: Bins of each code and continuous factor.
        estimator: ``"binned"`` or ``"nearest_neighbour"``, see `drl_latent.metrics.information`.
        conditional: Whether to measure each factor given the one it is most correlated with.

    Returns:
        `per_code` holds each code's modularity, `matrix` the mutual information in nats.

    Raises:
        ValueError: The inputs are not what `check_inputs` expects, or all factors are constant.
    """
    how = {"estimator": estimator, "conditional": conditional, "seed": seed}
    information = mutual_information(inputs, bins, **how)  # type: ignore[arg-type]
    squared = np.square(information)
    best = squared.max(axis=1)
    informative = best > RESOLUTION**2
    others = max(len(inputs.kept) - 1, 1)
    per_code = np.full(len(best), np.nan)
    rest = squared.sum(axis=1) - best
    per_code[informative] = 1 - rest[informative] / (others * best[informative])
    return Score(
        {"modularity": float(per_code[informative].mean()) if informative.any() else 0.0},
        per_code=per_code,
        matrix=information,
        matrix_holds="mutual information (nats)",
        estimator=estimator,
    )
