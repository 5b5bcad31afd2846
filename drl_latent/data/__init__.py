"""Frames and factors on disk: collect or import them, open them, pair and stack them."""

from drl_latent.data.collect import collect
from drl_latent.data.dataset import FrameDataset, open_dataset
from drl_latent.data.images import import_images
from drl_latent.data.minari_data import import_minari
from drl_latent.data.minari_export import export_minari

__all__ = [
    "FrameDataset",
    "collect",
    "export_minari",
    "import_images",
    "import_minari",
    "open_dataset",
]
