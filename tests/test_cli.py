"""The command line, and the whole chain through it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from drl_latent.artifacts import ArtifactError
from drl_latent.cli import COMMANDS, main
from drl_latent.cli.commands import parse_settings
from drl_latent.cli.pretrain_command import ModelOptions
from drl_latent.cli.tables import print_success
from drl_latent.pretrain import default_model
from drl_latent.report import write_report

PROGRAM = [sys.executable, "-c", "from drl_latent.cli import main; main()"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished smoke run."""
    out = tmp_path_factory.mktemp("runs") / "smoke"
    done = run("quickstart", "--smoke", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"drl-latent {command}" in capsys.readouterr().out


def test_smoke_run_has_all_it_promises(smoke: Path):
    summary = json.loads((smoke / "summary.json").read_text())
    assert set(summary["success"]) == {"id", "ood1", "ood2", "random", "true_state"}
    assert set(summary["metrics"]) == {"mig", "dci_disentanglement"}
    assert set(summary["probe"]) >= {"object_hue", "object_size", "floor_hue", "object_x"}
    assert summary["wall_seconds"] > 0
    assert summary["sessions"] == 1
    results = pd.read_parquet(smoke / "results.parquet")
    assert set(results["agent"]) == {"latents", "true_state", "random"}
    assert set(results["part"]) == {"id", "ood1", "ood2"}
    figures = {p.stem for p in (smoke / "figures").iterdir()}
    assert figures == {"scene", "traversals", "importance", "probe", "success", "learning"}


def test_page_is_self_contained(smoke: Path):
    page = (smoke / "report.html").read_text()
    assert len(re.findall(r"<figure", page)) == 7
    sources = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    for word in ("OOD1", "OOD2", "MIG", "random actions"):
        assert word in page


def test_finished_run_is_not_repeated(smoke: Path):
    before = {p: p.stat().st_mtime_ns for p in smoke.rglob("*.safetensors")}
    summary = json.loads((smoke / "summary.json").read_text())
    done = run("quickstart", "--smoke", "--out", smoke)
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in smoke.rglob("*.safetensors")} == before
    assert json.loads((smoke / "summary.json").read_text()) == summary


def test_same_seed_same_figures(smoke: Path, tmp_path: Path):
    assert run("quickstart", "--smoke", "--out", tmp_path / "again").returncode == 0
    first, second = (
        json.loads((folder / "summary.json").read_text()) for folder in (smoke, tmp_path / "again")
    )
    for summary in (first, second):
        del summary["wall_seconds"]
    assert first == second
    pd.testing.assert_frame_equal(
        pd.read_parquet(smoke / "results.parquet"),
        pd.read_parquet(tmp_path / "again" / "results.parquet"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("marker", ["frames", "encoder.partial/logs", "agents/latents"])
def test_killed_run_goes_on_to_the_same_result(smoke: Path, tmp_path: Path, marker: str):
    out = tmp_path / "killed"
    process = subprocess.Popen(
        [*PROGRAM, "quickstart", "--smoke", "--out", str(out)], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not (out / marker).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (out / marker).exists()
    assert not (out / "summary.json").exists()
    done = run("quickstart", "--smoke", "--out", out)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((folder / "summary.json").read_text()) for folder in (smoke, out))
    assert second["sessions"] == 2
    for key in ("success", "metrics", "probe"):
        assert first[key] == second[key]


def test_stages_run_one_by_one(tmp_path: Path):
    env = ("--factors", "object_hue", "floor_hue", "--split", "composition")
    steps = [
        ("collect", "--out", tmp_path / "frames", "--n", 150, *env, "--partition", "encoder"),
        ("collect", "--out", tmp_path / "roll", "--n", 50, "--source", "rollout", *env),
        ("pretrain", "--data", tmp_path / "frames", "--out", tmp_path / "encoder", "--steps", 5,
         "--settings", "beta=8", "likelihood=bernoulli"),
        ("score", "--encoder", tmp_path / "encoder", "--data", tmp_path / "frames",
         "--out", tmp_path / "scores", "--metrics", "mig", "linear_probe"),
        ("train", "--encoder", tmp_path / "encoder", "--out", tmp_path / "agent", *env,
         "--steps", 64, "--n-envs", 2, "--settings", "n_steps=16", "batch_size=16"),
        ("evaluate", "--agent", tmp_path / "agent", "--out", tmp_path / "eval", "--episodes", 2),
        ("report", tmp_path),
    ]  # fmt: skip
    for step in steps:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in step])
        assert stop.value.code == 0, step
    assert (tmp_path / "report.html").exists()
    config = json.loads((tmp_path / "encoder" / "config.json").read_text())["config"]
    assert config["training"]["objective"] == {"likelihood": "bernoulli", "beta": 8}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["collect", "--out", "o", "--env", "DrlLatent/Raech-v0"], "'DrlLatent/Reach-v0'"),
        (["collect", "--out", "o", "--factors", "object_hu"], "Did you mean 'object_hue'"),
        (["collect", "--out", "o", "--split", "compostion"], "Did you mean 'composition'"),
        (["pretrain", "--data", "nowhere", "--out", "o"], "There is no frames folder"),
        (["pretrain", "--data", ".", "--out", "o"], "is not a frames folder"),
        (["score", "--encoder", "x", "--data", "y", "--out", "o", "--metrics", "migg"], "'mig'"),
        (["train", "--out", "o"], "latents need an encoder"),
        (["evaluate", "--agent", "nowhere", "--out", "o"], "There is no agent folder"),
        (["report", "nowhere"], "There is no run folder"),
    ],
)
def test_wrong_requests_are_one_line(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    assert not list(tmp_path.iterdir())


def test_returns_are_printed_where_nobody_says_what_success_is(capsys: pytest.CaptureFixture[str]):
    episodes = pd.DataFrame({"agent": "mine", "part": "id", "return": [-2.0, -4.0]})
    print_success(episodes.assign(success=float("nan")))
    shown = capsys.readouterr().out
    assert "-3.0" in shown
    assert "nan" not in shown
    assert "uccess" not in shown
    print_success(episodes.assign(success=[True, False]))
    shown = capsys.readouterr().out
    assert "0.50" in shown
    assert "-3.0" in shown


def test_settings_are_json_or_words():
    assert parse_settings(("beta=8", "likelihood=gaussian", "on=true")) == {
        "beta": 8,
        "likelihood": "gaussian",
        "on": True,
    }
    with pytest.raises(ValueError, match="name=value"):
        parse_settings(("beta",))


def test_the_options_of_a_model_default_to_the_default_model():
    for size in (64, 84):
        assert ModelOptions().config((size, size, 3)) == default_model((size, size, 3))


def test_other_settings_need_another_folder(smoke: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["quickstart", "--smoke", "--seed", "5", "--out", str(smoke)])
    assert stop.value.code == 1
    assert "other settings (seed)" in capsys.readouterr().err


def test_nothing_to_report_is_said(tmp_path: Path):
    with pytest.raises(ArtifactError, match="nothing to report"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())
