"""A latent-variable model: an encoder to codes, and a decoder back to images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from drl_latent.models.config import ModelConfig
from drl_latent.models.registries import BOTTLENECKS, DECODERS, ENCODERS, LIKELIHOODS


class LatentModel(nn.Module):
    """Encoder, bottleneck, decoder and likelihood of one architecture.

    Args:
        config: The architecture.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ENCODERS[config.encoder](config)
        self.bottleneck = BOTTLENECKS[config.bottleneck](self.encoder.out_features, config)  # type: ignore[arg-type]
        self.decoder = DECODERS[config.decoder](config)
        self.likelihood = LIKELIHOODS[config.likelihood]()
        # Convolutions are about twice as fast on this layout, and uint8 frames have it already.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(self, images: Tensor) -> Tensor:
        """Return codes [N, D], without noise, for unit images [N, C, H, W]."""
        codes: Tensor = self.bottleneck(self.encoder(images))
        return codes.float()

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z|x), each [N, D], for unit images [N, C, H, W].

        Raises:
            TypeError: The bottleneck has no distribution.
        """
        mean, log_variance = self.bottleneck.posterior(self.encoder(images))
        return mean.float(), log_variance.float()

    def decode(self, codes: Tensor) -> Tensor:
        """Return the parameters of the image likelihood, [N, C, size, size], for codes [N, D]."""
        images: Tensor = self.decoder(codes)
        return images

    def target(self, images: Tensor) -> Tensor:
        """Return images [N, C, H, W] at the decoder's size, by averaging blocks of pixels."""
        factor = self.config.image_shape[0] // self.config.decoded_size
        return functional.avg_pool2d(images, factor) if factor > 1 else images

    def reconstruction_loss(self, codes: Tensor, images: Tensor) -> Tensor:
        """Return the negative log-likelihood of each unit image given its code, nats, [N]."""
        # Sums over thousands of pixels need full precision, whatever the convolutions run in.
        nats: Tensor = self.likelihood(self.decode(codes).float(), self.target(images))
        return nats


def to_unit_images(frames: Tensor) -> Tensor:
    """Return uint8 frames [N, H, W, C] as float images [N, C, H, W] in [0, 1], channels last."""
    return frames.permute(0, 3, 1, 2).float().div_(255)
