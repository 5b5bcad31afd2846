"""Contract of every registered objective."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig, to_unit_images
from drl_latent.objectives import OBJECTIVES, BetaVAE
from drl_latent.objectives.base import Batch, Objective, Terms
from drl_latent.pretrain import Optimization, pretrain
from drl_latent.registry import UnknownNameError

NAMES = list(OBJECTIVES)
TRAINED = [name for name in NAMES if OBJECTIVES[name].trains]
SMALL = ModelConfig(encoder_width=8, decoder_width=16)
PLAN = Optimization(batch_size=16, checkpoint_every=20, log_every=10, monitor_every=0)


@pytest.fixture
def data_for(frames: FrameDataset, pairs: FrameDataset, rollouts: FrameDataset):
    """The data set that an objective learns from."""
    known = {None: frames, "pairs": pairs, "consecutive": rollouts}
    return lambda name: known[OBJECTIVES[name].pair_kind]


def one_step(objective: Objective, data: FrameDataset, seed: int = 0) -> dict[str, Terms]:
    """The terms of each player on the first frames, of fresh networks."""
    torch.manual_seed(seed)
    config = objective.architecture(SMALL)
    model, networks = LatentModel(config), objective.networks(config, data)
    batch = Batch(
        to_unit_images(torch.from_numpy(data.frames[:8].copy())),
        0,
        100,
        len(data),
        torch.Generator().manual_seed(seed),
        torch.from_numpy(data.factors[:8].copy()),
    )
    terms = {name: p.loss(batch) for name, p in objective.players(model, networks).items()}
    return {name: found for name, found in terms.items() if found is not None}


@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss_saves_and_loads(name: str, data_for, tmp_path: Path):
    data, out = data_for(name), tmp_path / "encoder"
    encoder = pretrain(
        data, name, out=out, steps=200, model=SMALL, optimization=PLAN, progress=False
    )
    codes = encoder(data.frames[:10])
    assert codes.shape == (10, SMALL.latent_dim)
    assert np.isfinite(codes).all()
    np.testing.assert_array_equal(Encoder.load(out)(data.frames[:10]), codes)
    with pytest.raises(ValueError, match="takes uint8 frames"):
        encoder(data.frames[:10, ::2, ::2])
    assert {p.suffix for p in out.iterdir() if p.is_file()} <= {".json", ".safetensors", ".md"}
    if OBJECTIVES[name].trains:
        logs = EventAccumulator(str(out / "logs")).Reload()
        criterion = OBJECTIVES[name].criterion
        losses = [entry.value for entry in logs.Scalars(f"model/{criterion}")]
        assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:2]), losses


@pytest.mark.parametrize("name", TRAINED)
def test_resumes_exactly(name: str, data_for, tmp_path: Path, interrupt_at):
    def run(folder: str) -> Encoder:
        return pretrain(
            data_for(name), name, out=tmp_path / folder, steps=50, model=SMALL,
            optimization=PLAN, progress=False,
        )  # fmt: skip

    whole = run("whole")
    interrupt_at(33, lambda: run("parts"))
    assert (tmp_path / "parts.partial" / "training.safetensors").exists()
    assert run("parts").fingerprint == whole.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_learns_from_stacked_frames(name: str, rollouts: FrameDataset, tmp_path: Path):
    data = rollouts.stacked(3)
    model = dataclasses.replace(SMALL, image_shape=data.image_shape)
    encoder = pretrain(
        data, name, out=tmp_path / "e", steps=3, model=model, optimization=PLAN, progress=False
    )
    assert encoder.image_shape == (64, 64, 9)
    assert encoder(data.frames[:4]).shape == (4, 10)


@pytest.mark.parametrize("name", TRAINED)
def test_every_weight_is_trained_by_some_player(name: str, data_for):
    torch.manual_seed(0)
    objective, data = OBJECTIVES[name](), data_for(name)
    config = objective.architecture(SMALL)
    model, networks = LatentModel(config), objective.networks(config, data)
    players = objective.players(model, networks)
    assert players, "an objective that trains has a player"
    held = {id(p) for player in players.values() for p in player.parameters}
    assert {id(p) for p in model.parameters()} <= held
    trained = set()
    # An objective with phases trains its weights at different steps.
    for step in (0, 50, 99):
        batch = Batch(
            to_unit_images(torch.from_numpy(data.frames[:8].copy())),
            step,
            100,
            len(data),
            torch.Generator().manual_seed(0),
            torch.from_numpy(data.factors[:8].copy()),
        )
        for player in players.values():
            terms = player.loss(batch)
            if terms is None:
                continue
            assert terms["loss"].shape == ()
            assert all(torch.isfinite(value) for value in terms.values())
            parameters = list(player.parameters)
            gradients = torch.autograd.grad(terms["loss"], parameters, allow_unused=True)
            trained |= {
                id(p)
                for p, gradient in zip(parameters, gradients, strict=True)
                if gradient is not None and gradient.abs().sum() > 0
            }
    untrained = [n for n, p in model.named_parameters() if id(p) not in trained]
    assert not untrained


@pytest.mark.parametrize("name", TRAINED)
def test_same_generator_same_loss(name: str, data_for):
    first, second = (one_step(OBJECTIVES[name](), data_for(name), seed=3) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_docstring_names_its_source(name: str):
    text = OBJECTIVES[name].__doc__ or ""
    assert any(f" {year}" in text for year in range(1900, 2027)), "author, year, title, equation"


@pytest.mark.parametrize("name", NAMES)
def test_is_in_the_documented_table(name: str):
    table = Path(__file__).parents[1] / "docs" / "objectives.md"
    assert f"| `{name}` |" in table.read_text(encoding="utf-8")


def test_wrong_settings_are_refused(frames: FrameDataset, tmp_path: Path):
    with pytest.raises(ValueError, match="beta must be 0 or more"):
        BetaVAE(beta=-1.0)
    with pytest.raises(UnknownNameError, match="Did you mean 'gaussian'"):
        BetaVAE(likelihood="gausian")
    with pytest.raises(UnknownNameError, match="Did you mean 'beta_vae'"):
        pretrain(frames, "beta_va", out=tmp_path / "e")
    with pytest.raises(UnknownNameError, match="Did you mean 'beta'"):
        pretrain(frames, "beta_vae", out=tmp_path / "e", bet=3.0)
    with pytest.raises(ValueError, match="beside an objective object"):
        pretrain(frames, BetaVAE(), out=tmp_path / "e", beta=3.0)
    with pytest.raises(ValueError, match="Mine is not registered"):
        pretrain(frames, type("Mine", (BetaVAE,), {})(), out=tmp_path / "e")
    wrong = dataclasses.replace(SMALL, image_shape=(84, 84, 3), decoded_size=42)
    with pytest.raises(ValueError, match="the data set has"):
        pretrain(frames, "beta_vae", out=tmp_path / "e", model=wrong)
    with pytest.raises(ValueError, match="steps must be 1 or more"):
        Optimization(steps=0)
    assert not list(tmp_path.iterdir())
