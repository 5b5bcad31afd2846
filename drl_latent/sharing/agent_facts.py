"""What a model card says of an agent, as words and rows of tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import gymnasium as gym
import numpy as np
import pandas as pd
from gymnasium import spaces

from drl_latent.artifacts import ArtifactError, digest, read_manifest
from drl_latent.envs import FactorScene, make_env
from drl_latent.evaluation import saved, summarize
from drl_latent.sharing import card_facts

if TYPE_CHECKING:
    from drl_latent.agents import LatentAgent

Evaluation: TypeAlias = pd.DataFrame | str | Path
"""A table of `evaluate_generalization`, or a folder of `evaluate_saved`."""

_COLUMNS = ("agent", "part", "return", "success")
_RANDOM = "random"
_LAST = 100


@dataclass(frozen=True)
class Success:
    """A success rate.

    Args:
        part: The part of the split, in a word.
        rate: In [0, 1].
        about: How it was measured.
    """

    part: str
    rate: float
    about: str


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation tells.

    Args:
        about: How it was measured.
        header: Of the table.
        rows: Of the table.
        successes: Of the agent, one a part.
    """

    about: str
    header: list[str] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    successes: list[Success] = field(default_factory=list)


def acts_on(agent: LatentAgent) -> dict[str, str]:
    """Return what the agent sees and does."""
    seen = agent.perception
    rows = {"algorithm": agent.config["algorithm"], "inputs of the policy": seen.inputs}
    if seen.n_stack > 1:
        rows["steps that it sees"] = f"the last {seen.n_stack}"
    if seen.augmentation != "none":
        rows["augmentation"] = seen.augmentation
    if agent.encoder is not None:
        words = {"frozen": "frozen", "finetune": "trained on by the critic's loss"}
        trained = words.get(seen.mode, "trained on by the critic's loss and its own")
        rows["encoder"] = f"{agent.encoder!r}, {trained}"
        rows["fingerprint of the encoder"] = agent.encoder.fingerprint
    if agent.config.get("objective"):
        rows["objective of the encoder"] = agent.config["objective"]
    rows["observations"] = _describe(agent.observation_space)
    rows["actions"] = _describe(agent.action_space)
    if isinstance(agent.policy.action_space, spaces.Discrete):
        rows["choice"] = f"among {agent.policy.action_space.n} of these actions"
    return rows


def _describe(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.Dict):
        return "; ".join(f"{key}: {_describe(part)}" for key, part in space.spaces.items())
    assert isinstance(space, spaces.Box)
    text = f"{space.dtype} [N, {', '.join(map(str, space.shape))}]"
    limits = np.unique([space.low, space.high])
    return f"{text}, {limits[0]:g} to {limits[-1]:g}" if np.isfinite(limits).all() else text


