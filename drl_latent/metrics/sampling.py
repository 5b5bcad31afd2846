"""Groups of rows in which one factor keeps its value, for metrics defined by interventions.

Any object with the two attributes of a `Sampler` will do. The one here finds such rows in data;
`drl_latent.interventions.simulator_sampler` renders them.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import BINS, Inputs, IntArray

FEWEST_ROWS = 2
"""Rows that a value needs to be kept."""


class Sampler(Protocol):
    """Draws codes of rows in which one factor keeps its value and all others are drawn anew."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the factors that vary, each of which can be kept."""

    def fixed(self, column: int, groups: int, n: int, rng: np.random.Generator) -> FloatArray:
        """Return codes [groups, n, D].

        Args:
            column: Which of `names` keeps its value within each group; values of groups are
                independent draws.
            groups: Number of groups.
            n: Rows of each.
            rng: All draws come from it.
        """


class DataSampler:
    """Groups of rows of the data that have the same class of a factor, or the same bin.

    The grid of factors need not be complete. A value is as likely as it is in the data; one that
    only one row has is never chosen. The rows of a group are drawn without replacement; of a value
    that has fewer rows than a group, all come, in turn. The other factors are what they are in
    these rows: where factors are correlated, that is not an intervention.

    Args:
        inputs: Codes and factors.
        bins: Bins of each continuous factor.
    """

    def __init__(self, inputs: Inputs, bins: int = BINS) -> None:
        self._inputs, self._bins = inputs, bins
        self._found: dict[int, tuple[IntArray, IntArray, IntArray]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the factors that vary."""
        return tuple(self._inputs.names[k] for k in self._inputs.kept)

    def fixed(self, column: int, groups: int, n: int, rng: np.random.Generator) -> FloatArray:
        """Return codes [groups, n, D]; see `Sampler`.

        Raises:
            ValueError: No value of the factor has 2 rows.
        """
        if column not in self._found:
            self._found[column] = self._by_value(column)
        rows, starts, sizes = self._found[column]
        value = rng.choice(len(sizes), groups, p=sizes / sizes.sum())
        places = starts[value, None] + _distinct(sizes[value], n, rng)
        return self._inputs.codes[rows[places]]

    def _by_value(self, column: int) -> tuple[IntArray, IntArray, IntArray]:
        """Rows sorted by value, and where each value that has enough of them starts; how many."""
        labels = self._inputs.labels(self._inputs.kept[column], self._bins)
        sizes = np.bincount(labels)
        starts = np.cumsum(sizes) - sizes
        enough = sizes >= FEWEST_ROWS
        if not enough.any():
            raise ValueError(
                f"No value of {self.names[column]!r} has {FEWEST_ROWS} rows, the most frequent "
                f"{sizes.max()} of {len(labels)}; give more rows, fewer bins, or a sampler that "
                "renders them."
            )
        return np.argsort(labels, kind="stable"), starts[enough], sizes[enough]


def draw_fixed(
    sampler: Sampler, inputs: Inputs, k: int, groups: int, n: int, rng: np.random.Generator
) -> FloatArray:
    """Return the active codes, [groups, n, A], of groups that keep factor `k` of the inputs.

    Raises:
        ValueError: The sampler varies other factors than the inputs, or gives something else than
            codes like theirs.
    """
    known, varying = tuple(sampler.names), {inputs.names[j] for j in inputs.kept}
    if set(known) != varying:
        raise ValueError(
            f"The sampler varies {sorted(known)}, and the rows {sorted(varying)}; expected the "
            "same factors. Give the metric their names (names=...), make the sampler as the rows "
            "were made, and leave out factors that no image shows."
        )
    codes = np.asarray(sampler.fixed(known.index(inputs.names[k]), groups, n, rng), np.float64)
    expected = groups, n, len(inputs.active)
    if codes.shape != expected or not np.isfinite(codes).all():
        raise ValueError(
            f"The sampler gave codes of shape {codes.shape}; expected {expected}, finite: use the "
            "encoder that the codes come from."
        )
    return codes[:, :, inputs.active]


def _distinct(sizes: IntArray, n: int, rng: np.random.Generator) -> IntArray:
    """[G, n]: numbers below each of `sizes`, without repetition where there are n.

    Floyd's algorithm (Bentley & Floyd 1987, "A Sample of Brilliance"), all groups at once.
    """
    drawn = np.empty((len(sizes), n), dtype=np.int64)
    for i in range(n):
        top = np.maximum(sizes - n + i, 0)
        pick = rng.integers(top + 1)
        taken = (drawn[:, :i] == pick[:, None]).any(axis=1)
        drawn[:, i] = np.where(taken, top, pick)
    return np.where(sizes[:, None] < n, np.arange(n) % sizes[:, None], drawn)
