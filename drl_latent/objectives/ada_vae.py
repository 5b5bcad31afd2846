"""Ada-GVAE and Ada-ML-VAE: what two images of a pair share is coded alike."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Terms, check_at_least
from drl_latent.objectives.vae import Posterior, bound, infer


def kl_between(first: Posterior, second: Posterior) -> Tensor:
    """Return KL(first || second) of each latent of each pair, nats, [N, D]."""
    squares = first.variance + (first.mean - second.mean).square()
    return 0.5 * (squares / second.variance - 1 + second.log_variance - first.log_variance)


def shared_latents(first: Posterior, second: Posterior) -> Tensor:
    """Return which latents a pair seems to share, bool [N, D].

    They are those whose KL(first || second) lies nearer to the pair's smallest than to its largest.
    """
    kl = kl_between(first, second)
    threshold = (kl.amin(1, keepdim=True) + kl.amax(1, keepdim=True)) / 2
    return kl < threshold


def mean_of_moments(first: Posterior, second: Posterior) -> Posterior:
    """Return the Gaussians of mean mean and mean variance (Hosoya 2019, "Group-based Learning")."""
    variance = (first.variance + second.variance) / 2
    return Posterior((first.mean + second.mean) / 2, variance.log())


def geometric_mean(first: Posterior, second: Posterior) -> Posterior:
    """Return the Gaussians of mean precision, whose means are weighed by precision.

    Their densities are the geometric means, normalised, of the two: the product of experts
    (Bouchacourt et al. 2018) with twice its variance, so that two equal posteriors are their own
    average.
    """
    precision = (1 / first.variance + 1 / second.variance) / 2
    weighed = (first.mean / first.variance + second.mean / second.variance) / 2
    return Posterior(weighed / precision, -precision.log())


@dataclass(frozen=True)
class AdaVAE(Objective):
    """What both kinds share: how two posteriors are averaged is up to them.

    Args:
        beta: Weight of the KL term, 0 or more.
    """

    beta: float = 1.0

    pair_kind = "pairs"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "beta")

    @abstractmethod
    def average(self, first: Posterior, second: Posterior) -> Posterior:
        """Return what stands in for both posteriors where they are shared."""

    def share(self, posterior: Posterior) -> tuple[Posterior, Tensor]:
        """Return the posterior with shared latents averaged, and which these are, bool [N/2, D]."""
        first, second = posterior.pairs()
        shared, average = shared_latents(first, second), self.average(first, second)

        def mixed(own: Posterior) -> Posterior:
            return Posterior(
                torch.where(shared, average.mean, own.mean),
                torch.where(shared, average.log_variance, own.log_variance),
            )

        return Posterior.join(mixed(first), mixed(second)), shared

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its terms, nats an image; `shared` counts latents."""
        posterior, shared = self.share(infer(model, batch.images))
        found = bound(model, batch.images, batch.generator, posterior)
        return found.with_loss(self.beta * found.kl, shared=shared.float().sum(1).mean())


@OBJECTIVES.register("ada_gvae")
@dataclass(frozen=True)
class AdaGVAE(AdaVAE):
    """beta-VAE on pairs of images, with one posterior for both in each latent that they share.

    A latent is shared where KL(q(z_i|x_1) || q(z_i|x_2)) is below the middle of the pair's smallest
    and largest; its posteriors are replaced by the Gaussian of mean mean and mean variance. Both
    images are reconstructed. Locatello et al. 2020, "Weakly-Supervised Disentanglement Without
    Compromises", section 4.

    Args:
        beta: Weight of the KL term, 0 or more.
    """

    def average(self, first: Posterior, second: Posterior) -> Posterior:
        """Return the mean of means and of variances."""
        return mean_of_moments(first, second)


@OBJECTIVES.register("ada_mlvae")
@dataclass(frozen=True)
class AdaMLVAE(AdaVAE):
    """Ada-GVAE with shared posteriors replaced by their geometric mean.

    Locatello et al. 2020, "Weakly-Supervised Disentanglement Without Compromises", section 4.

    Args:
        beta: Weight of the KL term, 0 or more.
    """

    def average(self, first: Posterior, second: Posterior) -> Posterior:
        """Return the geometric mean of the densities."""
        return geometric_mean(first, second)
