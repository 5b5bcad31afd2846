"""Mutual information gap: is each factor in one code alone?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from drl_latent.metrics.base import METRICS, MetricResult
from drl_latent.metrics.information import factor_entropies, mutual_information
from drl_latent.metrics.inputs import BINS, check_inputs


@METRICS.register("mig")
def mig(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
) -> MetricResult:
    """Mutual information gap (MIG), in [0, 1], higher is better.

    Chen et al. 2018, "Isolating Sources of Disentanglement in Variational Autoencoders", eq. 6:
    the mean over factors of (the largest minus the second largest mutual information that a code
    has with the factor) / the factor's entropy. Codes are put in equal-width bins, and so are
    continuous factors; discrete factors keep their classes. A single code has a gap to 0. Two
    copies of a code have no gap: MIG asks for compactness, see DCI for the rest.

    Args:
        codes: [N, D], finite.
        factors: [N, K], finite; see `drl_latent.metrics.inputs` for which are discrete.
        bins: Bins of each code and continuous factor.
        names: K names of factors.
        discrete: One bool a factor, to override its type.

    Returns:
        `per_factor` holds the gaps, `matrix` the mutual information in nats.

    Raises:
        ValueError: The inputs are not what `check_inputs` expects, or all factors are constant.
    """
    inputs = check_inputs(codes, factors, names=names, discrete=discrete)
    information = mutual_information(inputs, bins)
    floor = np.zeros((1, information.shape[1]))
    ranked = np.sort(np.concatenate([floor, information]), axis=0)
    gaps = (ranked[-1] - ranked[-2]) / factor_entropies(inputs, bins)
    score = float(gaps.mean())
    return MetricResult(
        metric="mig",
        score=score,
        parts={"mig": score},
        names=inputs.names,
        factor_parts={"mig": inputs.named(gaps)},
        matrix=inputs.full_columns(information),
        matrix_holds="mutual information (nats)",
        active=inputs.active,
        left_out=inputs.left_out,
        settings={"bins": bins},
        n=len(inputs.codes),
    )
