"""Aggregates of a study and their intervals over seeds."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from drl_latent.evaluation import Intervals, compare_agents, performance_profiles, summarize_study
from drl_latent.evaluation.seed_bootstrap import wilson

EPISODES = runpy.run_path(str(Path(__file__).with_name("example_episodes.py")))
WINS, row, study = EPISODES["WINS"], EPISODES["row"], EPISODES["study"]
FAST = Intervals(draws=300)


def test_statistics_by_hand():
    table = summarize_study(study(WINS), intervals=FAST)
    ours = table[table["agent"] == "ours"]

    def value(**where):
        return row(ours, **where)["value"]

    success = {"measure": "success", "scale": "raw"}
    assert value(part="id", statistic="mean", **success) == pytest.approx(0.8)
    assert value(part="ood", statistic="iqm", **success) == pytest.approx(0.45)
    assert value(part="ood", statistic="generalization_gap", **success) == pytest.approx(0.35)
    assert value(part="ood", statistic="retention", **success) == pytest.approx(0.45 / 0.8)
    normalized = {"measure": "success", "scale": "normalized"}
    assert value(part="id", statistic="optimality_gap", **normalized) == pytest.approx(0.125)
    assert value(part="ood", statistic="optimality_gap", **normalized) == pytest.approx(0.5)
    assert value(part="ood", statistic="generalization_gap", **normalized) == pytest.approx(0.375)
    assert value(part="ood", statistic="retention", **normalized) == pytest.approx(0.5 / 0.875)
    returns = {"measure": "return", "scale": "raw"}
    assert value(part="id", statistic="mean", **returns) == pytest.approx(0.6)
    retention = row(ours, part="ood", statistic="retention", **returns)
    assert np.isnan(retention["value"])
    assert "no zero" in retention["note"]
    # Returns here are twice the success less 1: normalised they are the same.
    pair = [
        value(part="ood", statistic="mean", measure=m, scale="normalized")
        for m in ("success", "return")
    ]
    assert pair[0] == pytest.approx(pair[1])


def test_intervals_of_returns_are_students_over_seeds():
    table = study({"ours": WINS["ours"]})
    found = summarize_study(table, reference=None, intervals=Intervals(draws=20_000))
    runs = 2 * np.array([0.7, 0.8, 0.9]) - 1
    reach = stats.t.ppf(0.975, 2) * runs.std(ddof=1) / np.sqrt(3)
    mean = row(found, measure="return", part="id", statistic="mean")
    assert mean["high"] - mean["value"] == pytest.approx(reach, rel=0.02)
    gap = row(found, measure="return", part="ood", statistic="generalization_gap")
    gaps = 2 * np.array([0.25, 0.40, 0.40])
    reach = stats.t.ppf(0.975, 2) * gaps.std(ddof=1) / np.sqrt(3)
    assert gap["value"] - gap["low"] == pytest.approx(reach, rel=0.02)


def test_intervals_of_success_stay_inside_and_have_a_width_where_seeds_are_alike():
    table = study({"ours": {"id": [100, 100, 100], "ood": [90, 99, 100]}})
    found = summarize_study(table, measures=["success"], reference=None, intervals=FAST)
    perfect = row(found, part="id", statistic="mean")
    assert (perfect["low"], perfect["high"]) == pytest.approx(wilson(1.0, 300))
    near = row(found, part="ood", statistic="mean")
    assert 0 < near["low"] < near["value"] < near["high"] < 1


def test_one_seed_has_no_interval_and_says_so():
    found = summarize_study(study(WINS), intervals=FAST)
    for _, one in found[(found["agent"] == "random") & found["value"].notna()].iterrows():
        assert np.isnan(one["low"])
        assert np.isnan(one["high"])
        assert one["note"] == "one seed: no interval"
        assert one["n_seeds"] == 1


def test_alike_seeds_have_no_interval_where_no_floor_is_known():
    table = study({"ours": {"id": [80] * 3, "ood": [40] * 3}})
    found = summarize_study(table, reference=None, intervals=FAST)
    for name, measure in (("generalization_gap", "success"), ("mean", "return")):
        alike = row(found, part="ood", statistic=name, measure=measure)
        assert np.isnan(alike["low"])
        assert alike["note"] == "all seeds alike: no interval"


def test_retention_of_what_cannot_be_told_from_0():
    table = study({"ours": {"id": [0, 0, 0], "ood": [5, 4, 3]}, "bad": {"id": [1, 0, 9],
                  "ood": [3, 4, 2]}})  # fmt: skip
    found = summarize_study(table, measures=["success"], reference=None, intervals=FAST)
    nothing = row(found, agent="ours", statistic="retention")
    assert np.isnan(nothing["value"])
    assert "0 or less" in nothing["note"]
    weak = row(found, agent="bad", statistic="retention")
    assert weak["value"] == pytest.approx(0.9)
    assert np.isnan(weak["low"])
    assert "cannot be told from 0" in weak["note"]


def test_retention_is_one_where_nothing_is_lost_and_its_interval_is_paired():
    """Seeds differ much, but each retains nearly all."""
    table = study({"ours": {"id": [40, 60, 80, 90], "ood": [40, 59, 80, 91]}})
    found = summarize_study(table, measures=["success"], reference=None, intervals=FAST)
    kept = row(found, statistic="retention")
    assert kept["low"] < 1 < kept["high"]
    assert kept["high"] - kept["low"] < 0.06
    mean = row(found, statistic="mean", part="id")
    assert mean["high"] - mean["low"] > 0.3


def test_more_runs_of_one_encoder_do_not_count_as_more_encoders():
    """Ten agents on each of three encoders are three encoders."""
    levels = [60, 75, 90]
    alone = study({"ours": {"id": levels}})
    many = study(
        {"ours": {"id": np.repeat(levels, 10)}},
        encoders=list(np.repeat([0, 1, 2], 10)),
        agent_seeds=list(range(30)),
    )
    ends = {}
    for name, table in (("alone", alone), ("many", many)):
        found = summarize_study(table, reference=None, intervals=Intervals(draws=4_000))
        ends[name] = row(found, statistic="mean", measure="return")
    assert ends["many"]["n_seeds"] == 3
    assert ends["many"]["n_runs"] == 30
    width = {name: e["high"] - e["low"] for name, e in ends.items()}
    assert width["many"] == pytest.approx(width["alone"], rel=0.05)


def test_more_episodes_of_each_seed_do_not_narrow_intervals():
    few = study({"ours": {"id": [60, 75, 90]}}, episodes=100)
    many = study({"ours": {"id": [600, 750, 900]}}, episodes=1_000)
    ends = [
        row(summarize_study(t, reference=None, intervals=FAST), statistic="mean", measure="return")
        for t in (few, many)
    ]
    assert ends[0]["low"] == pytest.approx(ends[1]["low"])


def test_drawing_episodes_widens_intervals():
    # Seeds agree, and fail in the same episodes.
    table = study({"ours": {"id": [70, 71, 70, 69]}})
    widths = []
    for episodes in (False, True):
        how = Intervals(draws=1_000, episodes=episodes)
        found = summarize_study(table, reference=None, measures=["return"], intervals=how)
        mean = row(found, statistic="mean")
        widths.append(mean["high"] - mean["low"])
    assert widths[1] > 5 * widths[0]


def test_agents_without_an_encoder_have_their_own_seed_as_the_outer_one():
    for none in (np.nan, -1):
        table = study({"ours": {"id": [60, 75, 90]}}).assign(encoder_seed=none)
        found = summarize_study(table, measures=["success"], reference=None, intervals=FAST)
        assert row(found, statistic="mean")["n_seeds"] == 3
        assert np.isfinite(row(found, statistic="mean")["low"])


@pytest.mark.parametrize("method", ["student", "percentile"])
def test_order_of_rows_does_not_matter(method):
    table = pd.concat([study(WINS), study(WINS, env="Push")])
    how = Intervals(draws=200, method=method, episodes=True)
    keys = ["env", "agent", "part", "measure", "scale", "statistic"]
    first, second = (
        summarize_study(t, intervals=how).sort_values(keys, ignore_index=True)
        for t in (table, table.sample(frac=1, random_state=0))
    )
    pd.testing.assert_frame_equal(first, second)
    first, second = (
        compare_agents(t, baseline="ours").sort_values(["env", "part", "agent"], ignore_index=True)
        for t in (table, table.sample(frac=1, random_state=0))
    )
    pd.testing.assert_frame_equal(first, second)


def test_tasks_together():
    other = {
        "random": {"id": [0], "ood": [0]},
        "true_state": {"id": [50, 50], "ood": [50, 50]},
        "ours": {"id": [10, 20, 30], "ood": [10, 10, 10]},
    }
    table = pd.concat([study(WINS), study(other, env="Push")])
    found = summarize_study(table, intervals=FAST)
    both = found[found["env"] == "all"]
    where = {"agent": "ours", "part": "id", "measure": "success"}
    assert row(both, statistic="mean", scale="raw", **where)["value"] == pytest.approx(0.5)
    normalized = row(both, statistic="mean", scale="normalized", **where)
    assert normalized["value"] == pytest.approx((0.875 + 0.4) / 2)
    assert (normalized["n_tasks"], normalized["n_seeds"]) == (2, 6)
    # 0.1, 0.2, 0.3, 0.7, 0.8, 0.9 without the lowest and the highest.
    assert row(both, statistic="iqm", scale="raw", **where)["value"] == pytest.approx(0.5)
    # Returns have a unit of their own in each task.
    assert not ((both["measure"] == "return") & (both["scale"] == "raw")).any()
    assert ((both["measure"] == "return") & (both["scale"] == "normalized")).any()


def test_an_agent_that_lacks_a_task_is_marked():
    some = {agent: parts for agent, parts in WINS.items() if agent != "ours"}
    table = pd.concat([study(WINS), study(some, env="Push")])
    found = summarize_study(table, measures=["success"], intervals=FAST)
    marked = found[(found["env"] == "all") & (found["agent"] == "ours")]
    assert len(marked)
    assert marked["note"].str.contains("1 of 2 tasks have the agent on this part").all()
    profile = performance_profiles(table)
    marked = profile[(profile["env"] == "all") & (profile["agent"] == "ours")]
    assert marked["note"].str.contains("1 of 2 tasks have the agent on this part").all()
    pairs = compare_agents(table, baseline="true_state")
    assert pairs[pairs["env"] == "all"]["note"].str.contains("1 of 2 tasks have both agents").all()


def test_gaps_are_of_runs_that_were_evaluated_on_both_parts():
    table = study({"ours": WINS["ours"]})
    table = table[(table["part"] == "id") | (table["encoder_seed"] > 0)]
    found = summarize_study(table, measures=["success"], reference=None, intervals=FAST)
    gap = row(found, statistic="generalization_gap")
    assert gap["value"] == pytest.approx(0.85 - 0.45)
    assert gap["n_runs"] == 2


def test_percentile_intervals_lie_between_the_seeds():
    table = study({"ours": WINS["ours"]})
    how = Intervals(method="percentile", draws=2_000)
    found = summarize_study(table, reference=None, measures=["return"], intervals=how)
    mean = row(found, part="id", statistic="mean")
    assert (mean["low"], mean["high"]) == pytest.approx((0.4, 0.8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "method", "least", "most"),
    [(3, "student", 0.90, 1.0), (10, "student", 0.90, 0.99), (3, "percentile", 0.6, 0.85)],
)
def test_intervals_hold_the_truth_as_often_as_documented(seeds, method, least, most):
    """`scripts/check_coverage.py` does it at length."""
    rng = np.random.default_rng(0)
    truth, inside = 0.5, []
    for repetition in range(150):
        chance = stats.norm.cdf(0.5 * rng.standard_normal(seeds))
        wins = {"ours": {"id": rng.binomial(50, chance)}}
        how = Intervals(draws=200, method=method, seed=repetition)
        found = summarize_study(
            study(wins, episodes=50), measures=["success"], reference=None, intervals=how
        )
        mean = row(found, statistic="mean")
        inside.append(mean["low"] <= truth <= mean["high"])
    assert least <= np.mean(inside) <= most
