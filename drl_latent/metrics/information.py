"""Mutual information between binned codes and factors, which MIG and modularity share."""

from __future__ import annotations

import numpy as np
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import BINS, Inputs, equal_width_bins


def mutual_information(inputs: Inputs, bins: int = BINS) -> FloatArray:
    """[D, len(kept)]: mutual information in nats of each code and factor, 0 for dead codes.

    Codes are put in `bins` equal-width bins; so are continuous factors.
    """
    codes = [equal_width_bins(column, bins) for column in inputs.codes.T]
    factors = [inputs.labels(k, bins) for k in inputs.kept]
    values = np.array([[mutual_info_score(y, z) for y in factors] for z in codes])
    # Rounding takes independent columns below 0.
    return np.where(inputs.active[:, None], np.maximum(values, 0.0), 0.0)


def factor_entropies(inputs: Inputs, bins: int = BINS) -> FloatArray:
    """[len(kept)]: entropy in nats of each factor, above 0."""
    counts = [np.bincount(inputs.labels(k, bins)) for k in inputs.kept]
    return np.array([entropy(count) for count in counts])
