"""Scores of runs and what they are normalised by, and tables that are refused."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drl_latent.evaluation import Intervals, performance_profiles, score_runs, summarize_study

EPISODES = runpy.run_path(str(Path(__file__).with_name("example_episodes.py")))
WINS, row, study = EPISODES["WINS"], EPISODES["row"], EPISODES["study"]
FAST = Intervals(draws=300)


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
