"""Mutual information gap: is each factor in one code alone?"""

from __future__ import annotations

import numpy as np

from drl_latent.metrics.base import Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.information import (
    DETERMINED,
    factor_entropies,
    mutual_information,
    unbiased,
)
from drl_latent.metrics.inputs import BINS, Inputs


@define_metric("mig", unbiased=unbiased)
def mig(
    inputs: Inputs,
    *,
    bins: int = BINS,
    estimator: str = "binned",
    conditional: bool = False,
    seed: int = 0,
) -> Score:
    """Mutual information gap (MIG), in [0, 1], higher is better.

    Chen et al. 2018, "Isolating Sources of Disentanglement in Variational Autoencoders", eq. 6:
    the mean over factors of (the largest minus the second largest mutual information that a code
    has with the factor) / the factor's entropy. A single code has a gap to 0. Two copies of a
    code have no gap: MIG asks for compactness, see DCI for the rest.

    Settings:
        bins: Bins of each code and continuous factor.
        estimator: ``"binned"`` or ``"nearest_neighbour"``, see `drl_latent.metrics.information`.
        conditional: Whether to measure each factor given the one it is most correlated with; one
            that this determines is then in no mean.

    Returns:
        `per_factor` holds the gaps, `matrix` the mutual information in nats.

    Raises:
        ValueError: The inputs are not what `check_inputs` expects, or all factors are constant.
    """
    how = {"estimator": estimator, "conditional": conditional, "seed": seed}
    information = mutual_information(inputs, bins, **how)  # type: ignore[arg-type]
    floor = np.zeros((1, information.shape[1]))
    ranked = np.sort(np.concatenate([floor, information]), axis=0)
    entropies = factor_entropies(inputs, bins, conditional=conditional)
    gaps = np.where(entropies > DETERMINED, (ranked[-1] - ranked[-2]) / entropies, np.nan)
    return Score(
        {"mig": float(np.nanmean(gaps)) if np.isfinite(gaps).any() else 0.0},
        by_factor={"mig": gaps},
        matrix=information,
        matrix_holds="mutual information (nats)",
        estimator=estimator,
    )
