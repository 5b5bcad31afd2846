"""Interrupted training on disk: models, optimiser and random state, in one safetensors file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


def save_training_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    generator: torch.Generator | None,
    counters: Mapping[str, Any],
) -> None:
    """Write everything that training needs to go on, so that a reader never sees half of it.

    Args:
        path: The file.
        modules: Networks, by name.
        optimizers: Optimisers with tensor state (Adam and its kind), by name.
        generator: Source of randomness, if its state matters.
        counters: JSON-able values such as the step.
    """
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"module/{name}/{k}": v for k, v in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{k}": v for k, v in state.items()}
    if generator is not None:
        tensors["generator"] = generator.get_state()
    scratch = path.with_name(path.name + ".tmp")
    save_file(
        {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()},
        scratch,
        {"counters": json.dumps(dict(counters))},
    )
    os.replace(scratch, path)


def load_training_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    generator: torch.Generator | None,
) -> dict[str, Any]:
    """Put back what `save_training_state` wrote, in place, and return the counters."""
    with safe_open(path, framework="pt") as file:
        counters: dict[str, Any] = json.loads(file.metadata()["counters"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for name, module in modules.items():
        prefix = f"module/{name}/"
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    for name, optimizer in optimizers.items():
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, *rest = key.split("/", 3)
            if kind == "optimizer" and rest[0] == name:
                states.setdefault(int(rest[1]), {})[rest[2]] = _laid_out_as(
                    parameters[int(rest[1])], value
                )
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states, "param_groups": groups})
    if generator is not None:
        generator.set_state(tensors["generator"])
    return counters


def _laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Return `value` with the strides of `parameter`: fused optimisers read both as flat memory."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
