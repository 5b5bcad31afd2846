"""Networks: encoders, decoders, likelihoods, and the latent-variable model made of them."""

from drl_latent.models import decoders, encoders
from drl_latent.models.latent_model import LatentModel, ModelConfig, to_unit_images
from drl_latent.models.likelihoods import LIKELIHOODS
from drl_latent.models.registries import DECODERS, ENCODERS

__all__ = [
    "DECODERS",
    "ENCODERS",
    "LIKELIHOODS",
    "LatentModel",
    "ModelConfig",
    "decoders",
    "encoders",
    "to_unit_images",
]
