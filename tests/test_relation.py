"""Rank correlations of scores with outcomes, against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from drl_latent.evaluation import (
    forecast_skill,
    forecast_transfer,
    rank_correlation,
    relate,
)
from drl_latent.evaluation.outcomes import encoder_outcomes
from drl_latent.evaluation.rank_correlation import _permutations, _resamples

FAST = {"resamples": 300, "permutations": 300}


def test_a_monotone_relation_is_one_however_curved():
    x = np.arange(12.0)
    found = rank_correlation(x, np.exp(x), np.repeat(range(4), 3))
    assert (found.rho, found.low, found.high) == (1, 1, 1)
    assert (found.n, found.clusters) == (12, 4)
    assert rank_correlation(x, -(x**3), np.arange(12), **FAST).rho == -1


def test_p_is_the_share_of_permutations_that_reach_as_far():
    # Of the 24 orders of 4 points, 2 are sorted, upwards or downwards.
    found = rank_correlation([1, 2, 3, 4], [1, 2, 3, 4], list("abcd"), permutations=5_000)
    assert found.p == pytest.approx(2 / 24, abs=0.015)
    # Two recipes of two seeds: recipes and seeds within change places, so 2 * 2 * 2 orders.
    found = rank_correlation([1, 2, 3, 4], [1, 2, 3, 4], list("aabb"), permutations=5_000)
    assert found.p == pytest.approx(2 / 8, abs=0.02)


def test_agrees_with_scipy_where_there_are_ties():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 40), rng.integers(0, 4, 40)
    found = rank_correlation(x, y, np.arange(40), **FAST)
    assert found.rho == pytest.approx(spearmanr(x, y).statistic)
    assert found.low < found.rho < found.high


def test_seeds_of_one_recipe_are_not_independent_cases():
    rng = np.random.default_rng(1)
    recipe = np.repeat(np.arange(4), 6)
    x = rng.standard_normal(4)[recipe] + 0.01 * rng.standard_normal(24)
    y = rng.standard_normal(4)[recipe] + 0.01 * rng.standard_normal(24)
    together = rank_correlation(x, y, recipe, seed=0)
    apart = rank_correlation(x, y, np.arange(24), seed=0)
    assert together.rho == apart.rho
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    assert together.p > apart.p


def test_partial_correlation_is_the_one_computed_by_hand():
    x, y, z = [1, 2, 3, 4, 5], [2, 1, 4, 3, 5], [1, 3, 2, 5, 4]
    # Spearman's 1 - 6 sum d^2 / 120: of x and y 0.8, of x and z 0.8, of y and z 0.3.
    assert rank_correlation(x, y, x, **FAST).rho == pytest.approx(0.8)
    found = rank_correlation(x, y, x, control=z, **FAST)
    wanted = (0.8 - 0.8 * 0.3) / np.sqrt((1 - 0.8**2) * (1 - 0.3**2))
    assert found.rho == pytest.approx(wanted)
    assert found.n == 5


def test_a_relation_by_way_of_the_control_alone_has_no_partial_correlation():
    rng = np.random.default_rng(0)
    z = rng.standard_normal(300)
    x, y = (z + 0.5 * rng.standard_normal(300) for _ in range(2))
    seeds = np.arange(300)
    assert rank_correlation(x, y, seeds, **FAST).rho > 0.7
    partial = rank_correlation(x, y, seeds, control=z, **FAST)
    assert abs(partial.rho) < 0.12
    assert partial.low < 0 < partial.high
    assert partial.p > 0.05


def test_a_column_that_is_the_control_has_nothing_left():
    x = np.arange(10.0)
    y = np.random.default_rng(0).permutation(10)
    found = rank_correlation(x, y, x, control=2 * x, **FAST)
    assert np.isnan([found.rho, found.low, found.p]).all()
    assert found.n == 10


@pytest.mark.parametrize(
    ("x", "n"),
    [([1, 2, 3, np.nan], 3), ([1, 1, 1, 1], 4), ([], 0), ([np.nan] * 6, 0)],
)
def test_too_few_points_or_a_constant_give_nan_beside_their_number(x, n):
    found = rank_correlation(x, np.arange(len(x)), np.arange(len(x)))
    assert np.isnan([found.rho, found.low, found.high, found.p]).all()
    assert found.n == n


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one length"):
        rank_correlation([1, 2, 3], [1, 2], [0, 0, 0])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 5))
def test_draws_keep_to_clusters(sizes: list[int], seed: int):
    counts, rng = np.array(sizes), np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    for rows in _permutations(counts, 20, rng):
        assert sorted(rows) == list(range(len(owner)))
        for cluster in range(len(sizes)):
            # All points of a cluster come from one, of as many points.
            source = set(owner[rows[owner == cluster]])
            assert len(source) == 1
            assert sizes[source.pop()] == sizes[cluster]
    drawn = list(_resamples(counts, 50, rng))
    assert sum(len(rows) for rows in drawn) == 50
    for rows in drawn:
        assert rows.min() >= 0
        assert rows.max() < len(owner)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1_000))
def test_order_of_points_and_monotone_changes_do_not_matter(seed: int):
    rng = np.random.default_rng(seed)
    x, y, clusters = rng.standard_normal(9), rng.standard_normal(9), np.repeat([0, 1, 2], 3)
    plain = rank_correlation(x, y, clusters, **FAST)
    assert rank_correlation(np.exp(x), 3 * y, clusters, **FAST) == plain
    order = rng.permutation(9)
    moved = rank_correlation(x[order], y[order], clusters[order], **FAST)
    assert moved.rho == pytest.approx(plain.rho)
    assert rank_correlation(-x, y, clusters, **FAST).rho == pytest.approx(-plain.rho)


def study(encoders: int = 5, seeds: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A study in which "good" rises with success out of distribution, and "bad" falls."""
    scores, episodes = [], []
    for e in range(encoders):
        for s in range(seeds):
            level = (e * seeds + s + 1) / (encoders * seeds + 1)
            encoder = {"env": "E", "split": "s", "encoder": f"enc{e}", "encoder_seed": s}
            values = {
                "good": level**2, "bad": -level, "flat": 1.0,
                "linear_probe:id": [0.9, 0.7, 0.8][(e + s) % 3] + e / 100,
                "linear_probe:ood2": level,
            }  # fmt: skip
            scores += [{**encoder, "metric": m, "value": v} for m, v in values.items()]
            for agent_seed in range(2):
                agent = {**encoder, "agent": f"ppo {e}", "algorithm": "PPO", "mode": "frozen"}
                agent["agent_seed"] = agent_seed
                for part, rate in (("id", 1.0), ("ood1", 1.0), ("ood2", level)):
                    wins = round(rate * 66)
                    episodes += [
                        {**agent, "part": part, "success": i < wins, "return": rate}
                        for i in range(66)
                    ]
    return pd.DataFrame(scores), pd.DataFrame(episodes)


