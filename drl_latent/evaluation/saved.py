"""Evaluate a saved agent into a folder, with the proof of what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drl_latent.artifacts import Stage, digest, plain
from drl_latent.envs import FactorScene, Split, make_env
from drl_latent.evaluation.agents import Agent, RandomAgent
from drl_latent.evaluation.generalization import default_parts, evaluate_generalization
from drl_latent.evaluation.leakage import LeakageError, check_leakage

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
    assert isinstance(base, FactorScene)
    split = split or base.split
    if split is None:
        raise ValueError(
            "The agent was trained without a split: every combination is in distribution. Give a "
            "split to evaluate on, and train on one of its parts to measure generalisation."
        )
    parts = default_parts(split)
    seen_ids = _policy_seen(split, base, policy_part)
    data = None if agent.encoder is None else agent.encoder.training.get("data")
    seen = {
        label: check_leakage(
            split, part, encoder_data=data, policy_part=policy_part, policy_seen=seen_ids
        )
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


def _policy_seen(split: Split, base: FactorScene, part: str) -> NDArray[np.int64]:
    """Return the ids, in `split`, of the combinations that a policy was trained on.

    Args:
        split: The split that is evaluated on.
        base: The environment that it was trained in.
        part: The part of that environment's split.

    Raises:
        LeakageError: It was trained on other factors, so that the two cannot be compared.
    """
    trained = base.factor_space.reset if base.split is None else base.split.factor_space
    if trained != split.factor_space:
        raise LeakageError(
            f"The agent's environment varied {list(trained.names)} but the split is over "
            f"{list(split.factor_space.names)}, or their levels differ: what it saw cannot be "
            "compared. Evaluate on a split of the factors that it was trained with."
        )
    return np.arange(trained.size) if base.split is None else base.split.ids(part)
