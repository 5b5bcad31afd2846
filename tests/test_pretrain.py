from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from drl_latent import pretrain as pretrain_module  # noqa: F401
from drl_latent.artifacts import ArtifactError
from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset
from drl_latent.models import ModelConfig
from drl_latent.objectives import BetaVAE
from drl_latent.pretrain import FrameOrder, Optimization, pretrain

SMALL = ModelConfig(encoder_width=8, decoder_width=16)
PLAN = Optimization(batch_size=8, checkpoint_every=10, log_every=5)


def weights(encoder: Encoder) -> dict[str, torch.Tensor]:
    return encoder.model.state_dict()


def assert_same(first: Encoder, second: Encoder) -> None:
    for name, value in weights(first).items():
        assert torch.equal(value, weights(second)[name]), name


def test_order_is_shuffled_epochs():
    order = FrameOrder(10, 4, seed=0)
    seen = np.concatenate([order(step) for step in range(5)])
    assert sorted(seen[:10]) == list(range(10))
    assert sorted(seen[10:]) == list(range(10))
    assert (seen[:10] != seen[10:]).any()
    assert (FrameOrder(10, 4, seed=0)(4) == order(4)).all()
    assert len(FrameOrder(3, 8, seed=0)(0)) == 8


def test_rate_warms_up_and_decays():
    plan = Optimization(steps=1_000, learning_rate=1.0)
    assert plan.rate(0) < 0.01
    assert plan.rate(250) > 0.8
    assert plan.rate(999) < 0.001
    assert Optimization(steps=1_000, learning_rate=1.0, schedule="constant").rate(999) == 1.0


def test_same_seed_same_weights(frames: FrameDataset, tmp_path: Path):
    first, second, other = (
        pretrain(
            frames, out=tmp_path / name, steps=15, seed=seed, model=SMALL, optimization=PLAN,
            progress=False,
        )
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )  # fmt: skip
    assert_same(first, second)
    assert first.fingerprint == second.fingerprint != other.fingerprint


def test_interrupted_run_resumes_exactly(
    frames: FrameDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def run(name: str) -> Encoder:
        return pretrain(
            frames, out=tmp_path / name, steps=40, model=SMALL, optimization=PLAN, progress=False
        )

    whole = run("whole")
    real = BetaVAE.loss

    def dying(self, model, images, step, generator):
        if step == 27:
            raise KeyboardInterrupt
        return real(self, model, images, step, generator)

    monkeypatch.setattr(BetaVAE, "loss", dying)
    with pytest.raises(KeyboardInterrupt):
        run("parts")
    assert not (tmp_path / "parts").exists()
    monkeypatch.setattr(BetaVAE, "loss", real)
    parts = run("parts")
    assert_same(parts, whole)
    assert not (tmp_path / "parts.partial").exists()
    assert not list((tmp_path / "parts").rglob("training*"))


def test_killed_process_resumes_exactly(frames: FrameDataset, tmp_path: Path):
    script = (
        "import sys; from drl_latent.pretrain import *;"
        "pretrain(sys.argv[1], out=sys.argv[2], steps=400, progress=False,"
        "model=ModelConfig(encoder_width=8, decoder_width=16),"
        "optimization=Optimization(batch_size=8, checkpoint_every=10, log_every=5))"
    )
    out = tmp_path / "killed"
    command = [sys.executable, "-c", script, str(frames.path)]
    checkpoint = tmp_path / "killed.partial" / "training.safetensors"
    process = subprocess.Popen([*command, str(out)])
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    with pytest.raises(ArtifactError, match="not finished"):
        Encoder.load(out)
    with pytest.raises(ArtifactError, match=r"optimization\.steps: 400 there, 40 asked"):
        pretrain(frames, out=out, steps=40, model=SMALL, optimization=PLAN, progress=False)
    for folder in (out, tmp_path / "whole"):
        subprocess.run([*command, str(folder)], check=True)
    assert_same(Encoder.load(out), Encoder.load(tmp_path / "whole"))


def test_non_finite_loss_stops_with_the_checkpoint_kept(
    frames: FrameDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = BetaVAE.loss

    def exploding(self, model, images, step, generator):
        terms = real(self, model, images, step, generator)
        return terms | {"loss": terms["loss"] * float("nan")} if step == 13 else terms

    monkeypatch.setattr(BetaVAE, "loss", exploding)
    with pytest.raises(FloatingPointError, match="at step 13"):
        pretrain(
            frames, out=tmp_path / "e", steps=20, model=SMALL, optimization=PLAN, progress=False
        )
    assert (tmp_path / "e.partial" / "training.safetensors").exists()


def test_finished_run_is_found_again(frames: FrameDataset, tmp_path: Path):
    settings = {"steps": 3, "model": SMALL, "optimization": PLAN, "progress": False}
    first = pretrain(frames, out=tmp_path / "e", **settings)
    written = (tmp_path / "e" / "config.json").stat().st_mtime_ns
    assert_same(pretrain(frames.path, out=tmp_path / "e", **settings), first)
    assert (tmp_path / "e" / "config.json").stat().st_mtime_ns == written
    with pytest.raises(ArtifactError, match="other settings"):
        pretrain(frames, out=tmp_path / "e", beta=1.0, **settings)
    assert first.training["data"]["fingerprint"] == frames.fingerprint
    assert list((tmp_path / "e" / "logs").iterdir())
