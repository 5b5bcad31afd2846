"""Pretrain an encoder on frames: one loop for every objective."""

from __future__ import annotations

import ctypes
import dataclasses
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from drl_latent.artifacts import Stage
from drl_latent.checkpoint import KIND, MANIFEST, Encoder
from drl_latent.data import FrameDataset, open_dataset
from drl_latent.models import LatentModel, ModelConfig, to_unit_images
from drl_latent.objectives import OBJECTIVES, Objective
from drl_latent.progress import track
from drl_latent.registry import UnknownNameError
from drl_latent.training_state import load_training_state, save_training_state

Schedule = Literal["cosine", "constant"]
_WARM_UP = 200
"""Steps over which the learning rate rises from 0."""


@dataclasses.dataclass(frozen=True)
class Optimization:
    """How a model is optimised.

    Args:
        steps: Number of optimisation steps.
        batch_size: Frames a step.
        learning_rate: Peak learning rate of Adam.
        schedule: ``"cosine"`` decays it to 0 over the steps; ``"constant"`` keeps it.
        clip_norm: Largest norm of the gradient.
        seed: Seed of the weights, the order of frames, and sampled codes.
        checkpoint_every: Steps between checkpoints, which an interrupted run resumes from.
        log_every: Steps between TensorBoard entries.
        device: ``"auto"`` takes a GPU where there is one.
    """

    steps: int = 20_000
    batch_size: int = 32
    learning_rate: float = 2e-3
    schedule: Schedule = "cosine"
    clip_norm: float = 1_000.0
    seed: int = 0
    checkpoint_every: int = 1_000
    log_every: int = 100
    device: str = "auto"

    def __post_init__(self) -> None:
        for field in ("steps", "batch_size", "checkpoint_every", "log_every"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be 1 or more, got {getattr(self, field)}.")
        if self.schedule not in get_args(Schedule):
            raise UnknownNameError("schedule", self.schedule, get_args(Schedule))
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}.")

    def rate(self, step: int) -> float:
        """Return the learning rate at `step`: a pure function, so that nothing has to be saved."""
        rate = self.learning_rate * min(1.0, (step + 1) / _WARM_UP)
        if self.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return rate


class FrameOrder:
    """Which frames each step sees: shuffled epochs, as a pure function of the step.

    Args:
        n: Number of frames.
        batch_size: Frames a step.
        seed: Seed of the shuffles.
    """

    def __init__(self, n: int, batch_size: int, seed: int) -> None:
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def __call__(self, step: int) -> NDArray[np.int64]:
        """Return the indices, int [batch_size], of the frames of `step`."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        return np.array([self._epoch(int(p) // self.n)[p % self.n] for p in positions])

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._epochs:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
            self._epochs = {k: v for k, v in self._epochs.items() if k == epoch - 1}
            self._epochs[epoch] = order
        return self._epochs[epoch]


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
    name = next(key for key, cls in OBJECTIVES.items() if cls is type(objective))
    training = {
        "objective_name": name,
        "objective": dataclasses.asdict(objective),
        "optimization": dataclasses.asdict(plan),
        "data": {**data.config, "fingerprint": data.fingerprint},
    }
    stage = Stage(out, KIND, {"model": dataclasses.asdict(config), **training}, MANIFEST)
    if not stage.is_complete:
        _keep_large_allocations()
        trained = _train(stage.folder, data, objective, config, plan, progress)
        checkpoint = stage.folder / "training.safetensors"
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


def _train(
    folder: Path,
    data: FrameDataset,
    objective: Objective,
    config: ModelConfig,
    plan: Optimization,
    progress: bool,
) -> LatentModel:
    gpu = torch.cuda.is_available() if plan.device == "auto" else plan.device.startswith("cuda")
    device = torch.device(("cuda" if gpu else "cpu") if plan.device == "auto" else plan.device)
    generator = torch.Generator(device).manual_seed(plan.seed)
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        model = LatentModel(config).to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.learning_rate)
    order = FrameOrder(len(data), plan.batch_size, plan.seed)

    checkpoint, start = folder / "training.safetensors", 0
    modules, optimizers = {"model": model}, {"model": optimizer}
    if checkpoint.exists():
        start = load_training_state(checkpoint, modules, optimizers, generator)["step"]

    batch = plan.batch_size
    with (
        SummaryWriter(str(folder / "logs"), purge_step=start) as logs,
        track("Pretraining", plan.steps * batch, "images", start * batch, progress) as advance,
    ):
        for step in range(start, plan.steps):
            for group in optimizer.param_groups:
                group["lr"] = plan.rate(step)
            frames = torch.from_numpy(data.frames[np.sort(order(step))])
            images = to_unit_images(frames.to(device, non_blocking=True))
            with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                terms = objective.loss(model, images, step, generator)
            if not torch.isfinite(terms["loss"]):
                raise FloatingPointError(
                    f"The loss is {terms['loss'].item()} at step {step}. The last good checkpoint "
                    f"is {checkpoint}; a lower learning rate or clip_norm may help."
                )
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
            optimizer.step()
            note = ""
            if (step + 1) % plan.log_every == 0:
                note = _log(logs, terms, plan.rate(step), step)
            if (step + 1) % plan.checkpoint_every == 0:
                save_training_state(checkpoint, modules, optimizers, generator, {"step": step + 1})
            advance(batch, note)
        _log_reconstructions(logs, model, images, plan.steps)
    return model


def _log(logs: SummaryWriter, terms: Mapping[str, Tensor], rate: float, step: int) -> str:
    for name, value in terms.items():
        logs.add_scalar(f"pretrain/{name}", value.item(), step)
    logs.add_scalar("pretrain/learning_rate", rate, step)
    return f"loss {terms['loss'].item():.1f}"


def _log_reconstructions(
    logs: SummaryWriter, model: LatentModel, images: Tensor, step: int
) -> None:
    with torch.inference_mode():
        shown = images[:8]
        decoded = model.decode(model.encode(shown)[0]).clamp(0, 1)
        pairs = torch.cat([model.target(shown), decoded], dim=3)
    logs.add_images("pretrain/frame_and_reconstruction", pairs.float(), step)


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
