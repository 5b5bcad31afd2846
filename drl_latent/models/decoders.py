"""Decoders: codes, float [N, D], to image means, float [N, C, size, size] around ``[0, 1]``."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from drl_latent.models.config import ModelConfig, Sizes
from drl_latent.models.encoders import WithCoordinates
from drl_latent.models.registries import DECODERS


def coarse_grid(size: int) -> tuple[int, int]:
    """Return the grid that images of even `size` are decoded on, and by how much it is enlarged."""
    factor = 4 if size > 32 and size % 4 == 0 else 2
    return size // factor, factor


@DECODERS.register("broadcast")
class BroadcastDecoder(nn.Module):
    """The spatial broadcast decoder, on a coarse grid with a sub-pixel head.

    The code is repeated over the grid beside two coordinate channels, so that "where" enters as
    coordinates and position can be one latent an axis. Watters et al. 2019, "Spatial Broadcast
    Decoder"; the head is Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution".
    """

    sizes: ClassVar[Sizes] = Sizes(multiple=2)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, width = config.image_shape[2], config.decoder_width
        self.grid, factor = coarse_grid(config.decoded_size)
        self.layers = nn.Sequential(
            WithCoordinates(self.grid),
            nn.Conv2d(config.latent_dim + 2, width, 1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, channels * factor**2, 1),
            nn.PixelShuffle(factor),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Return image means [N, C, size, size]."""
        grid = codes[:, :, None, None].expand(-1, -1, self.grid, self.grid)
        images: Tensor = self.layers(grid)
        return images
