"""Learning objectives: one file each, found by name in `OBJECTIVES`."""

from drl_latent.objectives.base import OBJECTIVES, Objective
from drl_latent.objectives.beta_vae import BetaVAE

__all__ = ["OBJECTIVES", "BetaVAE", "Objective"]
