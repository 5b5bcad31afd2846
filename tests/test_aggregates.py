"""Aggregates of the scores of runs, against hand counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from drl_latent.evaluation import (
    interquartile_mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)

scores_of_runs = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=15)


@pytest.mark.parametrize(
    ("scores", "iqm"),
    [
        ([7], 7),
        ([1, 2, 9], 4),  # up to three runs, none is left out
        ([0, 1, 3, 100], 2),
        ([100, 0, 1, 2, 6], 3),  # floor(5 / 4) = 1 at each end
        ([0, 1, 2, 3, 4, 5, 100], 3),
        ([0, 0, 1, 2, 3, 4, 50, 60], 2.5),
    ],
)
def test_interquartile_mean_by_hand(scores, iqm):
    assert interquartile_mean(scores) == pytest.approx(iqm)
    assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores, 0.25))


@settings(deadline=None)
@given(scores_of_runs, st.integers(0, 10**6))
def test_counts_are_the_same_as_repeated_runs(scores, seed):
    counts = np.random.default_rng(seed).multinomial(len(scores), [1 / len(scores)] * len(scores))
    repeated = np.repeat(scores, counts)
    assert interquartile_mean(scores, counts) == pytest.approx(
        stats.trim_mean(repeated, 0.25), abs=1e-9
    )
    both = np.stack([counts, np.ones_like(counts)])
    assert interquartile_mean(np.stack([scores, scores]), both) == pytest.approx(
        [interquartile_mean(scores, counts), interquartile_mean(scores)], abs=1e-9
    )
    assert optimality_gap(scores, counts) == pytest.approx(optimality_gap(repeated), abs=1e-9)


def test_optimality_gap_counts_only_what_is_missing():
    assert optimality_gap([0.4, 0.8, 1.5]) == pytest.approx((0.6 + 0.2 + 0) / 3)
    assert optimality_gap([0.4, 0.8, 1.5], target=0.5) == pytest.approx(0.1 / 3)


def test_performance_profile_is_the_share_above():
    assert performance_profile([0.2, 0.5, 0.5, 0.9], [0, 0.2, 0.5, 0.89, 0.9]).tolist() == [
        1, 0.75, 0.25, 0.25, 0
    ]  # fmt: skip


def test_probability_of_improvement_by_hand():
    assert probability_of_improvement([1, 2], [1, 1, 3]) == pytest.approx((0.5 * 2 + 2) / 6)
    assert probability_of_improvement([5, 5, 5], [5, 5]) == 0.5
    assert probability_of_improvement([2, 3], [0, 1]) == 1


@given(scores_of_runs, scores_of_runs)
def test_probability_of_improvement_is_mann_whitney(one, other):
    u = stats.mannwhitneyu(one, other).statistic if set(one + other) != {one[0]} else None
    chance = probability_of_improvement(one, other)
    assert chance + probability_of_improvement(other, one) == pytest.approx(1)
    assert u is None or chance == pytest.approx(u / (len(one) * len(other)))


def test_no_scores_are_refused():
    with pytest.raises(ValueError, match="at least one run"):
        interquartile_mean([])
    with pytest.raises(ValueError, match="a count for each of 2 runs"):
        optimality_gap([1, 2], [1, 1, 1])
