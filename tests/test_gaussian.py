"""Known answers of what variational objectives share, and of beta-VAE."""

from __future__ import annotations

import numpy as np
import torch
from torch.distributions import Normal, kl_divergence

from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig, to_unit_images
from drl_latent.objectives import BetaVAE
from drl_latent.objectives.base import Batch, kl_to_standard_normal, sample_posterior

SMALL = ModelConfig(encoder_width=8, decoder_width=16)


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

    def terms(beta: float) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        batch = Batch(images, 0, 1, len(frames), generator, torch.zeros(8, 0))
        return BetaVAE(beta=beta).loss(model, batch)

    plain = terms(0.0)
    for beta in (0.0, 1.0, 7.0):
        expected = plain["reconstruction"] + beta * plain["kl"]
        torch.testing.assert_close(terms(beta)["loss"], expected)
