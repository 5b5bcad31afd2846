"""Agents in pairs: exact tests, chances of improvement, corrections."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from drl_latent.evaluation import compare_agents, holm, paired_permutation_test
from drl_latent.evaluation.paired_tests import improvement_interval

EPISODES = runpy.run_path(str(Path(__file__).with_name("example_episodes.py")))
WINS, row, study = EPISODES["WINS"], EPISODES["row"], EPISODES["study"]


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
