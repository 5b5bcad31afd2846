"""The denoising autoencoder, with occlusions for noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.objectives.ae import AE
from drl_latent.objectives.base import OBJECTIVES, Batch, Terms, check_at_least


def occlude(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blank a rectangle of each image [N, C, H, W], in all channels: its pixels become 0.

    Both ends are uniform over the height and over the width, so that a ninth of an image is blank
    on average.
    """

    def spans(size: int) -> Tensor:
        ends = torch.rand(len(images), 2, generator=generator, device=images.device) * size
        cells = torch.arange(size, device=images.device) + 0.5
        return (cells > ends.amin(1, keepdim=True)) & (cells < ends.amax(1, keepdim=True))

    rows, columns = spans(images.shape[2]), spans(images.shape[3])
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


@OBJECTIVES.register("dae")
@dataclass(frozen=True)
class DAE(AE):
    """An autoencoder that is shown a corrupted image and has to give back the clean one.

    ``loss = -log p(x|z)`` with ``z = f(corrupted x)``, summed over pixels and averaged over the
    batch. Vincent et al. 2008, "Extracting and Composing Robust Features with Denoising
    Autoencoders", section 2.3; a rectangle is blanked as in Higgins et al. 2017, "DARLA", which
    takes its features from such an encoder.

    Args:
        occlusion: Whether to blank a random rectangle of each image.
        noise: Standard deviation of Gaussian noise on each pixel, where white is 1.
    """

    occlusion: bool = True
    noise: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "noise")

    def corrupt(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return corrupted copies of unit images [N, C, H, W]."""
        if self.noise:
            noise = torch.randn(images.shape, generator=generator, device=images.device)
            images = images + self.noise * noise
        return occlude(images, generator) if self.occlusion else images

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the reconstruction term of the clean images, nats an image."""
        codes = model.encode(self.corrupt(batch.images, batch.generator))
        return {"loss": model.reconstruction_loss(codes, batch.images).mean()}
