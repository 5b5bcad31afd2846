"""AnnealedVAE: controlled capacity increase."""

from __future__ import annotations

from dataclasses import dataclass

from drl_latent.models import LatentModel
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Terms, check_at_least
from drl_latent.objectives.vae import bound


@OBJECTIVES.register("annealed_vae")
@dataclass(frozen=True)
class AnnealedVAE(Objective):
    """The KL term is held at a capacity that rises from 0 as training goes on.

    ``loss = E_q[-log p(x|z)] + gamma |KL(q(z|x) || N(0, I)) - C|``. Burgess et al. 2018,
    "Understanding disentangling in beta-VAE", equation 8.

    Args:
        gamma: Weight of the distance to the capacity, 0 or more.
        c_max: Capacity at the end, nats, 0 or more.
        anneal_share: Share of the run's steps over which the capacity rises, in ``(0, 1]``. The
            usual benchmark rises over 100,000 of 300,000 steps.
    """

    gamma: float = 1000.0
    c_max: float = 25.0
    anneal_share: float = 1 / 3

    # The loss rises and falls with the capacity.
    criterion = "reconstruction"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "gamma", "c_max")
        if not 0 < self.anneal_share <= 1:
            raise ValueError(f"anneal_share must be in (0, 1], got {self.anneal_share}.")

    def capacity(self, step: int, steps: int) -> float:
        """Return C at a step of a run of so many, nats."""
        return self.c_max * min(1.0, step / (self.anneal_share * steps))

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its terms, nats an image."""
        found = bound(model, batch.images, batch.generator)
        capacity = self.capacity(batch.step, batch.steps)
        return found.with_loss(
            self.gamma * (found.kl - capacity).abs(), capacity=found.kl.new_tensor(capacity)
        )
