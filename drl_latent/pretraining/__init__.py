"""The parts of the pretraining loop: batches, what is watched, and the loop itself."""

from drl_latent.pretraining.batches import Batches, FrameOrder
from drl_latent.pretraining.loop import train
from drl_latent.pretraining.plateau import Plateau

__all__ = ["Batches", "FrameOrder", "Plateau", "train"]
