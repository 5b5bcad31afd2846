"""Encoders: images, float [N, C, H, W] in ``[0, 1]``, to features, float [N, out_features]."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from drl_latent.models.config import ModelConfig, Sizes
from drl_latent.models.registries import ENCODERS


def coordinate_grid(size: int) -> Tensor:
    """Return x and y in ``[-1, 1]`` at each cell, float [1, 2, size, size] (Liu et al. 2018)."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y])[None]


def halved_sizes(size: int) -> list[int]:
    """Return `size` and its halves, rounded down, to the first that is below 8."""
    sizes = [size]
    while sizes[-1] >= 8:
        sizes.append(sizes[-1] // 2)
    return sizes


class WithCoordinates(nn.Module):
    """Appends two coordinate channels: [N, C, size, size] to [N, C + 2, size, size]."""

    grid: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("grid", coordinate_grid(size), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Append the coordinates."""
        return torch.cat([images, self.grid.expand(len(images), -1, -1, -1)], dim=1)


@ENCODERS.register("patch")
class PatchEncoder(nn.Module):
    """A light encoder: a 4x4 patch stem, coordinate channels, then strided convolutions.

    It needs a tenth of the operations of the usual 64x64 encoder of four 4x4-stride-2 layers,
    because the stem leaves the full resolution at once.
    """

    sizes: ClassVar[Sizes] = Sizes(multiple=4)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size, _, channels = config.image_shape
        width, grid = config.encoder_width, size // 4
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 4, stride=4),
            nn.SiLU(),
            WithCoordinates(grid),
        ]
        entering = width + 2
        while grid > 5:
            layers += [nn.Conv2d(entering, 2 * width, 3, stride=2, padding=1), nn.SiLU()]
            entering, grid = 2 * width, (grid + 1) // 2
        self.out_features = 256
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(entering * grid * grid, self.out_features),
            nn.SiLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, out_features]."""
        features: Tensor = self.layers(images)
        return features


@ENCODERS.register("keypoint")
class KeypointEncoder(nn.Module):
    """A light encoder that reads positions off attention maps.

    A 4x4 patch stem and one 3x3 convolution give a coarse feature map. The softmax of each of
    `maps` logit maps over space gives an expected position (the spatial softmax of Finn et al.
    2016, "Deep Spatial Autoencoders for Visuomotor Learning", section IV) and, as attention, the
    features at that position. Features are mixed by a layer; positions pass straight to the output
    and nowhere else, so that a code can hold them only linearly: where layers may mix the two, a
    VAE is free to code position and colour together, folded, which agents learn from slowly.
    """

    sizes: ClassVar[Sizes] = Sizes(multiple=4)
    maps = 8
    grid: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size, _, channels = config.image_shape
        width, features, hidden = config.encoder_width, 2 * config.encoder_width, 256
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=4),
            nn.SiLU(),
            nn.Conv2d(width, features, 3, padding=1),
            nn.SiLU(),
        )
        self.attention = nn.Conv2d(features, self.maps, 1)
        self.sharpness = nn.Parameter(torch.zeros(self.maps, 1))
        grid = coordinate_grid(size // 4).flatten(2)[0].T
        self.register_buffer("grid", grid.contiguous(), persistent=False)
        self.mix = nn.Sequential(nn.Linear(self.maps * features + features, hidden), nn.SiLU())
        self.out_features = hidden + 2 * self.maps

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, out_features]."""
        features = self.features(images)
        # Standardised over space, logits point at what stands out from the first step on.
        logits = functional.instance_norm(self.attention(features)).flatten(2)
        maps = (logits * self.sharpness.exp()).softmax(dim=2)
        cells = features.flatten(2).transpose(1, 2)
        positions = (maps @ self.grid).flatten(1)
        read = (maps @ cells).flatten(1)
        mixed = self.mix(torch.cat([read, cells.mean(1)], dim=1))
        return torch.cat([mixed, positions], dim=1)
