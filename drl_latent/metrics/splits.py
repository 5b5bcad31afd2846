"""Rows to fit a predictor on, and rows to test it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from drl_latent.metrics.base import BoolArray, FloatArray
from drl_latent.metrics.inputs import (
    Inputs,
    IntArray,
    bins_of,
    check_inputs,
    finite_matrix,
    require_varying,
    same_rows,
)

Held = tuple[ArrayLike, ArrayLike]
MIN_HELD_OUT = 2


def split_inputs(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: Held | None = None,
    test_fraction: float = 1 / 3,
    seed: int = 0,
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
    periods: Sequence[float] | None = None,
    groups: ArrayLike | None = None,
) -> tuple[Inputs, Inputs]:
    """Check the arrays and return the rows to fit on and the rows held out.

    Types of factors are read from all rows together, and which codes are active from the rows to
    fit on. A factor that does not vary in both parts is left out.

    Args:
        codes: [N, D].
        factors: [N, K].
        test: Held-out (codes [M, D], factors [M, K]); by default `test_fraction` of the rows,
            drawn by `seed`, which are then not fitted on.
        test_fraction: Share of rows held out, inside (0, 1); not used with `test`.
        seed: Seed of the draw; not used with `test`.
        names: See `check_inputs`.
        discrete: See `check_inputs`.
        periods: See `check_inputs`.
        groups: See `check_inputs`; rows of a group are all held out, or none of them.

    Raises:
        ValueError: As `check_inputs` does; or `test` does not fit `codes` and `factors`, or
            either part is too small.
    """
    about: dict[str, Any] = {"names": names, "discrete": discrete, "periods": periods}
    given = check_inputs(codes, factors, **about, groups=groups)
    if test is None:
        held = _draw_held_out(given, test_fraction, seed)
        parts = given.rows(np.flatnonzero(~held)), given.rows(np.flatnonzero(held))
    else:
        n, (test_codes, test_factors) = len(given.codes), _check_test(test, given)
        whole = check_inputs(
            np.concatenate([given.codes, test_codes]),
            np.concatenate([given.factors, test_factors]),
            **about,
        )
        parts = whole.rows(np.arange(n)), whole.rows(np.arange(n, len(whole.codes)))
        parts = replace(parts[0], groups=given.groups), parts[1]
    return agree(*parts)


def agree(fit: Inputs, held: Inputs) -> tuple[Inputs, Inputs]:
    """Leave out of both parts what does not vary in either; codes are judged by `fit`."""
    varying = fit.varying & held.varying
    require_varying(varying, fit.names)
    return replace(fit, varying=varying), replace(held, varying=varying, active=fit.active)


def _draw_held_out(given: Inputs, fraction: float, seed: int) -> BoolArray:
    """[N]: which rows are held out: about `fraction` of them, in whole groups."""
    sizes = np.bincount(given.groups)
    groups, n = len(sizes), len(given.groups)
    count = round(groups * fraction)
    chosen = np.zeros(groups, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(groups)[: max(count, 0)]] = True
    held = chosen[given.groups]
    if not MIN_HELD_OUT <= held.sum() <= n - MIN_HELD_OUT:
        raise ValueError(
            f"test_fraction={fraction} holds out {held.sum()} of {n} rows ({groups} groups); "
            f"expected at least {MIN_HELD_OUT} on either side. Use a fraction such as 1/3."
        )
    return held


def label_pair(fit: Inputs, held: Inputs, k: int) -> tuple[IntArray, IntArray]:
    """Factor `k` as classes 0, 1, ... that mean the same in both parts: [N] and [M].

    Bins of a continuous factor span both parts.
    """
    both = np.concatenate([fit.factors[:, k], held.factors[:, k]])
    values = both if fit.discrete[k] else bins_of(both, fit.periods[k])
    labels = np.unique(values, return_inverse=True)[1]
    return labels[: len(fit.codes)], labels[len(fit.codes) :]


def target_pair(
    fit: Inputs, held: Inputs, k: int
) -> tuple[FloatArray | IntArray, FloatArray | IntArray]:
    """Factor `k` as a predictor's target: [N] and [M]; [N, 2] and [M, 2] where it is circular.

    Classes where it is discrete; cosine and sine where it is circular; otherwise its values,
    standardised by the rows to fit on, so that penalties and coefficients mean the same for every
    factor. R2 does not change by that.
    """
    if fit.discrete[k]:
        return label_pair(fit, held, k)
    column, unseen = fit.factors[:, k], held.factors[:, k]
    if fit.periods[k]:
        return on_circle(column, fit.periods[k]), on_circle(unseen, fit.periods[k])
    return (column - column.mean()) / column.std(), (unseen - column.mean()) / column.std()


def on_circle(column: FloatArray, period: float) -> FloatArray:
    """[N, 2]: cosine and sine of a circular factor."""
    angle = 2 * np.pi * column / period
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _check_test(test: Held, given: Inputs) -> Held:
    if not isinstance(test, tuple | list) or len(test) != 2:
        raise ValueError(
            f"test is {type(test).__name__}; expected a pair (codes [M, D], factors [M, K])."
        )
    z, y = finite_matrix(test[0], "test codes"), finite_matrix(test[1], "test factors")
    same_rows(z, y, "test codes", "test factors")
    expected = given.codes.shape[1], given.factors.shape[1]
    if (z.shape[1], y.shape[1]) != expected or len(z) < MIN_HELD_OUT:
        raise ValueError(
            f"test has shapes {z.shape} and {y.shape}; expected (M, {expected[0]}) and "
            f"(M, {expected[1]}) with M of at least {MIN_HELD_OUT}. Encode both parts alike."
        )
    return z, y
