"""Interventional robustness: does a code keep still while other factors change?"""

from __future__ import annotations

import numpy as np

from drl_latent.metrics.base import FloatArray, Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.inputs import BINS, Inputs, IntArray


@define_metric("irs", bounds=(-np.inf, 1.0))
def irs(inputs: Inputs, *, quantile: float = 0.99, bins: int = BINS) -> Score:
    """Interventional robustness score (IRS), at most 1, higher is better.

    Suter et al. 2019, "Robustly Disentangled Causal Mechanisms", section 4: for each code and
    factor, the mean over the factor's values of how far the code strays from its mean while the
    factor keeps that value, over how far it strays at all; IRS is 1 minus that for the code's
    best factor, averaged over codes with their largest deviation as the weight. So unlike other
    metrics it depends on the scale of codes relative to each other. Dead codes are in no mean; if
    all are dead the score is 0. Codes of noise score above 0, since the rows of a group stray less
    far than all rows; below 0 takes groups that are skewed against each other.

    Settings:
        quantile: Of the deviations within a group, in (0, 1]; the paper takes 1, the maximum, the
            field's reference implementation 0.99.
        bins: Bins of each continuous factor, whose groups are its bins.

    Returns:
        `per_code` holds each code's robustness, NaN for dead codes, and `matrix` that with regard
        to each factor.

    Raises:
        ValueError: `quantile` is outside (0, 1], the inputs are not what `check_inputs` expects,
            or all factors are constant.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile is {quantile}; expected a number in (0, 1], e.g. 0.99.")
    live = inputs.live
    weights = np.abs(live - live.mean(axis=0)).max(axis=0)
    deviations = [_deviation(live, inputs.labels(k, bins), quantile) for k in inputs.kept]
    strays = np.stack(deviations, axis=1)
    robust = 1 - np.divide(
        strays, weights[:, None], where=weights[:, None] > 0, out=np.ones_like(strays)
    )
    best = robust.max(axis=1)
    return Score(
        {"irs": float(np.average(best, weights=weights)) if inputs.active.any() else 0.0},
        per_code=inputs.full_rows(best, dead=np.nan),
        matrix=inputs.full_rows(robust, dead=0.0),
        matrix_holds="interventional robustness",
    )


def _deviation(codes: FloatArray, labels: IntArray, quantile: float) -> FloatArray:
    """[A]: each code's deviation from its mean within a group, averaged over the groups."""
    groups = [codes[labels == label] for label in np.unique(labels)]
    return np.mean(
        [np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) for group in groups],
        axis=0,
    )
