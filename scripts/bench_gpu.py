"""What a GPU changes: pretraining by precision, with and without compiling, and agents on pixels.

    python scripts/bench_gpu.py

Everything is timed twice, for few steps and for more, and the difference gives the speed: what is
done once, such as loading, compiling and the first steps, is not in it but beside it. Without a GPU
only the CPU's figures are taken. Prints a table, and writes results.json.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Column, Table

from drl_latent.agents import train_agent
from drl_latent.artifacts import write_json
from drl_latent.data import FrameDataset, collect
from drl_latent.pretrain import Optimization, pretrain

VARIANTS: dict[str, dict[str, Any]] = {
    "CPU, float32": {"device": "cpu", "precision": "float32"},
    "GPU, float32": {"device": "cuda", "precision": "float32", "compile": False},
    "GPU, bfloat16": {"device": "cuda", "precision": "bfloat16", "compile": False},
    "GPU, float32, compiled": {"device": "cuda", "precision": "float32", "compile": True},
    "GPU, bfloat16, compiled": {"device": "cuda", "precision": "bfloat16", "compile": True},
}
"""What pretraining is timed with: settings of `Optimization`."""
AGENTS: dict[str, dict[str, Any]] = {
    "PPO": {"n_envs": 8, "settings": {"n_steps": 128, "batch_size": 256}},
    "SAC": {"n_envs": 1, "settings": {"batch_size": 256, "learning_starts": 100}},
}
"""Agents on pixels that are timed, and arguments of `train_agent`."""
AGENT_STEPS = {"PPO": (1_024, 2_048), "SAC": (150, 100)}
"""Environment steps before those that are timed, and those: whole rollouts of PPO, and of SAC only
steps on which it learns."""


@dataclass(frozen=True)
class Args:
    """What is timed, and for how long."""

    variants: tuple[str, ...] = tuple(VARIANTS)
    """Ways to pretrain."""
    agents: tuple[str, ...] = tuple(AGENTS)
    """Agents on pixels."""
    batches: tuple[int, ...] = (32, 256)
    """Batch sizes of pretraining."""
    objective: str = "beta_vae"
    """What is pretrained."""
    steps: int = 600
    """Steps of pretraining that are timed."""
    warm_up: int = 50
    """Steps before them."""
    env: str = "DrlLatent/Reach-v0"
    """Environment."""
    frames: int = 4_000
    """Frames to pretrain on."""
    seed: int = 0
    """Seed of everything."""
    out: Path = Path("runs/bench/gpu")
    """Folder of the results."""


def seconds(run: Callable[[int], object], steps: int) -> float:
    begin = time.perf_counter()
    run(steps)
    return time.perf_counter() - begin


def measure(run: Callable[[int], object], few: int, more: int) -> dict[str, float]:
    """Steps a second between `few` and `few + more`, and the seconds that are spent once."""
    run(1)  # what a process does once, such as imports, belongs to neither
    torch.compiler.reset()
    first = seconds(run, few)
    torch.compiler.reset()
    second = seconds(run, few + more)
    each = (second - first) / more
    return {"per_second": 1 / each, "once": first - few * each}


def pretraining(args: Args, data: FrameDataset, variant: str, batch: int) -> dict[str, float]:
    """Images a second."""

    def run(steps: int) -> None:
        plan = Optimization(
            batch_size=batch, checkpoint_every=10**9, monitor_every=0, **VARIANTS[variant]
        )
        with tempfile.TemporaryDirectory() as folder:
            pretrain(
                data,
                args.objective,
                out=Path(folder) / "encoder",
                steps=steps,
                seed=args.seed,
                optimization=plan,
                progress=False,
            )

    found = measure(run, args.warm_up, args.steps)
    return {"per_second": found["per_second"] * batch, "once": found["once"]}


def agent(args: Args, algorithm: str, device: str) -> dict[str, float]:
    """Environment steps a second of an agent on pixels."""

    def run(steps: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            train_agent(
                args.env,
                Path(folder) / "agent",
                inputs="pixels",
                algorithm=algorithm,
                steps=steps,
                seed=args.seed,
                device=device,
                progress=False,
                **AGENTS[algorithm],
            )

    return {"per_second": measure(run, *AGENT_STEPS[algorithm])["per_second"]}


def main(args: Args) -> None:
    """Time what was asked for and can be done here."""
    has_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if has_gpu else "no GPU"
    table = Table("What", Column("a second", justify="right"), Column("once, s", justify="right"))
    found: dict[str, dict[str, float]] = {}

    def take(name: str, run: Callable[[], dict[str, float]]) -> None:
        found[name] = run()
        print(name, found[name], flush=True)
        once = f"{found[name]['once']:.1f}" if "once" in found[name] else ""
        table.add_row(name, f"{found[name]['per_second']:,.1f}", once)

    with tempfile.TemporaryDirectory() as folder:
        data = collect(args.env, Path(folder) / "data", n=args.frames, seed=args.seed)
        for variant in args.variants:
            if VARIANTS[variant]["device"] == "cuda" and not has_gpu:
                continue
            for batch in args.batches:
                name = f"images, batch {batch}: {variant}"
                take(name, lambda v=variant, b=batch: pretraining(args, data, v, b))
    for algorithm in args.agents:
        for place in ("cpu", *(("cuda",) if has_gpu else ())):
            name = f"steps of {algorithm} on pixels: {place}"
            take(name, lambda a=algorithm, p=place: agent(args, a, p))
    threads = torch.get_num_threads()
    Console().print(table, f"{device}; {threads} threads; torch {torch.__version__}")
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "results.json", {"device": device, "threads": threads, "found": found})


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
