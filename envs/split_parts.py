"""One split: parts of a factor grid, what each covers, and how it is drawn from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.split_registry import Ids
from drl_latent.registry import UnknownNameError


@dataclass(frozen=True)
class Split:
    """A cut of a factor grid into parts.

    Args:
        kind: Name of the kind of split, as in `SPLITS`.
        factor_space: The factors that the split is over: no state factors.
        members: Flat ids of each elementary part; no id is in two of them.
        unions: Names for unions of elementary parts, e.g. ``encoder = policy + ood1``.
        seed: The seed it was drawn with.
        settings: The keyword arguments it was made with.
        weights: For a union that is not drawn from uniformly, the probability that a draw comes
            from each of its elementary parts. Two such unions may share all their combinations
            and differ in how often these occur.

    Raises:
        ValueError: Ids are out of range or in two elementary parts, or a union or its weights do
            not fit the members.
    """

    kind: str
    factor_space: FactorSpace
    members: Mapping[str, Ids]
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sort = {k: np.sort(np.asarray(v, dtype=np.int64)) for k, v in self.members.items()}
        object.__setattr__(self, "members", sort)
        ids = np.sort(np.concatenate([np.empty(0, np.int64), *sort.values()]))
        if ids.size and not (ids[0] >= 0 and ids[-1] < self.factor_space.size):
            raise ValueError(
                f"Split {self.kind!r} has ids from {ids[0]} to {ids[-1]}, but the factor space has "
                f"those from 0 to {self.factor_space.size - 1}."
            )
        if (ids[1:] == ids[:-1]).any():
            raise ValueError(
                f"Split {self.kind!r} has a combination in two of its elementary parts "
                f"{list(sort)}, or twice in one."
            )
        for part, names in self.unions.items():
            if part in sort or not names or not set(names) <= set(sort):
                raise ValueError(f"Part {part!r} is no union of {list(sort)}: {list(names)}.")
        for part, shares in self.weights.items():
            fits = part in self.unions and set(shares) == set(self.unions[part])
            if not fits or min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-9:
                raise ValueError(
                    f"The weights of part {part!r} must be one probability for each of its "
                    f"elementary parts, with sum 1, got {dict(shares)}."
                )

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of all parts, unions among them."""
        return (*self.members, *self.unions)

    def ids(self, part: str) -> Ids:
        """Return the sorted flat ids, int [n], of the combinations in `part`.

        Raises:
            UnknownNameError: There is no such part.
        """
        names = self._elements(part)
        return np.sort(np.concatenate([self.members[name] for name in names]))

    def indices(self, part: str) -> Ids:
        """Return the combinations of `part`, int [n, K], one column a factor of `factor_space`."""
        return self.factor_space.from_flat(self.ids(part))

    def probabilities(self, part: str) -> NDArray[np.float64]:
        """Return how probable each combination of ``ids(part)`` is, float64 [n] with sum 1."""
        ids = self.ids(part)
        if part not in self.weights:
            return np.full(len(ids), 1 / max(len(ids), 1))
        chances = np.empty(len(ids))
        for name in self._elements(part):
            members = self.members[name]
            chances[np.searchsorted(ids, members)] = self.weights[part][name] / len(members)
        return chances

    def sampler(self, part: str) -> PartSampler:
        """Return what draws from `part` again and again, as resets do."""
        chances = self.probabilities(part) if part in self.weights else None
        cumulative = None if chances is None else np.cumsum(chances)
        return PartSampler(self.factor_space, part, self.indices(part), cumulative)

    def sample(
        self,
        part: str,
        n: int,
        rng: np.random.Generator,
        fixed: Mapping[str, int] | None = None,
    ) -> Ids:
        """Draw `n` combinations of `part`, int [n, K], independently; see `PartSampler.draw`."""
        return self.sampler(part).draw(n, rng, fixed)

    def support(self, part: str) -> dict[str, Any]:
        """Prove what `part` covers.

        Returns:
            ``values``: the share of single values seen (1.0 means every one), ``pairs``: the share
            of pairs of values of two factors seen, ``missing``: the unseen values of each factor.
        """
        combos, space = self.indices(part), self.factor_space
        missing = {
            f.name: [f.levels[i] for i in range(f.size) if not (combos[:, k] == i).any()]
            for k, f in enumerate(space)
        }
        missing = {name: gone for name, gone in missing.items() if gone}
        total = int(space.cardinalities.sum())
        unseen = sum(len(gone) for gone in missing.values())
        tables = [table for _, _, table in self._pair_tables(part)]
        seen = sum(int(table.sum()) for table in tables)
        cells = sum(table.size for table in tables)
        return {
            "values": (total - unseen) / total,
            "pairs": seen / cells if cells else 1.0,
            "missing": missing,
        }

    def pairs(self, part: str) -> list[dict[str, Any]]:
        """List, for each two factors, which pairs of their values `part` has and lacks.

        Returns:
            One JSON-able row for each two factors: ``factors``, their names; ``seen``, how many
            pairs `part` has; ``of``, how many there are; ``unseen``, what it lacks, as
            ``[value of the first, [values of the second]]``.
        """
        rows = []
        for a, b, table in self._pair_tables(part):
            first, second = self.factor_space.factors[a], self.factor_space.factors[b]
            unseen = [
                [value, [second.levels[j] for j in np.flatnonzero(~seen)]]
                for value, seen in zip(first.levels, table, strict=True)
                if not seen.all()
            ]
            rows.append(
                {
                    "factors": [first.name, second.name],
                    "seen": int(table.sum()),
                    "of": table.size,
                    "unseen": unseen,
                }
            )
        return rows

    def _pair_tables(self, part: str) -> list[tuple[int, int, NDArray[np.bool_]]]:
        """Return, for each two columns, which pairs of levels occur: bool [levels, levels]."""
        combos, sizes = self.indices(part), self.factor_space.cardinalities
        tables = []
        for a in range(len(sizes)):
            for b in range(a + 1, len(sizes)):
                table = np.zeros((sizes[a], sizes[b]), dtype=bool)
                table[combos[:, a], combos[:, b]] = True
                tables.append((a, b, table))
        return tables

    def _elements(self, part: str) -> tuple[str, ...]:
        """Return the elementary parts that `part` can draw from."""
        if part in self.weights:
            return tuple(name for name, share in self.weights[part].items() if share > 0)
        if part in self.unions:
            return self.unions[part]
        if part not in self.members:
            raise UnknownNameError(f"part of split {self.kind!r}", part, self.parts)
        return (part,)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict that `from_dict` reads."""
        shown = {
            "kind": self.kind,
            "seed": self.seed,
            "settings": dict(self.settings),
            "factor_space": self.factor_space.to_dict(),
            "members": {name: ids.tolist() for name, ids in self.members.items()},
            "unions": {name: list(names) for name, names in self.unions.items()},
        }
        # Left out where there are none, so that what was saved before compares equal.
        weights = {part: dict(shares) for part, shares in self.weights.items()}
        return shown | {"weights": weights} if weights else shown

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Split:
        """Build a split from what `to_dict` gave."""
        return cls(
            kind=data["kind"],
            factor_space=FactorSpace.from_dict(data["factor_space"]),
            members={k: np.array(v, dtype=np.int64) for k, v in data["members"].items()},
            unions={k: tuple(v) for k, v in data["unions"].items()},
            seed=data["seed"],
            settings=dict(data["settings"]),
            weights={k: dict(v) for k, v in data.get("weights", {}).items()},
        )

    def save(self, path: str | Path) -> None:
        """Write the split as JSON."""
        Path(path).write_text(json.dumps(self.to_dict()) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Split:
        """Read a split that `save` wrote."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))

    def __repr__(self) -> str:
        counts = ", ".join(f"{part}: {len(self.ids(part))}" for part in self.parts)
        return f"Split({self.kind!r}, {len(self.factor_space)} factors, {counts})"


