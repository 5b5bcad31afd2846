"""A study on this machine that is killed at random points, as by `scripts/check_kills.py`."""

from __future__ import annotations

import dataclasses
import runpy
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from drl_latent.study import StudyResults

HELPERS = runpy.run_path(str(Path(__file__).parent / "tiny_study.py"))
CHECK = HELPERS["CHECK"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]


def test_kills_lose_nothing_repeat_nothing_and_change_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    """Of what works on a piece, of what that is forked from, and of the whole run."""
    expected = StudyResults.load(HELPERS["undisturbed"](tmp_path_factory) / "results.parquet")
    whats = ("worker", "whole", "server")
    draw = np.random.default_rng(0)
    kills = CHECK["kill_local"](CHECK["TINY"], tmp_path / "study", whats, draw)
    assert len(kills) == len(whats)
    found = StudyResults.load(tmp_path / "study" / "results.parquet")
    CHECK["assert_same"](found, expected)


def test_work_that_takes_long_ends_with_the_run(tmp_path: Path):
    """Nobody is left to work on, and to hold a lock, for hours."""
    budgets = dataclasses.replace(CHECK["TINY"].budgets, agent_steps=10**8)
    study = dataclasses.replace(CHECK["TINY"], encoders=(), budgets=budgets)
    run = CHECK["begin"](study, tmp_path / "study")
    watched = CHECK["Watched"](tmp_path / "study")
    try:
        CHECK["_wait_until"](lambda: len(watched.events()) >= 3, 120)  # one of two is finished
        time.sleep(4)
        processes = CHECK["_descendants"](run.pid)
        run.kill()
        run.wait()
        CHECK["_wait_until"](lambda: not processes.keys() & CHECK["_parents"]().keys(), 15)
    finally:
        if run.poll() is None:
            run.kill()
    assert watched.kept()[0].startswith("evaluate/")


def test_a_change_to_a_finished_piece_is_noticed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    """What the other tests look with sees what they look for."""
    source = HELPERS["undisturbed"](tmp_path_factory)
    watched = CHECK["Watched"](Path(shutil.copytree(source, tmp_path / "study")))
    watched.look()
    watched.look()
    name = watched.kept()[0]
    with (watched.folder / "events.jsonl").open("a") as file:
        file.write(f'{{"event": "begun", "piece": "{name}"}}\n')
    with pytest.raises(AssertionError, match="was finished and begun again"):
        watched.look()
    (watched.folder / "kept" / name / "record.json").touch()
    with pytest.raises(AssertionError, match="has changed"):
        watched.look()
    shutil.rmtree(watched.folder / "kept" / name)
    with pytest.raises(AssertionError, match="is gone"):
        watched.look()
