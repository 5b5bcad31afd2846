"""Predictors that say how important each code is for a factor, for DCI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.boosting import HistogramBoostingClassifier, HistogramBoostingRegressor
from drl_latent.metrics.fitting import ROWS_FOR_PROCESSES, run_all
from drl_latent.metrics.inputs import Inputs
from drl_latent.metrics.splits import target_pair
from drl_latent.metrics.tree_boosting import TreeBoostingClassifier, TreeBoostingRegressor
from drl_latent.registry import Registry

Builder = Callable[[bool, int, int], Any]
"""`build(discrete, rows, seed)` -> an unfitted classifier or regressor."""

ESTIMATORS: Registry[Builder] = Registry("DCI estimator")
LASSO_ALPHA = 0.01
_LOCKING = (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    TreeBoostingClassifier,
    TreeBoostingRegressor,
)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Importances [A, factors that vary], and each factor's scores on seen and unseen rows.

    A score is the accuracy of a discrete factor and the R2 of any other.
    """

    matrix: FloatArray
    train_scores: list[float]
    test_scores: list[float]


def fit_importances(
    build: Builder, fit: Inputs, held: Inputs, *, seed: int, n_jobs: int = 1
) -> Fitted:
    """Fit one predictor to each factor, and two to a circular one, of its cosine and sine."""
    live, unseen = fit.live, held.live
    pairs = [target_pair(fit, held, k) for k in fit.kept]
    tasks, owner = [], []
    for place, (k, (target, _)) in enumerate(zip(fit.kept, pairs, strict=True)):
        for column in target.reshape(len(live), -1).T:
            tasks.append((build(bool(fit.discrete[k]), len(live), seed), live, column, unseen))
            owner.append(place)
    # Those with many classes take longest: started first, no thread is left with one at the end.
    classes = [
        len(np.unique(task[2])) if fit.discrete[fit.kept[place]] else 0
        for place, task in zip(owner, tasks, strict=True)
    ]
    order = np.argsort(np.negative(classes), kind="stable").tolist()
    locks = isinstance(tasks[0][0], _LOCKING) and len(live) >= ROWS_FOR_PROCESSES
    found = run_all(_fit_and_predict, [tasks[i] for i in order], n_jobs, processes=locks)
    fitted = dict(zip(order, found, strict=True))
    columns, scores = [], []
    for place, (k, pair) in enumerate(zip(fit.kept, pairs, strict=True)):
        own = [fitted[i] for i in range(len(tasks)) if owner[i] == place]
        weights, *predicted = zip(*own, strict=True)
        columns.append(np.mean(weights, axis=0))
        judge = accuracy_score if fit.discrete[k] else _r2
        guesses = [np.stack(part, axis=1) for part in predicted]
        scores.append([float(judge(w, g)) for w, g in zip(pair, guesses, strict=True)])
    seen_scores, unseen_scores = (list(column) for column in zip(*scores, strict=True))
    return Fitted(np.stack(columns, axis=1), seen_scores, unseen_scores)


def _fit_and_predict(
    model: Any, codes: FloatArray, target: FloatArray, unseen: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit a model; return its importances and what it predicts for the rows of both parts."""
    model.fit(codes, target)
    return importances(model), model.predict(codes), model.predict(unseen)


def importances(model: Any) -> FloatArray:
    """[A]: importance of each code for a fitted model, summing to 1, or all 0."""
    if hasattr(model, "feature_importances_"):
        values = np.asarray(model.feature_importances_)
    else:
        values = np.abs(np.atleast_2d(model[-1].coef_)).mean(axis=0)
    # Rounding takes scikit-learn's below 0 where a split has nothing left to lower.
    values = np.maximum(values, 0.0)
    total = values.sum()
    return values / total if total > 0 else np.zeros(len(values))


def _r2(truth: ArrayLike, predicted: ArrayLike) -> float:
    # Of cosine and sine together: one number for the circle.
    return float(r2_score(truth, predicted, multioutput="variance_weighted"))


@ESTIMATORS.register("gradient_boosting")
def _gradient_boosting(discrete: bool, rows: int, seed: int) -> Any:
    kind = GradientBoostingClassifier if discrete else GradientBoostingRegressor
    return kind(random_state=seed)


@ESTIMATORS.register("fast_gradient_boosting")
def _fast_gradient_boosting(discrete: bool, rows: int, seed: int) -> Any:
    return TreeBoostingClassifier(seed) if discrete else TreeBoostingRegressor(seed)


@ESTIMATORS.register("light_gradient_boosting")
def _light_gradient_boosting(discrete: bool, rows: int, seed: int) -> Any:
    return HistogramBoostingClassifier() if discrete else HistogramBoostingRegressor()


@ESTIMATORS.register("random_forest")
def _random_forest(discrete: bool, rows: int, seed: int) -> Any:
    kind = RandomForestClassifier if discrete else RandomForestRegressor
    # A classifier's default, the root of the features, lets noise split where the code that
    # matters was not drawn: aligned codes scored 0.46. Regressors weigh all features by default.
    return kind(max_features=1.0, random_state=seed)


@ESTIMATORS.register("lasso")
def _lasso(discrete: bool, rows: int, seed: int) -> Any:
    if not discrete:
        return make_pipeline(StandardScaler(), Lasso(LASSO_ALPHA))
    # scikit-learn weighs the sum of losses by C, and Lasso's alpha is relative to their mean.
    model = LogisticRegression(
        C=1 / (LASSO_ALPHA * rows), l1_ratio=1.0, solver="saga", max_iter=1000, random_state=seed
    )
    return make_pipeline(StandardScaler(), model)
