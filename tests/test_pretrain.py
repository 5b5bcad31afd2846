from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from drl_latent.artifacts import ArtifactError
from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, collect
from drl_latent.models import ModelConfig
from drl_latent.objectives import BetaVAE
from drl_latent.pretrain import Optimization, pretrain
from drl_latent.pretraining import Batches, FrameOrder, Plateau

SMALL = ModelConfig(encoder_width=8, decoder_width=16)
PLAN = Optimization(batch_size=8, checkpoint_every=10, log_every=5, monitor_every=0)


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
    plan = Optimization(steps=1_000)
    assert plan.rate(0) < 0.01
    assert plan.rate(250) > 0.8
    assert plan.rate(999) < 0.001
    assert Optimization(steps=1_000, schedule="constant").rate(999) == 1.0


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


def test_interrupted_run_resumes_exactly(frames: FrameDataset, tmp_path: Path, interrupt_at):
    def run(name: str) -> Encoder:
        return pretrain(
            frames, out=tmp_path / name, steps=40, model=SMALL, optimization=PLAN, progress=False
        )

    whole = run("whole")
    interrupt_at(27, lambda: run("parts"))
    assert not (tmp_path / "parts").exists()
    parts = run("parts")
    assert_same(parts, whole)
    assert not (tmp_path / "parts.partial").exists()
    assert not list((tmp_path / "parts").rglob("training*"))


def test_killed_process_resumes_exactly(frames: FrameDataset, tmp_path: Path):
    script = (
        "import sys; from drl_latent.pretrain import *; from drl_latent.models import ModelConfig;"
        "pretrain(sys.argv[1], out=sys.argv[2], steps=400, progress=False,"
        "model=ModelConfig(encoder_width=8, decoder_width=16),"
        "optimization=Optimization(batch_size=8, checkpoint_every=10, log_every=5))"
    )
    out = tmp_path / "killed"
    command = [sys.executable, "-c", script, str(frames.path)]
    checkpoint = tmp_path / "killed.partial" / "training.safetensors"
    process = subprocess.Popen([*command, str(out)])
    deadline = time.monotonic() + 300
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

    def exploding(self, model, batch):
        terms = real(self, model, batch)
        return terms | {"loss": terms["loss"] * float("nan")} if batch.step == 13 else terms

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


def test_threads_ahead_change_nothing(frames: FrameDataset):
    plain = list(Batches(frames, 8, seed=0).between(3, 20))
    ahead = list(Batches(frames, 8, seed=0, num_workers=3).between(3, 20))
    assert len(plain) == len(ahead) == 17
    for (images, factors), (images_ahead, factors_ahead) in zip(plain, ahead, strict=True):
        assert torch.equal(images, images_ahead)
        assert torch.equal(factors, factors_ahead)


def test_batches_are_frames_with_their_factors(frames: FrameDataset):
    batches = Batches(frames, 8, seed=0)
    rows = batches.rows(5)
    images, factors = batches(5)
    np.testing.assert_array_equal(images.numpy(), frames.frames[rows])
    np.testing.assert_array_equal(factors.numpy(), frames.factors[rows])


def test_pairs_are_halves_of_a_batch(pairs: FrameDataset, rollouts: FrameDataset):
    for data, kind in ((pairs, "pairs"), (rollouts, "consecutive")):
        known = {tuple(pair) for pair in data.pairs(kind).tolist()}
        rows = Batches(data, 8, seed=0, pair_kind=kind).rows(2)
        assert {(a, b) for a, b in zip(rows[:4], rows[4:], strict=True)} <= known
    with pytest.raises(ValueError, match="a pair has two"):
        Batches(pairs, 7, seed=0, pair_kind="pairs")


def test_what_is_refused_leaves_nothing_behind(
    frames: FrameDataset, pairs: FrameDataset, tmp_path: Path
):
    few = dataclasses.replace(SMALL, latent_dim=2)
    for data, objective, model, batch_size, says in (
        (pairs, "ada_gvae", SMALL, 7, "a pair has two"),
        (frames, "ada_gvae", SMALL, 8, 'source="pairs"'),
        (pairs, "slow_vae", SMALL, 8, 'source="rollout"'),
        (frames, "supervised", few, 8, "a latent for each"),
    ):
        plan = dataclasses.replace(PLAN, batch_size=batch_size)
        with pytest.raises(ValueError, match=says):
            pretrain(data, objective, out=tmp_path / "e", steps=2, model=model, optimization=plan,
                     progress=False)  # fmt: skip
        assert not list(tmp_path.iterdir())


def test_a_run_can_be_resumed_with_other_threads_and_logs(
    frames: FrameDataset, tmp_path: Path, interrupt_at
):
    def run(name: str, **watched) -> Encoder:
        plan = dataclasses.replace(PLAN, **watched)
        return pretrain(
            frames, out=tmp_path / name, steps=25, model=SMALL, optimization=plan, progress=False
        )

    whole = run("whole")
    interrupt_at(14, lambda: run("parts"))
    assert_same(run("parts", num_workers=2, log_every=3, monitor_every=7), whole)


