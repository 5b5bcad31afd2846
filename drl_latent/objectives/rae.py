"""The regularised autoencoder, which SAC-AE trains beside its critic."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from drl_latent.models import LatentModel
from drl_latent.models.likelihoods import GAUSSIAN_SCALE
from drl_latent.objectives.ae import AE, nats_per_value
from drl_latent.objectives.base import OBJECTIVES, Batch, Terms, check_at_least

_ERROR_TO_NATS = 1 / (2 * GAUSSIAN_SCALE**2)
"""What the default likelihood makes of a mean squared error."""


@OBJECTIVES.register("rae")
@dataclass(frozen=True)
class RAE(AE):
    """A deterministic autoencoder whose codes and decoder are kept small.

    ``loss = |x - g(z)|^2 / M + latent_penalty |z|^2 / 2 + decoder_penalty |theta_g|^2 / 2`` with
    ``z = f(x)`` and M pixel values, averaged over the batch, and all of it multiplied by 50, as the
    default likelihood, a Gaussian of scale 0.1, multiplies the squared error. Ghosh et al. 2020,
    "From Variational to Deterministic Autoencoders", section 3, in the form of Yarats et al. 2021,
    "Improving Sample Efficiency in Model-Free Reinforcement Learning from Images" (SAC-AE), section
    on the deterministic autoencoder; there the last term is the weight decay of Adam, which has
    the same gradient. The penalties are its.

    Args:
        latent_penalty: Weight of the codes' squared norm, beside a mean squared error.
        decoder_penalty: Weight of the squared norm of the decoder's weights, beside the same.
    """

    latent_penalty: float = 1e-6
    decoder_penalty: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "latent_penalty", "decoder_penalty")

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its terms: nats a pixel value, and squared norms."""
        codes = model.encode(batch.images)
        reconstruction = nats_per_value(model, codes, batch.images)
        latent = codes.square().sum(1).mean()
        decoder = torch.stack([p.float().square().sum() for p in model.decoder.parameters()]).sum()
        penalty = self.latent_penalty * latent / 2 + self.decoder_penalty * decoder / 2
        return {
            "loss": reconstruction + _ERROR_TO_NATS * penalty,
            "reconstruction": reconstruction,
            "latent_norm": latent,
            "decoder_norm": decoder,
        }
