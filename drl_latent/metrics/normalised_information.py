"""Mutual information as a share of each factor's entropy, and which codes are worth counting."""

from __future__ import annotations

import numpy as np

from drl_latent.metrics.base import BoolArray, FloatArray
from drl_latent.metrics.information import factor_entropies, mutual_information
from drl_latent.metrics.inputs import BINS, Inputs

# Of the largest range: the implementation of Hsu et al. 2023 takes codes of less for unused.
PRUNE = 0.05


def capped_information(
    inputs: Inputs,
    bins: int = BINS,
    *,
    estimator: str = "binned",
    conditional: bool = False,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Return information [D, len(kept)] in nats, and the entropies [len(kept)] it is at most.

    Args:
        inputs: Codes and factors.
        bins: See `mutual_information`.
        estimator: See `mutual_information`.
        conditional: See `mutual_information`.
        seed: See `mutual_information`.

    Raises:
        ValueError: As `mutual_information` does.
    """
    how = {"estimator": estimator, "conditional": conditional, "seed": seed}
    information = mutual_information(inputs, bins, **how)  # type: ignore[arg-type]
    return information, factor_entropies(inputs, bins, conditional=conditional)


def used_codes(inputs: Inputs, bins: int, prune: float) -> BoolArray:
    """Return which codes count where each counts alike, D bools.

    An encoder that has codes to spare lets some of them all but stand still. Their jitter is no
    part of the code: those whose range is at most `prune` times the largest range of a code do not
    count. A quantised code has no jitter and counts unless it is dead.

    Args:
        inputs: Codes and factors.
        bins: A code of no more distinct values than this is quantised.
        prune: Share of the largest range, in [0, 1).

    Raises:
        ValueError: `prune` is outside [0, 1).
    """
    if not 0 <= prune < 1:
        raise ValueError(
            f"prune is {prune}; expected a share in [0, 1), e.g. {PRUNE}, or 0 to count every "
            "code that varies."
        )
    ranges = np.ptp(inputs.codes, axis=0)
    wide = ranges > prune * ranges.max()
    quantised = np.array([len(np.unique(column)) <= bins for column in inputs.codes.T])
    used: BoolArray = inputs.active & (wide | quantised)
    return used