def test_moving_average_becomes_the_encoder(
    frames: FrameDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def run(name: str, ema: float) -> Encoder:
        plan = dataclasses.replace(PLAN, ema=ema, schedule="constant")
        return pretrain(
            frames, out=tmp_path / name, steps=25, model=SMALL, optimization=plan, progress=False
        )

    last, averaged = run("last", 0.0), run("averaged", 0.9)
    assert last.fingerprint != averaged.fingerprint

    real, history = torch.optim.AdamW.step, []

    def recording(self, *arguments, **keywords):
        result = real(self, *arguments, **keywords)
        history.append(self.param_groups[0]["params"][0].detach().clone())
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", recording)
    run("again", 0.9)
    expected = history[0]
    for value in history[1:]:
        expected = 0.9 * expected + 0.1 * value
    torch.testing.assert_close(next(averaged.model.parameters()), expected)


def test_moving_average_resumes_exactly(frames: FrameDataset, tmp_path: Path, interrupt_at):
    def run(name: str) -> Encoder:
        plan = dataclasses.replace(PLAN, ema=0.9)
        return pretrain(
            frames, out=tmp_path / name, steps=30, model=SMALL, optimization=plan, progress=False
        )

    whole = run("whole")
    interrupt_at(24, lambda: run("parts"))
    assert_same(run("parts"), whole)


def test_plateau_stops_a_loss_that_does_not_fall():
    plateau = Plateau(patience=3)
    for loss in (9.0, 8.0, 7.0, 6.0, 5.0, 4.0):
        plateau.take_in(loss)
    assert not plateau.over
    resumed = Plateau(patience=3)
    for loss in (5.0, 5.1):
        plateau.take_in(loss)
    resumed.restore(json.loads(json.dumps(plateau.state())))
    for each in (plateau, resumed):
        assert not each.over
        each.take_in(5.0)
        assert each.over
    never = Plateau(patience=0)
    for _ in range(100):
        never.take_in(1.0)
    assert not never.over


def test_plateau_ends_training(
    frames: FrameDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real, seen = BetaVAE.loss, []

    def flat(self, model, batch):
        seen.append(batch.step)
        terms = real(self, model, batch)
        return terms | {"loss": terms["loss"] * 0 + 1}

    monkeypatch.setattr(BetaVAE, "loss", flat)
    plan = dataclasses.replace(PLAN, patience=8)
    pretrain(frames, out=tmp_path / "e", steps=100, model=SMALL, optimization=plan, progress=False)
    assert seen[-1] == 15


def test_non_finite_gradient_stops_before_it_reaches_the_weights(
    frames: FrameDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = BetaVAE.loss

    def exploding(self, model, batch):
        terms = real(self, model, batch)
        if batch.step == 13:
            # The square root of 0: finite, but its gradient is not.
            terms["loss"] = terms["loss"] + (terms["loss"] * 0).sqrt()
        return terms

    monkeypatch.setattr(BetaVAE, "loss", exploding)
    with pytest.raises(FloatingPointError, match="gradient is not finite at step 13"):
        pretrain(
            frames, out=tmp_path / "e", steps=20, model=SMALL, optimization=PLAN, progress=False
        )


def test_logs_show_scalars_images_and_metrics(frames: FrameDataset, tmp_path: Path):
    plan = dataclasses.replace(PLAN, monitor_every=10)
    pretrain(frames, out=tmp_path / "e", steps=20, model=SMALL, optimization=plan, progress=False)
    logs = EventAccumulator(str(tmp_path / "e" / "logs")).Reload()
    assert {"model/loss", "model/reconstruction", "model/kl", "model/learning_rate"} <= set(
        logs.Tags()["scalars"]
    )
    assert {"model/frame_and_reconstruction", "model/traversals"} == set(logs.Tags()["images"])
    assert [entry.step for entry in logs.Scalars("metrics/mig")] == [10, 20]
    assert [entry.step for entry in logs.Images("model/traversals")] == [10, 20]


def test_learns_from_a_handful_of_frames(tmp_path: Path):
    few = collect("DrlLatent/Reach-v0", tmp_path / "few", n=9, seed=0, progress=False)
    encoder = pretrain(
        few, out=tmp_path / "e", steps=2, model=SMALL, optimization=PLAN, progress=False
    )
    assert encoder(few.frames[:]).shape == (9, 10)


def test_trains_in_bfloat16(frames: FrameDataset, tmp_path: Path):
    plan = dataclasses.replace(PLAN, precision="bfloat16")
    encoder = pretrain(
        frames, out=tmp_path / "e", steps=2, model=SMALL, optimization=plan, progress=False
    )
    assert {value.dtype for value in weights(encoder).values()} == {torch.float32}
    codes = encoder(frames.frames[:4])
    assert codes.dtype == np.float32
    assert np.isfinite(codes).all()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ema": 1.0}, r"must be in \[0, 1\)"),
        ({"patience": -1}, "patience must be 0 or more"),
        ({"num_workers": -1}, "num_workers must be 0 or more"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0"),
        ({"precision": "float16"}, "Did you mean 'bfloat16'"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
    ],
)
def test_wrong_plans_are_refused(settings: dict, says: str):
    with pytest.raises(ValueError, match=says):
        Optimization(**settings)
