"""Gradient boosting by LightGBM, with gains counted as scikit-learn does: the fastest estimate."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import IntArray

# As many steps of twice the size as scikit-learn's default of 100 of 0.1.
ROUNDS = 50
RATE = 0.2
_CURVATURE = 0.2
_TREES = {
    "num_leaves": 8,
    "max_depth": 3,
    "min_data_in_leaf": 1,
    "min_data_in_bin": 1,
    "max_bin": 511,
    "learning_rate": RATE,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


class _HistogramBoosting(BaseEstimator):
    """What classifier and regressor share: importances as total gain."""

    booster: lightgbm.Booster

    @property
    def feature_importances_(self) -> FloatArray:
        """[A]: how far splits on each code lowered the squared error of the gradients."""
        return np.asarray(self.booster.feature_importance("gain"), dtype=np.float64)

    def _boost(self, codes: FloatArray, target: Any, offset: Any, **how: Any) -> None:
        data = lightgbm.Dataset(codes, label=target, init_score=offset, params=_TREES)
        self.booster = lightgbm.train(_TREES | how, data, ROUNDS)


class HistogramBoostingClassifier(ClassifierMixin, _HistogramBoosting):
    """Boosted trees for classes.

    LightGBM's own objective counts the gain of a split by Newton steps, which lets the last
    rounds, when little is left to learn, weigh as much as the first. Scikit-learn counts how far
    the squared error of the gradients falls. So the second derivative is held constant, in the
    objective and thereby in the gain: at 0.2, where that of a softmax is between 0 and 1/4, for
    which importances agree best (scripts/bench_metrics.py).
    """

    def fit(self, codes: FloatArray, labels: IntArray) -> HistogramBoostingClassifier:
        """Fit to codes [N, A] and classes [N]."""
        self.classes_, own = np.unique(labels, return_inverse=True)
        count = len(self.classes_)
        truth = np.eye(count)[own]
        self._start = np.log(truth.mean(axis=0))

        def gradients(raw: FloatArray, _: Any) -> tuple[FloatArray, FloatArray]:
            gradient = softmax(raw.reshape(truth.shape, order="F"), axis=1) - truth
            return gradient, np.full_like(gradient, _CURVATURE)

        offset = np.tile(self._start, (len(own), 1)).ravel(order="F")
        self._boost(codes, own, offset, objective=gradients, num_class=count)
        return self

    def predict(self, codes: FloatArray) -> IntArray:
        """Return the likeliest class of each row, [N]."""
        raw = np.asarray(self.booster.predict(codes)).reshape(len(codes), -1)
        labels: IntArray = self.classes_[(raw + self._start).argmax(axis=1)]
        return labels


class HistogramBoostingRegressor(RegressorMixin, _HistogramBoosting):
    """Boosted trees for values: the squared error, as scikit-learn has it."""

    def fit(self, codes: FloatArray, values: FloatArray) -> HistogramBoostingRegressor:
        """Fit to codes [N, A] and values [N]."""
        self._boost(codes, values, None, objective="regression")
        return self

    def predict(self, codes: FloatArray) -> FloatArray:
        """Return the value of each row, [N]."""
        return np.asarray(self.booster.predict(codes), dtype=np.float64)
