"""Known answers of the baselines: what they learn, from what, and what they refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import decomposition

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig, to_unit_images
from drl_latent.objectives import AE, DAE, PCA, Objective, Supervised, pca
from drl_latent.objectives.base import Batch
from drl_latent.objectives.dae import occlude
from drl_latent.objectives.supervised import Targets
from drl_latent.pretrain import Optimization, pretrain

SMALL = ModelConfig(encoder_width=8, decoder_width=16)
PLAN = Optimization(batch_size=16, log_every=10, monitor_every=0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(images: torch.Tensor, **more: Any) -> Batch:
    return Batch(images, 0, 1, 100, seeded(), torch.zeros(len(images), 0), **more)


def with_frames(data: FrameDataset, frames: np.ndarray) -> FrameDataset:
    return dataclasses.replace(data, frames=frames, factors=data.factors[: len(frames)])


def train(data: FrameDataset, objective: str | Objective, out: Path, **settings: Any) -> Encoder:
    arguments = {"steps": 10, "model": SMALL, "optimization": PLAN, "progress": False}
    return pretrain(data, objective, out=out, **{**arguments, **settings})


def test_occlusion_blanks_one_rectangle_of_an_image():
    images = torch.rand(500, 3, 12, 20) + 0.1
    occluded = occlude(images, seeded())
    blank = occluded == 0
    assert torch.equal(occluded[~blank], images[~blank])
    assert torch.equal(blank, blank[:, :1].expand_as(blank)), "all channels alike"
    mask = blank[:, 0]
    rows, columns = mask.any(2), mask.any(1)
    assert torch.equal(mask, rows[:, :, None] & columns[:, None, :])
    for line in (rows, columns):
        assert (line.float().diff(dim=1) == 1).sum(1).max() <= 1, "in one piece"
    assert mask.float().mean().item() == pytest.approx(1 / 9, abs=0.02)
    assert len(mask.flatten(1).unique(dim=0)) > 300, "another one for each image"


def test_dae_is_shown_corrupted_images_and_compared_with_clean_ones():
    torch.manual_seed(0)
    model, images = LatentModel(DAE().architecture(SMALL)), torch.rand(4, 3, 64, 64)
    objective = DAE(noise=0.2)
    corrupted = objective.corrupt(images, seeded())
    kept = corrupted != 0
    assert (corrupted - images)[kept].std().item() == pytest.approx(0.2, rel=0.02)
    expected = model.reconstruction_loss(model.encode(corrupted), images).mean()
    torch.testing.assert_close(objective.loss(model, batch_of(images))["loss"], expected)
    torch.testing.assert_close(DAE(occlusion=False).corrupt(images, seeded()), images)
    uncorrupted = DAE(occlusion=False).loss(model, batch_of(images))["loss"]
    assert uncorrupted == AE().loss(model, batch_of(images))["loss"]


def test_noise_below_0_is_refused():
    with pytest.raises(ValueError, match="noise must be 0 or more"):
        DAE(noise=-0.1)


def test_random_has_the_weights_of_the_seed(frames: FrameDataset, tmp_path: Path):
    encoders = [train(frames, "random", tmp_path / str(i), seed=i) for i in (3, 4)]
    torch.manual_seed(3)
    initial = LatentModel(encoders[0].config).state_dict()
    found, other = (encoder.model.state_dict() for encoder in encoders)
    assert all(torch.equal(initial[name], found[name]) for name in initial)
    assert encoders[0].fingerprint != encoders[1].fingerprint
    assert not torch.equal(found["bottleneck.linear.weight"], other["bottleneck.linear.weight"])


def pixels(data: FrameDataset, encoder: Encoder) -> np.ndarray:
    images = to_unit_images(torch.from_numpy(data.frames[:].copy()))
    return encoder.model.target(images).flatten(1).double().numpy()


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_pca_is_that_of_sklearn(frames: FrameDataset, ema: float, tmp_path: Path):
    plan = dataclasses.replace(PLAN, ema=ema)
    encoder = train(frames, "pca", tmp_path / "e", optimization=plan)
    rows = pixels(frames, encoder)
    fitted = decomposition.PCA(10, whiten=True, svd_solver="full").fit(rows)
    codes, expected = encoder(frames.frames[:]), fitted.transform(rows)
    signs = np.sign((codes * expected).sum(0))
    np.testing.assert_allclose(codes, signs * expected, atol=2e-4)
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(codes.std(0, ddof=1), 1, atol=1e-4)
    with torch.no_grad():
        decoded = encoder.model.decode(torch.from_numpy(codes)).flatten(1).numpy()
    np.testing.assert_allclose(decoded, fitted.inverse_transform(expected), atol=2e-5)
    loadings = encoder.model.bottleneck.linear.weight.numpy()
    assert (loadings[range(10), np.abs(loadings).argmax(1)] > 0).all()


def test_pca_in_chunks_explains_nearly_as_much(
    frames: FrameDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    encoder = train(frames, "pca", tmp_path / "whole")
    monkeypatch.setattr(pca, "_CHUNK", 40)
    chunked = train(frames, "pca", tmp_path / "chunked")
    rows = pixels(frames, encoder)

    def error(fitted: Encoder) -> float:
        with torch.no_grad():
            codes = torch.from_numpy(fitted(frames.frames[:]))
            return float(((fitted.model.decode(codes).flatten(1).numpy() - rows) ** 2).mean())

    assert chunked.fingerprint != encoder.fingerprint
    assert error(encoder) <= error(chunked) < 1.1 * error(encoder)
    assert error(encoder) < 0.5 * rows.var(0).mean()


def test_pca_codes_what_does_not_vary_as_0(frames: FrameDataset, tmp_path: Path):
    data = with_frames(frames, np.repeat(frames.frames[:2], 15, axis=0))
    encoder = train(data, "pca", tmp_path / "e")
    codes = encoder(data.frames)
    assert np.isfinite(codes).all()
    np.testing.assert_allclose(np.abs(codes[:, 0]), np.sqrt(29 / 30), atol=1e-3)
    np.testing.assert_array_equal(codes[:, 1:], 0)


def test_pca_refuses_what_it_cannot_do(frames: FrameDataset, tmp_path: Path):
    with pytest.raises(ValueError, match="use likelihood='gaussian'"):
        PCA(likelihood="bernoulli")
    PCA(likelihood="salient_gaussian")
    with pytest.raises(ValueError, match="there are 7 and 3072"):
        train(with_frames(frames, frames.frames[:7]), "pca", tmp_path / "e")


def test_targets_are_standardised_factors_then_zeros():
    factors = torch.tensor([[1.0, 7.0, -2.0], [3.0, 7.0, 0.0], [5.0, 7.0, 2.0]])
    targets = Targets(factors, latent_dim=5)(factors)
    unit = 1.5**0.5
    expected = torch.tensor([[-unit, 0, -unit, 0, 0], [0, 0, 0, 0, 0], [unit, 0, unit, 0, 0]])
    torch.testing.assert_close(targets, expected)


def test_supervised_codes_become_the_factors(frames: FrameDataset, tmp_path: Path):
    model = dataclasses.replace(SMALL, latent_dim=12)
    encoder = train(frames, "supervised", tmp_path / "e", steps=300, model=model)
    codes, factors = encoder(frames.frames[:]), frames.factors
    for name in ("object_hue", "floor_hue", "effector_x", "object_x", "object_y"):
        column = frames.factor_space.column(name)
        assert np.corrcoef(codes[:, column], factors[:, column])[0, 1] > 0.6, name
    assert np.abs(codes[:, factors.shape[1] :]).mean() < 0.1


def test_the_decoder_does_not_change_supervised_codes(frames: FrameDataset):
    torch.manual_seed(0)
    objective, images = Supervised(), torch.rand(4, 3, 64, 64)
    model = LatentModel(objective.architecture(SMALL))
    players = objective.players(model, objective.networks(SMALL, frames))
    batch = dataclasses.replace(
        batch_of(images), factors=torch.from_numpy(frames.factors[:4].copy())
    )
    for player in players.values():
        terms = player.loss(batch)
        assert terms is not None
    terms["loss"].backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(p.grad is not None for p in model.decoder.parameters())


def test_supervised_says_what_it_lacks(frames: FrameDataset):
    unlabelled = dataclasses.replace(frames, factors=frames.factors[:, :0])
    with pytest.raises(ValueError, match="needs factor values"):
        Supervised().networks(SMALL, unlabelled)
    count = frames.factors.shape[1]
    few = dataclasses.replace(SMALL, latent_dim=count - 1)
    with pytest.raises(ValueError, match=f"set it to {count} or more"):
        Supervised().networks(few, frames)
