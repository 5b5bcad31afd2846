"""A latent-variable model: an encoder to a Gaussian over codes, and a decoder back to images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from drl_latent.models.config import ModelConfig
from drl_latent.models.registries import DECODERS, ENCODERS

__all__ = ["LatentModel", "ModelConfig", "to_unit_images"]

_LOG_VARIANCE_RANGE = (-12.0, 8.0)


class LatentModel(nn.Module):
    """Encoder and decoder of one architecture.

    Args:
        config: The architecture.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ENCODERS[config.encoder](config)
        self.head = nn.Linear(self.encoder.out_features, 2 * config.latent_dim)  # type: ignore[arg-type]
        self.decoder = DECODERS[config.decoder](config)
        # Convolutions are about twice as fast on this layout, and uint8 frames have it already.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z|x), each [N, D], for unit images [N, C, H, W]."""
        mean, log_variance = self.head(self.encoder(images)).chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCE_RANGE)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the parameters of the image likelihood, [N, C, size, size], for codes [N, D]."""
        images: Tensor = self.decoder(codes)
        return images

    def target(self, images: Tensor) -> Tensor:
        """Return images [N, C, H, W] at the decoder's size, by averaging blocks of pixels."""
        factor = self.config.image_shape[0] // self.config.decoded_size
        return functional.avg_pool2d(images, factor) if factor > 1 else images


def to_unit_images(frames: Tensor) -> Tensor:
    """Return uint8 frames [N, H, W, C] as float images [N, C, H, W] in [0, 1], channels last."""
    return frames.permute(0, 3, 1, 2).float().div_(255)
