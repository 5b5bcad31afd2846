"""Networks: encoders, bottlenecks, decoders, likelihoods, and the model that is made of them."""

from drl_latent.models import decoders, encoders, linear, reference, residual
from drl_latent.models.bottlenecks import Bottleneck
from drl_latent.models.config import ModelConfig
from drl_latent.models.latent_model import LatentModel, to_unit_images
from drl_latent.models.likelihoods import Likelihood
from drl_latent.models.registries import BOTTLENECKS, DECODERS, ENCODERS, LIKELIHOODS

__all__ = [
    "BOTTLENECKS",
    "DECODERS",
    "ENCODERS",
    "LIKELIHOODS",
    "Bottleneck",
    "LatentModel",
    "Likelihood",
    "ModelConfig",
    "decoders",
    "encoders",
    "linear",
    "reference",
    "residual",
    "to_unit_images",
]
