"""Codes whose scores are known: worlds to draw rows of, and formulas. For check_intervals.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import stats

Data = tuple[np.ndarray, np.ndarray]
"""Codes [N, D] and factors [N, K]."""

LEVELS = (3, 4, 5)
SOURCES = ((7, 0, 0), (0, 5, 2), (0, 1, 6), (3, 3, 0), (0, 0, 0))
"""Of ten times, how often each discrete code copies each factor; otherwise it is noise."""
CODE_LEVELS = (3, 4, 5, 4, 5)
LOADINGS = np.array([[0.8, 0, 0], [0, 0.7, 0.4], [0, 0.3, 0.8], [0.4, 0.4, 0], [0, 0, 0]])
"""Of Gaussian codes of variance 1 on Gaussian factors."""
FLIPPED = (0.05, 0.1, 0.2, 0.3)
"""How often each binary code is not its factor."""


@cache
def every_outcome() -> Data:
    """[108000, ...]: the discrete world, each outcome as often as it is likely.

    Factors are independent. Remainders of one number by 3, 4 and 5 are independent and uniform:
    they are the noise of the codes.
    """
    axes = [*map(np.arange, LEVELS), np.arange(10), np.arange(180)]
    *factors, chosen, noise = (grid.ravel() for grid in np.meshgrid(*axes, indexing="ij"))
    codes = []
    for j, (shares, levels) in enumerate(zip(SOURCES, CODE_LEVELS, strict=True)):
        ends = np.cumsum(shares)
        source = np.searchsorted(ends, (chosen + 3 * j) % 10, side="right")
        codes.append(np.choose(source, [*(y % levels for y in factors), noise % levels]))
    return np.stack(codes, axis=1).astype(float), np.stack(factors, axis=1).astype(float)


def discrete(rows: int, rng: np.random.Generator) -> Data:
    """Codes that are a factor's value, or another's, or noise."""
    codes, factors = every_outcome()
    chosen = rng.integers(len(codes), size=rows)
    return codes[chosen], factors[chosen]


def gaussian(rows: int, rng: np.random.Generator) -> Data:
    """Codes that are linear in Gaussian factors, with noise."""
    factors = rng.standard_normal((rows, LOADINGS.shape[1]))
    noise = np.sqrt(1 - np.square(LOADINGS).sum(axis=1))
    return factors @ LOADINGS.T + noise * rng.standard_normal((rows, len(noise))), factors


def binary(rows: int, rng: np.random.Generator) -> Data:
    """A code for each of four binary factors, flipped at times."""
    factors = rng.integers(2, size=(rows, len(FLIPPED)))
    return np.where(rng.random(factors.shape) < FLIPPED, 1 - factors, factors) * 1.0, factors * 1.0


def bounded(rows: int, rng: np.random.Generator) -> Data:
    """Codes that are linear in discrete factors and a continuous one, with uniform noise."""
    classes = [rng.integers(levels, size=rows) / (levels - 1) for levels in LEVELS]
    factors = np.column_stack([*classes, rng.random(rows)])
    mixing = np.array([[1, 0, 0, 0], [0, 1, 0.3, 0], [0, 0.2, 1, 0], [0.3, 0, 0, 1], [0, 0, 0, 0]])
    return factors @ mixing.T + 0.5 * rng.random((rows, len(mixing))), factors


WORLDS: dict[str, Callable[[int, np.random.Generator], Data]] = {
    "discrete": discrete,
    "bounded": bounded,
    "gaussian": gaussian,
    "binary": binary,
}


def explained() -> float:
    """Mean share of a Gaussian factor's variance that all codes explain."""
    covariance = LOADINGS @ LOADINGS.T
    np.fill_diagonal(covariance, 1)
    return float(np.mean(np.diag(LOADINGS.T @ np.linalg.solve(covariance, LOADINGS))))


def squared_gap() -> float:
    """Mean over Gaussian factors of the best minus the second best squared correlation."""
    ranked = np.sort(np.square(LOADINGS), axis=0)
    return float((ranked[-1] - ranked[-2]).mean())


def discrete_mig() -> float:
    """MIG of the discrete world by the formula, from the chance that code and factor agree."""
    information = np.zeros((len(SOURCES), len(LEVELS)))
    for j, k in np.ndindex(*information.shape):
        # Whatever the source: a factor's value modulo the code's levels, or a uniform one.
        pieces = [np.bincount(np.arange(v) % CODE_LEVELS[j], minlength=CODE_LEVELS[j]) / v
                  for v in LEVELS]  # fmt: skip
        shares = np.array(SOURCES[j]) / 10
        rest = np.full(CODE_LEVELS[j], (1 - shares.sum()) / CODE_LEVELS[j])
        rest += sum(shares[i] * pieces[i] for i in range(len(LEVELS)) if i != k)
        own = np.eye(CODE_LEVELS[j])[np.arange(LEVELS[k]) % CODE_LEVELS[j]]
        given = rest + shares[k] * own  # [values of the factor, values of the code]
        information[j, k] = stats.entropy(given.mean(axis=0)) - stats.entropy(given, axis=1).mean()
    ranked = np.sort(information, axis=0)
    return float(np.mean((ranked[-1] - ranked[-2]) / np.log(LEVELS)))


FORMULAS: dict[tuple[str, str], Callable[[], float]] = {
    ("mig", "discrete"): discrete_mig,
    ("sap", "gaussian"): squared_gap,
    ("mcc", "gaussian"): lambda: float(LOADINGS.max(axis=0).mean()),
    ("linear_probe", "gaussian"): explained,
    ("linear_probe", "binary"): lambda: float(1 - np.mean(FLIPPED)),
    ("probe", "gaussian"): explained,
    ("probe", "binary"): lambda: float(1 - np.mean(FLIPPED)),
}
