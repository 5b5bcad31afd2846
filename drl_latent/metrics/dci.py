"""Disentanglement, completeness and informativeness, from the importances of codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import entropy

from drl_latent.metrics.base import FloatArray, Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.importance import ESTIMATORS, fit_importances
from drl_latent.metrics.inputs import Inputs


def _faster(settings: dict[str, Any]) -> dict[str, Any]:
    boosted = settings["estimator"] in ("gradient_boosting", "fast_gradient_boosting")
    return {"estimator": "light_gradient_boosting"} if boosted else {}


@define_metric("dci", held_out=True, resamples=10, stand_in=_faster)
def dci(
    fit: Inputs,
    held: Inputs,
    *,
    estimator: str = "fast_gradient_boosting",
    seed: int = 0,
    n_jobs: int = 1,
) -> Score:
    """Disentanglement, completeness and informativeness (DCI).

    Eastwood & Williams 2018, "A Framework for the Quantitative Evaluation of Disentangled
    Representations", section 2. One predictor a factor gives the importance of each code for it,
    each factor's importances summing to 1 (so factors weigh alike whatever the estimator).

    - disentanglement, in [0, 1]: 1 minus the entropy, to base K, of a code's importances,
      averaged over codes by their share of all importance. This is `score`.
    - completeness, in [0, 1]: 1 minus the entropy, to the base of the number of active codes, of
      a factor's importances, averaged over factors.
    - informativeness, at most 1: mean held-out accuracy of discrete and R2 of continuous factors;
      R2 may be below 0. informativeness_train is that on the rows fitted on.

    Dead codes take no part. With a single factor, or a single active code, the entropy is taken
    to be 0; with no active code, disentanglement and completeness are 0.

    Settings:
        estimator: "gradient_boosting" (scikit-learn's, 100 trees of depth 3, as the field's
            reference implementation has it; its time grows with rows, codes and the factor's
            classes: about 4 s a factor at 2,000 rows), "fast_gradient_boosting" (the same recipe
            with thresholds at 1,024 places; about six times as fast, disentanglement
            within 0.02), "light_gradient_boosting" (LightGBM, fifty times as fast, within 0.05;
            intervals and floors of the first two come from it), "random_forest" (100 full trees,
            whose importances spread over codes of noise), or "lasso" (L1-regularised linear or
            logistic regression on standardised codes, alpha 0.01; importances are absolute
            coefficients, averaged over classes).
        seed: Of the held-out rows and of the estimator.

    Returns:
        `parts` holds the four, `factor_parts` all but disentanglement for each factor, `per_code`
        each code's disentanglement, and `matrix` the importances.

    Raises:
        ValueError: `estimator` is unknown, the inputs are not what `split_inputs` expects, or all
            factors are constant.
    """
    fitted = fit_importances(ESTIMATORS[estimator], fit, held, seed=seed, n_jobs=n_jobs)
    by_code, code_weights = concentration(fitted.matrix)
    by_factor, factor_weights = concentration(fitted.matrix.T)
    return Score(
        {
            "disentanglement": float(by_code @ code_weights),
            "completeness": float(by_factor @ factor_weights),
            "informativeness": float(np.mean(fitted.test_scores)),
            "informativeness_train": float(np.mean(fitted.train_scores)),
        },
        by_factor={
            "completeness": by_factor,
            "informativeness": fitted.test_scores,
            "informativeness_train": fitted.train_scores,
        },
        per_code=fit.full_rows(by_code, dead=np.nan),
        matrix=fit.full_rows(fitted.matrix, dead=0.0),
        matrix_holds="importance of the code for the factor",
        estimator=estimator,
    )


def concentration(importances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """1 minus the entropy of each row, to the base of its length, and each row's weight."""
    totals = importances.sum(axis=1)
    used, width = totals > 0, importances.shape[1]
    values = np.zeros(len(importances))
    values[used] = 1 - entropy(importances[used], axis=1) / np.log(max(width, 2))
    weights = totals / totals.sum() if used.any() else np.zeros(len(totals))
    return values, weights
