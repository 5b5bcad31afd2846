"""beta-TCVAE: the KL term in three parts, of which the total correlation is weighed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Terms, check_at_least
from drl_latent.objectives.vae import Posterior, bound
from drl_latent.registry import UnknownNameError

Estimator = Literal["mss", "mws"]


def gaussian_log_density(codes: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(codes; mean, exp(log_variance)) of each element, nats."""
    squares = (codes - mean).square() / log_variance.exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi))


def aggregate_weights(batch_size: int, dataset_size: int, estimator: Estimator) -> Tensor:
    """Return what q(z_i|x_j) counts for in the estimate of q(z_i), float [N, N].

    A code z_i was drawn from q(z|x_i), so that x_i, unlike the others, is no random draw.

    - ``"mss"``, minibatch stratified sampling, is unbiased: 1 / dataset_size for x_i, and the rest
      spread over the others. Chen et al. single one of those out, an arbitrary one, to weigh less;
      these are the means over that choice, and exact where the batch is the whole data set.
    - ``"mws"``, minibatch weighted sampling: 1 / (batch_size dataset_size) each, which is low by up
      to a factor dataset_size. That makes the total correlation of D latents high by up to
      (D - 1) log dataset_size, a constant that no gradient sees.
    """
    if estimator == "mws":
        return torch.full((batch_size, batch_size), 1 / (batch_size * dataset_size))
    other = (dataset_size - 1) / (dataset_size * max(1, batch_size - 1))
    return torch.full((batch_size, batch_size), other).fill_diagonal_(1 / dataset_size)


def aggregate_log_densities(
    codes: Tensor, posterior: Posterior, dataset_size: int, estimator: Estimator
) -> tuple[Tensor, Tensor]:
    """Return estimates of log q(z), [N], and of log q(z_j) of each latent, [N, D].

    ``q(z)`` is the mean of ``q(z|x)`` over the data set, of which the batch holds a sample.

    Args:
        codes: A draw from each row of `posterior`, float [N, D].
        posterior: q(z|x) of the batch.
        dataset_size: Number of images in the data set.
        estimator: How the batch is weighed; see `aggregate_weights`.
    """
    weights = aggregate_weights(len(codes), dataset_size, estimator).to(codes.device).log()
    densities = gaussian_log_density(codes[:, None], posterior.mean, posterior.log_variance)
    joint = (weights + densities.sum(2)).logsumexp(1)
    marginals = (weights[:, :, None] + densities).logsumexp(1)
    return joint, marginals


def decompose_kl(
    codes: Tensor, posterior: Posterior, dataset_size: int, estimator: Estimator = "mss"
) -> Terms:
    """Split the KL term into three parts, nats an image.

    Their sum is the mean of log q(z|x) - log p(z) at the codes, whatever the estimator: what it
    errs in one part it errs in another. Chen et al. 2018, equation 2. Arguments as in
    `aggregate_log_densities`.

    Returns:
        ``"mutual_information"`` of image and code, ``"total_correlation"`` of the latents, and
        ``"dimension_wise_kl"``, the sum of KL(q(z_j) || N(0, 1)).
    """
    conditional = gaussian_log_density(codes, posterior.mean, posterior.log_variance).sum(1)
    zeros = torch.zeros_like(codes)
    prior = gaussian_log_density(codes, zeros, zeros).sum(1)
    joint, marginals = aggregate_log_densities(codes, posterior, dataset_size, estimator)
    product = marginals.sum(1)
    return {
        "mutual_information": (conditional - joint).mean(),
        "total_correlation": (joint - product).mean(),
        "dimension_wise_kl": (product - prior).mean(),
    }


@OBJECTIVES.register("beta_tcvae")
@dataclass(frozen=True)
class BetaTCVAE(Objective):
    """The evidence lower bound with the total correlation of the latents weighed by beta.

    ``loss = E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)) + (beta - 1) KL(q(z) || prod_j q(z_j))``.
    Chen et al. 2018, "Isolating Sources of Disentanglement in Variational Autoencoders", equation 5
    with alpha = gamma = 1; the estimators are sections 4.1 (MWS) and appendix C.2 (MSS).

    Args:
        beta: Weight of the total correlation, 0 or more; 1 is the VAE.
        estimator: ``"mss"`` or ``"mws"``: how q(z) is estimated from a batch.
    """

    beta: float = 6.0
    estimator: Estimator = "mss"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "beta")
        if self.estimator not in get_args(Estimator):
            raise UnknownNameError("estimator", self.estimator, get_args(Estimator))

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its terms, nats an image."""
        found = bound(model, batch.images, batch.generator)
        parts = decompose_kl(found.codes, found.posterior, batch.dataset_size, self.estimator)
        penalty = found.kl + (self.beta - 1) * parts["total_correlation"]
        return found.with_loss(penalty, **parts)
