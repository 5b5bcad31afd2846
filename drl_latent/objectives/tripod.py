"""Tripod: quantised, independent latents that do not interfere in the decoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.models.bottlenecks import straight_through
from drl_latent.objectives.ae import nats_per_value
from drl_latent.objectives.base import OBJECTIVES, Batch, Terms, check_at_least
from drl_latent.objectives.qlae import QuantizedAE, quantized_bottleneck


def spread(codes: Tensor) -> Tensor:
    """Return the standard deviation of each latent over a batch [N, D], a little above 0, [D]."""
    # Inside the root, because a root has no finite gradient at 0.
    return (codes.var(0, correction=0) + 1e-8).sqrt()


def multi_information(codes: Tensor, scale: Tensor) -> Tensor:
    """Return KL(q(z) || prod_k q(z_k)) of a kernel density estimate of codes [N, D], nats, [].

    The kernel is a Gaussian as wide in each latent as Silverman's rule for D dimensions says
    (Silverman 1986, "Density Estimation", equation 4.14), so that the scales [D] of latents do not
    matter. The marginals are those of the joint estimate.
    """
    n, dim = codes.shape
    width = (4 / ((dim + 2) * n)) ** (1 / (dim + 4)) * scale
    exponents = -0.5 * ((codes[:, None] - codes) / width).square()
    joint = exponents.sum(2).logsumexp(1) - math.log(n)
    marginals = exponents.logsumexp(1) - math.log(n)
    return (joint - marginals.sum(1)).mean()


def hessian_ratio(
    decode: Callable[[Tensor], Tensor],
    codes: Tensor,
    scale: Tensor,
    generator: torch.Generator,
    draws: int = 2,
    step: float = 0.1,
) -> Tensor:
    """Return the share of the off-diagonal in the squared Hessian of what is decoded, [].

    It is 0 where each latent's effect does not depend on the others. For random directions v, the
    variance of v'Hv is twice the sum of squares of H's off-diagonal if v has entries of -1 and 1
    (Peebles et al. 2020, "The Hessian Penalty", theorem 1), and of all of H if v is Gaussian.
    v'Hv is the second central difference of `decode`, with v in units of `scale`. Both variances
    are averaged over images and outputs before they are divided: few draws can be close to each
    other by chance.

    Args:
        decode: From codes [N, D] to anything, [N, ...].
        codes: Where the Hessians are taken, [N, D].
        scale: Unit of each latent, [D].
        generator: Source of the directions.
        draws: Directions of each kind, 2 or more.
        step: Length of a direction's entries, in units of `scale`.
    """
    shape, device = (draws, *codes.shape), codes.device
    gaussian = torch.randn(shape, generator=generator, device=device)
    signs = torch.randn(shape, generator=generator, device=device).sign()
    steps = (step * scale * torch.cat([signs, gaussian])).flatten(0, 1)
    centres = codes.repeat(2 * draws, 1)
    points = torch.cat([centres + steps, centres - steps, codes])
    # A second difference of numbers with few digits is noise.
    with torch.autocast(device.type, enabled=False):
        decoded = decode(points)
    there, back, here = decoded.split([len(steps), len(steps), len(codes)])
    curves = (there + back).unflatten(0, (2, draws, -1)) - 2 * here
    off_diagonal, whole = curves.var(1, correction=0).flatten(1).mean(1)
    return off_diagonal / (whole + torch.finfo(whole.dtype).tiny)


@OBJECTIVES.register("tripod")
@dataclass(frozen=True)
class Tripod(QuantizedAE):
    """An autoencoder with latents on a grid, independent, and without interference.

    ``loss = -log p(x|z_q) + multi_information KL(q(z) || prod_k q(z_k)) + hessian R``, the first
    averaged over pixel values, R the share of mixed derivatives in the decoder's Hessian. Hsu et
    al. 2024, "Tripod: Three Complementary Inductive Biases for Disentangled Representation
    Learning". The authors' weights are 1e-4 and 1e-2 for Shapes3D, and 1e-8 and 1e-4 for MPI3D,
    frames of a real robot, beside a Bernoulli likelihood. The Gaussian of scale 0.1 is 25 times as
    sharp (at mid-grey), so that the defaults are the balance for Shapes3D. The authors have twice
    as many latents as factors.

    Unlike the authors' code, which takes R of the decoder's hidden layers, for each image by
    itself, it is taken of the decoded images, at some codes of a batch together, so that it works
    with any decoder; and the marginal densities are those of the joint one rather than smoother.
    `levels` bounds the precision of a position as in QLAE.

    Args:
        levels: Number of values a latent, 2 or more.
        multi_information: Weight of the dependence of latents.
        hessian: Weight of their interference; 0 saves its cost.
        hessian_codes: Codes of each batch at which R is taken; each is decoded 9 times more.
    """

    bottleneck: ClassVar[str] = "fsq"

    levels: int = 12
    multi_information: float = 2.5e-3
    hessian: float = 0.25
    hessian_codes: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "multi_information", "hessian")
        check_at_least(self, 1, "hessian_codes")

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the loss and its terms, nats a pixel value."""
        bottleneck = quantized_bottleneck(model)
        continuous = bottleneck.continuous(model.encoder(batch.images))
        codes = straight_through(continuous, bottleneck.quantize(continuous))
        scale = spread(continuous)
        reconstruction = nats_per_value(model, codes, batch.images)
        information = multi_information(codes, scale)
        loss = reconstruction + self.multi_information * information
        terms = {"reconstruction": reconstruction, "multi_information": information}
        if self.hessian:
            few = codes[: self.hessian_codes]
            terms["hessian"] = hessian_ratio(model.decode, few, scale, batch.generator)
            loss = loss + self.hessian * terms["hessian"]
        return {"loss": loss, **terms}
