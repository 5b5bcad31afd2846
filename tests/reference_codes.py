"""Codes and factors that the reference scores in data/reference_scores.json were computed on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CASES = ("identity", "permuted_dead", "rotated", "duplicated", "partial", "random")
ROWS = 3000
FIT_ROWS = 2000
CARDINALITIES = (4, 3, 6, 5, 8)
FIRST_SEED = 7

Arrays = tuple[NDArray[np.float64], NDArray[np.int64]]


def reference_case(name: str, rows: int = ROWS) -> Arrays:
    """Codes [rows, D] and factors [rows, 5] of one of `CASES`: the same numbers at every call."""
    rng = np.random.default_rng(FIRST_SEED + CASES.index(name))
    factors = np.stack([rng.integers(c, size=rows) for c in CARDINALITIES], axis=1)
    scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    k = len(CARDINALITIES)

    def noise(columns: int) -> NDArray[np.float64]:
        return rng.standard_normal((rows, columns))

    # The order of the draws is part of the data: change none.
    if name == "identity":
        codes = scaled + 0.05 * noise(k)
    elif name == "permuted_dead":
        reversed_ = scaled[:, ::-1] + 0.1 * noise(k)
        codes = np.concatenate([reversed_, 1e-3 * noise(2)], axis=1)
    elif name == "rotated":
        rotation, _ = np.linalg.qr(rng.standard_normal((k, k)))
        codes = scaled @ rotation + 0.1 * noise(k)
    elif name == "duplicated":
        codes = np.concatenate([scaled, scaled], axis=1) + 0.3 * noise(2 * k)
    elif name == "partial":
        mixing = np.eye(k) + 0.35 * rng.standard_normal((k, k))
        codes = np.tanh(scaled @ mixing) + 0.2 * noise(k)
        codes = np.concatenate([codes, noise(3)], axis=1)
    else:
        codes = noise(6)
    return codes, factors
