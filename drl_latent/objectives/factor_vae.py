"""FactorVAE: the total correlation as a discriminator sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives.base import (
    OBJECTIVES,
    Batch,
    Objective,
    Player,
    Terms,
    check_at_least,
    sample_posterior,
)
from drl_latent.objectives.vae import bound

_HIDDEN_LAYERS = 6


def make_discriminator(latent_dim: int, width: int) -> nn.Sequential:
    """Return a classifier of codes [N, D] to two logits [N, 2]: from q(z), or permuted."""
    layers: list[nn.Module] = []
    for entering in [latent_dim] + [width] * (_HIDDEN_LAYERS - 1):
        layers += [nn.Linear(entering, width), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(width, 2))


def permute_latents(codes: Tensor, generator: torch.Generator) -> Tensor:
    """Shuffle each latent of codes [N, D] over the batch by itself: draws from prod_j q(z_j)."""
    keys = torch.rand(codes.shape, generator=generator, device=codes.device)
    return codes.gather(0, keys.argsort(0))


def total_correlation(discriminator: nn.Module, codes: Tensor) -> Tensor:
    """Return KL(q(z) || prod_j q(z_j)) by the density ratio at codes from q(z), nats, []."""
    logits = discriminator(codes).float()
    return (logits[:, 0] - logits[:, 1]).mean()


def discriminator_loss(discriminator: nn.Module, codes: Tensor, permuted: Tensor) -> Tensor:
    """Return the cross-entropy of telling codes from permuted ones, nats, []."""
    logits = discriminator(torch.cat([codes, permuted])).float()
    is_permuted = torch.arange(len(logits), device=logits.device) >= len(codes)
    return functional.cross_entropy(logits, is_permuted.long())


@OBJECTIVES.register("factor_vae")
@dataclass(frozen=True)
class FactorVAE(Objective):
    """The evidence lower bound and the total correlation, estimated by a discriminator.

    ``loss = E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)) + gamma KL(q(z) || prod_j q(z_j))``.
    Kim & Mnih 2018, "Disentangling by Factorising", equation 2 and algorithm 2. The first half of a
    batch trains the model; the discriminator compares its codes with permuted ones of the second.

    Args:
        gamma: Weight of the total correlation, 0 or more; 0 is the VAE.
        discriminator_width: Units of each of the discriminator's six layers.
        discriminator_rate: Peak learning rate of the discriminator.
    """

    gamma: float = 35.0
    discriminator_width: int = 1000
    discriminator_rate: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "gamma", "discriminator_rate")
        check_at_least(self, 1, "discriminator_width")

    def networks(self, config: ModelConfig, data: FrameDataset) -> nn.ModuleDict:
        """Return the discriminator."""
        discriminator = make_discriminator(config.latent_dim, self.discriminator_width)
        return nn.ModuleDict({"discriminator": discriminator})

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the VAE's terms on the first half, and leave its codes in the batch's memo."""
        found = bound(model, batch.images.chunk(2)[0], batch.generator)
        batch.memo["codes"] = found.codes
        return found.with_loss(found.kl)

    def players(self, model: LatentModel, networks: nn.ModuleDict) -> dict[str, Player]:
        """Return the model, then the discriminator."""
        discriminator = networks["discriminator"]

        def model_loss(batch: Batch) -> Terms:
            terms = self.loss(model, batch)
            correlation = total_correlation(discriminator, batch.memo["codes"])
            penalized = terms["loss"] + self.gamma * correlation
            return terms | {"loss": penalized, "total_correlation": correlation}

        def other_loss(batch: Batch) -> Terms:
            with torch.no_grad():
                others = sample_posterior(
                    *model.posterior(batch.images.chunk(2)[1]), batch.generator
                )
            permuted = permute_latents(others, batch.generator)
            codes = batch.memo["codes"].detach()
            return {"loss": discriminator_loss(discriminator, codes, permuted)}

        return {
            "model": Player(list(model.parameters()), model_loss),
            "discriminator": Player(
                list(discriminator.parameters()),
                other_loss,
                self.discriminator_rate,
                betas=(0.5, 0.9),
            ),
        }
