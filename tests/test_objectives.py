"""Contract of every registered objective, and known answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset
from drl_latent.models import LIKELIHOODS, LatentModel, ModelConfig, to_unit_images
from drl_latent.objectives import OBJECTIVES, BetaVAE
from drl_latent.objectives.base import kl_to_standard_normal, sample_posterior
from drl_latent.pretrain import Optimization, pretrain
from drl_latent.registry import UnknownNameError

NAMES = list(OBJECTIVES)
SMALL = ModelConfig(encoder_width=8, decoder_width=16)


@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss_saves_and_loads(name: str, frames: FrameDataset, tmp_path: Path):
    objective = OBJECTIVES[name]()
    images = to_unit_images(torch.from_numpy(frames.frames[:64].copy()))

    def loss(encoder: Encoder) -> float:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            return float(objective.loss(encoder.model, images, 0, generator)["loss"])

    short = pretrain(
        frames, objective, out=tmp_path / "short", steps=1, model=SMALL, progress=False
    )
    longer = pretrain(
        frames, objective, out=tmp_path / "long", steps=200, model=SMALL, progress=False
    )
    assert loss(longer) < 0.8 * loss(short)
    codes = longer(frames.frames[:10])
    np.testing.assert_array_equal(Encoder.load(tmp_path / "long")(frames.frames[:10]), codes)
    assert codes.shape == (10, SMALL.latent_dim)


@pytest.mark.parametrize("name", NAMES)
def test_loss_has_gradients_everywhere_and_named_terms(name: str, frames: FrameDataset):
    model = LatentModel(SMALL)
    images = to_unit_images(torch.from_numpy(frames.frames[:8].copy()))
    terms = OBJECTIVES[name]().loss(model, images, 0, torch.Generator().manual_seed(0))
    assert terms["loss"].shape == ()
    assert all(torch.isfinite(value) for value in terms.values())
    terms["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_same_generator_same_loss(name: str, frames: FrameDataset):
    model = LatentModel(SMALL)
    images = to_unit_images(torch.from_numpy(frames.frames[:8].copy()))
    losses = [
        OBJECTIVES[name]().loss(model, images, 0, torch.Generator().manual_seed(3))["loss"]
        for _ in range(2)
    ]
    assert losses[0] == losses[1]


def test_kl_agrees_with_torch_distributions():
    mean, log_variance = torch.randn(6, 4), torch.randn(6, 4)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)


def test_samples_have_the_posterior_moments():
    mean, log_variance = torch.full((50_000, 1), 2.0), torch.full((50_000, 1), np.log(0.25))
    codes = sample_posterior(mean, log_variance, torch.Generator().manual_seed(0))
    assert abs(codes.mean() - 2.0) < 0.01
    assert abs(codes.std() - 0.5) < 0.01


def test_beta_weighs_the_kl_alone(frames: FrameDataset):
    model = LatentModel(SMALL)
    images = to_unit_images(torch.from_numpy(frames.frames[:8].copy()))
    terms = {
        beta: BetaVAE(beta=beta).loss(model, images, 0, torch.Generator().manual_seed(0))
        for beta in (0.0, 1.0, 7.0)
    }
    for beta, found in terms.items():
        torch.testing.assert_close(
            found["loss"], terms[0.0]["reconstruction"] + beta * terms[0.0]["kl"]
        )


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_likelihoods_are_least_at_the_image(name: str):
    images = torch.rand(3, 3, 8, 8) * 0.8 + 0.1
    best = torch.logit(images) if name == "bernoulli" else images
    worse = best + 0.3 * torch.randn_like(best)
    assert (LIKELIHOODS[name](best, images) < LIKELIHOODS[name](worse, images)).all()
    assert LIKELIHOODS[name](best, images).shape == (3,)


def test_gaussian_agrees_with_torch_distributions():
    means, images = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    constant = Normal(0.0, 0.1).log_prob(torch.tensor(0.0)) * 3 * 64
    expected = -Normal(means, 0.1).log_prob(images).flatten(1).sum(1) + constant
    torch.testing.assert_close(
        LIKELIHOODS["gaussian"](means, images), expected, rtol=1e-4, atol=1e-3
    )


def test_salient_weights_have_mean_one():
    images = torch.rand(2, 3, 8, 8)
    shifted = LIKELIHOODS["salient_gaussian"](images + 0.2, images)
    torch.testing.assert_close(shifted, LIKELIHOODS["gaussian"](images + 0.2, images))


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
    wrong = dataclasses.replace(SMALL, image_shape=(84, 84, 3), decoded_size=42)
    with pytest.raises(ValueError, match="the data set has"):
        pretrain(frames, "beta_vae", out=tmp_path / "e", model=wrong)
    with pytest.raises(ValueError, match="steps must be 1 or more"):
        Optimization(steps=0)
    assert not list(tmp_path.iterdir())
