"""Principal components: the best linear autoencoder, in closed form."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import IncrementalPCA

from drl_latent.data import FrameDataset
from drl_latent.models import LIKELIHOODS, LatentModel, ModelConfig, to_unit_images
from drl_latent.models.bottlenecks import PointBottleneck
from drl_latent.models.linear import LinearDecoder
from drl_latent.objectives.ae import AE
from drl_latent.objectives.base import OBJECTIVES

_CHUNK = 2_000
"""Frames fitted at a time: memory is that of so many, and the effort a frame grows with it."""
_LEAST_VARIANCE = 1e-8


@OBJECTIVES.register("pca")
@dataclass(frozen=True)
class PCA(AE):
    """Codes are the principal components of the pixels at the decoder's size, whitened.

    Each latent has variance 1 over the data set, as agents and traversals like it; they are in the
    order of the variance that they explain, and of the two possible signs each has the one that
    makes its largest loading positive. The encoder is ``"flat"`` and the decoder ``"linear"``,
    whatever the architecture asked for. Pearson 1901, "On Lines and Planes of Closest Fit to
    Systems of Points in Space"; frames are fitted in chunks, in random order, which is exact for up
    to 2,000 of them (Ross et al. 2008, "Incremental Learning for Robust Visual Tracking").
    """

    trains: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        pixel = torch.full((1, 1, 1, 1), 0.25)
        if LIKELIHOODS[self.likelihood]().images(pixel) != pixel:
            raise ValueError(
                f"What PCA decodes is the image itself, but {self.likelihood!r} takes it for "
                "something else; use likelihood='gaussian'."
            )

    def architecture(self, config: ModelConfig) -> ModelConfig:
        """Return the linear architecture for these frames."""
        return dataclasses.replace(super().architecture(config), encoder="flat", decoder="linear")

    def prepare(self, model: LatentModel, data: FrameDataset, generator: torch.Generator) -> None:
        """Fit the components and write them into the model.

        Raises:
            ValueError: There are more latents than frames or pixels.
        """
        bottleneck, decoder = model.bottleneck, model.decoder
        assert isinstance(bottleneck, PointBottleneck)
        assert isinstance(decoder, LinearDecoder)
        features, dim = bottleneck.linear.in_features, model.config.latent_dim
        if dim > min(len(data), features):
            raise ValueError(
                f"latent_dim={dim} principal components need as many frames and pixel values: "
                f"there are {len(data)} and {features}."
            )
        fitted = IncrementalPCA(dim)
        for chunk in _chunks(model, data, generator):
            fitted.partial_fit(chunk)
        # A direction in which frames do not vary would be divided by nothing: its code is 0.
        varies = fitted.explained_variance_ > _LEAST_VARIANCE
        scale = np.sqrt(fitted.explained_variance_) * varies
        loadings = fitted.components_ * (varies / np.where(varies, scale, 1))[:, None]
        with torch.no_grad():
            for parameter, values in (
                (bottleneck.linear.weight, loadings),
                (bottleneck.linear.bias, -loadings @ fitted.mean_),
                (decoder.linear.weight, (fitted.components_ * scale[:, None]).T),
                (decoder.linear.bias, fitted.mean_),
            ):
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _chunks(
    model: LatentModel, data: FrameDataset, generator: torch.Generator
) -> Iterator[NDArray[np.float64]]:
    """Yield the features of all frames in random order, [n, F], each with n >= latent_dim."""
    device = generator.device
    order = torch.randperm(len(data), generator=generator, device=device).cpu().numpy()
    parts = max(1, min(-(-len(data) // _CHUNK), len(data) // model.config.latent_dim))
    for rows in np.array_split(order, parts):
        frames = torch.from_numpy(data.frames[np.sort(rows)]).to(device)
        with torch.inference_mode():
            features = model.encoder(to_unit_images(frames))
        yield features.cpu().numpy().astype(np.float64)
