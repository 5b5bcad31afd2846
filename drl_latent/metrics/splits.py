"""Rows to fit a predictor on, and rows to test it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import (
    Inputs,
    IntArray,
    check_inputs,
    equal_width_bins,
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

    Raises:
        ValueError: As `check_inputs` does; or `test` does not fit `codes` and `factors`, or
            either part is too small.
    """
    given = check_inputs(codes, factors, names=names, discrete=discrete)
    n = len(given.codes)
    if test is None:
        held_out = round(n * test_fraction)
        if not MIN_HELD_OUT <= held_out <= n - MIN_HELD_OUT:
            raise ValueError(
                f"test_fraction={test_fraction} holds out {held_out} of {n} rows; expected at "
                f"least {MIN_HELD_OUT} on either side. Use a fraction such as 1/3."
            )
        order = np.random.default_rng(seed).permutation(n)
        whole, fit_rows, test_rows = given, np.sort(order[held_out:]), np.sort(order[:held_out])
    else:
        test_codes, test_factors = _check_test(test, given)
        whole = check_inputs(
            np.concatenate([given.codes, test_codes]),
            np.concatenate([given.factors, test_factors]),
            names=names,
            discrete=discrete,
        )
        fit_rows, test_rows = np.arange(n), np.arange(n, len(whole.codes))
    parts = [_take(whole, rows) for rows in (fit_rows, test_rows)]
    varying = parts[0].varying & parts[1].varying
    require_varying(varying, whole.names)
    fit, held = (replace(part, varying=varying, active=parts[0].active) for part in parts)
    return fit, held


def label_pair(fit: Inputs, held: Inputs, k: int) -> tuple[IntArray, IntArray]:
    """Factor `k` as classes 0, 1, ... that mean the same in both parts: [N] and [M].

    Bins of a continuous factor span both parts.
    """
    both = np.concatenate([fit.factors[:, k], held.factors[:, k]])
    values = both if fit.discrete[k] else equal_width_bins(both)
    labels = np.unique(values, return_inverse=True)[1]
    return labels[: len(fit.codes)], labels[len(fit.codes) :]


def target_pair(
    fit: Inputs, held: Inputs, k: int
) -> tuple[FloatArray | IntArray, FloatArray | IntArray]:
    """Factor `k` as a predictor's target: [N] and [M].

    Classes where it is discrete; otherwise its values, standardised by the rows to fit on, so
    that penalties and coefficients mean the same for every factor. R2 does not change by that.
    """
    if fit.discrete[k]:
        return label_pair(fit, held, k)
    column, unseen = fit.factors[:, k], held.factors[:, k]
    return (column - column.mean()) / column.std(), (unseen - column.mean()) / column.std()


def _take(whole: Inputs, rows: IntArray) -> Inputs:
    """Some rows of `whole`, with the columns judged anew except for the types of factors."""
    z, y = whole.codes[rows], whole.factors[rows]
    active = z.std(axis=0) > np.maximum(1e-8, 1e-6 * np.abs(z).max(axis=0))
    return replace(whole, codes=z, factors=y, active=active, varying=np.ptp(y, axis=0) > 0)


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
