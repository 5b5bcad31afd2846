"""Rendered frames made as poor as decoded ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_BLURS = 4
_FADE, _BLOTCHES, _NOISE = 0.4, 0.06, 0.05


def degrade(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur, fade, blotch and add noise to unit images, [N, C, H, W], each to another degree.

    Decoders of a squared error draw the mean of all that a code may stand for: smooth, pale, and
    in blotches where they could not tell.

    The blur has a standard deviation of up to 1.4 pixels; an image fades towards its mean colour by
    up to 40%; blotches are smooth noise of up to 0.06 a channel, and noise is up to 0.05 a pixel.
    """
    n, channels = images.shape[:2]

    def amount(most: float) -> Tensor:
        return most * torch.rand(n, 1, 1, 1, generator=generator)

    images = images.clone()
    for _ in range(_BLURS):
        chosen = torch.rand(n, generator=generator) < 0.4
        images[chosen] = _blur(images[chosen])
    mean = images.mean((2, 3), keepdim=True)
    images = mean + (1 - amount(_FADE)) * (images - mean)
    blotches = torch.randn(n, channels, 4, 4, generator=generator)
    smooth = functional.interpolate(blotches, images.shape[2:], mode="bilinear")
    noise = torch.randn(images.shape, generator=generator)
    return images + amount(_BLOTCHES) * smooth + amount(_NOISE) * noise


def _blur(images: Tensor) -> Tensor:
    """Blur by the 3 x 3 binomial kernel, whose standard deviation is 0.7 pixels."""
    channels = images.shape[1]
    line = torch.tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(line, line).expand(channels, 1, 3, 3)
    return functional.conv2d(
        functional.pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels
    )
