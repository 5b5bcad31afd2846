"""Regression of the true factors: what an encoder of this architecture could reach at best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Player, Terms


class Targets(nn.Module):
    """From factor values [N, K] to codes [N, D]: standardised over a data set, then zeros.

    A factor that is constant there has target 0.

    Args:
        factors: Factor values of the data set, float [M, K].
        latent_dim: Number of latents, D.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, factors: Tensor, latent_dim: int) -> None:
        super().__init__()
        spread = factors.double().std(0, correction=0).float()
        self.register_buffer("mean", factors.double().mean(0).float())
        self.register_buffer("scale", torch.where(spread > 0, spread, torch.inf))
        self.padding = latent_dim - factors.shape[1]

    def forward(self, factors: Tensor) -> Tensor:
        """Return the codes to aim at."""
        return functional.pad((factors - self.mean) / self.scale, (0, self.padding))


@OBJECTIVES.register("supervised")
@dataclass(frozen=True)
class Supervised(Objective):
    """Latent k is trained to be factor k, standardised; latents without a factor to be 0.

    ``loss = |f(x) - target|^2`` on all labels: the regulariser R_s of Locatello et al. 2020,
    "Disentangling Factors of Variation Using Few Labels", alone and with a squared error. The
    decoder learns to reconstruct from these codes, for traversals, and does not change them.

    Factors are taken for the numbers that the data set holds: categories for their index, and a
    circular factor for its value, so that codes jump where that wraps around.
    """

    bottleneck: ClassVar[str] = "point"

    def networks(self, config: ModelConfig, data: FrameDataset) -> nn.ModuleDict:
        """Return the targets.

        Raises:
            ValueError: The data set has no labels, or there are fewer latents than factors.
        """
        count = data.factors.shape[1]
        if not count:
            raise ValueError(
                f"The objective 'supervised' needs factor values, and {data.path} has none; use a "
                "labelled data set, or an objective without supervision."
            )
        if count > config.latent_dim:
            raise ValueError(
                f"The objective 'supervised' needs a latent for each of the {count} factors, but "
                f"latent_dim is {config.latent_dim}: set it to {count} or more."
            )
        targets = Targets(torch.from_numpy(data.factors.copy()), config.latent_dim)
        return nn.ModuleDict({"targets": targets})

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the reconstruction term on the codes in the batch's memo, nats an image."""
        return {"loss": model.reconstruction_loss(batch.memo["codes"], batch.images).mean()}

    def players(self, model: LatentModel, networks: nn.ModuleDict) -> dict[str, Player]:
        """Return the encoder, then the decoder."""

        def encoder_loss(batch: Batch) -> Terms:
            codes = model.encode(batch.images)
            batch.memo["codes"] = codes.detach()
            return {"loss": (codes - networks["targets"](batch.factors)).square().sum(1).mean()}

        return {
            "model": Player(
                [*model.encoder.parameters(), *model.bottleneck.parameters()], encoder_loss
            ),
            "decoder": Player(
                [*model.decoder.parameters(), *model.likelihood.parameters()],
                lambda batch: self.loss(model, batch),
            ),
        }
