"""Frames and factors on disk: collect them, open them, sample them."""

from drl_latent.data.collect import collect
from drl_latent.data.dataset import FrameDataset, open_dataset

__all__ = ["FrameDataset", "collect", "open_dataset"]
