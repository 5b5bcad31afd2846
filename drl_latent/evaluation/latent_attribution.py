"""What a policy does when the latent that a factor moves is set back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from drl_latent.artifacts import digest
from drl_latent.checkpoint import Encoder
from drl_latent.envs import FactorScene, Split, make_env
from drl_latent.evaluation.agents import Agent
from drl_latent.evaluation.generalization import default_parts, evaluate_generalization
from drl_latent.evaluation.latent_moves import most_moved
from drl_latent.interventions.code_responses import Encode
from drl_latent.registry import UnknownNameError

if TYPE_CHECKING:
    from drl_latent.agents import LatentAgent

_BATCH = 500
"""Frames rendered, and encoded, at a time."""
_AS_IT_IS = "as it is"


def training_means(
    encoder: Encode,
    env_id: str,
    split: Split,
    *,
    n: int = 1_000,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
) -> NDArray[np.float32]:
    """Return the mean of each latent over frames of the part that policies train on, [D].

    Args:
        encoder: Encodes frames.
        env_id: A registered environment.
        split: The split.
        n: Frames; state factors are drawn uniformly.
        seed: Of the frames.
        env_kwargs: Further keyword arguments of the environment.
    """
    part = default_parts(split)["id"]
    env = make_env(env_id, **{**(env_kwargs or {}), "split": split, "partition": part})
    try:
        scene = env.unwrapped
        assert isinstance(scene, FactorScene)
        values = scene.sample_factor_values(n, np.random.default_rng(seed))
        frames = [scene.render_values(values[i : i + _BATCH]) for i in range(0, n, _BATCH)]
    finally:
        env.close()
    codes = np.concatenate([encoder(part) for part in frames])
    return codes.mean(axis=0, dtype=np.float64).astype(np.float32)


def with_latent_set(agent: LatentAgent, latent: int, value: float) -> LatentAgent:
    """Return an agent with the same policy that sees one latent at the same value always.

    Args:
        agent: An agent on the latents of a frozen encoder.
        latent: Index of the latent.
        value: What it is set to.

    Raises:
        TypeError: The agent is no `LatentAgent`.
        ValueError: It does not act on latents of a frozen encoder, or has no such latent.
    """
    # Imported here since agents, by way of their model cards, build on this package.
    from drl_latent.agents import LatentAgent

    encoder = _frozen_encoder(agent)
    if not 0 <= latent < encoder.latent_dim:
        raise ValueError(f"latent must be 0 to {encoder.latent_dim - 1}, got {latent}.")
    return LatentAgent(
        agent.policy,
        _SetEncoder(encoder, latent, value),
        agent.config,
        agent.observation_space,
        agent.action_space,
        agent.history,
        agent.made_with,
    )


def set_back(
    agent: LatentAgent,
    env_id: str,
    split: Split,
    moves: pd.DataFrame,
    *,
    parts: Mapping[str, str] | None = None,
    factors: Sequence[str] | None = None,
    episodes: int = 100,
    seed: int = 0,
    n_envs: int = 8,
    frames: int = 1_000,
    env_kwargs: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run an agent as it is, and with the latent that a factor moves most set back to its mean.

    The mean is that over the part that policies train on. Success that comes back says that the
    shift of this latent is what misled the policy; success that is lost, that the policy needs what
    else the latent tells. Both run on the same episodes, those of `evaluate_generalization`.

    Args:
        agent: An agent on the latents of a frozen encoder.
        env_id: A registered environment.
        split: The split.
        moves: What `latent_moves` gave of the agent's encoder.
        parts: Name in the table to part of the split; the out-of-distribution ones of
            `default_parts` unless given. A part by axis, ``"ood/<factor>"``, is run with the latent
            of its own factor only.
        factors: Names of the factors; those of the split, which are drawn at reset, unless given.
        episodes: Episodes on each part.
        seed: Seed of the episodes, and of the frames that means are taken from.
        n_envs: Environments stepped together.
        frames: Number of these frames.
        env_kwargs: Further keyword arguments of the environment.
        progress: Whether to show progress.

    Returns:
        One row a part and factor: ``part``, ``factor``, ``latent``, ``success``,
        ``success_set_back``, ``return``, ``return_set_back``, ``episodes``; and, of these episodes,
        ``gained``, which succeed only when it is set back, and ``lost``, only when it is not. Where
        a factor moves no latent, ``latent`` is -1 and nothing is known of setting it back: NaN; so
        is success where the environment does not say.

    Raises:
        TypeError: The agent is no `LatentAgent`.
        ValueError: It does not act on latents of a frozen encoder; a name is unknown.
    """
    encoder = _frozen_encoder(agent)
    known = [str(name) for name in moves["factor"].unique()]
    chosen = list(split.factor_space.names if factors is None else factors)
    for name in chosen:
        if name not in known:
            raise UnknownNameError("factor of the moves", name, known)
    latents = most_moved(moves)
    if parts is None:
        parts = {label: part for label, part in default_parts(split).items() if label != "id"}
    means = training_means(encoder, env_id, split, n=frames, seed=seed, env_kwargs=env_kwargs)
    rows: list[dict[str, Any]] = []
    for label, part in parts.items():
        own = [f for f in chosen if part.partition("/")[2] in ("", f)]
        needed = sorted({latents[f] for f in own if f in latents})
        agents: dict[str, Agent] = {_AS_IT_IS: agent}
        agents |= {str(d): with_latent_set(agent, d, float(means[d])) for d in needed}
        table = evaluate_generalization(
            agents,
            env_id,
            split,
            parts={label: part},
            episodes=episodes,
            seed=seed,
            n_envs=n_envs,
            env_kwargs=env_kwargs,
            progress=progress,
        )
        runs = {str(name): run.reset_index() for name, run in table.groupby("agent", sort=False)}
        rows += [
            {"part": label, "factor": f, **_compare(runs, latents.get(f, -1), episodes)}
            for f in own
        ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


_COLUMNS = (
    "part", "factor", "latent", "success", "success_set_back", "return", "return_set_back",
    "episodes", "gained", "lost",
)  # fmt: skip


def _compare(runs: Mapping[str, pd.DataFrame], latent: int, episodes: int) -> dict[str, Any]:
    """Compare the same episodes, as they are and with a latent set back; -1 for none."""
    before, after = runs[_AS_IT_IS], runs.get(str(latent))
    won = before["success"].astype(float)
    found = {
        "latent": latent,
        "success": won.mean(),
        "return": before["return"].mean(),
        "episodes": episodes,
    }
    if after is None:
        unknown = ("success_set_back", "return_set_back", "gained", "lost")
        return found | dict.fromkeys(unknown, np.nan)
    change = after["success"].astype(float) - won
    is_known = change.notna().all()
    return found | {
        "success_set_back": after["success"].astype(float).mean(),
        "return_set_back": after["return"].mean(),
        "gained": (change > 0).sum() if is_known else np.nan,
        "lost": (change < 0).sum() if is_known else np.nan,
    }


def _frozen_encoder(agent: LatentAgent) -> Encoder:
    """Return the encoder whose latents the policy acts on.

    Raises:
        TypeError: The agent is no `LatentAgent`.
        ValueError: The policy acts on something else.
    """
    from drl_latent.agents import LatentAgent

    if not isinstance(agent, LatentAgent):
        raise TypeError(
            f"A latent can be set back in a LatentAgent, got {type(agent).__name__}. Train one "
            "with drl_latent.agents.train_agent, or load one."
        )
    seen = agent.perception
    if agent.encoder is None or seen.mode != "frozen":
        how = f"mode={seen.mode!r}" if seen.encodes else f"inputs={seen.inputs!r}"
        raise ValueError(
            f"A latent can be set back where the policy acts on those of a frozen encoder; this "
            f"agent has {how}. Give one that was trained with inputs='latents', mode='frozen'."
        )
    return agent.encoder


class _SetEncoder(Encoder):
    """An encoder one of whose latents has the same value for all frames."""

    def __init__(self, encoder: Encoder, latent: int, value: float) -> None:
        super().__init__(encoder.model, encoder.training, encoder.made_with)
        self._latent, self._value = latent, value

    @property
    def fingerprint(self) -> str:
        return digest([super().fingerprint, self._latent, self._value])

    def __call__(self, frames: Any) -> Any:
        codes = super().__call__(frames)
        # Tensors that were made in inference mode cannot be changed in place.
        codes = codes.clone() if isinstance(codes, Tensor) else codes.copy()
        codes[:, self._latent] = self._value
        return codes
