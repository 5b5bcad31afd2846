"""Evaluate a saved agent into a folder, with the proof of what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from drl_latent.artifacts import Stage, digest, plain
from drl_latent.envs import FactorEnv, Split, make_env
from drl_latent.evaluation.agents import Agent, RandomAgent
from drl_latent.evaluation.generalization import default_parts, evaluate_generalization
from drl_latent.evaluation.leakage import check_leakage

if TYPE_CHECKING:
    from drl_latent.agents import LatentAgent

KIND = "evaluation"
EPISODES = "episodes.parquet"


def evaluate_saved(
    agent: LatentAgent,
    out: str | Path,
    *,
    name: str = "agent",
    split: Split | None = None,
    episodes: int = 100,
    seed: int = 0,
    with_random: bool = True,
    progress: bool = True,
) -> pd.DataFrame:
    """Evaluate an agent on each part of a split, check for leakage, and save the episodes.

    Args:
        agent: The agent; its configuration tells its environment and what it was trained on.
        out: The folder to make: ``episodes.parquet``, and the leakage check in the manifest.
        name: What the agent is called in the table.
        split: The split; the one that the agent was trained on unless given.
        episodes: Episodes on each part.
        seed: Seed of the episodes.
        with_random: Whether random actions run on the same episodes, as ``"random"``.
        progress: Whether to show progress.

    Returns:
        The table of `evaluate_generalization`.

    Raises:
        ValueError: There is no split to evaluate on, or it does not fit.
        LeakageError: A part that is called out of distribution was seen in training.
    """
    kwargs = {k: v for k, v in agent.config["env_kwargs"].items() if k != "observation"}
    trained_split, policy_part = kwargs.pop("split", None), kwargs.pop("partition", "train")
    split_seed = kwargs.pop("split_seed", 0)
    env_id = agent.config["env"]
    env = make_env(
        env_id, **kwargs, split=trained_split, partition=policy_part, split_seed=split_seed
    )
    base = env.unwrapped
    assert isinstance(base, FactorEnv)
    split = split or base.split
    if split is None:
        raise ValueError(
            "The agent was trained without a split: every combination is in distribution. Give a "
            "split to evaluate on, and train on one of its parts to measure generalisation."
        )
    parts = default_parts(split)
    data = None if agent.encoder is None else agent.encoder.training.get("data")
    seen = {
        label: check_leakage(split, part, encoder_data=data, policy_part=policy_part)
        for label, part in parts.items()
    }
    request = {
        "agent": digest(agent.config),
        "name": name,
        "split": digest(plain(split.to_dict())),
        "episodes": episodes,
        "seed": seed,
        "with_random": with_random,
    }
    stage = Stage(out, KIND, request)
    if not stage.is_complete:
        agents: dict[str, Agent] = {name: agent}
        if with_random:
            agents["random"] = RandomAgent(base.action_space, seed)  # type: ignore[arg-type]
        table = evaluate_generalization(
            agents,
            env_id,
            split,
            episodes=episodes,
            seed=seed,
            env_kwargs=kwargs,
            progress=progress,
        )
        table.to_parquet(stage.folder / EPISODES)
        config: dict[str, Any] = {"agent": agent.config, "parts": parts, "seen": seen}
        stage.finish(config)
    env.close()
    return pd.read_parquet(Path(out) / EPISODES)
