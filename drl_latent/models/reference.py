"""The convolutional pair of the disentanglement literature, to compare with published results."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from drl_latent.models.config import ModelConfig, Sizes
from drl_latent.models.encoders import halved_sizes
from drl_latent.models.registries import DECODERS, ENCODERS

_HIDDEN = 256


def _widths(layers: int, width: int) -> list[int]:
    """Return the channels behind each of the encoder's convolutions: 32, 32, 64, 64."""
    return [width if layer < 2 else 2 * width for layer in range(layers)]


@ENCODERS.register("reference")
class ReferenceEncoder(nn.Module):
    """Four 4x4 convolutions of stride 2 with 32, 32, 64 and 64 channels, and a layer of 256.

    Burgess et al. 2018, "Understanding disentangling in beta-VAE", appendix A.1; with these widths
    Locatello et al. 2019, "Challenging Common Assumptions in the Unsupervised Learning of
    Disentangled Representations", table 1 (whose released code has 2x2 kernels in the last two
    convolutions instead). There are as many convolutions as leave a map of 4x4 to 7x7: the
    published four at 64x64 and at 84x84, which ends at 5x5, and a fifth at 128x128.
    """

    sizes: ClassVar[Sizes] = Sizes(least=8)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        maps = halved_sizes(config.image_shape[0])
        widths = [config.image_shape[2], *_widths(len(maps) - 1, config.encoder_width)]
        self.out_features = _HIDDEN
        layers: list[nn.Module] = []
        for entering, leaving in pairwise(widths):
            layers += [nn.Conv2d(entering, leaving, 4, stride=2, padding=1), nn.ReLU()]
        layers += [nn.Flatten(), nn.Linear(widths[-1] * maps[-1] ** 2, _HIDDEN), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, out_features]."""
        features: Tensor = self.layers(images)
        return features


@DECODERS.register("reference")
class ReferenceDecoder(nn.Module):
    """The mirror image of `ReferenceEncoder` for images of the decoded size.

    Layers of 256 and 4x4x64, then 4x4 transposed convolutions of stride 2 with 64, 32, 32 and C
    channels (the same sources). Where the encoder's convolution would round a map's size down, the
    transposed one adds that row and column again, so that every size is met exactly.
    """

    sizes: ClassVar[Sizes] = Sizes(least=8)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        maps = halved_sizes(config.decoded_size)[::-1]
        widths = [config.image_shape[2], *_widths(len(maps) - 1, config.decoder_width)][::-1]
        layers: list[nn.Module] = [
            nn.Linear(config.latent_dim, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, widths[0] * maps[0] ** 2),
            nn.Unflatten(1, (widths[0], maps[0], maps[0])),
        ]
        for (entering, leaving), size in zip(pairwise(widths), maps[1:], strict=True):
            up = nn.ConvTranspose2d(entering, leaving, 4, 2, padding=1, output_padding=size % 2)
            layers += [nn.ReLU(), up]
        self.layers = nn.Sequential(*layers)

    def forward(self, codes: Tensor) -> Tensor:
        """Return what the likelihood takes, [N, C, size, size]."""
        images: Tensor = self.layers(codes)
        return images
