"""Mutual information of codes and factors, which many metrics share.

Three ways to estimate it, all in nats:

- ``"binned"``: codes, and continuous factors, in equal-width bins; a code of at most as many
  distinct values as there are bins, a quantised one, keeps its values. Biased upwards by about
  (bins - 1) (classes - 1) / 2N.
- ``"nearest_neighbour"``: Kraskov et al. 2004, "Estimating Mutual Information", and Ross 2014,
  "Mutual Information between Discrete and Continuous Data Sets", 3 neighbours: no bins, about 30
  times slower. Quantised codes, and circular factors, are classes here too.
- conditional, binned: of a code and a factor given the factor that this one is most correlated
  with, with the correction of Miller 1955, "Note on the Bias of Information Estimates". Where
  factors are correlated, what a code says of one through the other does not count.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import entropy
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.correlation import correlated_factors
from drl_latent.metrics.inputs import BINS, Inputs, IntArray, equal_width_bins
from drl_latent.registry import UnknownNameError

ESTIMATORS = ("binned", "nearest_neighbour")
_NEIGHBOURS = 3
_CONDITION_BINS = 5


def mutual_information(
    inputs: Inputs,
    bins: int = BINS,
    *,
    estimator: str = "binned",
    conditional: bool = False,
    seed: int = 0,
) -> FloatArray:
    """[D, len(kept)]: mutual information in nats of each code and factor, 0 for dead codes.

    Args:
        inputs: Codes and factors.
        bins: Bins of each code and continuous factor.
        estimator: ``"binned"`` or ``"nearest_neighbour"``.
        conditional: Given the factor that each factor is most correlated with, if any.
        seed: Of the jitter that parts equal values for nearest neighbours.

    Raises:
        ValueError: There is no such estimator, or it has no conditional form.
    """
    if estimator not in ESTIMATORS:
        raise UnknownNameError("estimator of mutual information", estimator, ESTIMATORS)
    if conditional and estimator != "binned":
        raise ValueError(
            f'conditional=True is estimated from bins, got estimator={estimator!r}. Use "binned".'
        )
    if estimator == "binned":
        partners = _partners(inputs) if conditional else {}
        factors = [inputs.labels(k, bins) for k in inputs.kept]
        given = [_condition(inputs, partners.get(k)) for k in inputs.kept]
        codes = [code_classes(column, bins) for column in inputs.codes.T]
        values = [
            [_information(z, y, c) for y, c in zip(factors, given, strict=True)] for z in codes
        ]
    else:
        values = [_nearest(inputs, column, bins, seed) for column in inputs.codes.T]
    # Rounding and corrections take independent columns below 0.
    return np.where(inputs.active[:, None], np.maximum(np.array(values), 0.0), 0.0)


def factor_entropies(inputs: Inputs, bins: int = BINS, *, conditional: bool = False) -> FloatArray:
    """[len(kept)]: entropy in nats of each factor, above 0; of its bins where it is continuous.

    Args:
        inputs: Codes and factors.
        bins: Bins of each continuous factor.
        conditional: Given the factor that each factor is most correlated with, if any.
    """
    partners = _partners(inputs) if conditional else {}
    values = []
    for k in inputs.kept:
        labels, given = inputs.labels(k, bins), _condition(inputs, partners.get(k))
        alone = entropy(np.bincount(labels))
        if given is not None:
            # A factor that its partner determines has no entropy left to speak of.
            alone = np.float64(max(_corrected(labels, given) - _corrected(given), 1e-9))
        values.append(alone)
    return np.array(values)


def code_entropies(inputs: Inputs, bins: int = BINS) -> FloatArray:
    """[D]: entropy in nats of each code's bins, or of its values where it is quantised."""
    return np.array([entropy(np.bincount(code_classes(z, bins))) for z in inputs.codes.T])


def code_classes(column: FloatArray, bins: int = BINS) -> IntArray:
    """[N]: a code as classes 0, 1, ...: its values where they are few, equal-width bins else."""
    values, labels = np.unique(column, return_inverse=True)
    return labels if len(values) <= bins else equal_width_bins(column, bins)


def joint_counts(a: IntArray, b: IntArray) -> FloatArray:
    """[A, B]: how many rows are of class a and class b; classes are numbered from 0."""
    width = int(b.max()) + 1
    size = (int(a.max()) + 1) * width
    return np.bincount(a * width + b, minlength=size).reshape(-1, width).astype(np.float64)


def _information(z: IntArray, y: IntArray, given: IntArray | None) -> float:
    """Mutual information of two sets of labels, given a third if there is one."""
    if given is not None:
        return (
            _corrected(z, given) + _corrected(y, given) - _corrected(z, y, given)
            - _corrected(given)
        )  # fmt: skip
    table = joint_counts(z, y)
    parts = entropy(table.sum(axis=1)) + entropy(table.sum(axis=0)) - entropy(table, axis=None)
    return float(parts)


def _corrected(*labels: IntArray) -> float:
    """Joint entropy in nats with Miller's correction for its bias."""
    joint = np.zeros_like(labels[0])
    for column in labels:
        joint = np.unique(joint * (int(column.max()) + 1) + column, return_inverse=True)[1]
    counts = np.bincount(joint)
    return float(entropy(counts)) + (len(counts) - 1) / (2 * len(joint))


def _nearest(inputs: Inputs, column: FloatArray, bins: int, seed: int) -> list[float]:
    """Mutual information of one code and each factor, from nearest neighbours."""
    quantised = len(np.unique(column)) <= bins
    code = code_classes(column, bins) if quantised else column
    values = []
    for k in inputs.kept:
        counted = bool(inputs.discrete[k] or inputs.periods[k])
        target = inputs.labels(k, bins) if counted else inputs.factors[:, k]
        estimate = mutual_info_classif if counted else mutual_info_regression
        (value,) = estimate(
            code[:, None],
            target,
            discrete_features=quantised,
            n_neighbors=_NEIGHBOURS,
            random_state=seed,
        )
        values.append(float(value))
    return values


def _partners(inputs: Inputs) -> dict[int, int]:
    """Column of each correlated factor -> column of the one it is most correlated with."""
    partners: dict[int, int] = {}
    for first, second, _ in correlated_factors(inputs):
        a, b = inputs.names.index(first), inputs.names.index(second)
        partners.setdefault(a, b)
        partners.setdefault(b, a)
    return partners


def _condition(inputs: Inputs, partner: int | None) -> IntArray | None:
    return None if partner is None else inputs.labels(partner, _CONDITION_BINS)
