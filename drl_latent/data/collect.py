"""Collect frames from an environment: factor by factor, in pairs, or along rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np

from drl_latent.artifacts import Stage, plain
from drl_latent.data.dataset import KIND, FrameDataset, open_dataset
from drl_latent.data.pairs import Changes, PairSampler
from drl_latent.data.rollouts import roll
from drl_latent.data.writing import Chunk, even_bounds, fill
from drl_latent.envs import FactorScene, Split, make_env
from drl_latent.registry import UnknownNameError

Source = Literal["factors", "pairs", "rollout"]
_CHUNK = 1_000
"""Frames written at a time; even, for pairs are written whole."""


def collect(
    env_id: str,
    out: str | Path,
    *,
    n: int = 50_000,
    seed: int = 0,
    source: Source = "factors",
    k: Changes = 1,
    env_kwargs: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> FrameDataset:
    """Collect frames and their factors into a folder; go on where an interrupted call stopped.

    Args:
        env_id: A registered environment, e.g. ``"DrlLatent/Reach-v0"``, or an adapted one, e.g.
            ``"factorize:Pusher-v5"``.
        out: The folder to make.
        n: Number of frames; of pairs, twice their number.
        seed: Seed; the same call gives the same frames.
        source: ``"factors"``: independent draws of all factors, state included. ``"pairs"``: rows
            2i and 2i + 1 are such draws that differ in `k` factors only, see `PairSampler`.
            ``"rollout"``: frames along episodes of random actions that are held for some steps,
            with actions, rewards, ends and episode numbers.
        k: Of pairs, how many factors differ: 1 or more, or ``"random"`` for a number drawn for
            each pair. Factors that do not vary, or do not show in an image, are never counted.
        env_kwargs: Keyword arguments of the environment, such as ``split`` and ``partition``.
        progress: Whether to show progress.

    Returns:
        The data set, opened.

    Raises:
        ValueError: A setting is unknown or impossible.
        ArtifactError: `out` holds something made with other settings.
    """
    if source not in get_args(Source):
        raise UnknownNameError("source of frames", source, get_args(Source))
    if n < 1:
        raise ValueError(f"n, the number of frames, must be 1 or more, got {n}.")
    if source == "pairs" and n % 2:
        raise ValueError(f"n, the number of frames, must be even for pairs, got {n}.")
    if source != "pairs" and k != 1:
        raise ValueError(f'k={k!r} is a setting of source="pairs", but source is {source!r}.')
    kwargs = dict(env_kwargs or {})
    kwargs.pop("observation", None)  # frames are what is collected
    env = make_env(env_id, **kwargs)
    try:
        base = env.unwrapped
        if not isinstance(base, FactorScene):
            raise ValueError(f"{env_id} has no factors of variation: {type(base).__name__}.")
        if isinstance(kwargs.get("split"), Split):
            kwargs["split"] = kwargs["split"].to_dict()
        request = {"env": env_id, "env_kwargs": kwargs, "n": n, "seed": seed, "source": source}
        sampler = None
        if source == "pairs":
            request["k"] = k
            sampler = PairSampler(base, k)
            sampler.draw(1, np.random.default_rng(seed))  # raises if there is no such pair
        stage = Stage(out, KIND, request)
        if not stage.is_complete:
            _fill(stage, env, base, n, seed, source, sampler, progress)
            split = base.split
            stage.finish(
                plain(request)
                | {
                    "factor_space": base.factor_space.to_dict(),
                    "split": None if split is None else split.to_dict(),
                    "partition": None if split is None else base.partition,
                }
            )
    finally:
        env.close()
    return open_dataset(out)


def _fill(
    stage: Stage,
    env: gym.Env[Any, Any],
    base: FactorScene,
    n: int,
    seed: int,
    source: Source,
    sampler: PairSampler | None,
    progress: bool,
) -> None:
    """Write the arrays chunk by chunk; each chunk has its own seed, so it can be made alone."""
    columns: dict[str, tuple[type, tuple[int, ...]]] = {
        "frames": (np.uint8, (base.image_size, base.image_size, 3)),
        "factors": (np.float32, (len(base.factor_space),)),
    }
    if source == "rollout":
        columns |= {
            "actions": (np.float32, base.action_space.shape or ()),
            "episode": (np.int64, ()),
            "rewards": (np.float32, ()),
            "terminated": (np.bool_, ()),
            "truncated": (np.bool_, ()),
        }

    def write(chunk: Chunk, start: int) -> None:
        rng, size = np.random.default_rng([seed, start]), len(chunk["frames"])
        if source == "rollout":
            roll(env, base, chunk, start, rng)
            return
        if sampler is None:
            values = base.sample_factor_values(size, rng)
        else:
            values = sampler.draw(size // 2, rng).reshape(size, -1)
        chunk["factors"][:] = values
        chunk["frames"][:] = base.render_values(values)

    bounds = even_bounds(n, _CHUNK)
    fill(stage.folder, columns, bounds, write, title="Collecting", progress=progress)
