"""Gradient boosting by scikit-learn's recipe, on histograms of the codes: for importances, fast.

The same trees as `sklearn.ensemble.GradientBoostingClassifier` and `...Regressor` grow by default
(Friedman 2001, "Greedy Function Approximation: A Gradient Boosting Machine"): 100 rounds of depth
3 at rate 0.1, split where the squared error of the gradients falls most, leaves set by one Newton
step. Thresholds are looked for at 768 quantiles and the 256 widest gaps of each code instead of
between all its values,
and all nodes of a level are split at once. Boosting libraries on histograms are faster still, but
they choose and count splits by other gains, which moves DCI by up to 0.05.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import IntArray

ROUNDS, RATE, DEPTH = 100, 0.1, 3
_QUANTILES, _GAPS = 768, 256
# A split has to lower the squared error by more than rounding does.
_LEAST_GAIN = 1e-10


_Tree = list[tuple[IntArray, IntArray]]
"""Level by level, for each node: the code that it is split by, and the last bin on the left."""


class _Trees(BaseEstimator):
    """What classifier and regressor share: binned codes, trees, importances."""

    feature_importances_: FloatArray
    _trees: list[_Tree]
    _leaves: list[FloatArray]

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _start(self, codes: FloatArray) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._edges = [_edges(column) for column in codes.T]
        self._binned = self._bin(codes)
        self._width = max(len(edges) for edges in self._edges) + 1
        columns = np.arange(codes.shape[1]) * self._width
        self._cells = self._binned + columns
        self._counts = np.bincount(self._cells.ravel(), minlength=columns.size * self._width)
        self.feature_importances_ = np.zeros(codes.shape[1])
        self._trees, self._leaves = [], []

    def _bin(self, codes: FloatArray) -> IntArray:
        pairs = zip(self._edges, codes.T, strict=True)
        return np.stack([np.searchsorted(edges, c, side="left") for edges, c in pairs], axis=1)

    def _grow(self, gradient: FloatArray) -> tuple[_Tree, IntArray]:
        """Return a tree of the gradient [N], and the leaf that each row is in."""
        n, a = self._binned.shape
        node = np.zeros(n, dtype=np.int64)
        tree: _Tree = []
        weights = np.repeat(gradient, a)
        for depth in range(DEPTH):
            nodes = 2**depth
            size = nodes * a * self._width
            cells = (node[:, None] * (a * self._width) + self._cells).ravel()
            sums: FloatArray = np.bincount(cells, weights, size).astype(float)
            sums = sums.reshape(nodes, a, self._width)
            counts = np.bincount(cells, minlength=size) if depth else self._counts
            counts = counts.reshape(nodes, a, self._width)
            order = self._rng.permutation(a)
            feature, threshold, gain = _best_splits(sums, counts, order)
            np.add.at(self.feature_importances_, feature, gain)
            tree.append((feature, threshold))
            node = _descend(node, self._binned, feature, threshold)
        return tree, node

    def _raw(self, codes: FloatArray, trees: int) -> FloatArray:
        """Return what all rounds of trees add up to, [N, trees]."""
        binned = self._bin(codes)
        raw = np.zeros((len(codes), trees))
        for i, (tree, leaves) in enumerate(zip(self._trees, self._leaves, strict=True)):
            node = np.zeros(len(codes), dtype=np.int64)
            for feature, threshold in tree:
                node = _descend(node, binned, feature, threshold)
            raw[:, i % trees] += leaves[node]
        return raw

    def _add(self, tree: _Tree, leaves: FloatArray) -> None:
        self._trees.append(tree)
        self._leaves.append(leaves)


class TreeBoostingClassifier(ClassifierMixin, _Trees):
    """Boosted trees for classes, with the logistic loss."""

    def fit(self, codes: FloatArray, labels: IntArray) -> TreeBoostingClassifier:
        """Fit to codes [N, A] and classes [N]."""
        self.classes_, own = np.unique(labels, return_inverse=True)
        count = len(self.classes_)
        truth = np.eye(count)[own]
        self._start(codes)
        # Two classes have one tree a round, of the second's log odds.
        truth = truth[:, 1:] if count == 2 else truth
        shares = truth.mean(axis=0)
        self._prior = np.log(shares / (1 - shares)) if count == 2 else np.log(shares)
        scale = 1.0 if count == 2 else (count - 1) / count
        raw = np.tile(self._prior, (len(own), 1))
        for _ in range(ROUNDS):
            chance = expit(raw) if count == 2 else softmax(raw, axis=1)
            for k in range(truth.shape[1]):
                gradient, curvature = truth[:, k] - chance[:, k], chance[:, k] * (1 - chance[:, k])
                tree, leaf = self._grow(gradient)
                total = np.bincount(leaf, gradient, minlength=2**DEPTH)
                bend = np.bincount(leaf, curvature, minlength=2**DEPTH)
                flat = np.abs(bend) < 1e-150
                step = np.where(flat, 0.0, scale * total / np.where(flat, 1.0, bend))
                self._add(tree, RATE * step)
                raw[:, k] += RATE * step[leaf]
        return self

    def predict(self, codes: FloatArray) -> IntArray:
        """Return the likeliest class of each row, [N]."""
        raw = self._raw(codes, len(self._prior)) + self._prior
        best = (raw[:, 0] > 0).astype(int) if len(self.classes_) == 2 else raw.argmax(axis=1)
        labels: IntArray = self.classes_[best]
        return labels


class TreeBoostingRegressor(RegressorMixin, _Trees):
    """Boosted trees for values, with the squared error."""

    def fit(self, codes: FloatArray, values: FloatArray) -> TreeBoostingRegressor:
        """Fit to codes [N, A] and values [N]."""
        self._start(codes)
        self._mean = float(np.mean(values))
        raw = np.full(len(values), self._mean)
        for _ in range(ROUNDS):
            gradient = values - raw
            tree, leaf = self._grow(gradient)
            total = np.bincount(leaf, gradient, minlength=2**DEPTH)
            step = total / np.maximum(np.bincount(leaf, minlength=2**DEPTH), 1)
            self._add(tree, RATE * step)
            raw += RATE * step[leaf]
        return self

    def predict(self, codes: FloatArray) -> FloatArray:
        """Return the value of each row, [N]."""
        return self._raw(codes, 1)[:, 0] + self._mean


def _edges(column: FloatArray) -> FloatArray:
    """Ascending thresholds between bins, each in the middle of two values that occur.

    They are at quantiles and at the widest gaps, which keep clusters of values apart that
    quantiles alone would cut anywhere; between all values where these are few.
    """
    values = np.unique(column)
    last = np.arange(len(values) - 1)
    if len(values) > _QUANTILES + _GAPS:
        quantiles = np.quantile(column, np.linspace(0, 1, _QUANTILES + 1)[1:-1], method="lower")
        gaps = np.argsort(np.diff(values))[-_GAPS:]
        last = np.union1d(np.searchsorted(values, quantiles), gaps)
        last = last[last < len(values) - 1]
    edges: FloatArray = (values[last] + values[last + 1]) / 2
    return edges


def _best_splits(
    sums: FloatArray, counts: NDArray[np.int64], order: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """For each node: the code and the bin to split after, and how far the squared error falls.

    Args:
        sums: Sums of gradients, [nodes, A, bins].
        counts: Rows, [nodes, A, bins].
        order: [A], the codes in the order in which they are tried: of codes that part the rows
            alike, such as two copies, the first is taken, and so each as often as the other.
    """
    left, rows = sums.cumsum(axis=2), counts.cumsum(axis=2)
    whole, all_rows = left[:, :1, -1:], rows[:, :1, -1:]
    right, others = whole - left, all_rows - rows
    # Sides are as far apart as their means; what has an empty side is no split.
    apart = left * others - right * rows
    sides = rows * others
    gains = np.divide(
        np.square(apart), sides * np.maximum(all_rows, 1), out=np.zeros_like(left), where=sides > 0
    )
    flat = gains[:, order].reshape(len(gains), -1)
    best = flat.argmax(axis=1)
    gain = flat[np.arange(len(flat)), best]
    feature, threshold = order[best // sums.shape[2]], best % sums.shape[2]
    splits = gain > _LEAST_GAIN
    # All rows of a node that is not split go left.
    last: IntArray = np.where(splits, threshold, sums.shape[2])
    return feature, last, np.where(splits, gain, 0.0)


def _descend(node: IntArray, binned: IntArray, feature: IntArray, threshold: IntArray) -> IntArray:
    """Return the node of the next level that each row is in, [N]."""
    value = np.take_along_axis(binned, feature[node][:, None], axis=1)[:, 0]
    below: IntArray = 2 * node + (value > threshold[node])
    return below
