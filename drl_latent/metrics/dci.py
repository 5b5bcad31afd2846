"""Disentanglement, completeness and informativeness, from the importances of codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import entropy

from drl_latent.metrics.base import METRICS, FloatArray, MetricResult
from drl_latent.metrics.fitting import fit_all
from drl_latent.metrics.importance import ESTIMATORS, importances
from drl_latent.metrics.splits import Held, split_inputs, target_pair


@METRICS.register("dci")
def dci(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: Held | None = None,
    test_fraction: float = 1 / 3,
    estimator: str = "gradient_boosting",
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
    seed: int = 0,
    n_jobs: int = 1,
) -> MetricResult:
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

    Args:
        codes: [N, D], finite.
        factors: [N, K], finite; see `drl_latent.metrics.inputs` for which are discrete.
        test: Held-out (codes [M, D], factors [M, K]).
        test_fraction: Share of rows held out by `seed` where `test` is not given.
        estimator: "gradient_boosting" (100 trees of depth 3; its time grows with rows, codes and
            the factor's classes: about 4 s a factor at 2,000 rows), "random_forest" (100 full
            trees, whose importances spread over codes of noise), or "lasso" (L1-regularised
            linear or logistic regression on standardised codes, alpha 0.01; importances are
            absolute coefficients, averaged over classes).
        names: K names of factors.
        discrete: One bool a factor, to override its type.
        seed: Of the held-out rows and of the estimator.
        n_jobs: Factors fitted at a time; changes no result.

    Returns:
        `parts` holds the four, `factor_parts` all but disentanglement for each factor, `per_code`
        each code's disentanglement, and `matrix` the importances.

    Raises:
        ValueError: `estimator` is unknown, the inputs are not what `split_inputs` expects, or all
            factors are constant.
    """
    build = ESTIMATORS[estimator]
    fit, held = split_inputs(
        codes,
        factors,
        test=test,
        test_fraction=test_fraction,
        seed=seed,
        names=names,
        discrete=discrete,
    )
    targets = [target_pair(fit, held, k) for k in fit.kept]
    kinds = [bool(fit.discrete[k]) for k in fit.kept]
    live, unseen = fit.live, held.live
    tasks = [
        (build(kind, len(live), seed), live, target)
        for kind, (target, _) in zip(kinds, targets, strict=True)
    ]
    models = fit_all(tasks, n_jobs)
    pairs = list(zip(models, targets, strict=True))
    # A classifier's score is its accuracy, a regressor's its R2.
    train_scores = [model.score(live, target) for model, (target, _) in pairs]
    test_scores = [model.score(unseen, target) for model, (_, target) in pairs]
    matrix = np.stack([importances(model) for model in models], axis=1)
    by_code, code_weights = _concentration(matrix)
    by_factor, factor_weights = _concentration(matrix.T)
    parts = {
        "disentanglement": float(by_code @ code_weights),
        "completeness": float(by_factor @ factor_weights),
        "informativeness": float(np.mean(test_scores)),
        "informativeness_train": float(np.mean(train_scores)),
    }
    return MetricResult(
        metric="dci",
        score=parts["disentanglement"],
        parts=parts,
        names=fit.names,
        factor_parts={
            "completeness": fit.named(by_factor),
            "informativeness": fit.named(test_scores),
            "informativeness_train": fit.named(train_scores),
        },
        per_code=fit.full_rows(by_code, dead=np.nan),
        matrix=fit.full_columns(fit.full_rows(matrix, dead=0.0)),
        matrix_holds="importance of the code for the factor",
        active=fit.active,
        left_out=fit.left_out,
        estimator=estimator,
        settings={"seed": seed, "test_fraction": test_fraction, "test_given": test is not None},
        n=len(live),
        n_test=len(unseen),
    )


def _concentration(importances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """1 minus the entropy of each row, to the base of its length, and each row's weight."""
    totals = importances.sum(axis=1)
    used, width = totals > 0, importances.shape[1]
    values = np.zeros(len(importances))
    values[used] = 1 - entropy(importances[used], axis=1) / np.log(max(width, 2))
    weights = totals / totals.sum() if used.any() else np.zeros(len(totals))
    return values, weights
