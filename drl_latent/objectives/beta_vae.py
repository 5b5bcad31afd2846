"""beta-VAE."""

from __future__ import annotations

from dataclasses import dataclass

from drl_latent.models import LatentModel
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Terms, check_at_least
from drl_latent.objectives.vae import bound


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
        check_at_least(self, 0, "beta")

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its two terms, nats an image."""
        found = bound(model, batch.images, batch.generator)
        return found.with_loss(self.beta * found.kl)
