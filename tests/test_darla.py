"""DARLA: whose features judge its images, and when which network learns."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from drl_latent.artifacts import ArtifactError
from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives import DAE, DARLA
from drl_latent.objectives.base import Batch
from drl_latent.objectives.darla import feature_nats
from drl_latent.objectives.decoded import enlarged, mean_images
from drl_latent.pretrain import Optimization, pretrain

SMALL = ModelConfig(encoder_width=8, decoder_width=16)
PLAN = Optimization(batch_size=8, checkpoint_every=5, log_every=5, monitor_every=0)


def batch_at(step: int, steps: int = 90) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.rand(4, 3, 64, 64), step, steps, 100, generator, torch.zeros(4, 0))


@pytest.fixture
def dae() -> LatentModel:
    torch.manual_seed(0)
    return LatentModel(dataclasses.replace(DAE().architecture(SMALL), latent_dim=7))


@pytest.fixture
def dae_folder(dae: LatentModel, tmp_path: Path) -> str:
    return str(Encoder(dae).save(tmp_path / "dae"))


def test_images_are_compared_by_features(dae: LatentModel):
    targets, others = torch.rand(2, 6, 3, 64, 64)
    assert torch.equal(feature_nats(dae, targets, targets), torch.zeros(6))
    features, aims = dae.encode(others), dae.encode(targets)
    unit = 0.1**2 * aims.var(0, correction=0).mean()
    expected = (features - aims).square().sum(1) / (2 * unit)
    torch.testing.assert_close(feature_nats(dae, others, targets), expected)


def test_the_scale_of_features_does_not_matter(dae: LatentModel):
    targets, others = torch.rand(2, 6, 3, 64, 64)
    before = feature_nats(dae, others, targets)
    with torch.no_grad():
        dae.bottleneck.linear.weight *= 20
    torch.testing.assert_close(feature_nats(dae, others, targets), before, rtol=1e-4, atol=1e-3)


def test_smaller_images_are_enlarged(dae: LatentModel):
    small, other = torch.rand(2, 3, 3, 32, 32)
    found = feature_nats(dae, small, other)
    expected = feature_nats(dae, enlarged(small, 64), enlarged(other, 64))
    torch.testing.assert_close(found, expected)
    flat = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(enlarged(flat, 64), torch.full((1, 3, 64, 64), 0.3))
    assert enlarged(small, 32) is small


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_pixels_beyond_the_bounds_can_come_back(likelihood: str):
    torch.manual_seed(0)
    model = LatentModel(dataclasses.replace(SMALL, likelihood=likelihood))
    codes = torch.randn(2, 10)
    decoded = model.decode(codes)
    images = mean_images(model, codes)
    assert torch.equal(images, model.likelihood.images(decoded))
    if likelihood == "gaussian":
        assert ((images == 0) & (decoded < 0)).any(), "some are clipped"
    bias = model.decoder.layers[-2].bias  # type: ignore[union-attr, index]
    images.sum().backward()
    slopes = torch.ones_like(images) if likelihood == "gaussian" else images * (1 - images)
    torch.testing.assert_close(bias.grad.sum(), slopes.sum(), rtol=1e-4, atol=1e-2)


def test_the_dae_learns_first_and_the_vae_after_it(frames: FrameDataset):
    torch.manual_seed(0)
    objective = DARLA(dae_latents=7)
    config = objective.architecture(SMALL)
    model, networks = LatentModel(config), objective.networks(config, frames)
    players = objective.players(model, networks)
    acts = {
        step: [name for name, p in players.items() if p.loss(batch_at(step)) is not None]
        for step in (0, 29, 30, 89)
    }
    assert acts == {0: ["dae"], 29: ["dae"], 30: ["model"], 89: ["model"]}
    assert networks["dae"].config.latent_dim == 7
    assert networks["dae"].config.bottleneck == "point"


def test_only_the_network_whose_turn_it_is_changes(frames: FrameDataset, tmp_path: Path):
    plan = dataclasses.replace(PLAN, schedule="constant")
    untouched = pretrain(
        frames, DARLA(dae_share=0.99), out=tmp_path / "e", steps=10, model=SMALL,
        optimization=plan, progress=False,
    )  # fmt: skip
    torch.manual_seed(0)
    initial = LatentModel(untouched.config).state_dict()
    found = untouched.model.state_dict()
    assert all(torch.equal(initial[name], found[name]) for name in initial)


@pytest.mark.parametrize("dies_at", [7, 12, 23])
def test_resumes_exactly_in_both_phases(
    dies_at: int, frames: FrameDataset, tmp_path: Path, interrupt_at
):
    def run(folder: str) -> Encoder:
        return pretrain(
            frames, DARLA(), out=tmp_path / folder, steps=30, model=SMALL, optimization=PLAN,
            progress=False,
        )  # fmt: skip

    whole = run("whole")
    interrupt_at(dies_at, lambda: run("parts"))
    assert run("parts").fingerprint == whole.fingerprint


def test_another_dae_in_the_same_folder_is_another_request(frames: FrameDataset, tmp_path: Path):
    def run() -> Encoder:
        return pretrain(
            frames, "darla", dae=str(tmp_path / "dae"), out=tmp_path / "darla", steps=1,
            model=SMALL, optimization=PLAN, progress=False,
        )  # fmt: skip

    for seed in (0, 1):
        shutil.rmtree(tmp_path / "dae", ignore_errors=True)
        torch.manual_seed(seed)
        Encoder(LatentModel(DAE().architecture(SMALL))).save(tmp_path / "dae")
        if seed == 0:
            assert run().fingerprint == run().fingerprint
    with pytest.raises(ArtifactError, match=r"sources\.dae"):
        run()


def test_a_given_dae_judges_from_the_first_step_and_stays(
    dae: LatentModel, dae_folder: str, frames: FrameDataset
):
    objective = DARLA(dae=dae_folder)
    config = objective.architecture(SMALL)
    model, networks = LatentModel(config), objective.networks(config, frames)
    players = objective.players(model, networks)
    assert list(players) == ["model"]
    terms = players["model"].loss(batch_at(0))
    assert terms is not None
    terms["loss"].backward()
    for name, parameter in networks["dae"].named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, dae.get_parameter(name))


def test_beta_weighs_the_kl(dae_folder: str, frames: FrameDataset):
    objective = DARLA(dae=dae_folder, beta=7.0)
    model = LatentModel(objective.architecture(SMALL))
    player = objective.players(model, objective.networks(SMALL, frames))["model"]
    terms = player.loss(batch_at(0))
    assert terms is not None
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + 7 * terms["kl"])


def test_wrong_settings_are_refused(dae_folder: str, frames: FrameDataset, tmp_path: Path):
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"dae_share must be in \(0, 1\)"):
            DARLA(dae_share=share)
    larger = ModelConfig(image_shape=(84, 84, 3), decoded_size=42)
    with pytest.raises(ValueError, match=r"takes frames of shape \(64, 64, 3\), .* \(84, 84, 3\)"):
        DARLA(dae=dae_folder).networks(larger, frames)
    with pytest.raises(ArtifactError):
        DARLA(dae=str(tmp_path / "nothing" / "here" / "at" / "all")).networks(SMALL, frames)
