"""Splits: which factor combinations are seen by whom, exactly.

A split cuts the grid of the factors that are drawn at reset into named, disjoint sets of
combinations. State factors move freely in every part: no policy could be kept from a position.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.factors import FactorSpace
from drl_latent.registry import Registry, UnknownNameError

Ids = NDArray[np.int64]
SplitMaker = Callable[..., Mapping[str, Ids]]

SPLITS: Registry[SplitMaker] = Registry("split")
"""Kinds of two-way split: a function of (factor_space, rng, **settings) to parts of flat ids."""

_TWO_WAY = ("train", "test")
_TRANSFER = ("encoder", "policy", "ood1", "ood2")
MAX_COMBINATIONS = 2_000_000


@dataclass(frozen=True)
class Split:
    """A cut of a factor grid into parts.

    Args:
        kind: Name of the kind of split, as in `SPLITS`.
        factor_space: The factors that the split is over: no state factors.
        members: Sorted flat ids of each elementary part; parts are disjoint.
        unions: Names for unions of elementary parts, e.g. ``encoder = policy + ood1``.
        seed: The seed it was drawn with.
        settings: The keyword arguments it was made with.
    """

    kind: str
    factor_space: FactorSpace
    members: Mapping[str, Ids]
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of all parts, unions among them."""
        return (*self.members, *self.unions)

    def ids(self, part: str) -> Ids:
        """Return the sorted flat ids, int [n], of the combinations in `part`.

        Raises:
            UnknownNameError: There is no such part.
        """
        if part in self.unions:
            return np.sort(np.concatenate([self.members[name] for name in self.unions[part]]))
        if part not in self.members:
            raise UnknownNameError(f"part of split {self.kind!r}", part, self.parts)
        return self.members[part]

    def indices(self, part: str) -> Ids:
        """Return the combinations of `part`, int [n, K], one column a factor of `factor_space`."""
        return self.factor_space.from_flat(self.ids(part))

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
        pairs = [(a, b) for a in range(len(space)) for b in range(a + 1, len(space))]
        seen = sum(len(np.unique(combos[:, [a, b]], axis=0)) for a, b in pairs)
        cells = sum(int(space.cardinalities[a] * space.cardinalities[b]) for a, b in pairs)
        return {
            "values": (total - unseen) / total,
            "pairs": seen / cells if cells else 1.0,
            "missing": missing,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict that `from_dict` reads."""
        return {
            "kind": self.kind,
            "seed": self.seed,
            "settings": dict(self.settings),
            "factor_space": self.factor_space.to_dict(),
            "members": {name: ids.tolist() for name, ids in self.members.items()},
            "unions": {name: list(names) for name, names in self.unions.items()},
        }

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


def _grid(factor_space: FactorSpace) -> FactorSpace:
    """Return the part of the space that a split can cut, after checking that it can."""
    space = factor_space.reset
    if not len(space) or space.size < 2:
        raise ValueError(
            "A split needs at least two combinations of factors drawn at reset; this space has "
            f"{space.size if len(space) else 0} ({list(factor_space.names)})."
        )
    if space.size > MAX_COMBINATIONS:
        raise ValueError(
            f"{space.size:,} combinations are more than a split lists ({MAX_COMBINATIONS:,}); "
            "let fewer factors vary (factor_space.select([...])), or give them fewer levels."
        )
    return space


def _cover(space: FactorSpace, rng: np.random.Generator) -> Ids:
    """Draw the fewest combinations that between them have every value of every factor."""
    rows = int(space.cardinalities.max())
    columns = [rng.permutation(np.resize(rng.permutation(f.size), rows)) for f in space]
    return np.unique(space.to_flat(np.stack(columns, axis=1)))


def _cut(space: FactorSpace, rng: np.random.Generator, shares: Mapping[str, float]) -> dict:
    """Deal combinations out at random: the first part covers every value, the others get shares.

    The first name of `shares` takes what the others leave.
    """
    first, *others = shares
    for name in others:
        if not 0 < shares[name] < 1:
            raise ValueError(f"The share of {name!r} must lie in (0, 1), got {shares[name]}.")
    cover = _cover(space, rng)
    rest = rng.permutation(np.setdiff1d(np.arange(space.size), cover))
    counts = {name: max(1, round(shares[name] * space.size)) for name in others}
    if sum(counts.values()) > len(rest):
        raise ValueError(
            f"Cannot hold out {counts} of {space.size} combinations: {len(cover)} are needed for "
            f"{first!r} to have every value, which leaves {len(rest)}. Hold out a smaller share, "
            "or let more factors vary."
        )
    parts, start = {}, 0
    for name, count in counts.items():
        parts[name] = np.sort(rest[start : start + count])
        start += count
    return {first: np.sort(np.concatenate([cover, rest[start:]])), **parts}


@SPLITS.register("composition")
def composition(
    factor_space: FactorSpace, rng: np.random.Generator, *, test_share: float = 0.25
) -> Mapping[str, Ids]:
    """Every single value is seen in training, some combinations are not.

    Schott et al. 2022, "Visual Representation Learning Does Not Generalize Strongly Within the
    Same Domain", section 3.

    Args:
        factor_space: The factors to cut.
        rng: Source of randomness.
        test_share: Share of all combinations that is held out, in (0, 1).
    """
    return _cut(factor_space, rng, {"train": 1 - test_share, "test": test_share})


def make_split(kind: str, factor_space: FactorSpace, *, seed: int = 0, **settings: Any) -> Split:
    """Cut the combinations of a factor space into ``"train"`` and ``"test"``.

    Args:
        kind: A name in `SPLITS`.
        factor_space: The space to cut; its state factors are left out.
        seed: Seed of the draw.
        settings: Keyword arguments of the kind of split.

    Raises:
        UnknownNameError: There is no such kind.
        ValueError: The request is impossible or a part would be empty.
    """
    maker, space = SPLITS[kind], _grid(factor_space)
    members = maker(space, np.random.default_rng(seed), **settings)
    return Split(kind, space, _checked(kind, members), seed=seed, settings=settings)


def make_transfer_split(
    kind: str,
    factor_space: FactorSpace,
    *,
    seed: int = 0,
    ood1_share: float = 0.25,
    ood2_share: float = 0.25,
) -> Split:
    """Cut the combinations into what the encoder, the policy and neither of them saw.

    Parts ``"policy"``, ``"ood1"`` (the encoder saw it, the policy did not) and ``"ood2"`` (neither
    did) are disjoint; ``"encoder"`` is the union of the first two. Encoder and policy each see
    every single value. Traeuble et al. 2022, "The Role of Pretrained Representations for the OOD
    Generalization of Reinforcement Learning Agents", section 3.

    Args:
        kind: ``"composition"``.
        factor_space: The space to cut; its state factors are left out.
        seed: Seed of the draw.
        ood1_share: Share of all combinations that only the encoder sees, in (0, 1).
        ood2_share: Share of all combinations that is held out from both, in (0, 1).

    Raises:
        UnknownNameError: There is no such kind.
        ValueError: The request is impossible or a part would be empty.
    """
    if kind != "composition":
        raise UnknownNameError("transfer split", kind, ["composition"])
    space = _grid(factor_space)
    shares = {"policy": 1 - ood1_share - ood2_share, "ood1": ood1_share, "ood2": ood2_share}
    members = _cut(space, np.random.default_rng(seed), shares)
    return Split(
        kind,
        space,
        _checked(kind, members),
        unions={"encoder": ("policy", "ood1")},
        seed=seed,
        settings={"ood1_share": ood1_share, "ood2_share": ood2_share},
    )


def resolve_split(
    split: Split | Mapping[str, Any] | str, partition: str, factor_space: FactorSpace, seed: int = 0
) -> Split:
    """Return the split that an environment was asked for.

    Args:
        split: A split, its dict, or the name of a kind, which is then drawn with `seed`.
        partition: The part wanted; it decides whether a name means a two-way or a transfer split.
        factor_space: The factors of the environment that vary.
        seed: Seed of a split given by name.

    Raises:
        ValueError: The split is over other factors than the environment's, or has no such part.
    """
    if isinstance(split, str):
        if partition not in (*_TWO_WAY, *_TRANSFER):
            raise UnknownNameError("partition", partition, (*_TWO_WAY, *_TRANSFER))
        make = make_split if partition in _TWO_WAY else make_transfer_split
        split = make(split, factor_space, seed=seed)
    elif isinstance(split, Mapping):
        split = Split.from_dict(split)
    if split.factor_space != factor_space.reset:
        raise ValueError(
            f"The split is over {list(split.factor_space.names)} but the environment varies "
            f"{list(factor_space.reset.names)}, or their levels differ; make the split from "
            "env.unwrapped.factor_space."
        )
    if not len(split.ids(partition)):
        raise ValueError(f"Part {partition!r} of the split has no combinations.")
    return split


def _checked(kind: str, members: Mapping[str, Ids]) -> dict[str, Ids]:
    """Refuse empty parts, which no environment could draw from."""
    for name, ids in members.items():
        if not len(ids):
            raise ValueError(f"Split {kind!r} leaves part {name!r} without any combination.")
    return dict(members)
