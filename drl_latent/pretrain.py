"""Pretrain an encoder on frames: one call for every objective."""

from __future__ import annotations

import ctypes
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drl_latent.artifacts import Stage
from drl_latent.checkpoint import KIND, MANIFEST, Encoder
from drl_latent.data import FrameDataset, open_dataset
from drl_latent.models import ModelConfig
from drl_latent.objectives import OBJECTIVES, Objective
from drl_latent.optimization import INCIDENTAL, Optimization
from drl_latent.pretraining import train
from drl_latent.pretraining.loop import CHECKPOINT
from drl_latent.registry import UnknownNameError

__all__ = ["Optimization", "default_model", "pretrain"]


def pretrain(
    dataset: FrameDataset | str | Path,
    objective: str | Objective = "beta_vae",
    *,
    out: str | Path,
    steps: int = 20_000,
    seed: int = 0,
    model: ModelConfig | None = None,
    optimization: Optimization | None = None,
    progress: bool = True,
    **settings: Any,
) -> Encoder:
    """Train a model on a data set and save its encoder; resume an interrupted run exactly.

    Args:
        dataset: A data set, or its folder.
        objective: A name in `OBJECTIVES`, whose settings are `settings`, or an `Objective`.
        out: Folder of the encoder. TensorBoard logs are in its ``logs``.
        steps: Number of optimisation steps.
        seed: Seed; the same call gives the same weights on one machine.
        model: The architecture; by default the light one, for the frames' shape.
        optimization: The other settings of the optimisation; its steps and seed are overridden.
        progress: Whether to show progress.
        settings: Settings of the objective, such as ``beta=8.0``.

    Returns:
        The trained encoder.

    Raises:
        UnknownNameError: There is no such objective.
        ValueError: The data set is not what the objective or the architecture needs.
        ArtifactError: `out` holds something made with other settings.
        FloatingPointError: The loss stopped being finite; the last checkpoint is kept.
    """
    if isinstance(objective, str):
        objective = _configure(objective, settings)
    elif settings:
        raise ValueError(f"Settings {sorted(settings)} were given beside an objective object.")
    data = dataset if isinstance(dataset, FrameDataset) else open_dataset(dataset)
    config = model or default_model(data.image_shape)
    if config.image_shape != data.image_shape:
        raise ValueError(
            f"The model takes frames of shape {config.image_shape}, but the data set has "
            f"{data.image_shape}."
        )
    plan = dataclasses.replace(optimization or Optimization(), steps=steps, seed=seed)
    name = next((key for key, cls in OBJECTIVES.items() if cls is type(objective)), None)
    if name is None:
        raise ValueError(
            f"{type(objective).__name__} is not registered: put @OBJECTIVES.register('its_name') "
            "on the class, so that what is saved can say how it was trained."
        )
    training: dict[str, Any] = {
        "objective_name": name,
        "objective": dataclasses.asdict(objective),
        "sources": objective.sources(),
        "optimization": dataclasses.asdict(plan),
        "data": {**data.config, "fingerprint": data.fingerprint},
    }
    config = objective.architecture(config)
    essential = {k: v for k, v in training["optimization"].items() if k not in INCIDENTAL}
    request = {"model": dataclasses.asdict(config), **training, "optimization": essential}
    stage = Stage(out, KIND, request, MANIFEST)
    if not stage.is_complete:
        _keep_large_allocations()
        checkpoint = stage.folder / CHECKPOINT
        try:
            trained = train(stage.folder, data, objective, config, plan, progress)
        except ValueError:
            # Refused, by the data set or the objective: the corrected request may use the folder.
            if not checkpoint.exists():
                stage.discard()
            raise
        checkpoint.unlink(missing_ok=True)
        Encoder(trained.cpu(), training).save_in(stage)
    return Encoder.load(out)


def default_model(image_shape: tuple[int, int, int]) -> ModelConfig:
    """Return the architecture used where none is given: light, decoding at half size."""
    return ModelConfig(image_shape=image_shape, decoded_size=image_shape[0] // 2)


def _configure(name: str, settings: Mapping[str, Any]) -> Objective:
    cls = OBJECTIVES[name]
    known = [field.name for field in dataclasses.fields(cls)]
    for key in settings:
        if key not in known:
            raise UnknownNameError(f"setting of {name}", key, known)
    return cls(**settings)


def _keep_large_allocations() -> None:
    """Let glibc keep freed memory: handing it back makes each large batch fault its pages anew."""
    if sys.platform == "linux":
        try:
            libc = ctypes.CDLL(None)
            trim_threshold, mmap_threshold = -1, -3
            libc.mallopt(trim_threshold, 1 << 30)
            libc.mallopt(mmap_threshold, 1 << 30)
        except (OSError, AttributeError):
            pass  # another C library: a little slower
