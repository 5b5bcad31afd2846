"""How a model is optimised, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from drl_latent.registry import UnknownNameError

if TYPE_CHECKING:
    import torch

Schedule = Literal["cosine", "constant"]
Precision = Literal["float32", "bfloat16"]

INCIDENTAL = ("checkpoint_every", "log_every", "monitor_every", "num_workers")
"""Settings that change how a run is watched and fed, and no weight of it."""
_WARM_UP = 200
"""Steps over which the learning rate rises from 0."""


@dataclass(frozen=True)
class Optimization:
    """How a model is optimised.

    Args:
        steps: Number of optimisation steps.
        batch_size: Frames a step; a pair is two frames.
        learning_rate: Peak learning rate of Adam.
        schedule: ``"cosine"`` decays it to 0 over the steps; ``"constant"`` keeps it.
        clip_norm: Largest norm of the gradient of each optimiser.
        ema: Decay of an exponential moving average of the weights, which becomes the encoder;
            0 for none, 0.999 is usual.
        patience: Stop when the mean loss of this many steps is not below that of the best such
            stretch before it, by a thousandth; 0 to go on to the end.
        seed: Seed of the weights, the order of frames, and sampled codes.
        checkpoint_every: Steps between checkpoints, which an interrupted run resumes from.
        log_every: Steps between the scalars in TensorBoard.
        monitor_every: Steps between reconstructions, traversals and metrics in TensorBoard; 0 for
            those of the end alone.
        num_workers: Threads that assemble batches ahead; 0 assembles each when it is needed.
        device: ``"auto"`` takes a GPU where there is one.
        precision: ``"bfloat16"`` computes in that where it is safe. It pays where networks and
            batches fill a GPU, which our default ones do not: ``"float32"`` was faster.
        compile: Whether to compile encoder and decoder, on a GPU only; likewise.

    Raises:
        ValueError: A setting is out of range.
    """

    steps: int = 20_000
    batch_size: int = 32
    learning_rate: float = 2e-3
    schedule: Schedule = "cosine"
    clip_norm: float = 1_000.0
    ema: float = 0.0
    patience: int = 0
    seed: int = 0
    checkpoint_every: int = 1_000
    log_every: int = 100
    monitor_every: int = 5_000
    num_workers: int = 0
    device: str = "auto"
    precision: Precision = "float32"
    compile: bool = False

    def __post_init__(self) -> None:
        for field in ("steps", "batch_size", "checkpoint_every", "log_every"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be 1 or more, got {getattr(self, field)}.")
        for field in ("patience", "monitor_every", "num_workers"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} must be 0 or more, got {getattr(self, field)}.")
        if self.schedule not in get_args(Schedule):
            raise UnknownNameError("schedule", self.schedule, get_args(Schedule))
        if self.precision not in get_args(Precision):
            raise UnknownNameError("precision", self.precision, get_args(Precision))
        for field in ("learning_rate", "clip_norm"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field} must be above 0, got {getattr(self, field)}.")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema, a decay rate, must be in [0, 1), got {self.ema}.")

    def rate(self, step: int) -> float:
        """Return the share of the peak learning rate at `step`.

        It is a pure function, so that a checkpoint does not have to hold it.
        """
        share = min(1.0, (step + 1) / _WARM_UP)
        if self.schedule == "cosine":
            share *= 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return share

    @property
    def torch_device(self) -> torch.device:
        """The device to train on."""
        import torch  # not at the top: the command line reads these settings without torch

        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)
