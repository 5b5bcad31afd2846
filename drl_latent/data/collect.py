"""Collect frames from an environment: factor by factor, or along rollouts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from numpy.lib.format import open_memmap

from drl_latent.artifacts import Stage, plain, write_json
from drl_latent.data.dataset import KIND, FrameDataset, open_dataset
from drl_latent.envs import FactorScene, Split, make_env
from drl_latent.progress import track
from drl_latent.registry import UnknownNameError

Source = Literal["factors", "rollout"]
_CHUNK = 1_000
_MEAN_HOLD = 6
"""Mean number of steps that a rollout keeps an action: a new one each step would not get far."""


def collect(
    env_id: str,
    out: str | Path,
    *,
    n: int = 50_000,
    seed: int = 0,
    source: Source = "factors",
    env_kwargs: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> FrameDataset:
    """Collect frames and their factors into a folder; go on where an interrupted call stopped.

    Args:
        env_id: A registered environment, e.g. ``"DrlLatent/Reach-v0"``, or an adapted one, e.g.
            ``"factorize:Pusher-v5"``.
        out: The folder to make.
        n: Number of frames.
        seed: Seed; the same call gives the same frames.
        source: ``"factors"``: independent draws of all factors, state included. ``"rollout"``:
            frames along episodes of random actions that are held for some steps, with actions
            and episode numbers.
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
    kwargs = dict(env_kwargs or {})
    kwargs.pop("observation", None)  # frames are what is collected
    env = make_env(env_id, **kwargs)
    base = env.unwrapped
    if not isinstance(base, FactorScene):
        raise ValueError(f"{env_id} has no factors of variation: {type(base).__name__}.")
    try:
        if isinstance(kwargs.get("split"), Split):
            kwargs["split"] = kwargs["split"].to_dict()
        request = {"env": env_id, "env_kwargs": kwargs, "n": n, "seed": seed, "source": source}
        stage = Stage(out, KIND, request)
        if not stage.is_complete:
            _fill(stage, env, base, n, seed, source, progress)
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
    progress: bool,
) -> None:
    """Write the arrays chunk by chunk; each chunk has its own seed, so it can be made alone."""
    shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
        "frames": (np.uint8, (base.image_size, base.image_size, 3)),
        "factors": (np.float32, (len(base.factor_space),)),
    }
    if source == "rollout":
        shapes |= {
            "actions": (np.float32, base.action_space.shape or ()),
            "episode": (np.int64, ()),
        }
    counter = stage.folder / "done.json"
    done = json.loads(counter.read_text())["frames"] if counter.exists() else 0
    mode: Literal["r+", "w+"] = "r+" if done else "w+"
    arrays = {
        name: open_memmap(stage.folder / f"{name}.npy", mode=mode, dtype=dtype, shape=(n, *shape))
        for name, (dtype, shape) in shapes.items()
    }
    with track("Collecting", n, "frames", done, progress) as advance:
        for start in range(done, n, _CHUNK):
            stop = min(start + _CHUNK, n)
            chunk = {name: array[start:stop] for name, array in arrays.items()}
            rng = np.random.default_rng([seed, start])
            if source == "factors":
                chunk["factors"][:] = base.sample_factor_values(stop - start, rng)
                chunk["frames"][:] = base.render_values(chunk["factors"])
            else:
                _roll(env, base, chunk, start, rng)
            for array in arrays.values():
                array.flush()
            write_json(counter, {"frames": stop})
            advance(stop - start)
    counter.unlink()


def _roll(
    env: gym.Env[Any, Any],
    base: FactorScene,
    chunk: dict[str, Any],
    start: int,
    rng: np.random.Generator,
) -> None:
    """Fill a chunk with episodes of random, held actions; the last one may be cut off."""
    low, high = base.action_space.low, base.action_space.high  # type: ignore[attr-defined]
    row, episode, over = 0, start - 1, True
    observation, action = None, low
    while row < len(chunk["frames"]):
        if over:
            observation, _ = env.reset(seed=int(rng.integers(2**31)))
            episode = start + row
        if over or rng.random() < 1 / _MEAN_HOLD:
            action = rng.uniform(low, high).astype(np.float32)
        chunk["frames"][row], chunk["factors"][row] = observation, base.factor_values
        chunk["actions"][row], chunk["episode"][row] = action, episode
        observation, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        row += 1
