"""Transitions of recorded episodes: what was known before, what was done, what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import IntArray, finite_matrix, same_rows, varying_columns


@dataclass(frozen=True, eq=False)
class Transitions:
    """M transitions, none of them across episodes.

    Attributes:
        state: [M, S], what is known before the action: each code that varies (cosine and sine of
            one that wraps), and its last change, in which momentum shows.
        actions: [M, A], the mean action over the horizon.
        changes: [M, D], the change of each code over the horizon.
        episode: [M], the number of the episode, from 0.
    """

    state: FloatArray
    actions: FloatArray
    changes: FloatArray
    episode: IntArray


def make_transitions(
    codes: ArrayLike,
    actions: ArrayLike,
    episode: ArrayLike,
    *,
    horizon: int = 1,
    periods: Sequence[float | None] | None = None,
) -> Transitions:
    """Cut episodes into transitions of `horizon` steps.

    A transition starts at every row that has a row before it, for its last change, and `horizon`
    rows after it, all of the same episode; so those of a horizon above 1 overlap. The change over
    a horizon is the sum of the changes of its steps, each of which wraps by itself.

    Args:
        codes: [N, D], finite, in the order of time, episode by episode.
        actions: [N, A], the action taken after each row; of an episode's last row it is not read.
        episode: [N], what tells episodes apart.
        horizon: Steps of a transition, 1 or more.
        periods: For each of the D codes its period if it is an angle, else 0, NaN or None.

    Raises:
        ValueError: Shapes do not fit, `horizon` or a period is out of range, an episode's rows are
            not consecutive, an action that was taken is not finite, or no episode is long enough.
    """
    z, u, block = _check(codes, actions, episode)
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; expected 1 or more steps.")
    period = _check_periods(periods, z.shape[1])
    span = np.arange(1, len(z) - horizon)
    start = span[block[span - 1] == block[span + horizon]]
    if not len(start):
        raise ValueError(
            f"No transitions: the longest of {block[-1] + 1} episodes has "
            f"{np.bincount(block).max()} rows; expected at least {horizon + 2}, one before the "
            f"transition and horizon + 1 = {horizon + 1} of it. Collect longer episodes, or use a "
            "shorter horizon."
        )
    step = _wrapped(np.diff(z, axis=0), period)
    step[:, ~varying_columns(z)] = 0  # what rounding does to a constant is no change
    taken = sliding_window_view(u, horizon, axis=0)[start]
    if not np.isfinite(taken).all():
        bad = np.flatnonzero(~np.isfinite(taken).all(axis=(0, 2))).tolist()
        raise ValueError(
            f"actions hold NaN or infinity inside episodes, in columns {bad}; expected finite "
            "numbers except on the last row of an episode. Check that `episode` fits the actions."
        )
    changes = sliding_window_view(step, horizon, axis=0)[start].sum(axis=-1)
    before = np.concatenate([_unrolled(z[start], period), step[start - 1]], axis=1)
    state = before[:, varying_columns(before)]
    return Transitions(
        state, taken.mean(axis=-1), changes, np.unique(block[start], return_inverse=True)[1]
    )


def _check(
    codes: ArrayLike, actions: ArrayLike, episode: ArrayLike
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return codes, actions and each row's number of its episode, from 0."""
    z = finite_matrix(codes, "codes")
    u = np.asarray(actions)
    if u.ndim != 2 or 0 in u.shape or u.dtype.kind not in "biuf":
        raise ValueError(
            f"actions are {u.dtype} {u.shape}; expected numbers [N, A]. Give discrete actions as "
            "one column of 0 and 1 for each."
        )
    same_rows(z, u, "codes", "actions")
    label = np.asarray(episode)
    if label.shape != (len(z),):
        raise ValueError(
            f"episode has shape {label.shape}; expected ({len(z)},), one label for each row."
        )
    block = np.cumsum(np.concatenate([[False], label[1:] != label[:-1]]))
    if len(np.unique(label)) != block[-1] + 1:
        raise ValueError(
            f"The rows of an episode are not consecutive: {len(np.unique(label))} labels in "
            f"{block[-1] + 1} runs. Sort the rows by episode and time."
        )
    return z, u.astype(np.float64), block


def _check_periods(periods: Sequence[float | None] | None, d: int) -> FloatArray:
    """Return [D] periods, 0 for none."""
    if periods is None:
        return np.zeros(d)
    period = np.nan_to_num(np.array(periods, dtype=np.float64), nan=0.0, posinf=-1.0)
    if period.shape != (d,) or (period < 0).any():
        raise ValueError(
            f"periods is {periods}; expected {d} numbers, one for each column of codes: a positive "
            "period, or 0 for what does not wrap."
        )
    return period


def _wrapped(change: FloatArray, period: FloatArray) -> FloatArray:
    """Return changes [..., D] by the shorter way round, those without a period as they are."""
    p = np.where(period > 0, period, np.inf)
    laps = np.round(change / p)
    return change - laps * period


def _unrolled(z: FloatArray, period: FloatArray) -> FloatArray:
    """Return codes [M, D] with cosine and sine in the place of each that wraps."""
    wraps = period > 0
    phase = 2 * np.pi * z[:, wraps] / period[wraps]
    return np.concatenate([z[:, ~wraps], np.cos(phase), np.sin(phase)], axis=1)
