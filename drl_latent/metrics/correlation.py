"""Factors that depend on each other in the data, which scores blame on the code."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
from scipy.special import chdtrc

from drl_latent.metrics.inputs import Inputs, IntArray

WEAKEST = 0.3
_BINS = 5
_CHANCE = 1e-4


class CorrelatedFactorsWarning(UserWarning):
    """Factors are correlated in the data that was scored."""


def correlated_factors(inputs: Inputs) -> tuple[tuple[str, str, float], ...]:
    """Return pairs of factors that depend on each other, the strongest first, with how much.

    The measure is Cramer's V with the correction for bias of Bergsma 2013, "A Bias-Correction for
    Cramer's V and Tschuprow's T": 0 for independent factors, 1 where one determines the other.
    Pairs below 0.3, or that chance makes in one of 10,000 data sets, are not counted; rows of a
    group count as one there, as if all of them were alike. Continuous factors are put in 5 bins.
    """
    labels = {k: inputs.labels(k, _BINS) for k in inputs.kept}
    independent = len(np.unique(inputs.groups))
    found = []
    for a, b in itertools.combinations(inputs.kept, 2):
        strength = _cramers_v(labels[a], labels[b], independent)
        if strength >= WEAKEST:
            found.append((inputs.names[a], inputs.names[b], strength))
    return tuple(sorted(found, key=lambda pair: -pair[2]))


def warn_of_correlated(inputs: Inputs) -> tuple[tuple[str, str, float], ...]:
    """Return `correlated_factors`, with a warning if there are any."""
    found = correlated_factors(inputs)
    if found:
        pairs = ", ".join(f"{a} and {b} ({strength:.2f})" for a, b, strength in found)
        warnings.warn(
            f"Factors are correlated in this data (Cramer's V): {pairs}. A code of one then tells "
            "of the other too, and scores look worse, or better, than the code is. Score on "
            "independent factors, or use the metrics that take conditional=True.",
            CorrelatedFactorsWarning,
            stacklevel=3,
        )
    return found


def _cramers_v(a: IntArray, b: IntArray, n: int) -> float:
    """Bias-corrected Cramer's V of labels with `n` independent rows, 0 where it may be chance."""
    table = np.bincount(a * (b.max() + 1) + b, minlength=(a.max() + 1) * (b.max() + 1))
    table = table.reshape(a.max() + 1, b.max() + 1)
    r, c = table.shape
    # scipy's chi2_contingency gives the same, and takes twenty times as long.
    phi2 = float((table**2 / np.outer(table.sum(axis=1), table.sum(axis=0))).sum() - 1)
    if n < 2 or chdtrc((r - 1) * (c - 1), max(n * phi2, 0.0)) > _CHANCE:
        return 0.0
    unbiased = max(phi2 - (r - 1) * (c - 1) / (n - 1), 0.0)
    least = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(unbiased / least)) if least > 0 else 0.0
