"""The variational autoencoder, and the bound that its relatives share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.objectives.base import (
    OBJECTIVES,
    Batch,
    Objective,
    Terms,
    kl_to_standard_normal,
    sample_posterior,
)


@dataclass(frozen=True)
class Posterior:
    """Gaussians q(z|x) of diagonal covariance over the codes of N images.

    Args:
        mean: Float [N, D].
        log_variance: Float [N, D].
    """

    mean: Tensor
    log_variance: Tensor

    @property
    def variance(self) -> Tensor:
        """The variances, float [N, D]."""
        return self.log_variance.exp()

    def pairs(self) -> tuple[Posterior, Posterior]:
        """Return the first and the second half, whose rows are partners in a batch of pairs."""
        means, log_variances = self.mean.chunk(2), self.log_variance.chunk(2)
        return Posterior(means[0], log_variances[0]), Posterior(means[1], log_variances[1])

    @classmethod
    def join(cls, first: Posterior, second: Posterior) -> Posterior:
        """Return the posterior whose `pairs` are these two."""
        return cls(
            torch.cat([first.mean, second.mean]),
            torch.cat([first.log_variance, second.log_variance]),
        )


@dataclass(frozen=True)
class Bound:
    """The terms of the negative evidence lower bound, and the codes that they were taken at.

    Args:
        posterior: q(z|x) of each image.
        codes: A draw from each, float [N, D].
        reconstruction: -log p(x|z), nats an image, float [].
        kl: KL(q(z|x) || N(0, I)), nats an image, float [].
    """

    posterior: Posterior
    codes: Tensor
    reconstruction: Tensor
    kl: Tensor

    def with_loss(self, penalty: Tensor, **terms: Tensor) -> Terms:
        """Return what an objective returns: the loss, both terms here, and more of them."""
        return {
            "loss": self.reconstruction + penalty,
            "reconstruction": self.reconstruction,
            "kl": self.kl,
            **terms,
        }


def infer(model: LatentModel, images: Tensor) -> Posterior:
    """Return q(z|x) of unit images [N, C, H, W]."""
    return Posterior(*model.posterior(images))


def bound(
    model: LatentModel,
    images: Tensor,
    generator: torch.Generator,
    posterior: Posterior | None = None,
) -> Bound:
    """Return the bound's terms on unit images [N, C, H, W].

    Args:
        model: The model.
        images: The images.
        generator: Source of the codes' noise.
        posterior: What stands in for the model's q(z|x) of the images.
    """
    posterior = posterior or infer(model, images)
    codes = sample_posterior(posterior.mean, posterior.log_variance, generator)
    return Bound(
        posterior,
        codes,
        model.reconstruction_loss(codes, images).mean(),
        kl_to_standard_normal(posterior.mean, posterior.log_variance).sum(1).mean(),
    )


@OBJECTIVES.register("vae")
@dataclass(frozen=True)
class VAE(Objective):
    """The evidence lower bound.

    ``loss = E_q[-log p(x|z)] + KL(q(z|x) || N(0, I))``, summed over pixels and latents and averaged
    over the batch. Kingma & Welling 2014, "Auto-Encoding Variational Bayes", equation 7.
    """

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its two terms, nats an image."""
        found = bound(model, batch.images, batch.generator)
        return found.with_loss(found.kl)
