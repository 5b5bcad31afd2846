"""Mean and standard deviation of each latent, by which an agent's features are standardised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, open_dataset

_DEAD = 0.05


def measure_whitening(
    encoder: Encoder | str | Path,
    data: FrameDataset | str | Path,
    *,
    n: int = 2_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure what `LatentExtractor` takes as ``whiten``, on frames of a data set.

    Each latent is standardised on its own: the axes of a disentangled code have a meaning, which
    full whitening would mix. A dead latent, whose standard deviation is below 0.05 of the prior's
    (where codes have none, of the largest one), is centred and not scaled, since that would blow
    up its noise.

    Args:
        encoder: The encoder, or its folder.
        data: The data set, or its folder.
        n: Number of frames to encode at most.
        seed: Of the choice of frames.

    Returns:
        Plain numbers, so that a saved agent keeps them and needs no data set: ``"mean"`` and
        ``"std"``, D floats each, and the ``"fingerprint"`` of the encoder that they belong to.

    Raises:
        ArtifactError: A folder is not what it should be.
        ValueError: The frames do not fit the encoder.
    """
    encoder = encoder if isinstance(encoder, Encoder) else Encoder.load(encoder)
    data = data if isinstance(data, FrameDataset) else open_dataset(data)
    rows = np.random.default_rng(seed).choice(len(data), min(n, len(data)), replace=False)
    codes = encoder(np.asarray(data.frames[np.sort(rows)])).astype(np.float64)
    std = codes.std(axis=0)
    usual = 1.0 if encoder.has_posterior else std.max()
    alive = std >= _DEAD * usual
    return {
        "mean": codes.mean(axis=0).tolist(),
        "std": np.where(alive & (std > 0), std, 1.0).tolist(),
        "fingerprint": encoder.fingerprint,
    }


def read_whitening(given: Any, encoder: Encoder) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, float32 [D] each, of what `measure_whitening` gave.

    Raises:
        ValueError: It is something else, or of another encoder.
    """
    if not isinstance(given, Mapping) or not {"mean", "std"} <= set(given):
        raise ValueError(
            'whiten takes the mean and std of each latent, {"mean": [...], "std": [...]}, got '
            f"{given!r}; drl_latent.agents.whitening.measure_whitening(encoder, data) gives them."
        )
    measured = given.get("fingerprint", encoder.fingerprint)
    if measured != encoder.fingerprint:
        raise ValueError(
            f"whiten was measured with the encoder {measured}, but the extractor has "
            f"{encoder.fingerprint}. Measure it again with this one."
        )
    mean, std = (torch.tensor(given[name], dtype=torch.float32) for name in ("mean", "std"))
    wanted = (encoder.latent_dim,)
    if mean.shape != wanted or std.shape != wanted:
        raise ValueError(
            f"whiten needs a mean and a std for each of {encoder.latent_dim} latents, got shapes "
            f"{tuple(mean.shape)} and {tuple(std.shape)}."
        )
    if not bool(mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
        raise ValueError(f"whiten needs finite means and positive stds, got {dict(given)}.")
    return mean, std
