"""Predictors that say how important each code is for a factor, for DCI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drl_latent.metrics.base import FloatArray
from drl_latent.registry import Registry

Builder = Callable[[bool, int, int], Any]
"""`build(discrete, rows, seed)` -> an unfitted classifier or regressor."""

ESTIMATORS: Registry[Builder] = Registry("DCI estimator")
LASSO_ALPHA = 0.01


@ESTIMATORS.register("gradient_boosting")
def _gradient_boosting(discrete: bool, rows: int, seed: int) -> Any:
    kind = GradientBoostingClassifier if discrete else GradientBoostingRegressor
    return kind(random_state=seed)


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


def importances(model: Any) -> FloatArray:
    """[A]: importance of each code for a fitted model, summing to 1, or all 0."""
    if hasattr(model, "feature_importances_"):
        values = np.asarray(model.feature_importances_)
    else:
        values = np.abs(np.atleast_2d(model[-1].coef_)).mean(axis=0)
    total = values.sum()
    return values / total if total > 0 else np.zeros(len(values))
