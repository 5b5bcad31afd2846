"""Networks: encoders, decoders, likelihoods, and the latent-variable model made of them."""

from drl_latent.models.decoders import DECODERS
from drl_latent.models.encoders import ENCODERS
from drl_latent.models.latent_model import LatentModel, ModelConfig, to_unit_images
from drl_latent.models.likelihoods import LIKELIHOODS

__all__ = ["DECODERS", "ENCODERS", "LIKELIHOODS", "LatentModel", "ModelConfig", "to_unit_images"]
