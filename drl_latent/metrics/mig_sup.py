"""MIG-sup: is each code about one factor alone?"""

from __future__ import annotations

import numpy as np

from drl_latent.metrics.base import Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.information import unbiased
from drl_latent.metrics.inputs import BINS, Inputs
from drl_latent.metrics.normalised_information import PRUNE, capped_information, used_codes


@define_metric("mig_sup", unbiased=unbiased)
def mig_sup(
    inputs: Inputs,
    *,
    bins: int = BINS,
    estimator: str = "binned",
    conditional: bool = False,
    prune: float = PRUNE,
    seed: int = 0,
) -> Score:
    """MIG-sup, the supplement of the mutual information gap, in [0, 1], higher is better.

    Li et al. 2020, "Progressive Learning and Disentanglement of Hierarchical Representations",
    the metric proposed beside MIG; eq. 6 of Carbonneau et al. 2022, "Measuring Disentanglement: A
    Review of Metrics". For each code, the largest minus the second largest mutual information that
    it has with a factor, each as a share of that factor's entropy; the mean over codes. A single
    factor has a gap to 0. It asks for modularity, where MIG asks for compactness: two copies of a
    code do not lower it, a code of two factors does. A code that tells little of anything has a
    small gap, so spare codes full of noise lower the score.

    Settings:
        bins: Bins of each code and continuous factor.
        estimator: ``"binned"`` or ``"nearest_neighbour"``, see `drl_latent.metrics.information`.
        conditional: Whether to measure each factor given the one it is most correlated with.
        prune: Codes whose range is at most this share of the largest are in no mean, unless they
            are quantised: the unused ones. The paper leaves out codes of low variance. Use 0 for
            codes in different units.

    Returns:
        `per_code` holds the gaps, NaN for codes that are not counted, and `matrix` the mutual
        information as a share of each factor's entropy. The score is 0 where no code is counted.

    Raises:
        ValueError: `prune` is outside [0, 1), the inputs are not what `check_inputs` expects, or
            all factors are constant.
    """
    information, entropies = capped_information(
        inputs, bins, estimator=estimator, conditional=conditional, seed=seed
    )
    shares = information / entropies
    ranked = np.sort(np.pad(shares, ((0, 0), (1, 0))), axis=1)
    used = used_codes(inputs, bins, prune)
    gaps = np.where(used, ranked[:, -1] - ranked[:, -2], np.nan)
    return Score(
        {"mig_sup": float(gaps[used].mean()) if used.any() else 0.0},
        per_code=gaps,
        matrix=shares,
        matrix_holds="mutual information / entropy of the factor",
        estimator=estimator,
    )
