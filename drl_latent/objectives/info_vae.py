"""InfoVAE: the aggregate posterior is drawn to the prior by a maximum mean discrepancy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Terms, check_at_least
from drl_latent.objectives.vae import bound
from drl_latent.registry import UnknownNameError

Kernel = Literal["imq", "rbf"]


def kernel_matrix(x: Tensor, y: Tensor, kernel: Kernel = "imq", bandwidth: float = 1.0) -> Tensor:
    """Return the kernel, in ``(0, 1]``, of each pair of x [N, D] and y [M, D]: float [N, M].

    With ``r = |x - y|^2 / (2 D bandwidth^2)``, which is 1 on average between draws from N(0, I):
    ``"imq"``, the inverse multiquadric, is 1 / (1 + r) (Tolstikhin et al. 2018), whose gradient
    reaches further; ``"rbf"`` is exp(-r).
    """
    squares = (x[:, None] - y).square().mean(2) / (2 * bandwidth**2)
    return 1 / (1 + squares) if kernel == "imq" else (-squares).exp()


def squared_mmd(x: Tensor, y: Tensor, kernel: Kernel = "imq", bandwidth: float = 1.0) -> Tensor:
    """Return the squared maximum mean discrepancy of samples x [N, D] and y [M, D], [].

    The biased estimator of Gretton et al. 2012, "A Kernel Two-Sample Test", equation 5: never below
    0, and 0 for equal samples. Two samples of one distribution give about
    ``(1 - mean kernel) (1/N + 1/M)``.
    """
    within = kernel_matrix(x, x, kernel, bandwidth).mean()
    within = within + kernel_matrix(y, y, kernel, bandwidth).mean()
    return within - 2 * kernel_matrix(x, y, kernel, bandwidth).mean()


@OBJECTIVES.register("info_vae")
@dataclass(frozen=True)
class InfoVAE(Objective):
    """The KL of each posterior is traded for a discrepancy of their aggregate from the prior.

    ``loss = E_q[-log p(x|z)] + (1 - alpha) KL(q(z|x) || N(0, I)) + (alpha + lambda - 1)
    MMD^2(q(z), N(0, I))``. Zhao et al. 2019, "InfoVAE: Balancing Learning and Inference in
    Variational Autoencoders", the objective of InfoVAE in its second, computable form.

    Args:
        alpha: Preference for mutual information of image and code, at most 1: what it takes off the
            weight of the KL. 1 is the MMD-VAE.
        lambda_prior: Weight of the match to the prior, the paper's lambda. MMD^2 is below 2 and the
            other terms are tens of nats, so that it has to be large. With alpha = 1 - lambda_prior
            it is beta-VAE with beta = lambda_prior.
        kernel: ``"imq"`` or ``"rbf"``; see `kernel_matrix`.
        bandwidth: Width of the kernel; 1 is the mean distance of draws from the prior.
    """

    alpha: float = 0.0
    lambda_prior: float = 1000.0
    kernel: Kernel = "imq"
    bandwidth: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "lambda_prior")
        if self.alpha > 1:
            raise ValueError(f"alpha must be 1 or less, got {self.alpha}.")
        if not self.bandwidth > 0:
            raise ValueError(f"bandwidth must be above 0, got {self.bandwidth}.")
        if self.kernel not in get_args(Kernel):
            raise UnknownNameError("kernel", self.kernel, get_args(Kernel))

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its terms; those but `mmd` in nats an image."""
        found = bound(model, batch.images, batch.generator)
        prior = torch.randn(found.codes.shape, generator=batch.generator, device=found.codes.device)
        mmd = squared_mmd(found.codes, prior, self.kernel, self.bandwidth)
        penalty = (1 - self.alpha) * found.kl + (self.alpha + self.lambda_prior - 1) * mmd
        return found.with_loss(penalty, mmd=mmd)
