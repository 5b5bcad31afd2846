"""Likelihoods of an image given what was decoded, as negative log-likelihoods.

Where nothing but the decoded image is learned, they leave out a constant; those with a learned
scale are complete.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from drl_latent.models.registries import LIKELIHOODS

GAUSSIAN_SCALE = 0.1
"""Fixed standard deviation of a pixel, on the scale where white is 1."""


class Likelihood(nn.Module, ABC):
    """p(x|z): calling it on decoded and real images, float [N, C, H, W], gives nats, float [N]."""

    @abstractmethod
    def forward(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Return the negative log-likelihood of each image, nats, [N]."""

    def images(self, decoded: Tensor) -> Tensor:
        """Return the mean image of what was decoded, in ``[0, 1]``."""
        return decoded.clamp(0, 1)


@LIKELIHOODS.register("bernoulli")
class Bernoulli(Likelihood):
    """Cross-entropy on logits, the usual choice in the field's benchmarks."""

    def forward(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Return the cross-entropy of each image."""
        nats = functional.binary_cross_entropy_with_logits(decoded, images, reduction="none")
        return nats.flatten(1).sum(1)

    def images(self, decoded: Tensor) -> Tensor:
        """Return the probabilities."""
        return decoded.sigmoid()


@LIKELIHOODS.register("gaussian")
class Gaussian(Likelihood):
    """Gaussian of fixed scale 0.1 at each pixel and channel."""

    def forward(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Return the scaled squared error of each image."""
        return (decoded - images).square().flatten(1).sum(1) / (2 * GAUSSIAN_SCALE**2)


@LIKELIHOODS.register("salient_gaussian")
class SalientGaussian(Likelihood):
    """Gaussian whose precision at a pixel grows with how much the pixel stands out.

    The squared error is weighed by 0.25 plus the pixel's distance from the image's mean colour,
    the weights having mean 1 over the image. Small objects count for little in the plain
    likelihood and are learned late; here they are learned several times sooner. Unweighted error
    is what reconstructions should be compared by.
    """

    def forward(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Return the weighed and scaled squared error of each image."""
        colour = images.mean((2, 3), keepdim=True)
        weight = 0.25 + (images - colour).square().sum(1, keepdim=True).sqrt()
        weight = weight / weight.mean((2, 3), keepdim=True)
        return (weight * (decoded - images).square()).flatten(1).sum(1) / (2 * GAUSSIAN_SCALE**2)


class LearnedScale(Likelihood):
    """A likelihood with one scale for all pixels, which is learned with the networks.

    The scale balances reconstruction against the prior as beta would, but finds its value itself.

    Args:
        start: The scale to start at.
    """

    log_scale_bound: ClassVar[float]
    """What the logarithm of the scale stays above."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(start)))

    def bounded_log_scale(self) -> Tensor:
        """Return the logarithm of the scale in use: close to `log_scale`, above the bound."""
        # Soft, because a clamped parameter has no gradient by which it could come back.
        return self.log_scale_bound + functional.softplus(self.log_scale - self.log_scale_bound)


@LIKELIHOODS.register("learned_gaussian")
class LearnedGaussian(LearnedScale):
    """Gaussian of one learned scale: the sigma-VAE.

    Rybkin et al. 2021, "Simple and Effective VAE Training with Calibrated Decoders", the variant
    with a shared scale. Its best value is the root mean squared error of the reconstructions. It
    stays above exp(-6) = 0.0025, as in the paper's code, about half a step of an 8-bit pixel: the
    density of what is rounded has no finite maximum. The nats are of a density, so that they may
    be negative.
    """

    log_scale_bound = -6.0

    def __init__(self) -> None:
        super().__init__(GAUSSIAN_SCALE)

    def forward(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Return the negative log-density of each image."""
        log_scale = self.bounded_log_scale()
        squares = (decoded - images).square().flatten(1)
        normaliser = squares.shape[1] * (log_scale + 0.5 * math.log(2 * math.pi))
        return squares.sum(1) / (2 * (2 * log_scale).exp()) + normaliser


@LIKELIHOODS.register("discretized_logistic")
class DiscretizedLogistic(LearnedScale):
    """Probability of 8-bit pixels: a logistic distribution of one learned scale, in 256 bins.

    Kingma et al. 2016, "Improved Variational Inference with Inverse Autoregressive Flow"; the outer
    bins reach to infinity as in Salimans et al. 2017, "PixelCNN++", section 2.1. Means of several
    pixels, which a decoder of less than the frames' size is compared with, count as the nearest of
    the 256 levels. The scale stays above exp(-7) = 0.0009, a quarter of a level's width.
    """

    log_scale_bound = -7.0

    def __init__(self) -> None:
        standard_deviation = math.pi / math.sqrt(3)  # of a logistic distribution of scale 1
        super().__init__(GAUSSIAN_SCALE / standard_deviation)

    def forward(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Return the negative log-probability of each image."""
        levels = (images * 255).round() / 255
        precision = (-self.bounded_log_scale()).exp()
        upper = (levels + 0.5 / 255 - decoded) * precision
        lower = (levels - 0.5 / 255 - decoded) * precision
        # With the logistic function s, s(u) - s(l) = s(u) s(-l) (1 - exp(l - u)), where u - l is
        # the same for all bins: no difference of nearly equal numbers, however far the mean is.
        nats = torch.where(levels < 1, functional.softplus(-upper), 0)
        nats = nats + torch.where(levels > 0, functional.softplus(lower), 0)
        bounded = (levels > 0) & (levels < 1)
        nats = nats - bounded * torch.log(-torch.expm1(-precision / 255))
        return nats.flatten(1).sum(1)
