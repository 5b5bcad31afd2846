"""The encoder as it is initialised: what any training has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from drl_latent.objectives.ae import AE
from drl_latent.objectives.base import OBJECTIVES


@OBJECTIVES.register("random")
@dataclass(frozen=True)
class Untrained(AE):
    """Random features: the weights of the seed, and no step of training.

    The architecture alone can tell factors apart to some degree (Saxe et al. 2011, "On Random
    Weights and Unsupervised Feature Learning"), and agents can do well on it (Burda et al. 2019,
    "Large-Scale Study of Curiosity-Driven Learning"): scores are gains over this. Its
    decoder is random as well.
    """

    trains: ClassVar[bool] = False
