"""SlowVAE: few latents change from one frame to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Terms, check_at_least
from drl_latent.objectives.vae import Posterior, bound


def laplace_cross_entropy(mean: Tensor, variance: Tensor, rate: float) -> Tensor:
    """Return E[-log p(z)] of z ~ N(mean, variance), p Laplace about 0, nats, elementwise."""
    deviation = variance.sqrt()
    standardized = mean / deviation
    absolute = deviation * math.sqrt(2 / math.pi) * (-standardized.square() / 2).exp()
    absolute = absolute + mean * torch.erf(standardized / math.sqrt(2))
    return rate * absolute - math.log(rate / 2)


def transition_kl(first: Posterior, second: Posterior, rate: float) -> Tensor:
    """Return how unlike a sparse step the way from one posterior to the other is, nats, [N].

    ``E_(q(z_s|x_s)) KL(q(z_t|x_t) || Laplace(z_s, 1 / rate))``, summed over latents and averaged
    over both directions of time.
    """
    step = laplace_cross_entropy(second.mean - first.mean, first.variance + second.variance, rate)
    log_variance = (first.log_variance + second.log_variance) / 2
    entropy = (log_variance + math.log(2 * math.pi * math.e)) / 2
    return (step - entropy).sum(1)


@OBJECTIVES.register("slow_vae")
@dataclass(frozen=True)
class SlowVAE(Objective):
    """The evidence lower bound of two consecutive frames whose codes differ by a sparse step.

    ``loss = (E_q[-log p(x_1, x_2|z)] + beta KL(q(z_1|x_1) || N(0, I)) + gamma E_q(z_1|x_1)
    KL(q(z_2|x_2) || Laplace(z_1, 1 / rate))) / 2``, averaged over both directions of time and over
    pairs; half, to be nats an image. Klindt et al. 2021, "Towards Nonlinear Disentanglement in
    Natural Data with Temporal Sparse Coding", section 3. The expectation is exact; the authors'
    code puts the mean of q(z_1|x_1) in its place and adds the cross-entropies of both directions.

    Args:
        beta: Weight of the prior of the earlier frame, 0 or more.
        gamma: Weight of the transition, 0 or more. 0 with beta 2 is the VAE.
        rate: Rate of the Laplace distribution of a latent's step, above 0.
    """

    beta: float = 1.0
    gamma: float = 10.0
    rate: float = 6.0

    pair_kind = "consecutive"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "beta", "gamma")
        if not self.rate > 0:
            raise ValueError(f"rate must be above 0, got {self.rate}.")

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its terms; reconstruction and KL an image, the transition a pair."""
        found = bound(model, batch.images, batch.generator)
        transition = transition_kl(*found.posterior.pairs(), self.rate).mean()
        penalty = (self.beta * found.kl + self.gamma * transition) / 2
        return found.with_loss(penalty, transition=transition)
