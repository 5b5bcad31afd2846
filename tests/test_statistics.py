"""Aggregates, intervals over seeds, comparisons and profiles of a study, against hand counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from drl_latent.evaluation import (
    Intervals,
    compare_agents,
    holm,
    interquartile_mean,
    optimality_gap,
    paired_permutation_test,
    performance_profile,
    performance_profiles,
    probability_of_improvement,
    score_runs,
    summarize_study,
)
from drl_latent.evaluation.paired_tests import improvement_interval
from drl_latent.evaluation.seed_bootstrap import draw_counts, draw_episodes, wilson

FAST = Intervals(draws=300)
scores_of_runs = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=15)


def study(wins, env="Reach", split="composition", episodes=100, encoders=True, agent_seeds=None):
    """Episodes in which run i of an agent succeeds on a part ``wins[agent][part][i]`` times."""
    rows = []
    for agent, parts in wins.items():
        for part, counts in parts.items():
            for run, count in enumerate(counts):
                agent_seed = run if agent_seeds is None else agent_seeds[run]
                rows.append(pd.DataFrame({
                    "env": env, "split": split, "agent": agent,
                    "encoder_seed": run if encoders is True else encoders[run]
                    if encoders else np.nan,
                    "agent_seed": agent_seed, "part": part, "episode": np.arange(episodes),
                    "seed": np.arange(episodes) + 7, "success": np.arange(episodes) < count,
                    "return": np.where(np.arange(episodes) < count, 1.0, -1.0),
                }))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


WINS = {
    "random": {"id": [10], "ood": [20]},
    "true_state": {"id": [80, 100], "ood": [70, 70]},
    "ours": {"id": [70, 80, 90], "ood": [45, 40, 50]},
}


def row(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, table
    return table.iloc[0]


# Aggregates


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


# Scores of runs


def test_normalised_scores_are_0_for_random_and_1_for_true_state():
    table = score_runs(study(WINS))
    ours = table[table["agent"] == "ours"]
    assert ours[ours["part"] == "id"]["score"].tolist() == [0.7, 0.8, 0.9]
    # In distribution 0.1 is 0 and the mean of 0.8 and 1.0 is 1; else 0.2 and 0.7.
    assert ours[ours["part"] == "id"]["normalized"].tolist() == pytest.approx([0.75, 0.875, 1])
    assert ours[ours["part"] == "ood"]["normalized"].tolist() == pytest.approx([0.5, 0.4, 0.6])
    means = table.groupby(["agent", "part"])["normalized"].mean()
    assert means["random"].tolist() == pytest.approx([0, 0])
    assert means["true_state"].tolist() == pytest.approx([1, 1])


def test_a_reference_no_better_than_random_normalises_nothing_and_says_so():
    table = study(WINS | {"random": {"id": [90], "ood": [20]}})
    runs = score_runs(table)
    assert runs[runs["part"] == "id"]["normalized"].isna().all()
    assert runs[runs["part"] == "ood"]["normalized"].notna().all()
    found = summarize_study(table, measures=["success"], intervals=FAST)
    missing = row(found, agent="ours", part="id", scale="normalized", statistic="iqm")
    assert np.isnan(missing["value"])
    assert "true_state (0.9) does not score above random (0.9) on 'id'" in missing["note"]
    profile = performance_profiles(table)
    assert profile[(profile["part"] == "id") & (profile["agent"] == "ours")]["note"].tolist() == [
        missing["note"]
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="part"), r"lacks the columns \['part'\]"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: pd.concat([t, t]), "more than once"),
        (lambda t: t.assign(success=np.nan), "have no 'success'"),
        (lambda t: t[t["agent"] != "random"], "no agent 'random' to normalise"),
        (lambda t: t[t["part"] != "id"], "no part 'id' to compare with"),
    ],
)
def test_tables_that_lack_something_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        summarize_study(change(study(WINS)), measures=["success"])


def test_settings_that_mean_nothing_are_refused():
    for settings_, message in (
        ({"method": "bca"}, "Expected one of"),
        ({"draws": 1}, "2 or more"),
        ({"confidence": 1.0}, "in \\(0, 1\\)"),
    ):
        with pytest.raises(ValueError, match=message):
            Intervals(**settings_)
    with pytest.raises(ValueError, match="Expected one of"):
        score_runs(study(WINS), "reward")


# Resamples


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


# The summary


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


# Comparisons


@pytest.mark.parametrize(("n", "least"), [(1, 1.0), (2, 0.5), (3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_the_least_p_of_few_pairs(n, least):
    assert paired_permutation_test([np.arange(1, n + 1)]) == pytest.approx(least)
    assert paired_permutation_test([-np.arange(1, n + 1)]) == pytest.approx(least)


def test_exact_p_by_hand():
    # Of the 8 sums of +-1, +-2, +-4, those as far from 0 as 1 + 2 - 4 = -1 or farther: all.
    assert paired_permutation_test([[1, 2, -4]]) == pytest.approx(1)
    # As far as -1 + 2 + 4 = 5: 5, 7 and their opposites.
    assert paired_permutation_test([[-1, 2, 4]]) == pytest.approx(0.5)
    # Tasks add up: means 2 and 3 of (1, 3) and (3, 3), the largest of 16 sums.
    assert paired_permutation_test([[1, 3], [3, 3]]) == pytest.approx(2 / 16)
    assert np.isnan(paired_permutation_test([]))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]).tolist() == pytest.approx([1, 1])
    assert holm([0.02, np.nan, 0.5]).tolist() == pytest.approx([0.04, np.nan, 0.5], nan_ok=True)


def test_improvement_interval_solves_its_equation():
    low, high = improvement_interval(0.8, [(5, 7)])
    z2 = stats.norm.ppf(0.975) ** 2
    for p in (low, high):
        variance = p * (1 - p) * (1 + 5 * ((1 - p) / (2 - p) + p / (1 + p))) / 35
        assert (0.8 - p) ** 2 == pytest.approx(z2 * variance, rel=1e-6)
    assert low < 0.8 < high
    assert improvement_interval(1.0, [(3, 3)])[1] == 1
    assert 0.4 < improvement_interval(1.0, [(3, 3)])[0] < 0.6
    one, other = improvement_interval(0.3, [(5, 5)]), improvement_interval(0.7, [(5, 5)])
    assert one == pytest.approx((1 - other[1], 1 - other[0]))
    # Two tasks are twice the seeds, or so.
    assert improvement_interval(0.8, [(5, 5)] * 2)[0] > improvement_interval(0.8, [(5, 5)])[0]


def test_pairs_by_hand():
    wins = {
        "ours": {"id": [70, 80, 90]},
        "theirs": {"id": [60, 75, 84]},
        "random": {"id": [10]},
    }
    table = compare_agents(study(wins), baseline="theirs")
    pair = row(table, agent="ours")
    assert pair["difference"] == pytest.approx(0.07)
    differences = np.array([0.10, 0.05, 0.06])
    reach = stats.t.ppf(0.975, 2) * stats.sem(differences)
    assert (pair["low"], pair["high"]) == pytest.approx((0.07 - reach, 0.07 + reach))
    # Paired they differ more than three seeds can show; runs by themselves overlap.
    assert pair["p"] == pair["p_holm"] == pytest.approx(0.25)
    assert pair["improvement"] == pytest.approx((1 + 2 + 3) / 9)
    assert pair["n_pairs"] == 3


def test_all_pairs_are_corrected_together_by_part():
    wins = {name: {"id": list(range(k, k + 6))} for name, k in (("a", 50), ("b", 60), ("c", 70))}
    table = compare_agents(study(wins))
    assert table[["agent", "other"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert table["p"].tolist() == pytest.approx([2 / 64] * 3)
    assert table["p_holm"].tolist() == pytest.approx([6 / 64] * 3)
    assert (table["note"] == "all seeds alike: no interval").all()


def test_seeds_without_a_pair_are_named_and_left_out_of_differences():
    one = study({"ours": {"id": [70, 80, 90]}})
    other = study({"theirs": {"id": [60, 70, 80]}})
    other["encoder_seed"] += 1
    pair = compare_agents(pd.concat([one, other])).iloc[0]
    assert pair["n_pairs"] == 2
    assert pair["difference"] == pytest.approx((0.80 - 0.60 + 0.90 - 0.70) / 2)
    assert "seeds [0, 3] of Reach, composition have no pair" in pair["note"]
    other["encoder_seed"] += 10
    apart = compare_agents(pd.concat([one, other])).iloc[0]
    assert np.isnan(apart["p"])
    assert "no common seeds" in apart["note"]
    assert apart["improvement"] == pytest.approx((1 + 2 + 3 + 0.5 * 2) / 9)


def test_comparisons_need_two_known_agents():
    with pytest.raises(ValueError, match=r"no agents \['nobody'\]"):
        compare_agents(study(WINS), baseline="nobody")
    with pytest.raises(ValueError, match="two agents or more"):
        compare_agents(study(WINS), agents=["ours"])


# Profiles


def test_profiles_by_hand():
    table = performance_profiles(study(WINS), thresholds=[0.0, 0.8, 0.9, 1.0])
    ours = table[(table["agent"] == "ours") & (table["part"] == "id")]
    # Scores are 0.75, 0.875 and 1.
    assert ours["fraction"].tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert (ours["low"] <= ours["fraction"]).all()
    assert (ours["high"] >= ours["fraction"]).all()
    assert ours["low"].iloc[0] == pytest.approx(wilson(1, 3)[0])
    assert (table[table["agent"] == "random"]["note"] == "one seed: no interval").all()


def test_profiles_cover_all_scores_unless_told():
    table = performance_profiles(study(WINS))
    ours = table[(table["agent"] == "true_state") & (table["part"] == "id")]
    assert ours["tau"].iloc[0] == 0
    assert ours["fraction"].iloc[0] == 1
    assert ours["fraction"].iloc[-1] == 0
    assert ours["fraction"].is_monotonic_decreasing


# Coverage


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
