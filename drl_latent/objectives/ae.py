"""The autoencoder, whose loss baselines and quantised relatives share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from drl_latent.models import LatentModel
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Terms


def nats_per_value(model: LatentModel, codes: Tensor, images: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of one channel of one pixel, nats, []."""
    nats = model.reconstruction_loss(codes, images)
    return nats.mean() / math.prod(model.target(images[:1]).shape)


@OBJECTIVES.register("ae")
@dataclass(frozen=True)
class AE(Objective):
    """Reconstruction alone: codes are points, and nothing says how they should be arranged.

    ``loss = -log p(x|z)`` with ``z = f(x)``, summed over pixels and averaged over the batch. Hinton
    & Salakhutdinov 2006, "Reducing the Dimensionality of Data with Neural Networks".
    """

    bottleneck: ClassVar[str] = "point"

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the reconstruction term, nats an image."""
        return {"loss": model.reconstruction_loss(model.encode(batch.images), batch.images).mean()}
