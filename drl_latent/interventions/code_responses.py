"""Code responses: does changing one factor of the scene move one code, and no other?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from drl_latent.data import FrameDataset
from drl_latent.data.pairs import PairSampler
from drl_latent.envs import Factor, FactorScene, FactorSpace, make_env
from drl_latent.interventions.concentration import bootstrap_interval, concentration
from drl_latent.metrics.base import BoolArray, FloatArray, jsonable
from drl_latent.metrics.inputs import varying_columns

_BATCH = 500
"""Pairs rendered, or read, at a time."""
_LEAST = 2
"""Pairs of a factor from which its variance over pairs can be told."""

Encode = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
"""From frames, uint8 [N, H, W, C], to codes, float [N, D]; an `drl_latent.Encoder` is one."""


@dataclass(frozen=True, eq=False)
class CodeResponses:
    """Which of D codes each of K factors moves.

    Attributes:
        score: Mean of `per_factor`, in ``[0, 1]``; 0 where no factor moves anything.
        interval: 95% bootstrap interval of the score over the pairs of each factor. It leaves out
            how far the score depends on the seed of the encoder.
        matrix: [K, D], the share of the variance of code d that is due to factor k, 0 or more. NaN
            in the rows of factors without pairs.
        per_factor: [K], selectivity of each factor: the largest share in its row, rescaled to
            ``[0, 1]``, where an even spread over all active codes is 0. NaN where it moves nothing.
        per_code: [D], the same of columns: 1 where one factor alone moves the code, 0 where all do
            alike. NaN where none does.
        names: K names of factors.
        active: [D], the codes that shares are of: those that vary, or the ones asked for.
        pairs: [K], pairs that each row was computed from.
    """

    score: float
    interval: tuple[float, float]
    matrix: FloatArray
    per_factor: FloatArray
    per_code: FloatArray
    names: tuple[str, ...]
    active: BoolArray
    pairs: NDArray[np.int64]

    @property
    def codes(self) -> dict[str, int]:
        """Factor name -> the code that it moves most, where it moves any."""
        shown = np.where(self.active, np.nan_to_num(self.matrix), 0.0)
        rows = zip(self.names, shown, strict=True)
        return {name: int(row.argmax()) for name, row in rows if row.max() > 0}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and `codes` in types that JSON has: NaN as None."""
        return {
            "score": self.score,
            "interval": list(self.interval),
            "matrix": jsonable(self.matrix),
            "per_factor": jsonable(self.per_factor),
            "per_code": jsonable(self.per_code),
            "names": list(self.names),
            "active": self.active.tolist(),
            "pairs": self.pairs.tolist(),
            "codes": self.codes,
        }


def code_responses(
    encoder: Encode,
    env: gym.Env[Any, Any] | str,
    *,
    n: int = 500,
    informative: ArrayLike | None = None,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
) -> CodeResponses:
    """Change one factor of the scene at a time, and see which codes move.

    This is the way opposite to `knob_purity`: it needs no decoder, and a simulator that renders
    two images which differ in just one factor. With z the codes of a frame and z' those after
    factor k was drawn anew,

        matrix[k, d] = E[(z_d - z'_d)^2] / (2 Var z_d)

    the total-effect index of factor k on code d (Jansen 1999, "Analysis of variance designs for
    model output"): 1 where the code is a function of that factor alone. It does not depend on the
    scale of codes. Factors that act together on a code each count what they share, so a column can
    sum to more than 1. Pairs always differ, as `PairSampler` draws them, and a factor drawn anew
    can stay as it was: so the mean square is taken times the probability of another level.

    The selectivity of a factor is the largest share of its row. Since scale does not matter, all
    codes that vary at all count alike. Codes that a model does not use still respond to images, by
    a little and to every factor: name those that count.

    Args:
        encoder: Encodes frames.
        env: An environment with factors, or its id as in `drl_latent.data.collect`.
        n: Pairs a factor, about: which factor a pair differs in is drawn.
        informative: D bools, which codes count; all that vary unless given. For example
            `KnobPurity.active`, or what `drl_latent.selection.encode_informative` finds.
        seed: Of the pairs and of the bootstrap.
        env_kwargs: Keyword arguments of the environment where its id is given.

    Raises:
        ValueError: The environment has no factors, `n` is below 2, or no factor can change alone.
    """
    if n < _LEAST:
        raise ValueError(f"n, the pairs of each factor, must be {_LEAST} or more, got {n}.")
    space, values, codes = encode_changes(encoder, env, n=n, seed=seed, env_kwargs=env_kwargs)
    return _responses(codes, values, space, informative, seed)


