"""The loop that trains every objective."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from drl_latent.artifacts import LOGS
from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig, to_unit_images
from drl_latent.objectives.base import Batch, Objective
from drl_latent.optimization import Optimization
from drl_latent.pretraining.batches import Batches
from drl_latent.pretraining.monitor import Monitor
from drl_latent.pretraining.plateau import Plateau
from drl_latent.pretraining.steps import make_optimizer, take_step
from drl_latent.progress import track
from drl_latent.training_state import load_training_state, save_training_state

CHECKPOINT = "training.safetensors"


def train(
    folder: Path,
    data: FrameDataset,
    objective: Objective,
    config: ModelConfig,
    plan: Optimization,
    progress: bool = True,
) -> LatentModel:
    """Train a model, from the checkpoint in `folder` if there is one.

    The same call gives the same weights on one machine, interrupted or not.

    Args:
        folder: Where the checkpoint and the logs are written.
        data: The data set.
        objective: What is learned.
        config: The architecture.
        plan: How it is optimised.
        progress: Whether to show progress.

    Raises:
        ValueError: The data set does not have what the objective needs.
        FloatingPointError: A loss or gradient stopped being finite; the last checkpoint is kept.
    """
    device = plan.torch_device
    batches = Batches(
        data,
        plan.batch_size,
        plan.seed,
        objective.pair_kind,
        plan.num_workers,
        objective.same_episode,
    )
    generator = torch.Generator(device).manual_seed(plan.seed)
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        model = LatentModel(config).to(device).train()
        networks = objective.networks(config, data).to(device).train()
    if plan.compile and device.type == "cuda":
        model.encoder.compile()
        model.decoder.compile()
    checkpoint, start = folder / CHECKPOINT, 0
    is_resumed = checkpoint.exists()
    if not is_resumed:
        objective.prepare(model, data, generator)
    modules: dict[str, nn.Module] = {"model": model, "networks": networks}
    average = None
    if plan.ema:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(plan.ema))
        modules["average"] = average
    trained: LatentModel = model if average is None else average.module  # type: ignore[assignment]
    players = objective.players(model, networks)
    leader = next(iter(players))
    optimizers = {name: make_optimizer(player) for name, player in players.items()}
    plateau = Plateau(plan.patience)

    if is_resumed:
        counters = load_training_state(checkpoint, modules, optimizers, generator)
        start = counters["step"]
        plateau.restore(counters["plateau"])

    stop = plan.steps if objective.trains and not plateau.over else start
    with (
        Monitor(folder / LOGS, data, start) as monitor,
        track(
            "Pretraining", stop * plan.batch_size, "images", start * plan.batch_size, progress
        ) as advance,
    ):
        step = start
        for step, (frames, factors) in enumerate(batches.between(start, stop), start):
            batch = Batch(
                to_unit_images(frames.to(device, non_blocking=True)),
                step,
                plan.steps,
                len(data),
                generator,
                factors.to(device, non_blocking=True),
            )
            note = ""
            for name, player in players.items():
                terms = take_step(name, player, optimizers[name], batch, plan, checkpoint)
                if terms is None:
                    continue
                if name == leader:
                    plateau.take_in(terms[objective.criterion].item())
                if (step + 1) % plan.log_every == 0:
                    monitor.scalars(name, terms, optimizers[name].param_groups[0]["lr"], step)
                    note = note or " ".join(f"{k} {v.item():.4g}" for k, v in terms.items())
            if average is not None:
                average.update_parameters(model)
            if (step + 1) % plan.checkpoint_every == 0:
                counters = {"step": step + 1, "plateau": plateau.state()}
                save_training_state(checkpoint, modules, optimizers, generator, counters)
            advance(plan.batch_size, note)
            if plateau.over:
                break
            if plan.monitor_every and (step + 1) % plan.monitor_every == 0 and step + 1 < stop:
                monitor.look(trained, step + 1)
        monitor.look(trained, step + 1)
    return trained
