"""What every learning objective is: settings, and a loss of a model on a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from drl_latent.models import LIKELIHOODS, LatentModel
from drl_latent.registry import Registry, UnknownNameError

OBJECTIVES: Registry[type[Objective]] = Registry("objective")
"""Name, e.g. ``"beta_vae"``, to the class of its settings."""


@dataclass(frozen=True)
class Objective(ABC):
    """An objective's settings; a subclass adds its own and defines `loss`.

    Args:
        likelihood: A name in `drl_latent.models.LIKELIHOODS`.
    """

    likelihood: str = "gaussian"

    def __post_init__(self) -> None:
        if self.likelihood not in LIKELIHOODS:
            raise UnknownNameError("likelihood", self.likelihood, LIKELIHOODS)

    @abstractmethod
    def loss(
        self, model: LatentModel, images: Tensor, step: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the scalar to minimise under ``"loss"``, and its named terms.

        Args:
            model: The model that is trained.
            images: Float [N, C, H, W] in ``[0, 1]``.
            step: Number of the step, from 0.
            generator: Source of all randomness.
        """

    def reconstruction(self, model: LatentModel, codes: Tensor, images: Tensor) -> Tensor:
        """Return the negative log-likelihood of each image given its code, nats, [N]."""
        return LIKELIHOODS[self.likelihood](model.decode(codes), model.target(images))


def sample_posterior(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one code [N, D] from each Gaussian by reparametrisation (Kingma & Welling 2014)."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + noise * (0.5 * log_variance).exp()


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(q(z|x) || N(0, I)) of each latent, nats, [N, D] (Kingma & Welling 2014, app. B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
