"""DIP-VAE I and II: moments of the codes are drawn to those of the prior."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Terms, check_at_least
from drl_latent.objectives.vae import Posterior, bound


def covariance_of_means(posterior: Posterior) -> Tensor:
    """Return the covariance, [D, D], of the posterior means over a batch, divided by N."""
    centred = posterior.mean - posterior.mean.mean(0)
    # Not a matrix product, which mixed precision would round.
    return (centred[:, :, None] * centred[:, None, :]).mean(0)


def covariance_of_codes(posterior: Posterior) -> Tensor:
    """Return the covariance, [D, D], of draws: that of the means plus the mean covariance."""
    return covariance_of_means(posterior) + posterior.variance.mean(0).diag()


def distance_to_identity(
    covariance: Tensor, off_diagonal_weight: float, diagonal_weight: float
) -> Tensor:
    """Return the weighed squared distance of a covariance [D, D] from the identity, []."""
    variances = covariance.diagonal()
    off_diagonal = covariance - variances.diag()
    return (
        off_diagonal_weight * off_diagonal.square().sum()
        + diagonal_weight * (variances - 1).square().sum()
    )


@dataclass(frozen=True)
class DIPVAE(Objective):
    """What both kinds share: which covariance is drawn to the identity is up to them.

    Args:
        lambda_od: Weight of squared covariances, 0 or more; 0 is the VAE.
        lambda_d_factor: Weight of squared deviations of variances from 1, relative to `lambda_od`.
    """

    lambda_od: float = 10.0
    lambda_d_factor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "lambda_od", "lambda_d_factor")

    @abstractmethod
    def covariance(self, posterior: Posterior) -> Tensor:
        """Return the covariance [D, D] that is to be the identity."""

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its terms, nats an image."""
        found = bound(model, batch.images, batch.generator)
        weights = self.lambda_od, self.lambda_d_factor * self.lambda_od
        dip = distance_to_identity(self.covariance(found.posterior), *weights)
        return found.with_loss(found.kl + dip, dip=dip)


@OBJECTIVES.register("dip_vae_i")
@dataclass(frozen=True)
class DIPVAEI(DIPVAE):
    """The evidence lower bound, and the covariance of the means is drawn to the identity.

    ``loss = E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)) + lambda_od sum_(i != j) C_ij^2 +
    lambda_d sum_i (C_ii - 1)^2`` with ``C = Cov[mu(x)]``. Kumar et al. 2018, "Variational Inference
    of Disentangled Latent Concepts from Unlabeled Observations", equation 6. It says nothing of
    the noise, so that unused latents, whose means are constant, are pushed to vary.

    Args:
        lambda_od: Weight of squared covariances, 0 or more; 0 is the VAE.
        lambda_d_factor: lambda_d relative to lambda_od.
    """

    lambda_d_factor: float = 10.0

    def covariance(self, posterior: Posterior) -> Tensor:
        """Return that of the means."""
        return covariance_of_means(posterior)


@OBJECTIVES.register("dip_vae_ii")
@dataclass(frozen=True)
class DIPVAEII(DIPVAE):
    """The evidence lower bound, and the covariance of the codes is drawn to the identity.

    As DIP-VAE I with ``C = Cov[mu(x)] + E[Sigma(x)]``, the covariance of q(z). Kumar et al. 2018,
    "Variational Inference of Disentangled Latent Concepts from Unlabeled Observations", equation 7.

    Args:
        lambda_od: Weight of squared covariances, 0 or more; 0 is the VAE.
        lambda_d_factor: lambda_d relative to lambda_od.
    """

    def covariance(self, posterior: Posterior) -> Tensor:
        """Return that of the codes."""
        return covariance_of_codes(posterior)
