"""Deep residual networks, for a GPU: some twenty times the operations of the light pair.

Blocks are normalised by groups of channels within an image (Wu & He 2018, "Group Normalization"):
statistics of the batch would make a code depend on the images beside its own.
"""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn

from drl_latent.models.config import ModelConfig, Sizes
from drl_latent.models.decoders import coarse_grid
from drl_latent.models.encoders import WithCoordinates, halved_sizes
from drl_latent.models.registries import DECODERS, ENCODERS

_GROUPS = 8


def _normalise(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(math.gcd(_GROUPS, channels), channels), nn.SiLU())


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity: [N, C, H, W] to the same shape.

    Each is preceded by its normalisation and activation: He et al. 2016, "Identity Mappings in
    Deep Residual Networks", section 4, full pre-activation.

    Args:
        channels: Number of channels, C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _normalise(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            _normalise(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps plus what the branch makes of them."""
        refined: Tensor = maps + self.branch(maps)
        return refined


@ENCODERS.register("residual")
class ResidualEncoder(nn.Module):
    """Stages of a convolution of stride 2 and two residual blocks, down to 4x4 to 7x7 cells.

    The plan of IMPALA's deep network (Espeholt et al. 2018, "IMPALA: Scalable Distributed Deep-RL",
    figure 3), with pre-activation blocks and a wider top: `encoder_width` channels in the first
    stage, twice that in the second, four times that from the third on.
    """

    sizes: ClassVar[Sizes] = Sizes(least=8)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size, _, entering = config.image_shape
        _, *maps = halved_sizes(size)
        self.out_features = 256
        layers: list[nn.Module] = []
        for stage in range(len(maps)):
            leaving = config.encoder_width * min(2**stage, 4)
            layers += [
                nn.Conv2d(entering, leaving, 4, stride=2, padding=1),
                ResidualBlock(leaving),
                ResidualBlock(leaving),
            ]
            entering = leaving
        self.layers = nn.Sequential(
            *layers,
            _normalise(entering),
            nn.Flatten(),
            nn.Linear(entering * maps[-1] ** 2, self.out_features),
            nn.SiLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, out_features]."""
        features: Tensor = self.layers(images)
        return features


@DECODERS.register("residual")
class ResidualDecoder(nn.Module):
    """A spatial broadcast decoder of residual blocks.

    The code is repeated over a coarse grid beside coordinates, as in `BroadcastDecoder`, because
    that is what aligns positions with single latents. Four blocks of twice `decoder_width` channels
    follow there; at sizes above 32 a sub-pixel convolution doubles the grid for two more of
    `decoder_width`. The head is a sub-pixel convolution as well.
    """

    sizes: ClassVar[Sizes] = Sizes(multiple=2)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.grid, factor = coarse_grid(config.decoded_size)
        width = 2 * config.decoder_width
        layers: list[nn.Module] = [
            WithCoordinates(self.grid),
            nn.Conv2d(config.latent_dim + 2, width, 1),
            *(ResidualBlock(width) for _ in range(4)),
        ]
        if factor == 4:
            layers += [nn.Conv2d(width, 2 * width, 3, padding=1), nn.PixelShuffle(2)]
            width = config.decoder_width
            layers += [ResidualBlock(width), ResidualBlock(width)]
        self.layers = nn.Sequential(
            *layers,
            _normalise(width),
            nn.Conv2d(width, 4 * config.image_shape[2], 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Return what the likelihood takes, [N, C, size, size]."""
        grid = codes[:, :, None, None].expand(-1, -1, self.grid, self.grid)
        images: Tensor = self.layers(grid)
        return images
