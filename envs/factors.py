"""A factor of variation: what can change in a scene, over which values, and who changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drl_latent.registry import UnknownNameError

Kind = Literal["appearance", "geometry", "viewpoint", "dynamics", "state"]
Value = float | str


@dataclass(frozen=True)
class Factor:
    """One factor of variation.

    Give either `values`, a discrete list, or `low`, `high` and `bins`, a continuous range that
    is cut into equal bins whose centres are its levels. A factor of kind ``"state"`` (where the
    robot and the objects are) changes as an episode runs; every other kind is drawn at reset.

    Args:
        name: Identifier, e.g. ``"object_hue"``.
        kind: ``"appearance"``, ``"geometry"``, ``"viewpoint"``, ``"dynamics"`` or ``"state"``.
        values: The levels of a discrete factor: distinct numbers, or distinct strings.
        low: Lower bound of a range, inclusive.
        high: Upper bound of a range.
        bins: Number of equal bins of a range, at least 1.
        default: Index of the level that the factor has where nothing else is asked for; the
            first value of a list and the middle bin of a range unless given.
        circular: Whether the values lie on a circle, as a hue or an angle does: the highest is
            next to the lowest, and there is no end. A circular range has period ``high - low``.

    Raises:
        ValueError: The levels are not given in one of the two ways, are not distinct, or are
            strings on a circle.
    """

    name: str
    kind: Kind
    values: tuple[Value, ...] | None = None
    low: float | None = None
    high: float | None = None
    bins: int | None = None
    default: int = -1
    circular: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UnknownNameError("factor kind", self.kind, get_args(Kind))
        bounds = (self.low, self.high, self.bins)
        if self.values is not None:
            if any(part is not None for part in bounds):
                raise ValueError(f"Factor {self.name!r}: give values, or low, high and bins.")
            object.__setattr__(self, "values", tuple(self.values))
            if not self.values or len(set(self.values)) != len(self.values):
                raise ValueError(
                    f"Factor {self.name!r}: values must be one or more distinct levels, "
                    f"got {self.values!r}."
                )
            if len({isinstance(value, str) for value in self.values}) > 1:
                raise ValueError(f"Factor {self.name!r}: values mix numbers and strings.")
        elif self.low is None or self.high is None or self.bins is None:
            raise ValueError(f"Factor {self.name!r}: give values, or low, high and bins.")
        elif not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise ValueError(
                f"Factor {self.name!r}: low must be below high, got {self.low} and {self.high}."
            )
        elif self.bins < 1:
            raise ValueError(f"Factor {self.name!r}: bins must be 1 or more, got {self.bins}.")
        if self.circular and self.is_categorical:
            raise ValueError(f"Factor {self.name!r}: strings have no order, so no circle either.")
        if self.default == -1:
            object.__setattr__(self, "default", self._usual_default)
        self.level(self.default)

    def __repr__(self) -> str:
        shown = {k: v for k, v in self.to_dict().items() if k not in ("name", "kind")}
        if self.default == self._usual_default:
            shown.pop("default")
        if self.values is not None:
            shown["values"] = self.values
        settings = "".join(f", {name}={value!r}" for name, value in shown.items())
        return f"Factor({self.name!r}, {self.kind!r}{settings})"

    @property
    def _usual_default(self) -> int:
        return 0 if self.values is not None else self.size // 2

    @property
    def is_range(self) -> bool:
        """Whether the factor is a continuous range rather than a list."""
        return self.values is None

    @property
    def is_categorical(self) -> bool:
        """Whether the values are strings, which have no order."""
        return self.values is not None and isinstance(self.values[0], str)

    @property
    def levels(self) -> tuple[Value, ...]:
        """The values that an index can name: the list, or the centres of the bins."""
        if self.values is not None:
            return self.values
        assert self.low is not None
        assert self.high is not None
        assert self.bins is not None
        width = (self.high - self.low) / self.bins
        return tuple(float(self.low + (i + 0.5) * width) for i in range(self.bins))

    @property
    def size(self) -> int:
        """Number of levels."""
        return len(self.values) if self.values is not None else int(self.bins or 0)

    @property
    def numbers(self) -> NDArray[np.float32]:
        """The levels as numbers, float32 [size]; a string stands as its index."""
        if self.is_categorical:
            return np.arange(self.size, dtype=np.float32)
        return np.asarray(self.levels, dtype=np.float32)

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the range; the lowest and the highest number of a list."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        return float(self.numbers.min()), float(self.numbers.max())

    @property
    def order(self) -> NDArray[np.int64]:
        """Indices of the levels from the lowest value to the highest, int [size]."""
        return np.argsort(self.numbers, kind="stable")

    def level(self, index: int) -> Value:
        """Return the value at `index`.

        Raises:
            ValueError: `index` is not in ``[0, size)``.
        """
        if not 0 <= index < self.size:
            raise ValueError(
                f"Factor {self.name!r} has no level {index}: give an index from 0 to "
                f"{self.size - 1} ({self.describe()})."
            )
        return self.levels[index]

    def parse(self, given: Any) -> Value:
        """Turn what a user gave into a value of this factor.

        An int is the index of a level; a float is a value; a string is a categorical value.

        Raises:
            ValueError: It is not one of the values, or lies outside the range.
        """
        if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
            return self.level(int(given))
        if isinstance(given, (float, np.floating)) and self.is_range:
            assert self.low is not None
            assert self.high is not None
            if self.low <= given <= self.high:
                return float(given)
        elif isinstance(given, str) and given in self.levels:
            return given
        elif isinstance(given, (float, np.floating)) and not isinstance(self.levels[0], str):
            close = np.flatnonzero(np.isclose(self.numbers, given, rtol=1e-5, atol=1e-6))
            if close.size:
                return self.levels[int(close[0])]
        if isinstance(given, str):
            raise UnknownNameError(
                f"value of factor {self.name!r}", given, [str(v) for v in self.levels]
            )
        raise ValueError(
            f"Factor {self.name!r} cannot take {given!r}: give an int, the index of a level "
            f"(0 to {self.size - 1}), or a value: {self.describe()}."
        )

    def number(self, value: Value) -> float:
        """Return `value` as the number that arrays of factors hold."""
        return float(self.levels.index(value)) if isinstance(value, str) else float(value)

    def index_of(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """Return the index of the level nearest to each of `numbers` (any shape).

        A number outside the range gives the level at its end, or on a circular range that of the
        number some turns away.
        """
        array = np.asarray(numbers, dtype=np.float64)
        if self.circular and self.low is not None and self.high is not None:
            array = self.low + np.mod(array - self.low, self.high - self.low)
        return np.abs(array[..., None] - self.numbers).argmin(axis=-1)

    def parse_index(self, given: Any) -> int:
        """Return the index of the level that a user named, as `parse` reads it.

        Raises:
            ValueError: It is not one of the values, or lies outside the range.
        """
        return int(self.index_of(self.number(self.parse(given))))

    def parse_indices(self, given: Any) -> NDArray[np.int64]:
        """Return the sorted indices, int [n], of the levels that a user named: one, or a list.

        Raises:
            ValueError: There is none, one is unknown, or one is named twice.
        """
        many = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str)
        found = [self.parse_index(one) for one in (given if many else [given])]
        if not found or len(set(found)) < len(found):
            raise ValueError(
                f"Factor {self.name!r}: name one or more levels, each once, got {given!r}; there "
                f"are {self.describe()}."
            )
        return np.sort(np.array(found, dtype=np.int64))

    def restrict(self, given: Any) -> Factor:
        """Return this factor with only the levels that are named (indices or values, or one).

        Neighbouring bins of a range stay a range; other choices of bins become the list of their
        centres. The default stays where it is kept, else it becomes the first level that is.

        Raises:
            ValueError: There is none, one is unknown, or one is named twice.
        """
        kept = self.parse_indices(given)
        default = int(np.flatnonzero(kept == self.default)[0]) if self.default in kept else 0
        if self.low is None or self.high is None or len(kept) <= kept[-1] - kept[0]:
            values = tuple(self.levels[i] for i in kept)
            return Factor(
                self.name, self.kind, values=values, default=default, circular=self.circular
            )
        # The bounds themselves at the ends: arithmetic could miss them by a rounding error.
        width = (self.high - self.low) / self.size
        last = int(kept[-1]) + 1
        return Factor(
            self.name,
            self.kind,
            low=self.low + int(kept[0]) * width if kept[0] else self.low,
            high=self.low + last * width if last < self.size else self.high,
            bins=len(kept),
            default=default,
            circular=self.circular and len(kept) == self.size,
        )

    def hold(self, given: Any) -> Factor:
        """Return this factor with one value only: a level's index, or any value it can take.

        Raises:
            ValueError: It is not one of the values, or lies outside the range.
        """
        return Factor(self.name, self.kind, values=(self.parse(given),), circular=self.circular)

    def describe(self) -> str:
        """Say in a few words which values there are."""
        if self.values is not None:
            return ", ".join(v if isinstance(v, str) else f"{v:g}" for v in self.values)
        return f"{self.low:g} to {self.high:g} in {self.bins} bins"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict that `from_dict` reads."""
        shown: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.values is not None:
            shown["values"] = list(self.values)
        else:
            shown |= {"low": self.low, "high": self.high, "bins": self.bins}
        shown["default"] = self.default
        # Left out where it is false, so that what was saved before it existed compares equal.
        return shown | {"circular": True} if self.circular else shown

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Factor:
        """Build a factor from what `to_dict` gave."""
        values = data.get("values")
        return cls(**{**data, "values": None if values is None else tuple(values)})