def encode_changes(
    encoder: Encode,
    env: gym.Env[Any, Any] | str,
    *,
    n: int,
    seed: int,
    env_kwargs: Mapping[str, Any] | None = None,
) -> tuple[FactorSpace, NDArray[np.float32], NDArray[np.floating]]:
    """Encode pairs of frames of a simulator that differ in one factor each.

    Args:
        encoder: Encodes frames.
        env: An environment with factors, or its id.
        n: Pairs a factor, about.
        seed: Of the pairs.
        env_kwargs: Keyword arguments of the environment where its id is given.

    Returns:
        The factors, their values [P, 2, K], and the codes [P, 2, D].

    Raises:
        ValueError: The environment has no factors, or no factor can change alone.
    """
    made = make_env(env, **(env_kwargs or {})) if isinstance(env, str) else env
    try:
        scene = made.unwrapped
        if not isinstance(scene, FactorScene):
            raise ValueError(f"{env} has no factors of variation: {type(scene).__name__}.")
        sampler = PairSampler(scene)
        values = sampler.draw(n * len(sampler.columns), np.random.default_rng(seed))

        def encode(rows: slice) -> NDArray[np.floating]:
            part = values[rows]
            codes = encoder(scene.render_values(part.reshape(-1, part.shape[-1])))
            return codes.reshape(len(part), 2, -1)

        codes = _encode_pairs(encode, len(values))
    finally:
        if isinstance(env, str):
            made.close()
    return scene.factor_space, values, codes


def responses_from_pairs(
    encoder: Encode,
    data: FrameDataset,
    *,
    informative: ArrayLike | None = None,
    seed: int = 0,
) -> CodeResponses:
    """Return what `code_responses` does, from a data set of pairs, without a simulator.

    Pairs in which another number of factors than one changed are left out. Consecutive frames of
    a rollout are pairs too, if their factors are known, but those that differ in one factor only
    may be few, and not like the others.

    Args:
        encoder: Encodes frames.
        data: Made with ``collect(..., source="pairs")``.
        informative: See `code_responses`.
        seed: Of the bootstrap.

    Raises:
        ValueError: The data set has no pairs, or none that differ in one factor only.
    """
    rows = data.pairs()[data.changed().sum(axis=1) == 1]
    if not len(rows):
        raise ValueError(
            f"No pair of {data.path} differs in exactly one factor; collect pairs with k=1."
        )

    def encode(part: slice) -> NDArray[np.floating]:
        both = rows[part]
        frames = np.asarray(data.frames[both.reshape(-1)])
        return encoder(frames).reshape(len(both), 2, -1)

    codes = _encode_pairs(encode, len(rows))
    return _responses(codes, data.factors[rows], data.factor_space, informative, seed)


def _encode_pairs(
    encode: Callable[[slice], NDArray[np.floating]], count: int
) -> NDArray[np.floating]:
    """Return the codes of `count` pairs, [count, 2, D], some at a time."""
    return np.concatenate([encode(slice(i, i + _BATCH)) for i in range(0, count, _BATCH)])


def _responses(
    codes: NDArray[np.floating],
    values: NDArray[np.float32],
    space: FactorSpace,
    informative: ArrayLike | None,
    seed: int,
) -> CodeResponses:
    """Compare codes [P, 2, D] of pairs of factors, [P, 2, K], of which each pair differs in one."""
    each = codes.reshape(-1, codes.shape[-1]).astype(np.float64)
    varying = varying_columns(each)
    active = varying & _check_mask(informative, len(varying))
    variance = np.where(varying, each.var(axis=0), np.inf)
    squares = np.square(np.diff(codes.astype(np.float64), axis=1)[:, 0]) / (2 * variance)
    which = (values[:, 0] != values[:, 1]).argmax(axis=1)
    counts = np.bincount(which, minlength=len(space))
    known = [k for k in range(len(space)) if counts[k] >= _LEAST]
    if not known:
        raise ValueError(
            f"No factor of {list(space.names)} changes alone in {_LEAST} pairs or more; use more "
            "pairs."
        )
    effects = [squares[which == k] * _chance(space.factors[k], values[:, :, k]) for k in known]
    matrix = np.full((len(space), len(active)), np.nan)
    matrix[known] = [rows.mean(axis=0) for rows in effects]
    per_factor, per_code = np.full(len(space), np.nan), np.full(len(active), np.nan)
    if active.any():
        found = matrix[known][:, active]
        per_factor[known], per_code[active] = concentration(found), concentration(found.T)

    def score(rows: list[FloatArray]) -> float:
        shown = np.stack(rows)[:, active]
        selectivity = concentration(shown)[shown.sum(axis=1) > 0]
        return float(selectivity.mean()) if len(selectivity) else 0.0

    return CodeResponses(
        score=score([matrix[k] for k in known]),
        interval=bootstrap_interval(effects, score, seed),
        matrix=matrix,
        per_factor=per_factor,
        per_code=per_code,
        names=space.names,
        active=active,
        pairs=counts,
    )


def _chance(factor: Factor, values: NDArray[np.float32]) -> float:
    """Return how probable it is that two draws of a factor differ in their level."""
    levels = factor.index_of(values)
    return float(1 - np.square(np.bincount(levels.reshape(-1)) / levels.size).sum())


def _check_mask(informative: ArrayLike | None, d: int) -> BoolArray:
    if informative is None:
        return np.ones(d, dtype=np.bool_)
    mask = np.asarray(informative)
    if mask.dtype != np.bool_ or mask.shape != (d,):
        raise ValueError(
            f"informative is {mask.dtype} {list(mask.shape)}; expected {d} bools, one a code."
        )
    return mask