def test_metrics_are_related_to_each_outcome():
    scores, episodes = study()
    table = relate(scores, episodes, **FAST)
    assert set(table["outcome"]) == {"id", "ood1", "ood2", "gap:ood1", "gap:ood2"}
    assert len(table) == 5 * 5 * 2
    rows = table.set_index(["metric", "outcome", "measure"])
    assert rows.loc[("good", "ood2", "success"), "rho"] == pytest.approx(1)
    assert rows.loc[("good", "gap:ood2", "success"), "rho"] == pytest.approx(-1)
    assert rows.loc[("bad", "ood2", "return"), "rho"] == pytest.approx(-1)
    assert rows.loc[("good", "ood2", "success"), ["n", "clusters"]].tolist() == [10, 5]
    # A perfect relation does not owe anything to another column.
    assert rows.loc[("good", "ood2", "success"), "partial"] == pytest.approx(1)
    assert rows.loc[("good", "ood2", "success"), "partial_n"] == 10
    # Constant metrics, constant outcomes and the control itself: said, not left out.
    for key in (("flat", "ood2", "success"), ("good", "id", "success")):
        assert np.isnan(rows.loc[key, "rho"])
        assert rows.loc[key, "n"] == 10
    assert np.isnan(rows.loc[("linear_probe:id", "ood2", "success"), "partial"])
    assert np.isfinite(rows.loc[("linear_probe:id", "ood2", "success"), "rho"])


