"""beta-VAE."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.objectives.base import (
    OBJECTIVES,
    Objective,
    kl_to_standard_normal,
    sample_posterior,
)


@OBJECTIVES.register("beta_vae")
@dataclass(frozen=True)
class BetaVAE(Objective):
    """The evidence lower bound with the KL term weighed by beta.

    ``loss = E_q[-log p(x|z)] + beta KL(q(z|x) || N(0, I))``, summed over pixels and latents and
    averaged over the batch. Higgins et al. 2017, "beta-VAE: Learning Basic Visual Concepts with a
    Constrained Variational Framework", equation 4.

    Args:
        beta: Weight of the KL term, 0 or more; 1 is the VAE.
    """

    beta: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta >= 0:
            raise ValueError(f"beta must be 0 or more, got {self.beta}.")

    def loss(
        self, model: LatentModel, images: Tensor, step: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the loss and its two terms, nats an image."""
        mean, log_variance = model.encode(images)
        codes = sample_posterior(mean, log_variance, generator)
        reconstruction = self.reconstruction(model, codes, images).mean()
        kl = kl_to_standard_normal(mean, log_variance).sum(1).mean()
        return {
            "loss": reconstruction + self.beta * kl,
            "reconstruction": reconstruction,
            "kl": kl,
        }
