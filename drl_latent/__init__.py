"""Disentangled representations of robot camera images for Stable-Baselines3 agents."""

from drl_latent.checkpoint import Encoder

__all__ = ["Encoder"]
__version__ = "0.1.0"
