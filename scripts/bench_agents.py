"""Do agents on latents reach the success of agents on the true state? Baselines x seeds on a task.

    python scripts/bench_agents.py --task reach
    python scripts/bench_agents.py --task push --baselines true_state beta_vae

Each baseline is made from nothing by `train_baseline`, as `drl-latent train --baseline NAME` does:
frames, encoder, agent; then it is evaluated, with deterministic actions, on the combinations that
the policy was trained on (in distribution), on those that only the encoder saw (OOD1), and on those
that neither did (OOD2). Every seed is another split, encoder and agent; all agents of a seed meet
the same episodes. Everything is kept in the output folder: an interrupted call goes on.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from scipy import stats

from drl_latent.agents import BASELINES, LatentAgent, train_baseline
from drl_latent.artifacts import write_json
from drl_latent.data import collect
from drl_latent.envs import FactorEnv, Split, make_env, make_transfer_split
from drl_latent.evaluation import evaluate_saved
from drl_latent.pretrain import default_model


@dataclass(frozen=True)
class Task:
    """How agents are made on a task."""

    env: str
    factors: tuple[str, ...]
    """Factors that vary."""
    frames: int = 30_000
    pretrain_steps: int = 6_000
    latents: int = 10
    objectives: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of objectives."""
    agent: dict[str, Any] = field(default_factory=dict)
    """Arguments of `train_agent`."""
    state_agent: dict[str, Any] = field(default_factory=dict)
    """Those of agents without an encoder that differ."""


SALIENT = {"likelihood": "salient_gaussian"}
TASKS = {
    "reach": Task(
        "DrlLatent/Reach-v0",
        ("object_hue", "object_size", "floor_hue"),
        objectives={"beta_vae": {"beta": 10.0, **SALIENT}, "ae": SALIENT},
        agent={"steps": 50_000},
        state_agent={"steps": 40_000},
    ),
    "push": Task(
        "DrlLatent/Push-v0",
        ("object_hue", "object_size", "floor_hue"),
        pretrain_steps=12_000,
        latents=12,
        objectives={"beta_vae": {"beta": 10.0, **SALIENT}, "ae": SALIENT},
        agent={"algorithm": "SAC", "steps": 100_000, "proprioception": True},
        state_agent={"steps": 30_000},
    ),
}


@dataclass(frozen=True)
class Args:
    """What is compared."""

    task: str = "reach"
    """One of TASKS."""
    baselines: tuple[str, ...] = ("true_state", "beta_vae")
    """Names in BASELINES."""
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 200
    """Episodes of each agent on each part."""
    out: Path = Path("runs/bench/agents")
    """Folder of everything that is made."""


def make_split(task: Task, folder: Path, seed: int) -> Split:
    """The split of a seed, kept in a file."""
    path = folder / "split.json"
    if not path.exists():
        env = make_env(task.env, factors=list(task.factors))
        base = env.unwrapped
        assert isinstance(base, FactorEnv)
        folder.mkdir(parents=True, exist_ok=True)
        make_transfer_split("composition", base.factor_space, seed=seed).save(path)
        env.close()
    return Split.load(path)


def train(task: Task, name: str, folder: Path, split: Split, seed: int) -> LatentAgent:
    """Make a baseline; frames are shared by those that learn from one kind of data."""
    baseline = BASELINES[name]
    kwargs = {"factors": list(task.factors), "split": split, "partition": "policy"}
    data = None
    if baseline.source is not None:
        data = collect(
            task.env,
            folder / f"frames-{baseline.source}",
            n=task.frames,
            seed=seed,
            source=baseline.source,
            env_kwargs={**kwargs, "partition": "encoder"},
        )
    own = {} if baseline.inputs == "latents" else task.state_agent
    model = dataclasses.replace(default_model((64, 64, 3)), latent_dim=task.latents)
    return train_baseline(
        name,
        task.env,
        folder / name,
        data=data,
        pretrain_steps=task.pretrain_steps,
        model=model,
        objective_settings=task.objectives.get(baseline.pretraining or "", {}),
        seed=seed,
        env_kwargs=kwargs,
        **{**task.agent, **own},
    )


def run(args: Args) -> pd.DataFrame:
    """Success of every baseline, seed and part, one row each."""
    task, rows = TASKS[args.task], []
    for seed in args.seeds:
        folder = args.out / args.task / f"seed-{seed}"
        split = make_split(task, folder, seed)
        for name in args.baselines:
            begin = time.perf_counter()
            agent = train(task, name, folder, split, seed)
            table = evaluate_saved(
                agent,
                folder / name / "evaluation",
                name=name,
                episodes=args.episodes,
                seed=seed,
                with_random=False,
            )
            seconds = time.perf_counter() - begin
            found = table.groupby("part")["success"].mean()
            rows += [{"baseline": name, "seed": seed, "part": p, "success": v, "seconds": seconds}
                     for p, v in found.items()]  # fmt: skip
            shown = ", ".join(f"{p} {v:.3f}" for p, v in found.items())
            print(f"{name}, seed {seed}: {shown} ({seconds:.0f} s)", flush=True)
    return pd.DataFrame(rows)


def mean_and_interval(values: np.ndarray) -> str:
    """Mean over seeds with Student's 95% interval, cut to [0, 1]."""
    if len(values) < 2:
        return f"{values.mean():.3f}"
    reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    low, high = np.clip([values.mean() - reach, values.mean() + reach], 0, 1)
    return f"{values.mean():.3f} [{low:.2f}, {high:.2f}]"


def markdown(table: pd.DataFrame) -> str:
    """Success by baseline and part: the mean of seeds, its interval, and each seed."""
    parts = list(table["part"].unique())
    lines = ["| baseline | " + " | ".join(parts) + " |", "|" + " --- |" * (len(parts) + 1)]
    for name, own in table.groupby("baseline", sort=False):
        cells = []
        for part in parts:
            values = own[own["part"] == part]["success"].to_numpy()
            each = ", ".join(f"{v:.3f}" for v in values)
            cells.append(f"{mean_and_interval(values)} ({each})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(args: Args) -> None:
    """Train, evaluate, and write the table."""
    table = run(args)
    folder = args.out / args.task
    table.to_parquet(folder / "success.parquet")
    (folder / "success.md").write_text(markdown(table), encoding="utf-8")
    print(markdown(table))
    truth = table[(table["baseline"] == "true_state") & (table["part"] == "id")]
    if len(truth):
        means = table[table["part"] == "id"].groupby("baseline", sort=False)["success"].mean()
        ratios = (means / truth["success"].mean()).round(3).to_dict()
        print(f"In distribution, relative to the true state: {ratios}")
        write_json(folder / "ratios.json", ratios)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
