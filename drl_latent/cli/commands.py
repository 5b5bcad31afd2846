"""One command a stage; each reads and writes folders, and goes on where it was interrupted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

# The stages are imported where they are run, so that `--help` does not wait for torch.


def parse_settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Turn ``("beta=8", "likelihood=gaussian")`` into a dict; values are JSON or plain strings.

    Raises:
        ValueError: A pair has no ``=``.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise ValueError(f"Settings are given as name=value, got {pair!r}.")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


@dataclass(frozen=True)
class EnvOptions:
    """Which environment, and which combinations of its factors."""

    env: str = "DrlLatent/Reach-v0"
    """Id of a registered environment."""
    factors: tuple[str, ...] = ()
    """Reset factors that vary, the others keep their defaults; all unless given."""
    image_size: int = 64
    """Height and width of the frames: 64, 84 or 128 pixels."""
    split: str | None = None
    """Kind of split, e.g. composition, or a split's .json file; all combinations unless given."""
    split_seed: int = 0
    """Seed of a split given by kind."""

    def kwargs(self, partition: str | None = None) -> dict[str, Any]:
        """Return keyword arguments for the environment."""
        from drl_latent.envs import Split

        kwargs: dict[str, Any] = {"image_size": self.image_size}
        if self.factors:
            kwargs["factors"] = list(self.factors)
        if self.split is not None and partition is not None:
            is_file = self.split.endswith(".json")
            kwargs["split"] = Split.load(self.split) if is_file else self.split
            kwargs |= {"partition": partition, "split_seed": self.split_seed}
        return kwargs


Flat = Annotated[EnvOptions, tyro.conf.arg(name="")]


@dataclass(frozen=True)
class Collect:
    """Collect frames and their factors into a folder."""

    out: Path
    """Folder to make."""
    env: Flat = field(default_factory=EnvOptions)
    partition: str = "train"
    """Part of the split to draw from: train, test; or encoder, policy, ood1, ood2."""
    n: int = 50_000
    """Number of frames."""
    source: Literal["factors", "pairs", "rollout"] = "factors"
    """Independent draws of all factors, such draws in pairs that differ in k factors, or frames
    along episodes of random actions."""
    k: int | Literal["random"] = 1
    """How many factors differ in a pair; random draws a number for each."""
    seed: int = 0
    """Seed of the draws."""

    def run(self) -> int:
        """Collect."""
        from drl_latent.data import collect

        data = collect(
            self.env.env,
            self.out,
            n=self.n,
            seed=self.seed,
            source=self.source,
            k=self.k,
            env_kwargs=self.env.kwargs(self.partition),
        )
        print(data)
        return 0


@dataclass(frozen=True)
class Evaluate:
    """Run a trained agent on each part of its split, beside random actions."""

    agent: Path
    """Folder of the agent."""
    out: Path
    """Folder to make: episodes.parquet has one row an episode."""
    split: Path | None = None
    """A split's .json file; the split that the agent was trained on unless given."""
    env: str | None = None
    """Id of another environment instead, zero-shot; all its factors vary."""
    episodes: int = 100
    """Episodes on each part."""
    seed: int = 0
    """Seed of the episodes, the same for every agent."""

    def run(self) -> int:
        """Evaluate, and print the table."""
        from drl_latent.agents import LatentAgent
        from drl_latent.cli.tables import print_success
        from drl_latent.envs import Split
        from drl_latent.evaluation import evaluate_saved, transfer_saved

        agent = LatentAgent.load(self.agent)
        if self.env is not None:
            if self.split is not None:
                raise ValueError("--env evaluates out of the task, where --split has no parts.")
            print_success(
                transfer_saved(agent, self.env, self.out, episodes=self.episodes, seed=self.seed)
            )
            return 0
        split = None if self.split is None else Split.load(self.split)
        table = evaluate_saved(agent, self.out, split=split, episodes=self.episodes, seed=self.seed)
        print_success(table)
        return 0


@dataclass(frozen=True)
class Report:
    """Write report.html into the folder of a run."""

    run_folder: tyro.conf.Positional[Path] = Path("runs/quickstart")
    """Folder of the run."""

    def run(self) -> int:
        """Write the report."""
        from drl_latent.report import write_report

        print(write_report(self.run_folder))
        return 0
