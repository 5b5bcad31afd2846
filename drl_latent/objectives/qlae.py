"""QLAE: an autoencoder with a codebook of scalars for each latent."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from drl_latent.models import LatentModel, ModelConfig
from drl_latent.models.bottlenecks import QuantizedBottleneck, straight_through
from drl_latent.objectives.ae import nats_per_value
from drl_latent.objectives.base import (
    OBJECTIVES,
    Batch,
    Objective,
    Player,
    Terms,
    check_at_least,
)


def quantized_bottleneck(model: LatentModel) -> QuantizedBottleneck:
    """Return the bottleneck of a model whose codes are quantised."""
    assert isinstance(model.bottleneck, QuantizedBottleneck)
    return model.bottleneck


@dataclass(frozen=True)
class QuantizedAE(Objective):
    """What objectives with quantised codes share.

    Args:
        levels: Number of values a latent, 2 or more.
    """

    levels: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 2, "levels")

    def architecture(self, config: ModelConfig) -> ModelConfig:
        """Return the architecture, with this objective's number of levels."""
        return dataclasses.replace(super().architecture(config), levels=self.levels)


@OBJECTIVES.register("qlae")
@dataclass(frozen=True)
class QLAE(QuantizedAE):
    """An autoencoder whose latents take few values each, learned with them, under weight decay.

    ``loss = -log p(x|z_q) + quantize |sg(z) - z_q|^2 + commit |z - sg(z_q)|^2``, each averaged over
    pixel values or latents, with a straight-through gradient from z_q to z. Hsu et al. 2023,
    "Disentanglement via Latent Quantization", section 3. The paper has twice as many latents as
    factors.

    The paper's weights are 0.01, beside a Bernoulli likelihood. The Gaussian of scale 0.1 is 25
    times as sharp (at mid-grey), so that 0.25 is the same balance; with 0.01 what is quantised
    would run away from the values.

    A position that a latent codes alone is known to one part in `levels` and no better: a robot
    that has to be more precise needs more levels or other observations.

    Args:
        levels: Number of values a latent, 2 or more.
        quantize: Weight of the distance that draws values to what they stand for.
        commit: Weight of the distance that draws what is quantised to its value.
        weight_decay: Decoupled weight decay of kernels; biases and values do not decay.
    """

    bottleneck: ClassVar[str] = "codebook"

    quantize: float = 0.25
    commit: float = 0.25
    weight_decay: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "quantize", "commit", "weight_decay")

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the terms of all but the values; what was quantised is left in the memo."""
        bottleneck = quantized_bottleneck(model)
        continuous = bottleneck.continuous(model.encoder(batch.images))
        codes = bottleneck.quantize(continuous).detach()
        batch.memo["continuous"] = continuous.detach()
        reconstruction = nats_per_value(model, straight_through(continuous, codes), batch.images)
        commitment = functional.mse_loss(continuous, codes)
        return {
            "loss": reconstruction + self.commit * commitment,
            "reconstruction": reconstruction,
            "commitment": commitment,
        }

    def values_loss(self, model: LatentModel, continuous: Tensor) -> Terms:
        """Return the distance of each value from what it stood for in the batch."""
        codes = quantized_bottleneck(model).quantize(continuous)
        quantization = functional.mse_loss(codes, continuous)
        return {"loss": self.quantize * quantization, "quantization": quantization}

    def players(self, model: LatentModel, networks: nn.ModuleDict) -> dict[str, Player]:
        """Return the networks, then the values: no other term has a gradient for these."""
        values = quantized_bottleneck(model).values
        assert isinstance(values, nn.Parameter)
        return {
            "model": Player(
                [p for p in model.parameters() if p is not values],
                lambda batch: self.loss(model, batch),
                weight_decay=self.weight_decay,
            ),
            "values": Player(
                [values], lambda batch: self.values_loss(model, batch.memo["continuous"])
            ),
        }
