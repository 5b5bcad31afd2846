"""Zero-shot generalisation: agents on the parts of a split, one row an episode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd

from drl_latent.envs import FactorScene, Split, make_env
from drl_latent.evaluation.agents import Agent
from drl_latent.progress import track


def evaluate_generalization(
    agents: Mapping[str, Agent],
    env_id: str,
    split: Split,
    *,
    parts: Mapping[str, str] | None = None,
    episodes: int = 100,
    seed: int = 0,
    n_envs: int = 8,
    env_kwargs: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run agents on each part of a split, with deterministic actions.

    All agents meet the same episodes: number, seed, factors and start of an episode depend on the
    part and on `seed` alone (common random numbers), so that agents can be compared in pairs.

    Args:
        agents: The agents, by the name they get in the table.
        env_id: A registered environment.
        split: The split.
        parts: Name in the table to part of the split; `default_parts` unless given.
        episodes: Episodes of each agent on each part.
        seed: Seed of the episodes.
        n_envs: Environments stepped together, whose frames are encoded in one batch.
        env_kwargs: Further keyword arguments of the environment.
        progress: Whether to show progress.

    Returns:
        One row an episode: ``agent``, ``part``, ``episode``, ``seed``, ``return``, ``success``
        (at the last step; NaN where the environment does not say), ``length``, and one column
        ``factor/<name>`` a reset factor.

    Raises:
        ValueError: A part is unknown or empty, or a number is not positive.
    """
    if episodes < 1 or n_envs < 1:
        raise ValueError(f"episodes and n_envs must be 1 or more, got {episodes} and {n_envs}.")
    parts = parts or default_parts(split)
    for part in parts.values():
        split.ids(part)
    rows: list[dict[str, Any]] = []
    total = len(agents) * len(parts) * episodes
    with track("Evaluating", total, "episodes", show=progress) as advance:
        for name, agent in agents.items():
            for label, part in parts.items():
                kwargs = {**(env_kwargs or {}), "split": split, "partition": part}
                seeds = _seeds(split, part, seed, episodes)
                for done in run_episodes(agent, env_id, kwargs, seeds, n_envs):
                    rows += [{"agent": name, "part": label, "episode": 0, **row} for row in done]
                    advance(len(done), f"{name} on {label}")
    return number_episodes(rows)


def default_parts(split: Split) -> dict[str, str]:
    """Return the name in a table of each part of a split that agents are measured on.

    ``"id"``, ``"ood1"`` and ``"ood2"`` of a transfer split, ``"id"`` and ``"ood"`` of another; and
    after these the parts by axis of an axis split, such as ``"ood/object_hue"``.
    """
    if "policy" in split.parts:
        whole = {"id": "policy", "ood1": "ood1", "ood2": "ood2"}
    else:
        whole = {"id": "train", "ood": "test"}
    by_axis = {
        label + member.removeprefix(part): member
        for label, part in whole.items()
        for member in split.members
        if member.startswith(f"{part}/")
    }
    return whole | by_axis


def run_episodes(
    agent: Agent, env_id: str, env_kwargs: Mapping[str, Any], seeds: Sequence[int], n_envs: int
) -> Iterator[list[dict[str, Any]]]:
    """Run one episode a seed, and yield their rows, those that ran together at a time.

    Args:
        agent: The agent; it chooses what the environments show.
        env_id: A registered environment.
        env_kwargs: Its other keyword arguments.
        seeds: Seeds of the resets.
        n_envs: Environments stepped together.

    Yields:
        ``seed``, ``return``, ``success``, ``length`` and ``factor/<name>`` of each episode.
    """
    kwargs = {**env_kwargs, "observation": agent.observation}
    envs = [make_env(env_id, **kwargs) for _ in range(min(n_envs, len(seeds)))]
    try:
        for start in range(0, len(seeds), len(envs)):
            yield _run(agent, envs, seeds[start : start + len(envs)])
    finally:
        for env in envs:
            env.close()


def number_episodes(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of episodes as a table, in which each agent's on each part count from 0."""
    table = pd.DataFrame(rows)
    table["episode"] = table.groupby(["agent", "part"]).cumcount()
    return table


def _seeds(split: Split, part: str, seed: int, episodes: int) -> list[int]:
    """Return the seeds of episodes, whatever other parts are evaluated beside this one."""
    order = list(dict.fromkeys([*default_parts(split).values(), *split.parts]))
    rng = np.random.default_rng([seed, order.index(part)])
    return rng.integers(2**31, size=episodes).tolist()


def _run(
    agent: Agent, envs: Sequence[gym.Env[Any, Any]], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Run one episode in each environment, all together, until the last has ended."""
    envs = envs[: len(seeds)]
    observations, rows = [], []
    for env, seed in zip(envs, seeds, strict=True):
        observation, _ = env.reset(seed=seed)
        observations.append(observation)
        base = env.unwrapped
        assert isinstance(base, FactorScene)
        space = base.factor_space
        values = {
            f"factor/{f.name}": float(v)
            for f, v in zip(space, base.factor_values, strict=True)
            if f.kind != "state"
        }
        rows.append({"seed": seed, "return": 0.0, "success": np.nan, "length": 0, **values})
    running = list(range(len(envs)))
    agent.reset()
    while running:
        # All of them, those that have ended too: an agent may remember the steps of each.
        actions = agent.predict(stack_observations(observations))
        for i in list(running):
            observations[i], reward, terminated, truncated, info = envs[i].step(actions[i])
            rows[i]["return"] += float(reward)
            rows[i]["length"] += 1
            if "is_success" in info:
                rows[i]["success"] = bool(info["is_success"])
            if terminated or truncated:
                running.remove(i)
    return rows


def stack_observations(observations: Sequence[Any]) -> Any:
    """Return single observations, arrays or dicts of arrays, as one batch."""
    if isinstance(observations[0], Mapping):
        return {k: np.stack([o[k] for o in observations]) for k in observations[0]}
    return np.stack(observations)
