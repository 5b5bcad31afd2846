"""Decoders: codes, float [N, D], to image means, float [N, C, size, size] around ``[0, 1]``."""

from __future__ import annotations

from torch import Tensor, nn

from drl_latent.models.config import ModelConfig
from drl_latent.models.encoders import WithCoordinates
from drl_latent.models.registries import DECODERS


@DECODERS.register("broadcast")
class BroadcastDecoder(nn.Module):
    """The spatial broadcast decoder, on a coarse grid with a sub-pixel head.

    The code is repeated over the grid beside two coordinate channels, so that "where" enters as
    coordinates and position can be one latent an axis. Watters et al. 2019, "Spatial Broadcast
    Decoder"; the head is Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution".
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size, channels, width = config.decoded_size, config.image_shape[2], config.decoder_width
        factor = 4 if size > 32 and size % 4 == 0 else 2
        if size % factor:
            raise ValueError(
                f"The broadcast decoder needs a decoded_size divisible by {factor}, got {size}."
            )
        self.grid = size // factor
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
