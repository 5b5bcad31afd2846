"""InfoGAN-CR: a generator whose codes can be read off its images, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

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
)
from drl_latent.objectives.critics import make_critic
from drl_latent.objectives.decoded import enlarged, mean_images

_BETAS = (0.5, 0.999)


def draw_codes(n: int, dim: int, generator: torch.Generator) -> Tensor:
    """Draw n codes [n, dim], uniform in ``[-1, 1]``; in each latent they are spread evenly.

    McKay et al. 1979, "A Comparison of Three Methods for Selecting Values of Input Variables":
    Latin hypercube sampling, so that chance moves the loss less.
    """
    order, within = torch.rand(2, n, dim, generator=generator, device=generator.device)
    return 2 * (order.argsort(0) + within) / n - 1


def draw_pairs(
    n: int, dim: int, gap: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw n pairs of codes [n, dim] that agree in one latent, and which one that is, int [n].

    In each other latent the two differ by `gap` or more, which is in ``[0, 2)``.
    """
    first, second = ((1 - gap / 2) * draw_codes(n, dim, generator) for _ in range(2))
    apart = torch.where(first > second, gap / 2, -gap / 2)
    shared = torch.randint(dim, (n,), generator=generator, device=generator.device)
    is_shared = functional.one_hot(shared, dim).bool()
    same = draw_codes(n, dim, generator)
    first, second = first + apart, second - apart
    return torch.where(is_shared, same, first), torch.where(is_shared, same, second), shared


