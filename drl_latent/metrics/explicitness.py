"""Explicitness: can a linear classifier read each factor off the whole code?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drl_latent.metrics.base import METRICS, FloatArray, MetricResult
from drl_latent.metrics.fitting import fit_all
from drl_latent.metrics.inputs import IntArray
from drl_latent.metrics.splits import Held, label_pair, split_inputs


@METRICS.register("explicitness")
def explicitness(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: Held | None = None,
    test_fraction: float = 1 / 3,
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
    seed: int = 0,
    n_jobs: int = 1,
) -> MetricResult:
    """Explicitness, 0.5 at chance and 1 at best.

    Ridgeway & Mozer 2018, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
    section 3: for each class of each factor, the held-out area under the ROC curve of telling it
    from the rest by logistic regression on the standardised codes; the mean over classes, then
    over factors. The paper rescales this to [0, 1]; as the field's reference implementation, we
    do not. A class that is not in the rows fitted on, or is none or all of the held-out ones, is
    in no mean. Continuous factors are predicted as 20 equal-width bins.

    Args:
        codes: [N, D], finite.
        factors: [N, K], finite; see `drl_latent.metrics.inputs` for which are discrete.
        test: Held-out (codes [M, D], factors [M, K]).
        test_fraction: Share of rows held out by `seed` where `test` is not given.
        names: K names of factors.
        discrete: One bool a factor, to override its type.
        seed: Of the held-out rows.
        n_jobs: Factors fitted at a time.

    Returns:
        `parts` holds explicitness, which is `score`, and explicitness_train, on the rows fitted
        on; `factor_parts` holds both for each factor.

    Raises:
        ValueError: The inputs are not what `split_inputs` expects, or all factors are constant.
    """
    fit, held = split_inputs(
        codes,
        factors,
        test=test,
        test_fraction=test_fraction,
        seed=seed,
        names=names,
        discrete=discrete,
    )
    labels = [label_pair(fit, held, k) for k in fit.kept]
    live, unseen = fit.live, held.live
    tasks = [
        (make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), live, own)
        for own, _ in labels
    ]
    models = list(zip(fit_all(tasks, n_jobs), labels, strict=True))
    trained = [_mean_auc(m.predict_proba(live), m.classes_, own) for m, (own, _) in models]
    tested = [_mean_auc(m.predict_proba(unseen), m.classes_, truth) for m, (_, truth) in models]
    parts = {
        "explicitness": float(np.mean(tested)),
        "explicitness_train": float(np.mean(trained)),
    }
    return MetricResult(
        metric="explicitness",
        score=parts["explicitness"],
        parts=parts,
        names=fit.names,
        factor_parts={
            "explicitness": fit.named(tested),
            "explicitness_train": fit.named(trained),
        },
        active=fit.active,
        left_out=fit.left_out,
        estimator="logistic_regression",
        settings={"seed": seed, "test_fraction": test_fraction, "test_given": test is not None},
        n=len(live),
        n_test=len(unseen),
    )


def _mean_auc(probabilities: FloatArray, classes: IntArray, truth: IntArray) -> float:
    """Mean over classes of the area under the ROC curve; 0.5 where it is defined for none."""
    areas = [
        roc_auc_score(truth == label, probabilities[:, column])
        for column, label in enumerate(classes)
        if 0 < np.sum(truth == label) < len(truth)
    ]
    return float(np.mean(areas)) if areas else 0.5
