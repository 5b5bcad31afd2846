"""Factors of variation together: all combinations of their levels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drl_latent.envs.factors import Factor
from drl_latent.registry import UnknownNameError


@dataclass(frozen=True)
class FactorSpace:
    """An ordered set of factors, and the grid of all combinations of their levels.

    Combinations are int arrays [N, K] of level indices, one column a factor, or flat ids
    (row-major over the grid). Values are float32 arrays [N, K], where a categorical value
    stands as its index.

    Raises:
        ValueError: Two factors share a name.
    """

    factors: tuple[Factor, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(self.factors))
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"Factor names must be distinct, got {list(self.names)}.")

    @property
    def names(self) -> tuple[str, ...]:
        """The factors' names, in column order."""
        return tuple(factor.name for factor in self.factors)

    @property
    def cardinalities(self) -> NDArray[np.int64]:
        """Number of levels of each factor, int [K]."""
        return np.array([factor.size for factor in self.factors], dtype=np.int64)

    @property
    def size(self) -> int:
        """Number of combinations; an exact int, however large the grid."""
        product = 1
        for factor in self.factors:
            product *= factor.size
        return product

    @property
    def reset(self) -> FactorSpace:
        """The factors that are drawn at reset: all but the state factors."""
        return FactorSpace(tuple(f for f in self.factors if f.kind != "state"))

    @property
    def state(self) -> FactorSpace:
        """The factors that change as an episode runs."""
        return FactorSpace(tuple(f for f in self.factors if f.kind == "state"))

    @property
    def defaults(self) -> NDArray[np.int64]:
        """Index of each factor's default level, int [K]."""
        return np.array([factor.default for factor in self.factors], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.factors)

    def __iter__(self) -> Iterator[Factor]:
        return iter(self.factors)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Factor:
        return self.factors[self.column(name)]

    def __repr__(self) -> str:
        rows = ""
        for f in self.factors:
            default = f.levels[f.default]
            shown = default if isinstance(default, str) else f"{default:g}"
            turns = "; circular" if f.circular else ""
            rows += f"\n  {f.name} ({f.kind}): {f.describe()}; default {shown}{turns}"
        return f"FactorSpace of {len(self)} factors, {self.size:,} combinations:{rows}"

    def column(self, name: str) -> int:
        """Return the column of the factor called `name`.

        Raises:
            UnknownNameError: There is none; the nearest name is suggested.
        """
        if name not in self.names:
            raise UnknownNameError("factor", name, self.names)
        return self.names.index(name)

    def select(self, names: Iterable[str]) -> FactorSpace:
        """Return the space of the named factors only, in this space's order."""
        wanted = {self.column(name) for name in names}
        return FactorSpace(tuple(f for i, f in enumerate(self.factors) if i in wanted))

    def restrict(self, levels: Mapping[str, Any]) -> FactorSpace:
        """Return this space with fewer levels of some factors.

        Args:
            levels: Factor name to the levels that are kept, indices or values: ``{"hue": [0, 2]}``.

        Raises:
            ValueError: A name or a level is unknown (the nearest, or the valid ones, are given),
                a level is named twice, or none is.
        """
        return self._replace({name: self[name].restrict(kept) for name, kept in levels.items()})

    def hold(self, values: Mapping[str, Any]) -> FactorSpace:
        """Return this space with some factors held at one value: ``{"light": 1}``.

        The factors stay, as columns that never change.

        Args:
            values: Factor name to the index of a level, or to a value.

        Raises:
            ValueError: A name or a value is unknown; the nearest, or the valid ones, are given.
        """
        return self._replace({name: self[name].hold(value) for name, value in values.items()})

    def _replace(self, changed: Mapping[str, Factor]) -> FactorSpace:
        return FactorSpace(tuple(changed.get(f.name, f) for f in self.factors))

    def check(self, indices: ArrayLike) -> NDArray[np.int64]:
        """Return `indices` as an int64 array [N, K] after checking it.

        Raises:
            ValueError: It is not an int array [N, K], or an index is out of its factor's levels.
        """
        array = np.asarray(indices)
        if array.ndim == 1 and array.shape[0] == len(self) and len(self) > 0:
            array = array[None]
        if array.ndim != 2 or array.shape[1] != len(self) or array.dtype.kind not in "iu":
            raise ValueError(
                f"Expected int level indices of shape [N, {len(self)}], one column for each of "
                f"{list(self.names)}, got {array.dtype} {list(array.shape)}."
            )
        outside = (array < 0) | (array >= self.cardinalities)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            self.factors[column].level(int(array[row, column]))
        return array.astype(np.int64)

    def to_flat(self, indices: ArrayLike) -> NDArray[np.int64]:
        """Return the flat ids, int [N], of combinations [N, K]."""
        array = self.check(indices)
        self._check_countable()
        return np.ravel_multi_index(tuple(array.T), tuple(self.cardinalities)).astype(np.int64)

    def from_flat(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return the combinations, int [N, K], of flat ids [N].

        Raises:
            ValueError: An id is not a whole number, or out of range.
        """
        array = np.atleast_1d(np.asarray(ids))
        if array.size and array.dtype.kind not in "iu":
            raise ValueError(f"Flat ids are whole numbers, got {array.dtype}.")
        self._check_countable()
        array = array.astype(np.int64)
        if array.size and (array.min() < 0 or array.max() >= self.size):
            raise ValueError(f"Flat ids run from 0 to {self.size - 1}, got {array.tolist()[:8]}.")
        return np.stack(np.unravel_index(array, tuple(self.cardinalities)), axis=1)

    def _check_countable(self) -> None:
        if self.size > np.iinfo(np.int64).max:
            raise ValueError(
                f"{self.size:,} combinations are too many to number with 64 bits; use arrays of "
                "level indices, or fewer factors (select)."
            )

    def values(self, indices: ArrayLike) -> NDArray[np.float32]:
        """Return the values, float32 [N, K], of combinations [N, K]."""
        array = self.check(indices)
        columns = [f.numbers[array[:, k]] for k, f in enumerate(self.factors)]
        return np.stack(columns, axis=1) if columns else np.empty((len(array), 0), np.float32)

    def indices(self, values: ArrayLike) -> NDArray[np.int64]:
        """Return the nearest combinations, int [N, K], to values [N, K].

        Raises:
            ValueError: The shape is wrong.
        """
        array = np.atleast_2d(np.asarray(values, dtype=np.float64))
        if array.ndim != 2 or array.shape[1] != len(self):
            raise ValueError(
                f"Expected values of shape [N, {len(self)}], one column for each of "
                f"{list(self.names)}, got {list(np.shape(values))}."
            )
        columns = [f.index_of(array[:, k]) for k, f in enumerate(self.factors)]
        return np.stack(columns, axis=1) if columns else np.empty((len(array), 0), np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw `n` combinations, int [n, K], uniformly and independently."""
        return rng.integers(0, self.cardinalities, size=(n, len(self)))

    def sample_values(self, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw `n` rows of values, float32 [n, K]: lists by level, ranges continuously."""
        values = self.values(self.sample(n, rng))
        for k, factor in enumerate(self.factors):
            if factor.low is not None and factor.high is not None:
                values[:, k] = rng.uniform(factor.low, factor.high, size=n)
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict that `from_dict` reads."""
        return {"factors": [factor.to_dict() for factor in self.factors]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Sequence[Mapping[str, Any]]]) -> FactorSpace:
        """Build a space from what `to_dict` gave."""
        return cls(tuple(Factor.from_dict(factor) for factor in data["factors"]))
