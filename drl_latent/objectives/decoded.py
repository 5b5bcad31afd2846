"""Decoded images as other networks' input: means, with gradients, at a size of choice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from drl_latent.models import LatentModel
from drl_latent.models.bottlenecks import straight_through


def mean_images(model: LatentModel, codes: Tensor) -> Tensor:
    """Return the mean image of each code, in ``[0, 1]``, float32 [N, C, size, size]."""
    decoded = model.decode(codes).float()
    images = model.likelihood.images(decoded)
    # A pixel that is clipped would have no gradient by which it could come back.
    at_bound = (images <= 0) | (images >= 1)
    return torch.where(at_bound, straight_through(decoded, images), images)


def enlarged(images: Tensor, size: int) -> Tensor:
    """Return images [N, C, H, W] enlarged to [N, C, size, size], with linear interpolation."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, (size, size), mode="bilinear", align_corners=False)