@OBJECTIVES.register("info_gan_cr")
@dataclass(frozen=True)
class InfoGANCR(Objective):
    """A GAN whose codes are recovered from its images, and told apart by what they change.

    The decoder is the generator and the encoder reads codes off its images: ``loss = -log D(G(c)) +
    info |E(G(c)) - c|^2 / 2 + contrast CE(H(G(c), G(c')), i)``, where c and c' share code i alone
    and H has to tell which. Lin et al. 2020, "InfoGAN-CR and ModelCentrality: Self-supervised Model
    Training and Selection for Disentangling GANs", section 3. The last `noise` latents are the
    generator's noise, which nobody recovers: their codes are exactly 0, its mean.

    Unlike in the paper, the encoder is a network of its own rather than the discriminator's last
    layers, so that any can be used; the generator takes one step for each of the others'; and
    weight and gap of the contrastive term change linearly rather than at once, earlier, because the
    learning rate decays. Generated images are enlarged to the frames' size for the encoder, which
    has to read real frames later: decoding at that size brings the two nearer.

    Args:
        likelihood: Only says which image is decoded: under ``"bernoulli"`` the generator ends in a
            sigmoid, as in the paper.
        noise: Number of latents that are noise, below `latent_dim`.
        info: Weight of the squared error of recovered codes. The paper has 0.05 for dSprites, 0.2
            for 3DTeapots and 2 for CelebA; with 0.05, runs of some thousand steps recover little.
        contrast: Weight of the contrastive term at the end of the run.
        contrast_start: Share of the run after which that weight rises from 0, in ``[0, 1)``.
        gap: Least distance of the codes that a pair does not share, in ``[0, 2)``, until that
            weight rises; it falls to 0 meanwhile. The paper has 0 for dSprites, and 1.9 at first
            for 3DTeapots.
        discriminator_rate: Peak learning rate of discriminator and H.
    """

    likelihood: str = "bernoulli"
    noise: int = 5
    info: float = 1.0
    contrast: float = 2.0
    contrast_start: float = 0.5
    gap: float = 1.9
    discriminator_rate: float = 1e-3

    bottleneck: ClassVar[str] = "point"
    # The adversarial term goes up and down.
    criterion: ClassVar[str] = "information"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "noise", "info", "contrast")
        if not self.discriminator_rate > 0:
            raise ValueError(f"discriminator_rate must be above 0, got {self.discriminator_rate}.")
        if not 0 <= self.contrast_start < 1:
            raise ValueError(f"contrast_start must be in [0, 1), got {self.contrast_start}.")
        if not 0 <= self.gap < 2:
            raise ValueError(f"gap must be in [0, 2), got {self.gap}.")

    def architecture(self, config: ModelConfig) -> ModelConfig:
        """Return the architecture.

        Raises:
            ValueError: There are no more latents than noise.
        """
        if self.noise >= config.latent_dim:
            raise ValueError(
                f"Of {config.latent_dim} latents, noise={self.noise} leaves no code; set noise "
                "lower or latent_dim higher."
            )
        return super().architecture(config)

    def networks(self, config: ModelConfig, data: FrameDataset) -> nn.ModuleDict:
        """Return the discriminator, and the network H that names the shared code of a pair."""
        size, channels = config.decoded_size, config.image_shape[2]
        return nn.ModuleDict(
            {
                "discriminator": make_critic(size, channels, 1),
                "contrast": make_critic(size, 2 * channels, config.latent_dim - self.noise),
            }
        )

    def prepare(self, model: LatentModel, data: FrameDataset, generator: torch.Generator) -> None:
        """Make codes of noise latents 0; no loss has a gradient that would change it."""
        first = model.config.latent_dim - self.noise
        with torch.no_grad():
            model.bottleneck.linear.weight[first:] = 0
            model.bottleneck.linear.bias[first:] = 0

    def ramp(self, batch: Batch) -> float:
        """Return how far the contrastive term has come, in ``[0, 1]``."""
        start = self.contrast_start * batch.steps
        return min(1.0, max(0.0, (batch.step + 1 - start) / (batch.steps - start)))

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the information term, and leave generated images in the batch's memo."""
        count, dim = len(batch.images), model.config.latent_dim
        codes = draw_codes(count, dim, batch.generator)
        images = mean_images(model, codes)
        read = model.encode(enlarged(images, model.config.image_shape[0]))
        informative = dim - self.noise
        errors = (read - codes)[:, :informative].square()
        information = 0.5 * errors.sum(1).mean()
        batch.memo["images"] = images
        return {"loss": self.info * information, "information": information}

    def pair_logits(self, model: LatentModel, contrast: nn.Module, batch: Batch) -> Tensor:
        """Return H's logits on new pairs of images, and leave images and answers in the memo."""
        count, dim = len(batch.images), model.config.latent_dim
        gap = self.gap * (1 - self.ramp(batch))
        *codes, shared = draw_pairs(count, dim - self.noise, gap, batch.generator)
        noise = draw_codes(count, self.noise, batch.generator)
        images = mean_images(model, torch.cat([torch.cat([part, noise], 1) for part in codes]))
        batch.memo["pairs"] = torch.cat(images.chunk(2), 1)
        batch.memo["shared"] = shared
        logits: Tensor = contrast(batch.memo["pairs"]).float()
        return logits

    def players(self, model: LatentModel, networks: nn.ModuleDict) -> dict[str, Player]:
        """Return generator and encoder, then the discriminator, then H."""
        discriminator, contrast = networks["discriminator"], networks["contrast"]

        def model_loss(batch: Batch) -> Terms:
            terms = self.loss(model, batch)
            logits = discriminator(batch.memo["images"]).float()
            terms["adversarial"] = functional.softplus(-logits).mean()
            weight = self.contrast * self.ramp(batch)
            with torch.set_grad_enabled(weight > 0):
                pairs = self.pair_logits(model, contrast, batch)
            terms["contrast"] = functional.cross_entropy(pairs, batch.memo["shared"])
            terms["loss"] = terms["loss"] + terms["adversarial"] + weight * terms["contrast"]
            return terms

        def discriminator_loss(batch: Batch) -> Terms:
            real = discriminator(model.target(batch.images)).float()
            generated = discriminator(batch.memo["images"].detach()).float()
            loss = functional.softplus(-real).mean() + functional.softplus(generated).mean()
            return {"loss": loss}

        def contrast_loss(batch: Batch) -> Terms:
            logits = contrast(batch.memo["pairs"].detach()).float()
            return {"loss": functional.cross_entropy(logits, batch.memo["shared"])}

        def critic(network: nn.Module, loss: Callable[[Batch], Terms]) -> Player:
            return Player(list(network.parameters()), loss, self.discriminator_rate, _BETAS)

        return {
            "model": Player(list(model.parameters()), model_loss, betas=_BETAS),
            "discriminator": critic(discriminator, discriminator_loss),
            "contrast": critic(contrast, contrast_loss),
        }
