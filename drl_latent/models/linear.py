"""The linear pair: pixels in, pixels out."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from drl_latent.models.config import ModelConfig
from drl_latent.models.registries import DECODERS, ENCODERS


@ENCODERS.register("flat")
class FlatEncoder(nn.Module):
    """Hands on the pixels themselves, averaged over blocks down to the decoder's size."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.factor = config.image_shape[0] // config.decoded_size
        self.out_features = config.image_shape[2] * config.decoded_size**2

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, C size size]."""
        return functional.avg_pool2d(images, self.factor).flatten(1)


@DECODERS.register("linear")
class LinearDecoder(nn.Module):
    """A mean image plus one image a latent, weighed by the code."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        shape = (config.image_shape[2], config.decoded_size, config.decoded_size)
        self.linear = nn.Linear(config.latent_dim, shape[0] * shape[1] * shape[2])
        self.unflatten = nn.Unflatten(1, shape)

    def forward(self, codes: Tensor) -> Tensor:
        """Return what the likelihood takes, [N, C, size, size]."""
        images: Tensor = self.unflatten(self.linear(codes))
        return images
