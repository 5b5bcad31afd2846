"""Explicitness and size: curves of loss against capacity whose shape is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from drl_latent.metrics import check_inputs
from drl_latent.metrics.capacity import PENALTY, probe_losses
from drl_latent.metrics.dci_es import dci_es

BARE = {"resamples": 0, "floor": False}
SHORT = (0, 1, 3, 7, 15, 31, 63)


def draw_factors(n=1500, k=3, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, k))


def score(z, y, **more):
    return dci_es(z, y, **(BARE | {"capacities": SHORT} | more))


def curve(result):
    """[capacities, K], from the parts of a result."""
    points = [v for part, v in result.factor_parts.items() if part.startswith("loss_at_")]
    return np.array([list(point.values()) for point in points])


def test_codes_that_are_the_factors_are_explicit_whether_classes_or_numbers():
    y = np.concatenate(
        [draw_factors(k=2), np.random.default_rng(1).integers(5, size=(1500, 1))], axis=1
    )
    parts = score(y[:, [1, 2, 0]] * [2, 1, 9], y).parts
    for part in ("explicitness", "size", "informativeness", "mean_informativeness"):
        assert parts[part] == pytest.approx(1, abs=1e-3)


def test_a_rotation_is_as_explicit_and_a_warp_is_not():
    y = draw_factors()
    rotation, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    rotated = score(y @ rotation, y)
    warped = score(np.sign(y) * np.abs(y) ** 0.2, y)
    assert rotated.score > 0.999
    assert warped.score < 0.97
    assert warped.parts["mean_informativeness"] < warped.parts["informativeness"] < 1


def test_what_only_large_probes_read_is_below_what_small_ones_do():
    """The circle of a fast turning code can be read, but not by few features."""
    y = draw_factors(4000, k=1)
    slow, fast = (
        score(np.hstack([np.sin(w * y), np.cos(w * y)]), y, capacities=(*SHORT, 127))
        for w in (1, 3)
    )
    assert slow.score > 0.99 > fast.score + 0.1
    assert fast.parts["informativeness"] > 0.9


def test_the_area_is_as_counted_by_hand():
    """Losses are each the lowest so far; trapezoids over log2(1 + features)."""
    y = draw_factors(400)
    z = np.tanh(3 * y @ np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]]))
    capacities = (0, 1, 7)
    result = score(z, y, capacities=capacities)
    losses = np.minimum.accumulate(curve(result), axis=0)
    above = losses - losses[-1]
    # Steps of width 1 (log2 of 1 and 2) and 2 (of 2 and 8): a triangle is half of 3.
    area = (above[0] + above[1]) / 2 + (above[1] + above[2])
    assert list(result.factor_parts["explicitness"].values()) == pytest.approx(1 - 2 * area / 3)
    assert result.score == pytest.approx(np.mean(1 - 2 * area / 3))
    assert result.parts["informativeness"] == pytest.approx(np.mean(1 - losses[-1]))


def test_noise_is_as_easy_to_read_as_it_gets_and_tells_nothing():
    y = draw_factors(3000)
    parts = score(np.random.default_rng(1).standard_normal((3000, 5)), y).parts
    assert parts["explicitness"] == pytest.approx(1, abs=0.02)
    assert parts["informativeness"] == pytest.approx(0, abs=0.02)
    assert parts["mean_informativeness"] == pytest.approx(0, abs=0.02)


def test_accuracy_of_classes_is_relative_to_the_most_frequent():
    y = (np.random.default_rng(0).random((3000, 1)) < 0.2).astype(int)
    parts = score(np.random.default_rng(1).standard_normal((3000, 2)), y).parts
    assert parts["informativeness"] == pytest.approx(0, abs=0.03)


def test_size_counts_all_codes_and_the_factors_that_vary():
    y = np.insert(draw_factors(k=2), 1, 4.0, axis=1)
    dead = np.insert(y[:, [0, 2]], 2, 1.0, axis=1)
    assert score(y[:, [0, 2]], y).parts["size"] == 1
    assert score(dead, y).parts["size"] == pytest.approx(2 / 3)
    assert score(y[:, :1], y).parts["size"] == 2


def test_dead_codes_change_no_other_part():
    y = draw_factors(600)
    z = np.tanh(2 * y @ np.random.default_rng(1).standard_normal((3, 4)))
    plain, more = score(z, y).parts, score(np.insert(z, [0, 2], 3.0, axis=1), y).parts
    assert {p: v for p, v in more.items() if p != "size"} == pytest.approx(
        {p: v for p, v in plain.items() if p != "size"}, abs=1e-12
    )
    assert score(np.zeros_like(z), y).parts["informativeness"] == pytest.approx(0, abs=0.01)


def test_circular_factors_are_read_as_points_of_the_circle():
    y = np.random.default_rng(0).uniform(0, 1, (1500, 1))
    z = np.hstack([np.cos(2 * np.pi * y), np.sin(2 * np.pi * y)])
    assert score(z, y, periods=[1.0]).parts["mean_informativeness"] > 0.999
    assert score(z, y).parts["mean_informativeness"] < 0.99


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    order=st.permutations(range(4)),
    scales=st.lists(st.floats(1e-2, 1e2), min_size=4, max_size=4),
)
def test_order_and_scale_of_codes_change_nothing(seed, order, scales):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((120, 2))
    z = np.tanh(y @ rng.standard_normal((2, 4))) + 0.1 * rng.standard_normal((120, 4))
    result, moved = score(z, y), score(z[:, order] * scales + 1, y)
    assert moved.parts == pytest.approx(result.parts, abs=1e-6)
    assert -1 <= result.score <= 1


def parts_of(z, y):
    whole = check_inputs(z, y)
    return whole.rows(np.arange(300)), whole.rows(np.arange(300, len(y)))


def test_without_random_features_probes_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y = np.stack([rng.standard_normal(500), rng.integers(3, size=500)], axis=1)
    z = y @ rng.standard_normal((2, 4)) + rng.standard_normal((500, 4))
    fit, held = parts_of(z, y)
    losses, constant = probe_losses(fit, held, [0], seed=0)
    scaler = StandardScaler().fit(fit.live)
    seen, unseen = scaler.transform(fit.live), scaler.transform(held.live)
    ridge = Ridge(alpha=300 * PENALTY).fit(seen, fit.factors[:, 0])
    spread = np.sum(np.square(held.factors[:, 0] - fit.factors[:, 0].mean()))
    errors = np.sum(np.square(held.factors[:, 0] - ridge.predict(unseen)))
    lda = LinearDiscriminantAnalysis(solver="lsqr").fit(seen, fit.factors[:, 1])
    assert losses[0, 0] == pytest.approx(errors / spread)
    assert losses[0, 1] == pytest.approx(1 - lda.score(unseen, held.factors[:, 1]), abs=0.01)
    assert constant[0] == 1
    counts = np.bincount(fit.factors[:, 1].astype(int))
    assert constant[1] == np.mean(held.factors[:, 1] != counts.argmax())


def test_more_features_read_what_the_linear_probe_cannot():
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (1500, 2))
    y = np.stack([np.abs(z[:, 0]), z[:, 0] * z[:, 1] > 0], axis=1).astype(float)
    losses = curve(score(z, y, capacities=(0, 255)))
    assert (losses[0] > 0.4).all()
    assert (losses[1] < 0.15).all()


def test_the_interval_holds_the_score_and_the_floor_is_that_of_noise():
    y = draw_factors(200, k=2)
    z = np.sign(y) * np.abs(y) ** 0.2
    result = dci_es(z, y, capacities=(0, 3, 15), resamples=5)
    low, high = result.interval
    assert low <= result.score <= high
    assert result.floor == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("capacities", [(0,), (3, 1), (-1, 4), (2, 2), 5])
def test_capacities_that_do_not_ascend_are_refused(capacities):
    y = draw_factors(60)
    with pytest.raises(ValueError, match="expected ascending numbers of features"):
        score(y, y, capacities=capacities)