@dataclass(frozen=True)
class PartSampler:
    """Draws combinations from one part of a split.

    Args:
        factor_space: The factors of the split.
        part: Name of the part.
        indices: Its combinations, int [n, K].
        cumulative: Running sum of the probability of each, float64 [n]; None where all are equally
            probable.
    """

    factor_space: FactorSpace
    part: str
    indices: Ids
    cumulative: NDArray[np.float64] | None = None

    def draw(self, n: int, rng: np.random.Generator, fixed: Mapping[str, int] | None = None) -> Ids:
        """Draw `n` combinations, int [n, K], independently.

        Args:
            n: How many.
            rng: Source of randomness.
            fixed: Factor name to the index of its level: draw among the combinations that have
                these, each as probable as it is in the part given that.

        Raises:
            ValueError: The part has no such combination, or a name or an index is unknown.
        """
        rows = self._matching(fixed or {})
        if self.cumulative is None:
            picked = rng.integers(len(self.indices) if rows is None else len(rows), size=n)
        else:
            cumulative = self.cumulative
            if rows is not None:
                cumulative = np.cumsum(np.diff(cumulative, prepend=0.0)[rows])
            draws = rng.random(n) * cumulative[-1]
            picked = np.searchsorted(cumulative, draws, side="right")
            # A draw that rounds up to the total would lie one past the last.
            picked = np.minimum(picked, len(cumulative) - 1)
        return self.indices[picked if rows is None else rows[picked]]

    def _matching(self, fixed: Mapping[str, int]) -> Ids | None:
        """Return the rows that have the fixed levels; None for all, the usual case."""
        space = self.factor_space
        if fixed:
            match = np.ones(len(self.indices), dtype=bool)
            for name, index in fixed.items():
                space[name].level(index)
                match &= self.indices[:, space.column(name)] == index
            rows = np.flatnonzero(match)
            if len(rows):
                return rows
        elif len(self.indices):
            return None
        wanted = {name: space[name].level(index) for name, index in fixed.items()}
        raise ValueError(
            f"Part {self.part!r} of the split has no combination with {wanted}; "
            "ask for another level, or use another partition."
        )