def environment(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the agent was trained, and on which combinations of factors."""
    kwargs = dict(config["env_kwargs"])
    split, part = kwargs.pop("split", None), kwargs.pop("partition", "train")
    seed = kwargs.pop("split_seed", 0)
    listed = [f"{name} `{json.dumps(value)}`" for name, value in kwargs.items()]
    shown: dict[str, Any] = {
        "id": config["env"],
        "about": f"`{config['env']}`" + (f", with {', '.join(listed)}" if listed else "") + ".",
        "factors": [],
        "parts": [],
        "held_out": "Nothing: trained on all combinations of the factors.",
    }
    scene = _scene(config)
    if scene is not None:
        shown["factors"] = [(f.name, f.kind, f.describe()) for f in scene.factor_space]
    if split is None:
        return shown
    if scene is None or scene.split is None:
        name = split if isinstance(split, str) else split.get("kind")
        return shown | {"held_out": f"Split `{name}` (seed {seed}), part `{part}`."}
    return shown | card_facts.held_out(scene.split.to_dict(), part)


def _scene(config: Mapping[str, Any]) -> FactorScene | None:
    """Return the environment, closed, or None where it is not installed."""
    try:
        env = make_env(config["env"], **{**config["env_kwargs"], "observation": "state"})
    except (gym.error.Error, ImportError, ValueError):
        return None
    env.close()
    return env.unwrapped if isinstance(env.unwrapped, FactorScene) else None


def training(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return how much the agent was trained, and with which settings."""
    rows = {"environment steps": f"{config['steps']:,}", "environments": config["n_envs"]}
    rows |= {"seed": config["seed"], **config["settings"]}
    extractor, objective = config["perception"]["extractor"], config["objective_settings"]
    rows |= {f"encoder: {name}": value for name, value in extractor.items()}
    return rows | {f"objective: {name}": value for name, value in objective.items()}


def last_success(agent: LatentAgent) -> Success | None:
    """Return what is known of success at the end of the training, if anything is."""
    history, part = agent.history, agent.config["env_kwargs"].get("partition", "train")
    checks = history.evaluations
    if checks is not None and len(checks) and np.isfinite(checks["success"].iloc[-1]):
        episodes, last = agent.config["evaluation_episodes"], checks.iloc[-1]
        about = (
            f"mean of the same {episodes} episodes, deterministic actions, after "
            f"{int(last['steps']):,} steps, on combinations that it was trained on"
        )
        return Success(part, float(last["success"]), about)
    rows = None if history.episodes is None else history.episodes["success"].dropna()[-_LAST:]
    if rows is None or rows.empty:
        return None
    about = f"mean of the last {len(rows)} episodes of training, exploring"
    return Success(part, float(rows.mean()), about)


def evaluated(given: Evaluation, agent: LatentAgent) -> Evaluated:
    """Return success and return on each part of a split.

    Raises:
        ArtifactError: The folder is not what it should be, or of another agent.
        ValueError: The table lacks a column, or does not tell which agent is this one.
    """
    seen: Mapping[str, Any] = {}
    about = "Episodes with deterministic actions, on combinations of factors of each part"
    table = given
    if not isinstance(table, pd.DataFrame):
        folder = Path(table)
        manifest = read_manifest(folder, saved.KIND, verify=True)
        request, seen = manifest["request"], manifest["config"]["seen"]
        if request["agent"] != digest(agent.config):
            raise ArtifactError(
                f"{folder} holds an evaluation of another agent than this one. Evaluate this one "
                "into another folder."
            )
        about += f", seed {request['seed']}"
        table = pd.read_parquet(folder / saved.EPISODES)
    if missing := [name for name in _COLUMNS if name not in table]:
        raise ValueError(
            f"The table of the evaluation has no column {', '.join(missing)}: give one of "
            "drl_latent.evaluation.evaluate_generalization."
        )
    names = [name for name in table["agent"].unique() if name != _RANDOM]
    if len(names) != 1:
        raise ValueError(
            f"The table of the evaluation has the agents {names}: give the rows of this one, with "
            f"or without those of {_RANDOM!r}."
        )
    summary = summarize(table)
    header = ["agent", "part", "episodes", "success", "95% interval", "mean return"]
    header += ["combinations", "seen by encoder", "seen by policy"] if seen else []
    rows = [
        (
            "random actions" if row["agent"] == _RANDOM else "this agent",
            row["part"],
            row["episodes"],
            *_rate_words(row),
            f"{row['return']:.2f}",
            *(_seen(row, seen) if seen else ()),
        )
        for row in summary.to_dict("records")
    ]
    own = summary[summary["agent"] == names[0]].to_dict("records")
    successes = [
        Success(row["part"], row["success"], f"{row['episodes']} episodes, deterministic actions")
        for row in own
        if np.isfinite(row["success"])
    ]
    return Evaluated(f"{about}.", header, rows, successes)


def _rate_words(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return success with its interval, as far as the environment says what success is."""
    if not np.isfinite(row["success"]):
        return "not told", ""
    return f"{row['success']:.2f}", f"{row['success_low']:.2f} to {row['success_high']:.2f}"


def _seen(row: Mapping[str, Any], seen: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return how many combinations a part has, and how many of them the agent saw before."""
    counts = seen[row["part"]]
    if row["agent"] == _RANDOM:
        return counts["combinations"], "", ""
    return counts["combinations"], counts["seen_by_encoder"], counts["seen_by_policy"]
