"""The command line of studies, on the smallest one there is."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from drl_latent.cli import main
from drl_latent.cli.study_command import progress_table
from drl_latent.report import write_report
from drl_latent.study import Progress, StudyResults
from drl_latent.study.pieces import Piece

SMALLEST = {
    "tasks": [
        {
            "factors": ["object_hue", "floor_hue"],
            "agent": {"n_envs": 2, "settings": {"n_steps": 32, "batch_size": 32}},
        }
    ],
    "baselines": ["true_state"],
    "encoder_seeds": [0],
    "budgets": {"agent_steps": 64, "episodes": 2},
}


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["study", *map(str, arguments)])
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    root = tmp_path_factory.mktemp("study")
    (root / "mine.json").write_text(json.dumps(SMALLEST))
    assert run("run", root / "mine.json", "--out", root / "out", "--options", "cores=2") == 0
    return root / "out"


def test_a_run_leaves_results_and_a_report(folder: Path):
    results = StudyResults.load(folder / "results.parquet")
    assert set(results.episodes["agent"]) == {"true_state", "random"}
    assert set(results.episodes["part"]) == {"id", "ood1", "ood2"}
    assert "true_state" in (folder / "report.html").read_text(encoding="utf-8")


def test_resume_makes_nothing_again(folder: Path):
    before = (folder / "events.jsonl").read_bytes()
    assert run("resume", folder) == 0
    assert (folder / "events.jsonl").read_bytes() == before


def test_export_needs_results_alone(folder: Path, tmp_path: Path):
    assert run("export", folder / "results.parquet", "--to", tmp_path) == 0
    page = (tmp_path / "report.html").read_bytes()
    assert page == (folder / "report.html").read_bytes()
    assert list((tmp_path / "tables").glob("*.csv"))


def test_the_report_of_a_run_folder_may_be_that_of_a_study(folder: Path):
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert write_report(folder).read_bytes() == before


def test_status_counts_pieces(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run("status", folder) == 0
    said = capsys.readouterr().out
    assert "evaluate" in said
    assert "2 of 2" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "reahc"], "Did you mean 'reach'"),
        (["run", "absent.json"], "There is no study at absent.json"),
        (["status", "absent"], "not the folder of a study"),
        (["resume", "absent"], "not the folder of a study"),
        (["export", "absent.parquet"], "is not there"),
    ],
)
def test_what_is_not_there_is_said(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert run(*arguments) == 1
    assert said in capsys.readouterr().err


def test_the_live_table_shows_counts_and_what_runs():
    frames = Piece("collect", "frames, Reach", {"n": 1})
    encoder = Piece("pretrain", "beta_vae, Reach", {"steps": 1}, {"data": frames})
    progress = Progress([frames, encoder], [encoder], running={encoder: time.monotonic() - 65})
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(progress_table(progress))
    said = console.export_text()
    assert "1 of 1" in said
    assert "1 running" in said
    assert "beta_vae, Reach, 1:05" in said
