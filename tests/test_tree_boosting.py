"""Boosting on histograms: the same recipe as scikit-learn's, so the same importances."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from drl_latent.metrics.tree_boosting import TreeBoostingClassifier, TreeBoostingRegressor


def shares(model):
    return model.feature_importances_ / model.feature_importances_.sum()


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 4))
    return z, z[:, 0] + 0.5 * z[:, 1] * (z[:, 2] > 0) + 0.3 * rng.standard_normal(n)


@pytest.mark.parametrize("classes", [2, 4])
def test_classifiers_of_few_rows_are_scikit_learns(classes):
    """With fewer rows than bins, every threshold is looked at, and only rounding can differ."""
    z, value = draw(200)
    y = np.digitize(value, np.quantile(value, np.linspace(0, 1, classes + 1)[1:-1]))
    ours = TreeBoostingClassifier().fit(z, y)
    theirs = GradientBoostingClassifier(random_state=0).fit(z, y)
    assert shares(ours) == pytest.approx(theirs.feature_importances_, abs=0.01)
    unseen = draw(500, seed=1)[0]
    assert np.mean(ours.predict(unseen) == theirs.predict(unseen)) > 0.95


def test_regressors_of_few_rows_are_scikit_learns():
    z, y = draw(200)
    ours = TreeBoostingRegressor().fit(z, y)
    theirs = GradientBoostingRegressor(random_state=0).fit(z, y)
    assert shares(ours) == pytest.approx(theirs.feature_importances_, abs=0.01)
    assert ours.predict(z) == pytest.approx(theirs.predict(z), abs=0.15)


def test_many_rows_are_binned_with_hardly_a_difference():
    z, value = draw(2000)
    y = np.digitize(value, [-0.5, 0.5])
    ours = TreeBoostingClassifier().fit(z, y)
    theirs = GradientBoostingClassifier(random_state=0).fit(z, y)
    assert shares(ours) == pytest.approx(theirs.feature_importances_, abs=0.03)


def test_clusters_stay_apart_whatever_their_sizes():
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.013).astype(int)
    z = (10 * y + 0.1 * rng.standard_normal(3000))[:, None]
    assert (TreeBoostingClassifier().fit(z, y).predict(z) == y).all()


def test_copies_share_their_importance():
    z, y = draw(300)
    model = TreeBoostingRegressor().fit(z[:, [0, 0, 1]], y)
    first, second, _ = shares(model)
    assert first == pytest.approx(second, rel=0.6)
    assert np.array_equal(
        TreeBoostingRegressor(3).fit(z, y).predict(z), TreeBoostingRegressor(3).fit(z, y).predict(z)
    )


def test_labels_are_given_back_as_they_came():
    z, value = draw(100)
    labels = np.where(value > 0, 7, -2)
    assert set(TreeBoostingClassifier().fit(z, labels).predict(z)) == {7, -2}
