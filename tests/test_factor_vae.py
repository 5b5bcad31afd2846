"""Known answers of FactorVAE's discriminator, and what each half of a batch is for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives import FactorVAE, factor_vae
from drl_latent.objectives.base import Batch, Terms
from drl_latent.objectives.factor_vae import (
    discriminator_loss,
    make_discriminator,
    permute_latents,
    total_correlation,
)

SMALL = ModelConfig(encoder_width=8, decoder_width=16)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_permuting_shuffles_each_latent_by_itself():
    codes = torch.randn(100, 4)
    permuted = permute_latents(codes, seeded(0))
    torch.testing.assert_close(permuted.sort(0).values, codes.sort(0).values, rtol=0, atol=0)
    places = (permuted[:, None] == codes).float().argmax(1)
    assert all((places[:, 0] != places[:, j]).any() for j in (1, 2, 3))


def test_an_undecided_discriminator_sees_no_correlation():
    discriminator = make_discriminator(4, 8)
    torch.nn.init.zeros_(discriminator[-1].weight)
    torch.nn.init.zeros_(discriminator[-1].bias)
    codes = torch.randn(6, 4)
    assert total_correlation(discriminator, codes) == 0
    loss = discriminator_loss(discriminator, codes, codes)
    assert loss.item() == pytest.approx(math.log(2))


def test_discriminator_is_that_of_the_paper():
    layers = make_discriminator(10, 1000)
    widths = [layer.out_features for layer in layers if isinstance(layer, torch.nn.Linear)]
    assert widths == [1000] * 6 + [2]


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_density_ratio_tends_to_the_total_correlation(correlation: float):
    """Two unit Gaussians of correlation r have a total correlation of -log(1 - r^2) / 2 nats."""
    torch.manual_seed(0)
    generator = seeded(0)
    spread = torch.linalg.cholesky(torch.tensor([[1.0, correlation], [correlation, 1.0]]))

    def draw(n: int) -> torch.Tensor:
        return torch.randn(n, 2, generator=generator) @ spread.T

    discriminator = make_discriminator(2, 32)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3, betas=(0.5, 0.9))
    for _ in range(600):
        permuted = permute_latents(draw(256), generator)
        optimizer.zero_grad()
        discriminator_loss(discriminator, draw(256), permuted).backward()
        optimizer.step()
    with torch.no_grad():
        found = total_correlation(discriminator, draw(20_000)).item()
    # Runs of other seeds differ by 0.02 to 0.04 from the truth.
    assert found == pytest.approx(-0.5 * math.log(1 - correlation**2), abs=0.08)


@pytest.fixture
def step():
    """One step of both players on a batch, of networks that are always the same."""
    torch.manual_seed(0)
    objective = FactorVAE(discriminator_width=16)
    model, networks = LatentModel(SMALL), objective.networks(SMALL, None)  # type: ignore[arg-type]
    # Posteriors without noise, so that a code tells its image.
    torch.nn.init.constant_(model.bottleneck.linear.bias[SMALL.latent_dim :], -20.0)

    def take(images: torch.Tensor) -> tuple[LatentModel, dict[str, Terms]]:
        batch = Batch(images, 0, 1, 1000, seeded(1), torch.zeros(len(images), 0))
        return model, {
            name: terms
            for name, player in objective.players(model, networks).items()
            if (terms := player.loss(batch)) is not None
        }

    return take


def test_the_permuted_batch_is_not_the_one_that_trains_the_model(
    step, monkeypatch: pytest.MonkeyPatch
):
    seen: dict[str, torch.Tensor] = {}

    def spying_permute(codes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        seen["to permute"] = codes
        return permute_latents(codes, generator)

    def spying_loss(discriminator, codes: torch.Tensor, permuted: torch.Tensor) -> torch.Tensor:
        seen["joint"] = codes
        return discriminator_loss(discriminator, codes, permuted)

    monkeypatch.setattr(factor_vae, "permute_latents", spying_permute)
    monkeypatch.setattr(factor_vae, "discriminator_loss", spying_loss)
    images = torch.rand(8, 3, 64, 64)
    model, _ = step(images)
    codes = model.encode(images)
    torch.testing.assert_close(seen["joint"], codes[:4], atol=0.02, rtol=0)
    torch.testing.assert_close(seen["to permute"], codes[4:], atol=0.02, rtol=0)


def test_the_second_half_does_not_reach_the_model(step):
    images = torch.rand(8, 3, 64, 64)
    changed = torch.cat([images[:4], torch.rand(4, 3, 64, 64)])
    (_, before), (_, after) = step(images), step(changed)
    assert before["model"] == after["model"]


def test_gamma_weighs_the_total_correlation():
    torch.manual_seed(0)
    objective = FactorVAE(gamma=7, discriminator_width=16)
    model, networks = LatentModel(SMALL), objective.networks(SMALL, None)  # type: ignore[arg-type]
    batch = Batch(torch.rand(8, 3, 64, 64), 0, 1, 1000, seeded(1), torch.zeros(8, 0))
    terms = objective.players(model, networks)["model"].loss(replace(batch))
    assert terms is not None
    expected = terms["reconstruction"] + terms["kl"] + 7 * terms["total_correlation"]
    torch.testing.assert_close(terms["loss"], expected)
