"""JEMMIG: is each factor in one code alone, and that code about nothing else?"""

from __future__ import annotations

import numpy as np

from drl_latent.metrics.base import Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.information import code_entropies, factor_entropies, mutual_information
from drl_latent.metrics.inputs import BINS, Inputs
from drl_latent.metrics.modularity import RESOLUTION


@define_metric("jemmig")
def jemmig(inputs: Inputs, *, bins: int = BINS) -> Score:
    """Joint entropy minus mutual information gap (JEMMIG), in [0, 1], higher is better.

    Do & Tran 2020, "Theory and Evaluation Metrics for Learning Disentangled Representations", the
    metrics of interpretability; eqs. 4 and 5 of Carbonneau et al. 2022, "Measuring
    Disentanglement: A Review of Metrics". For each factor, the joint entropy of it and its best
    code, minus the gap in mutual information between its best and second best code: 0 for a code
    that holds the factor and nothing else, while no other code tells of it. A single code has a
    gap to 0. JEMMIG is 1 minus that, over its upper bound, the factor's entropy plus the logarithm
    of the number of bins; then the mean over factors.

    A code that hardly ever moves has little entropy, so it costs little while it tells nothing:
    the score is then far above 0, and normal noise has 0.1 (on 3,000 samples of 5 factors). Read
    JEMMIG beside MIG. Where all codes are dead the score is 0.

    Settings:
        bins: Bins of each code and continuous factor; a quantised code keeps its values.

    Returns:
        `parts` and `factor_parts` hold jemmig, and jemmig_nats, which is not normalised: at least
        0, lower is better. `matrix` holds the mutual information in nats.

    Raises:
        ValueError: The inputs are not what `check_inputs` expects, or all factors are constant.
    """
    information = mutual_information(inputs, bins)
    entropies = factor_entropies(inputs, bins)
    bound = entropies + np.log(bins)
    raw = bound
    if inputs.active.any():
        live = information[inputs.active]
        second, first = np.sort(np.pad(live, ((1, 0), (0, 0))), axis=0)[-2:]
        own = code_entropies(inputs, bins)[inputs.active]
        # Of codes that are equally good, the one that holds the least besides.
        best = np.where(live > first - RESOLUTION, own[:, None], np.inf).min(axis=0)
        raw = (best + entropies - first) - first + second
    normalised = 1 - raw / bound
    return Score(
        {"jemmig": float(normalised.mean()), "jemmig_nats": float(raw.mean())},
        by_factor={"jemmig": normalised, "jemmig_nats": raw},
        matrix=information,
        matrix_holds="mutual information (nats)",
        estimator="binned",
    )
