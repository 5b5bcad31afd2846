"""Which latent moves, and how far, when one factor of the scene changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd

from drl_latent.interventions.code_responses import Encode, encode_changes
from drl_latent.metrics.inputs import varying_columns


def latent_moves(
    encoder: Encode,
    env: gym.Env[Any, Any] | str,
    *,
    n: int = 200,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return how far each latent moves when one factor of the scene alone changes.

    Pairs of frames that differ in one factor, as `PairSampler` draws them; how far is the mean
    absolute difference of the latent, in standard deviations of the latent over all these frames.
    For shares of variance, which sum over factors, see `drl_latent.interventions.code_responses`.

    Args:
        encoder: Encodes frames.
        env: An environment with factors, or its id; without a split, factors take all values,
            those that training never had among them.
        n: Pairs a factor, about: which factor a pair differs in is drawn.
        seed: Of the pairs.
        env_kwargs: Keyword arguments of the environment where its id is given.

    Returns:
        One row a factor and latent: ``factor``; ``latent``, its index; ``move``, 0 or more: 0 of a
        latent that never varies, NaN of a factor without pairs, since it has one value or shows in
        no image; ``pairs``.

    Raises:
        ValueError: The environment has no factors, none of them can change, or `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n, the pairs of each factor, must be 1 or more, got {n}.")
    space, values, encoded = encode_changes(encoder, env, n=n, seed=seed, env_kwargs=env_kwargs)
    codes = encoded.astype(np.float64)
    each = codes.reshape(-1, codes.shape[-1])
    spread = np.where(varying_columns(each), each.std(axis=0), np.inf)
    changes = np.abs(codes[:, 0] - codes[:, 1]) / spread
    changed = (values[:, 0] != values[:, 1]).argmax(axis=1)
    rows = []
    for k, name in enumerate(space.names):
        own = changes[changed == k]
        moves = own.mean(axis=0) if len(own) else np.full(codes.shape[-1], np.nan)
        rows += [
            {"factor": name, "latent": d, "move": float(move), "pairs": len(own)}
            for d, move in enumerate(moves)
        ]
    return pd.DataFrame(rows)


def most_moved(moves: pd.DataFrame) -> dict[str, int]:
    """Return factor -> the latent that it moves most, for the factors that move any.

    Args:
        moves: What `latent_moves` gave, of one encoder.
    """
    moving = moves[moves["move"] > 0]
    rows = moving.loc[moving.groupby("factor", sort=False)["move"].idxmax()]
    return {str(f): int(d) for f, d in zip(rows["factor"], rows["latent"], strict=True)}
