"""Resamples of seeds and episodes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from drl_latent.evaluation.seed_bootstrap import draw_counts, draw_episodes, wilson


def test_resamples_have_as_many_runs_and_keep_encoders_whole_on_average():
    seeds = np.array([0, 0, 1, 1, 2, 2])
    counts = draw_counts(seeds, 4_000, np.random.default_rng(0), leave_one_out=False)
    assert (counts.sum(axis=1) == 6).all()
    assert (counts.reshape(-1, 3, 2).sum(axis=2) % 2 == 0).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(6), abs=0.05)


def test_leaving_one_out_gives_the_unbiased_variance_of_a_mean():
    scores = np.array([0.2, 0.5, 0.9])
    draws = draw_counts(np.arange(3), 40_000, np.random.default_rng(0), leave_one_out=True)
    means = draws @ scores / 3
    assert means.var() == pytest.approx(scores.var(ddof=1) / 3, rel=0.03)


def test_drawn_episodes_are_those_of_all_runs_at_once():
    results = np.random.default_rng(0).random((1, 50)).repeat(3, axis=0)
    drawn = draw_episodes(results, 2_000, np.random.default_rng(1))
    assert (drawn == drawn[:, :1]).all()
    assert drawn[:, 0].std() == pytest.approx(results[0].std() / np.sqrt(50), rel=0.1)


def test_wilson_is_scipys():
    ends = stats.binomtest(7, 20).proportion_ci(0.9, method="wilson")
    assert wilson(0.35, 20, 0.9) == pytest.approx((ends.low, ends.high))
