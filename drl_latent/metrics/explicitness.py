"""Explicitness: can a linear classifier read each factor off the whole code?"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drl_latent.metrics.base import FloatArray, Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.fitting import fit_all
from drl_latent.metrics.inputs import Inputs, IntArray
from drl_latent.metrics.splits import label_pair


@define_metric("explicitness", held_out=True, resamples=10)
def explicitness(fit: Inputs, held: Inputs, *, n_jobs: int = 1) -> Score:
    """Explicitness, 0.5 at chance and 1 at best.

    Ridgeway & Mozer 2018, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
    section 3: for each class of each factor, the held-out area under the ROC curve of telling it
    from the rest by logistic regression on the standardised codes; the mean over classes, then
    over factors. The paper rescales this to [0, 1]; as the field's reference implementation, we
    do not. A class that is not in the rows fitted on, or is none or all of the held-out ones, is
    in no mean. Continuous factors are predicted as 20 equal-width bins.

    Returns:
        `parts` holds explicitness, which is `score`, and explicitness_train, on the rows fitted
        on; `factor_parts` holds both for each factor.

    Raises:
        ValueError: The inputs are not what `split_inputs` expects, or all factors are constant.
    """
    labels = [label_pair(fit, held, k) for k in fit.kept]
    live, unseen = fit.live, held.live
    tasks = [
        (make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), live, own)
        for own, _ in labels
    ]
    models = list(zip(fit_all(tasks, n_jobs), labels, strict=True))
    trained = [_mean_auc(m.predict_proba(live), m.classes_, own) for m, (own, _) in models]
    tested = [_mean_auc(m.predict_proba(unseen), m.classes_, truth) for m, (_, truth) in models]
    return Score(
        {"explicitness": float(np.mean(tested)), "explicitness_train": float(np.mean(trained))},
        by_factor={"explicitness": tested, "explicitness_train": trained},
        estimator="logistic_regression",
    )


def _mean_auc(probabilities: FloatArray, classes: IntArray, truth: IntArray) -> float:
    """Mean over classes of the area under the ROC curve; 0.5 where it is defined for none.

    The area is the share of pairs, of one row in the class and one outside it, that the
    probabilities put in order (Mann & Whitney 1947): all classes at once, from ranks.
    """
    within = truth[:, None] == classes
    inside = within.sum(axis=0)
    outside = len(truth) - inside
    ranks = (rankdata(probabilities, axis=0) * within).sum(axis=0)
    ordered = ranks - inside * (inside + 1) / 2
    defined = (inside > 0) & (outside > 0)
    areas = ordered[defined] / (inside * outside)[defined]
    return float(areas.mean()) if defined.any() else 0.5
