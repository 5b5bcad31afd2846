"""DCIMIG: how much of the factors is in codes of one factor alone?"""

from __future__ import annotations

import numpy as np

from drl_latent.metrics.base import Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.information import unbiased
from drl_latent.metrics.inputs import BINS, Inputs
from drl_latent.metrics.normalised_information import capped_information


@define_metric("dcimig", unbiased=unbiased)
def dcimig(
    inputs: Inputs,
    *,
    bins: int = BINS,
    estimator: str = "binned",
    conditional: bool = False,
    seed: int = 0,
) -> Score:
    """DCIMIG, also called 3CharM, in [0, 1], higher is better.

    Sepliarskaia et al. 2019, "How to Not Measure Disentanglement"; eq. 8 of Carbonneau et al.
    2022, "Measuring Disentanglement: A Review of Metrics". Each code stands for the factor that it
    has most mutual information with, by the gap to the second most. A factor's score is the
    largest gap of the codes that stand for it, 0 where there is none; DCIMIG is the sum of these
    over the sum of the factors' entropies. A single factor has a gap to 0. It asks that every
    factor is told by some code that tells of no other; copies of a code do not lower it.

    Settings:
        bins: Bins of each code and continuous factor.
        estimator: ``"binned"`` or ``"nearest_neighbour"``, see `drl_latent.metrics.information`.
        conditional: Whether to measure each factor given the one it is most correlated with.

    Returns:
        `per_factor` holds each factor's score over its entropy, so that the headline is their mean
        weighted by entropy; `per_code` the gaps in nats, NaN for dead codes; `matrix` the mutual
        information in nats.

    Raises:
        ValueError: The inputs are not what `check_inputs` expects, or all factors are constant.
    """
    information, entropies = capped_information(
        inputs, bins, estimator=estimator, conditional=conditional, seed=seed
    )
    ranked = np.sort(np.pad(information, ((0, 0), (1, 0))), axis=1)
    gaps = ranked[:, -1] - ranked[:, -2]
    scores = np.zeros(len(entropies))
    np.maximum.at(scores, information.argmax(axis=1), gaps)
    return Score(
        {"dcimig": float(scores.sum() / entropies.sum())},
        by_factor={"dcimig": scores / entropies},
        per_code=np.where(inputs.active, gaps, np.nan),
        matrix=information,
        matrix_holds="mutual information (nats)",
        estimator=estimator,
    )
