"""Performance profiles."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from drl_latent.evaluation import performance_profiles
from drl_latent.evaluation.seed_bootstrap import wilson

EPISODES = runpy.run_path(str(Path(__file__).with_name("example_episodes.py")))
WINS, study = EPISODES["WINS"], EPISODES["study"]


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
