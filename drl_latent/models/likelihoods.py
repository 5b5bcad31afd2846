"""Likelihoods of an image given its decoded mean, as negative log-likelihoods up to a constant.

Each is a function of ``(means, images)``, both float [N, C, H, W], to nats an image, float [N].
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from drl_latent.registry import Registry

Likelihood = Callable[[Tensor, Tensor], Tensor]

LIKELIHOODS: Registry[Likelihood] = Registry("likelihood")

GAUSSIAN_SCALE = 0.1
"""Fixed standard deviation of a pixel, on the scale where white is 1."""


@LIKELIHOODS.register("bernoulli")
def bernoulli(means: Tensor, images: Tensor) -> Tensor:
    """Cross-entropy with `means` as logits, the usual choice in the field's benchmarks."""
    nats = functional.binary_cross_entropy_with_logits(means, images, reduction="none")
    return nats.flatten(1).sum(1)


@LIKELIHOODS.register("gaussian")
def gaussian(means: Tensor, images: Tensor) -> Tensor:
    """Gaussian of fixed scale 0.1 at each pixel and channel."""
    return (means - images).square().flatten(1).sum(1) / (2 * GAUSSIAN_SCALE**2)


@LIKELIHOODS.register("salient_gaussian")
def salient_gaussian(means: Tensor, images: Tensor) -> Tensor:
    """Gaussian whose precision at a pixel grows with how much the pixel stands out.

    The squared error is weighed by 0.25 plus the pixel's distance from the image's mean colour,
    the weights having mean 1 over the image. Small objects count for little in the plain
    likelihood and are learned late; here they are learned several times sooner. Unweighted error
    is what reconstructions should be compared by.
    """
    colour = images.mean((2, 3), keepdim=True)
    weight = 0.25 + (images - colour).square().sum(1, keepdim=True).sqrt()
    weight = weight / weight.mean((2, 3), keepdim=True)
    return (weight * (means - images).square()).flatten(1).sum(1) / (2 * GAUSSIAN_SCALE**2)