def test_a_score_that_an_encoder_lacks_is_a_point_less():
    scores, episodes = study()
    lacks = (scores["metric"] == "good") & (scores["encoder"] == "enc0")
    scores.loc[lacks, "value"] = np.nan
    table = relate(scores[~(lacks & (scores["encoder_seed"] == 1))], episodes, **FAST)
    by_metric = table[table["outcome"] == "ood2"].groupby("metric")["n"].first()
    assert by_metric["good"] == 8
    assert by_metric["bad"] == 10
    few = relate(*study(encoders=3, seeds=1), control=None, **FAST)
    assert few["rho"].isna().all()
    assert (few["n"] == 3).all()
    assert few["partial"].isna().all()


def test_methods_and_tasks_are_kept_apart_and_baselines_left_out():
    scores, episodes = study()
    tuned = episodes.assign(mode="finetune", success=~episodes["success"])
    pixels = episodes.head(10).assign(encoder="", encoder_seed=np.nan, mode="frozen")
    both = pd.concat([episodes, tuned, pixels], ignore_index=True)
    table = relate(scores, both, **FAST).set_index(["mode", "metric", "outcome", "measure"])
    assert table.loc[("frozen", "good", "ood2", "success"), "rho"] == pytest.approx(1)
    assert table.loc[("finetune", "good", "ood2", "success"), "rho"] == pytest.approx(-1)
    assert (table["n"] == 10).all()


def test_each_training_counts_alike():
    row = {"encoder": "e", "encoder_seed": 0, "agent": "a", "part": "id", "return": 0.0}
    episodes = pd.DataFrame(
        [{**row, "agent_seed": 0, "success": True}] * 9
        + [{**row, "agent_seed": 1, "success": False}]
    )
    found = encoder_outcomes(episodes)
    assert found["success"].tolist() == [0.5]
    assert found["agents"].tolist() == [2]


def test_wrong_tables_say_what_is_wrong():
    scores, episodes = study()
    with pytest.raises(ValueError, match="Did you mean 'linear_probe:id'"):
        relate(scores, episodes, control="linear_prob:id")
    with pytest.raises(ValueError, match="lacks the columns \\['encoder_seed'\\]"):
        relate(scores.drop(columns="encoder_seed"), episodes)
    with pytest.raises(ValueError, match="two scores"):
        relate(pd.concat([scores, scores.head(1)]), episodes)


def test_forecasts_stand_beside_what_happened():
    scores, episodes = study()
    table = forecast_transfer(scores, episodes)
    assert set(table["part"]) == {"ood2"}
    assert len(table) == 10
    row = table[(table["encoder"] == "enc0") & (table["encoder_seed"] == 0)].iloc[0]
    # The first of ten levels is 1/11: 6 of 66 episodes.
    assert row["forecast"] == pytest.approx(1 / 11)
    assert row["forecast_change"] == pytest.approx(1 / 11 - 0.9)
    assert row["outcome"] == pytest.approx(6 / 66)
    assert row["outcome_id"] == 1
    assert row["change"] == pytest.approx(6 / 66 - 1)
    skill = forecast_skill(table, **FAST).set_index(["predictor", "outcome"])
    assert skill.loc[("forecast", "outcome"), "rho"] == pytest.approx(1)
    assert skill.loc[("forecast", "change"), "rho"] == pytest.approx(1)
    assert skill.loc[("forecast_change", "change"), "rho"] < 1
    assert (skill["n"] == 10).all()
    assert (skill["clusters"] == 5).all()


def test_forecasts_of_two_way_splits_and_without_a_score_in_distribution():
    scores, episodes = study()
    scores = scores[scores["metric"] != "linear_probe:id"].replace(
        {"metric": {"linear_probe:ood2": "linear_probe:test"}}
    )
    episodes = episodes[episodes["part"] != "ood1"].replace({"part": {"ood2": "ood"}})
    table = forecast_transfer(scores, episodes)
    assert table["part"].unique().tolist() == ["ood"]
    assert table["forecast"].notna().all()
    assert table["forecast_change"].isna().all()
    skill = forecast_skill(table, **FAST).set_index(["predictor", "outcome"])
    assert skill.loc[("forecast_change", "change"), "n"] == 0
    with pytest.raises(ValueError, match="Score the encoders with the split"):
        forecast_transfer(scores, episodes, probe="probe")
