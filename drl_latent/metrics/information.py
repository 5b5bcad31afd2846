"""Mutual information of codes and factors, which many metrics share.

Four ways to estimate it, all in nats:

- ``"binned"``: codes, and continuous factors, in equal-width bins; a code of at most as many
  distinct values as there are bins, a quantised one, keeps its values. Biased upwards by about
  (bins - 1) (classes - 1) / 2N.
- ``"corrected"``: the same minus that bias, for occupied bins and classes (Miller 1955, "Note on
  the Bias of Information Estimates"). Intervals of binned scores are made from it: they are for
  the score of all the rows there could be, and reach to the score that was found.
- ``"nearest_neighbour"``: Kraskov et al. 2004, "Estimating Mutual Information", and Ross 2014,
  "Mutual Information between Discrete and Continuous Data Sets", 3 neighbours: no bins, about 30
  times slower. Quantised codes, and circular factors, are classes here too.
- conditional, binned: of a code and a factor given the factor that this one is most correlated
  with, with Miller's correction. Where
  factors are correlated, what a code says of one through the other does not count. The condition,
  where it is continuous, has one bin for every 400 rows, but 5 at least.

Information is never more than the factor's entropy. Of a continuous factor that is the entropy of
its bins: nearest neighbours see finer detail, which is cut off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import entr
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.correlation import correlated_factors
from drl_latent.metrics.inputs import BINS, Inputs, IntArray, equal_width_bins
from drl_latent.registry import UnknownNameError

ESTIMATORS = ("binned", "corrected", "nearest_neighbour")
_NEIGHBOURS = 3
_FEWEST_CONDITION_BINS = 5
_ROWS_A_CONDITION_BIN = 400
# Nats: the entropy of a factor, given the one it is most correlated with, that this determines.
DETERMINED = 1e-9


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
        estimator: ``"binned"``, ``"corrected"`` or ``"nearest_neighbour"``.
        conditional: Given the factor that each factor is most correlated with, if any.
        seed: Of the jitter that parts equal values for nearest neighbours.

    Raises:
        ValueError: There is no such estimator, it has no conditional form, or `bins` is below 2.
    """
    if bins < 2:
        raise ValueError(f"bins is {bins}; expected at least 2, e.g. {BINS}.")
    if estimator not in ESTIMATORS:
        raise UnknownNameError("estimator of mutual information", estimator, ESTIMATORS)
    if conditional and estimator != "binned":
        raise ValueError(
            f'conditional=True is estimated from bins, got estimator={estimator!r}. Use "binned".'
        )
    if estimator != "nearest_neighbour":
        partners = _partners(inputs) if conditional else {}
        factors = [inputs.labels(k, bins) for k in inputs.kept]
        given = [_condition(inputs, partners.get(k), bins) for k in inputs.kept]
        codes = [code_classes(column, bins) for column in inputs.codes.T]
        values = [
            [
                _information(z, y, c, corrected=estimator == "corrected")
                for y, c in zip(factors, given, strict=True)
            ]
            for z in codes
        ]
    else:
        blank = [0.0] * len(inputs.kept)
        values = [
            _nearest(inputs, column, bins, seed) if active else blank
            for column, active in zip(inputs.codes.T, inputs.active, strict=True)
        ]
    # Rounding and corrections take independent columns below 0.
    most = factor_entropies(inputs, bins) if estimator == "nearest_neighbour" else np.inf
    return np.where(inputs.active[:, None], np.clip(np.array(values), 0.0, most), 0.0)


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
        labels, given = inputs.labels(k, bins), _condition(inputs, partners.get(k), bins)
        alone = _entropy(np.bincount(labels))
        if given is not None:
            # A factor that its partner determines has no entropy left to speak of.
            table = joint_counts(labels, given)
            alone = max(_corrected(table) - _corrected(table.sum(axis=0)), DETERMINED)
        values.append(alone)
    return np.array(values)


def code_entropies(inputs: Inputs, bins: int = BINS) -> FloatArray:
    """[D]: entropy in nats of each code's bins, or of its values where it is quantised."""
    return np.array([_entropy(np.bincount(code_classes(z, bins))) for z in inputs.codes.T])


def code_classes(column: FloatArray, bins: int = BINS) -> IntArray:
    """[N]: a code as classes 0, 1, ...: its values where they are few, equal-width bins else."""
    # Sorting every row takes most of the time that an estimate takes; the first rows tell.
    if len(np.unique(column[: 10 * bins])) <= bins:
        values, labels = np.unique(column, return_inverse=True)
        if len(values) <= bins:
            return labels
    return equal_width_bins(column, bins)


def joint_counts(*labels: IntArray) -> FloatArray:
    """[A, B, ...]: how many rows are of each class of each set of labels, numbered from 0."""
    sizes = [int(column.max()) + 1 for column in labels]
    cells = np.ravel_multi_index(labels, sizes)
    return np.bincount(cells, minlength=int(np.prod(sizes))).reshape(sizes).astype(np.float64)


def unbiased(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without bias of a metric that takes an estimator of information."""
    is_biased = settings["estimator"] == "binned" and not settings["conditional"]
    return {"estimator": "corrected"} if is_biased else {}


def _information(z: IntArray, y: IntArray, given: IntArray | None, *, corrected: bool) -> float:
    """Mutual information of two sets of labels, given a third if there is one."""
    if given is None:
        table = joint_counts(z, y)
        rows, columns = table.sum(axis=1), table.sum(axis=0)
        found = _entropy(rows) + _entropy(columns) - _entropy(table)
        free = (np.count_nonzero(rows) - 1) * (np.count_nonzero(columns) - 1)
        return found - free / (2 * len(z)) if corrected else found
    table = joint_counts(z, y, given)
    return (
        _corrected(table.sum(axis=1)) + _corrected(table.sum(axis=0)) - _corrected(table)
        - _corrected(table.sum(axis=(0, 1)))
    )  # fmt: skip


def _entropy(counts: FloatArray | IntArray) -> float:
    """Entropy in nats of a table of counts. scipy.stats.entropy spends a millisecond on checks."""
    return float(entr(counts / counts.sum()).sum())


def _corrected(counts: FloatArray) -> float:
    """Entropy in nats of a table of counts, with Miller's correction for its bias."""
    return _entropy(counts) + (np.count_nonzero(counts) - 1) / (2 * counts.sum())


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


def _condition(inputs: Inputs, partner: int | None, bins: int) -> IntArray | None:
    if partner is None:
        return None
    fine = max(len(inputs.codes) // _ROWS_A_CONDITION_BIN, _FEWEST_CONDITION_BINS)
    return inputs.labels(partner, min(fine, bins))
