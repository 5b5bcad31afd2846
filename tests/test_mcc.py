"""Mean correlation coefficient: known correlations and the matching of codes to factors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent.metrics.mcc import mcc

BARE = {"resamples": 0, "floor": False}


def draw_factors(n=3000, k=3, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, k))


def test_a_code_for_each_factor_scores_one_whatever_its_sign_scale_and_place():
    y = draw_factors()
    result = mcc(y[:, [2, 0, 1]] * [-3, 0.01, 50] + 7, y, **BARE)
    assert result.score == pytest.approx(1)
    assert result.matrix.argmax(axis=0).tolist() == [1, 2, 0]


def test_the_matrix_holds_absolute_correlations():
    y = draw_factors()
    z = y @ np.random.default_rng(1).standard_normal((3, 4))
    expected = np.abs(np.corrcoef(z.T, y.T)[:4, 4:])
    np.testing.assert_allclose(mcc(z, y, **BARE).matrix, expected, atol=1e-12)


def test_rotated_codes_score_their_cosines():
    y = draw_factors(20_000, k=2)
    turn = np.pi / 6
    z = y @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    assert mcc(z, y, **BARE).score == pytest.approx(np.cos(turn), abs=0.01)


def test_no_code_is_given_to_two_factors():
    y = draw_factors()
    noise = np.random.default_rng(1).standard_normal((len(y), 1))
    both = mcc(np.hstack([y[:, :1] + y[:, 1:2], noise]), y[:, :2], **BARE)
    assert both.score == pytest.approx(np.sqrt(0.5) / 2, abs=0.03)


def test_the_matching_has_the_largest_sum_and_is_not_greedy():
    y = draw_factors(20_000, k=2)
    z = np.stack([y[:, 0] + 0.9 * y[:, 1], y[:, 0]], axis=1)
    result = mcc(z, y, **BARE)
    # The best pair of all is code 1 and factor 0; code 0 is left for factor 1.
    assert result.per_factor["factor_0"] == pytest.approx(1)
    assert result.per_factor["factor_1"] == pytest.approx(0.9 / np.sqrt(1.81), abs=0.01)


def test_factors_that_get_no_code_count_nothing():
    y = draw_factors(k=4)
    assert mcc(y[:, :1], y, **BARE).score == pytest.approx(0.25)
    dead = mcc(np.insert(y[:, :1], 1, 5.0, axis=1), y, **BARE)
    assert dead.score == pytest.approx(0.25)
    assert (dead.matrix[1] == 0).all()
    assert mcc(np.zeros((len(y), 2)), y, **BARE).score == 0


def test_copies_of_a_code_change_nothing():
    y = draw_factors()
    z = y + 0.5 * np.random.default_rng(1).standard_normal(y.shape)
    assert mcc(np.hstack([z, z]), y, **BARE).score == pytest.approx(mcc(z, y, **BARE).score)


def test_noise_scores_low_and_as_the_floor_says():
    y = draw_factors(400)
    noise = np.random.default_rng(1).standard_normal((400, 10))
    result = mcc(noise, y, resamples=0)
    assert 0.02 < result.score < 0.2
    assert result.floor == pytest.approx(result.score, abs=0.05)


def test_ranks_see_through_monotone_codes():
    y = draw_factors()
    warped = np.exp(5 * y)
    assert mcc(warped, y, kind="spearman", **BARE).score == pytest.approx(1)
    assert mcc(warped, y, **BARE).score < 0.8


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_a_circular_factor_correlates_with_its_cosine_at_any_phase(kind):
    angle = np.random.default_rng(0).uniform(0, 360, (3000, 1))
    z = np.cos(np.deg2rad(angle + 40))
    circular = mcc(z, angle, periods=[360.0], kind=kind, **BARE).score
    assert circular > 0.98
    assert mcc(z, angle, kind=kind, **BARE).score < 0.8


def test_a_circular_factor_of_two_opposite_values_has_one_direction():
    """Its sine is 0 but for rounding, which must not count as a direction of its own."""
    y = np.repeat([0.0, 180.0], 30)[:, None]
    z = np.random.default_rng(0).standard_normal((60, 5))
    circular = mcc(z, y, periods=[360.0], **BARE).matrix
    np.testing.assert_allclose(circular, mcc(z, y, **BARE).matrix, atol=1e-9)


def test_one_factor_and_one_code():
    y = draw_factors(k=1)
    assert mcc(y, y, **BARE).score == pytest.approx(1)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    order=st.permutations(range(4)),
    scales=st.lists(st.floats(1e-2, 1e2), min_size=4, max_size=4),
    kind=st.sampled_from(["pearson", "spearman"]),
)
def test_order_and_scale_of_codes_change_nothing(seed, order, scales, kind):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=(60, 3))
    z = y @ rng.standard_normal((3, 4)) + rng.standard_normal((60, 4))
    score = mcc(z, y, kind=kind, **BARE).score
    assert 0 <= score <= 1
    moved = -z[:, order] * scales + 2
    assert mcc(moved, y, kind=kind, **BARE).score == pytest.approx(score, abs=1e-9)


def test_the_interval_holds_the_score():
    y = draw_factors(300)
    z = y + 0.5 * np.random.default_rng(1).standard_normal(y.shape)
    result = mcc(z, y, resamples=20, floor=False)
    low, high = result.interval
    assert low < result.score < high
    assert high - low < 0.1


def test_an_unknown_kind_is_refused():
    y = draw_factors(30)
    with pytest.raises(ValueError, match="Did you mean 'pearson'"):
        mcc(y, y, kind="pearsn", **BARE)
