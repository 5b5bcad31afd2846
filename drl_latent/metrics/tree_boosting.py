"""Gradient boosting by scikit-learn's recipe, on histograms of the codes: for importances, fast.

The same trees as `sklearn.ensemble.GradientBoostingClassifier` and `...Regressor` grow by default
(Friedman 2001, "Greedy Function Approximation: A Gradient Boosting Machine"): 100 rounds of depth
3 at rate 0.1, split where the squared error of the gradients falls most, leaves set by one Newton
step. Thresholds are looked for at 768 quantiles and the 256 widest gaps of each code, not between
all its values, and all nodes of a level are split at once. Boosting libraries on histograms are
faster still, but they choose and count splits by other gains, which moves DCI by up to 0.05.
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
        counts = np.bincount(self._cells.ravel(), minlength=columns.size * self._width)
        self._counts = counts.reshape(1, columns.size, self._width)
        self.feature_importances_ = np.zeros(codes.shape[1])
        self._trees, self._leaves = [], []

    def _bin(self, codes: FloatArray) -> IntArray:
        pairs = zip(self._edges, codes.T, strict=True)
        return np.stack([np.searchsorted(edges, c, side="left") for edges, c in pairs], axis=1)

    def _grow(self, gradient: FloatArray) -> tuple[_Tree, IntArray]:
        """Return a tree of the gradient [N], and the leaf that each row is in."""
        node = np.zeros(len(gradient), dtype=np.int64)
        sums, counts = self._histogram(gradient), self._counts
        tree: _Tree = []
        for depth in range(DEPTH):
            order = self._rng.permutation(self._binned.shape[1])
            feature, threshold, gain = _best_splits(sums, counts, order)
            np.add.at(self.feature_importances_, feature, gain)
            tree.append((feature, threshold))
            node = _descend(node, self._binned, feature, threshold)
            if depth < DEPTH - 1:
                sums, counts = self._children(sums, counts, node, gradient)
        return tree, node

    def _histogram(self, weights: FloatArray) -> FloatArray:
        """Sums of `weights` [N] in each bin of each code, [1, A, bins]."""
        width = self._binned.shape[1]
        cells, repeated = self._cells.ravel(), np.repeat(weights, width)
        sums: FloatArray = np.bincount(cells, repeated, width * self._width).astype(float)
        return sums.reshape(1, width, self._width)

    def _children(
        self,
        sums: FloatArray,
        counts: NDArray[np.int64],
        node: IntArray,
        gradient: FloatArray,
    ) -> tuple[FloatArray, NDArray[np.int64]]:
        """Histograms of the nodes of the next level, from those above: [2 * nodes, A, bins].

        Only the smaller of two children is counted; the other one has what is left.
        """
        parents, a, width = sums.shape
        rows = np.bincount(node, minlength=2 * parents)
        smaller = 2 * np.arange(parents) + (rows[1::2] < rows[::2])
        in_smaller = np.flatnonzero(node == smaller[node >> 1])
        cells = (node[in_smaller] >> 1)[:, None] * (a * width) + self._cells[in_smaller]
        flat, size = cells.ravel(), parents * a * width
        repeated = np.repeat(gradient[in_smaller], a)
        own_sums = np.bincount(flat, repeated, size).reshape(sums.shape)
        own_counts = np.bincount(flat, minlength=size).reshape(sums.shape)
        below = np.empty((2 * parents, a, width)), np.empty((2 * parents, a, width), np.int64)
        for children, own, whole in zip(below, (own_sums, own_counts), (sums, counts), strict=True):
            children[smaller] = own
            children[smaller ^ 1] = whole - own
        return below

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
    left, rows = sums.cumsum(axis=2), counts.cumsum(axis=2).astype(float)
    whole, all_rows = left[:, :1, -1:], rows[:, :1, -1:]
    # Sides are as far apart as their means; what has an empty side is no split.
    sides = rows * (all_rows - rows)
    sides[sides == 0] = np.inf
    # Left sum x right rows - right sum x left rows, shortened.
    apart = left * all_rows - whole * rows
    gains = np.square(apart, out=apart)
    gains /= sides
    best = gains.argmax(axis=2)
    by_code = np.take_along_axis(gains, best[..., None], axis=2)[..., 0]
    feature = order[by_code[:, order].argmax(axis=1)]
    nodes = np.arange(len(gains))
    gain = by_code[nodes, feature] / np.maximum(all_rows[:, 0, 0], 1)
    threshold = best[nodes, feature]
    splits = gain > _LEAST_GAIN
    # All rows of a node that is not split go left.
    last: IntArray = np.where(splits, threshold, sums.shape[2])
    return feature, last, np.where(splits, gain, 0.0)


def _descend(node: IntArray, binned: IntArray, feature: IntArray, threshold: IntArray) -> IntArray:
    """Return the node of the next level that each row is in, [N]."""
    value = binned[np.arange(len(node)), feature[node]]
    below: IntArray = 2 * node + (value > threshold[node])
    return below
