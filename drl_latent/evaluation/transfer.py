"""Zero-shot out of the task: agents in another environment than they were trained in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import pandas as pd

from drl_latent.artifacts import Stage
from drl_latent.envs import make_env
from drl_latent.evaluation.agents import Agent, RandomAgent
from drl_latent.evaluation.generalization import number_episodes, run_episodes
from drl_latent.evaluation.saved import EPISODES
from drl_latent.progress import track

if TYPE_CHECKING:
    from drl_latent.agents import LatentAgent

KIND = "transfer"
OTHER = "other/"
"""What the part of a table begins with where it is no part of the split of the training."""


def evaluate_transfer(
    agents: Mapping[str, Agent],
    env_id: str,
    *,
    name: str | None = None,
    episodes: int = 100,
    seed: int = 0,
    n_envs: int = 8,
    env_kwargs: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run agents, with the encoders that they have, where they were not trained.

    Another task of ours, or the same one with other factors varying. All agents meet the same
    episodes, as in `evaluate_generalization`. Nothing is claimed of what they saw: where scenes
    are alike, so may be the frames. Spaces have to be those of the training; that they mean the
    same is not checked: an agent on ``"factors"`` or ``"state"`` may find others in their places.

    Args:
        agents: The agents, by the name they get in the table.
        env_id: A registered environment.
        name: What comes after ``"other/"`` in the table's ``part``; the environment's id unless
            given. Name variants of one environment apart.
        episodes: Episodes of each agent.
        seed: Seed of the episodes, which depend on it and on the part's name alone.
        n_envs: Environments stepped together, whose frames are encoded in one batch.
        env_kwargs: Keyword arguments of the environment, such as ``image_size``; with ``split``
            and ``partition`` it stays in a part of a split of its own.
        progress: Whether to show progress.

    Returns:
        The columns of `evaluate_generalization`; ``part`` is ``"other/<name>"``.

    Raises:
        ValueError: An agent acts on other observations, or with other actions, than this
            environment's; a number is not positive; or there is no such environment.
    """
    if episodes < 1 or n_envs < 1:
        raise ValueError(f"episodes and n_envs must be 1 or more, got {episodes} and {n_envs}.")
    kwargs = dict(env_kwargs or {})
    for agent_name, agent in agents.items():
        env = make_env(env_id, **{**kwargs, "observation": agent.observation})
        env.close()
        check_spaces(agent_name, agent, env_id, env)
    part = OTHER + (name or env_id)
    seeds = np.random.default_rng([seed, *part.encode()]).integers(2**31, size=episodes).tolist()
    rows: list[dict[str, Any]] = []
    with track("Evaluating", len(agents) * episodes, "episodes", show=progress) as advance:
        for agent_name, agent in agents.items():
            for done in run_episodes(agent, env_id, kwargs, seeds, n_envs):
                rows += [{"agent": agent_name, "part": part, "episode": 0, **row} for row in done]
                advance(len(done), f"{agent_name} on {part}")
    return number_episodes(rows)


def transfer_saved(
    agent: LatentAgent,
    env_id: str,
    out: str | Path,
    *,
    name: str = "agent",
    episodes: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Run an agent and random actions in another environment, and save the episodes.

    Args:
        agent: The agent; frames have the size that it was trained on.
        env_id: A registered environment, all of whose factors vary.
        out: The folder to make: ``episodes.parquet``.
        name: What the agent is called in the table.
        episodes: Episodes of each.
        seed: Seed of the episodes.
        progress: Whether to show progress.

    Returns:
        The table of `evaluate_transfer`.

    Raises:
        ValueError: As of `evaluate_transfer`.
        ArtifactError: `out` holds something made with other settings.
    """
    kwargs = {k: v for k, v in agent.config["env_kwargs"].items() if k == "image_size"}
    request = {
        "agent": agent.fingerprint,
        "name": name,
        "env": env_id,
        "env_kwargs": kwargs,
        "episodes": episodes,
        "seed": seed,
    }
    stage = Stage(out, KIND, request)
    if not stage.is_complete:
        agents: dict[str, Agent] = {name: agent, "random": RandomAgent(agent.action_space, seed)}
        try:
            table = evaluate_transfer(
                agents, env_id, episodes=episodes, seed=seed, env_kwargs=kwargs, progress=progress
            )
        except ValueError:
            stage.discard()
            raise
        table.to_parquet(stage.folder / EPISODES)
        stage.finish({"agent": agent.config})
    return pd.read_parquet(Path(out) / EPISODES)


def check_spaces(name: str, agent: Agent, env_id: str, env: gym.Env[Any, Any]) -> None:
    """Refuse an agent that tells which spaces it is for, where an environment has others.

    Raises:
        ValueError: It has.
    """
    for attribute, word in (("observation_space", "sees"), ("action_space", "acts in")):
        own, given = getattr(agent, attribute, None), getattr(env, attribute)
        if own is not None and own != given:
            raise ValueError(
                f"Agent {name!r} {word} {own}, but {env_id} has {given}. Evaluate it in an "
                "environment with the spaces of its training, e.g. with the same image_size in "
                "env_kwargs."
            )
