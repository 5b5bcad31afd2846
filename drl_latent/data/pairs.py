"""Pairs of factor rows that differ in a known number of factors: weak supervision."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs import FactorScene

Changes = int | Literal["random"]
_MOST_SUBSETS = 20
_MOST_DRAWS = 300
"""Subsets of factors tried for a pair, and draws of values for each, where a split allows few."""


class PairSampler:
    """Draws pairs of rows of factor values that differ in `k` factors and agree in all others.

    Which factors change is drawn uniformly. Given that, both rows are drawn as single rows are,
    on the condition that they differ in just these factors: both lie in the scene's part of its
    split, as probable as they are there. A factor that changes takes another level, so a range
    another bin.

    Only factors that can be seen to change are counted: those with one level (in the part of the
    split) never change, and neither do those of kind ``"dynamics"``, which no image shows. The
    latter vary from pair to pair.

    Locatello et al. 2020, "Weakly-Supervised Disentanglement Without Compromises", section 5.

    Args:
        scene: The scene whose factors are drawn.
        k: How many factors change: an int, or ``"random"`` for a number drawn uniformly from 1 to
            one less than there are, for each pair anew.

    Raises:
        ValueError: No factor can change, or `k` is not one of the choices.
    """

    def __init__(self, scene: FactorScene, k: Changes = 1) -> None:
        self._scene, self.k = scene, k
        space, split = scene.factor_space, scene.split
        self._levels = [np.arange(factor.size) for factor in space]
        self._drawn_by_level = np.zeros(len(space), dtype=bool)
        if split is not None:
            self._columns = [space.column(name) for name in split.factor_space.names]
            self._drawn_by_level[self._columns] = True
            for column, levels in zip(self._columns, split.indices(scene.partition).T, strict=True):
                self._levels[column] = np.unique(levels)
            self._ids = split.ids(scene.partition)
            chances = split.probabilities(scene.partition)
            self._chances = chances / chances.max()
        self.columns = [
            column
            for column, (factor, levels) in enumerate(zip(space, self._levels, strict=True))
            if factor.kind != "dynamics" and len(levels) > 1
        ]
        most = len(self.columns)
        if not most:
            raise ValueError(
                f"A pair has to differ in something, but none of the factors {list(space.names)} "
                "both varies and shows; let more factors vary, or use another partition."
            )
        is_count = isinstance(k, (int, np.integer)) and not isinstance(k, bool)
        if k != "random" and not (is_count and 1 <= int(k) <= most):
            raise ValueError(
                f'k, the number of factors that change, must be 1 to {most} or "random", got '
                f"{k!r}; those that vary and show are {[space.names[c] for c in self.columns]}."
            )

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw `n` pairs of rows of values, float32 [n, 2, K].

        Raises:
            ValueError: The part of the split seems to have no such pair.
        """
        pairs = np.empty((n, 2, len(self._scene.factor_space)), np.float32)
        left = np.arange(n)
        for _ in range(_MOST_SUBSETS):
            change = self._draw_subsets(len(left), rng)
            for _ in range(_MOST_DRAWS):
                first = self._scene.sample_factor_values(len(left), rng)
                second = np.where(change, self._draw_others(first, rng), first)
                fits = ((first != second) == change).all(axis=1)
                fits &= rng.random(len(left)) < self._acceptance(second)
                pairs[left[fits], 0], pairs[left[fits], 1] = first[fits], second[fits]
                left, change = left[~fits], change[~fits]
                if not len(left):
                    return pairs
        raise ValueError(
            f"Found no two combinations of part {self._scene.partition!r} of the split that "
            f"differ in k={self.k!r} factors and agree in all others; use another k, or another "
            "partition."
        )

    def _draw_subsets(self, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Draw which factors change, bool [n, K]."""
        most = len(self.columns)
        k = rng.integers(1, max(most, 2), n) if self.k == "random" else np.full(n, self.k)
        ranks = rng.random((n, most)).argsort(axis=1).argsort(axis=1)
        change = np.zeros((n, len(self._levels)), dtype=bool)
        change[:, self.columns] = ranks < k[:, None]
        return change

    def _draw_others(
        self, values: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw another level for each value that can change, uniformly; float32 [n, K]."""
        others = values.copy()
        for column in self.columns:
            factor, levels = self._scene.factor_space.factors[column], self._levels[column]
            place = np.searchsorted(levels, factor.index_of(values[:, column]))
            step = rng.integers(1, len(levels), len(values))
            others[:, column] = factor.numbers[levels[(place + step) % len(levels)]]
            if factor.low is not None and factor.high is not None:
                if self._drawn_by_level[column]:
                    continue
                width = (factor.high - factor.low) / factor.size
                others[:, column] += rng.uniform(-width / 2, width / 2, len(values))
                others[:, column] = others[:, column].clip(factor.low, factor.high)
        return others

    def _acceptance(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how probable rows are in the part, the likeliest taken as 1: float64 [n]."""
        space = self._scene.factor_space
        if self._scene.split is None:
            return np.ones(len(values))
        grid = space.reset
        flat = grid.to_flat(grid.indices(values[:, self._columns]))
        place = np.searchsorted(self._ids, flat).clip(max=len(self._ids) - 1)
        return np.where(self._ids[place] == flat, self._chances[place], 0.0)
