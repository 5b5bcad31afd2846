"""MED: DCI's disentanglement without a predictor."""

from __future__ import annotations

import numpy as np

from drl_latent.metrics.base import FloatArray, Score
from drl_latent.metrics.dci import concentration
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.information import mutual_information, unbiased
from drl_latent.metrics.inputs import BINS, Inputs, IntArray


@define_metric("med", unbiased=unbiased)
def med(
    inputs: Inputs,
    *,
    top_k: int | None = None,
    bins: int = BINS,
    estimator: str = "binned",
    conditional: bool = False,
    seed: int = 0,
) -> Score:
    """Mutual information based entropy disentanglement (MED), in [0, 1], higher is better.

    Cao et al. 2022, "An Empirical Study on Disentanglement of Negative-free Contrastive
    Learning": the disentanglement of `drl_latent.metrics.dci`, with the mutual information of a
    code and a factor, divided by its sum over codes, as the importance. No predictor is fitted, so
    it is cheap for a code of thousands of dimensions. For such, Top-k MED is about the best subset
    of the code: every code stands for the factor that it is most important for, and of those that
    stand for a factor only the k most disentangled are kept.

    The bias of binned information, alike for all codes, takes codes of noise to 0 and lowers the
    score of good ones: perfect codes of 5 continuous factors have 0.77 on 3,000 rows and 0.91 on
    10,000 (0.97 with 10 bins). Nearest neighbours give these 0.99, but noise 0.3.

    Settings:
        top_k: How many codes a factor keeps, at least 1; None keeps all.
        bins: Bins of each code and continuous factor.
        estimator: ``"binned"`` or ``"nearest_neighbour"``, see `drl_latent.metrics.information`.
        conditional: Whether to measure each factor given the one it is most correlated with.

    Returns:
        `parts` holds med, which is `score`, and completeness, DCI's from the same importances;
        `per_code` each code's disentanglement, NaN for codes that are dead or not kept;
        `per_factor` each factor's completeness; `matrix` the importances of all codes.

    Raises:
        ValueError: `top_k` is below 1, the inputs are not what `check_inputs` expects, or all
            factors are constant.
    """
    if top_k is not None and top_k < 1:
        raise ValueError(
            f"top_k is {top_k}; expected at least 1 code for each factor, or None for all codes."
        )
    information = mutual_information(
        inputs, bins, estimator=estimator, conditional=conditional, seed=seed
    )
    live = information[inputs.active] if inputs.active.any() else np.zeros_like(information[:1])
    totals = live.sum(axis=0)
    importances = np.divide(live, totals, out=np.zeros_like(live), where=totals > 0)
    values, _ = concentration(importances)
    kept = np.arange(len(live)) if top_k is None else _most_disentangled(importances, values, top_k)
    by_code, code_weights = concentration(importances[kept])
    by_factor, factor_weights = concentration(importances[kept].T)
    per_code = np.full(len(live), np.nan)
    per_code[kept] = by_code
    return Score(
        {"med": float(by_code @ code_weights), "completeness": float(by_factor @ factor_weights)},
        by_factor={"completeness": by_factor},
        per_code=inputs.full_rows(per_code, dead=np.nan),
        matrix=inputs.full_rows(importances, dead=0.0),
        matrix_holds="mutual information / its sum over codes",
        estimator=estimator,
    )


def _most_disentangled(importances: FloatArray, values: FloatArray, top_k: int) -> IntArray:
    """Rows that are kept: of those that stand for a factor, the `top_k` with the highest values."""
    order = np.argsort(-values, kind="stable")
    stands_for = importances.argmax(axis=1)[order]
    kept = [order[stands_for == k][:top_k] for k in range(importances.shape[1])]
    return np.sort(np.concatenate(kept))
