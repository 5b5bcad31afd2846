"""Splits: which factor combinations are seen by whom, exactly.

A split cuts the grid of the factors that are drawn at reset into named sets of combinations.
State factors move freely in every part: no policy could be kept from a position. The kinds of
split are in `split_kinds`, the object itself is in `split_parts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# Importing the kinds registers them.
from drl_latent.envs import split_kinds as _split_kinds  # noqa: F401
from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.split_parts import PartSampler, Split
from drl_latent.envs.split_registry import SPLITS, Cut, SplitKind, check_settings, register_split
from drl_latent.registry import UnknownNameError

__all__ = [
    "MAX_COMBINATIONS",
    "SPLITS",
    "Cut",
    "PartSampler",
    "Split",
    "SplitKind",
    "make_split",
    "make_transfer_split",
    "register_split",
    "resolve_split",
]

_TWO_WAY = ("train", "test")
_TRANSFER = ("encoder", "policy", "ood1", "ood2")
MAX_COMBINATIONS = 2_000_000
"""The largest grid that is listed combination by combination."""


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


def make_split(kind: str, factor_space: FactorSpace, *, seed: int = 0, **settings: Any) -> Split:
    """Cut the combinations of a factor space into ``"train"`` and ``"test"``.

    Args:
        kind: A name in `SPLITS`.
        factor_space: The space to cut; its state factors are left out.
        seed: Seed of the draw.
        settings: Keyword arguments of the kind of split.

    Raises:
        UnknownNameError: There is no such kind, or it has no such setting.
        ValueError: The request is impossible, a part would be empty, or the split does not keep
            what its kind promises.
    """
    return _make(kind, factor_space, seed, settings, transfer=False)


def make_transfer_split(
    kind: str, factor_space: FactorSpace, *, seed: int = 0, **settings: Any
) -> Split:
    """Cut the combinations into what the encoder, the policy and neither of them saw.

    Parts ``"policy"``, ``"ood1"`` (the encoder saw it, the policy did not) and ``"ood2"`` (neither
    did) are disjoint; ``"encoder"`` is the union of the first two. Traeuble et al. 2022, "The Role
    of Pretrained Representations for the OOD Generalization of Reinforcement Learning Agents",
    section 3. What the two held-out parts are depends on the kind: other combinations of seen
    values (``"random"``, ``"composition"``: settings ``ood1_share`` and ``ood2_share``, 0.25
    each), two gaps, two ends, two cells, two strips, two shifts a factor; see `split_kinds`.

    Args:
        kind: A name in `SPLITS`.
        factor_space: The space to cut; its state factors are left out.
        seed: Seed of the draw.
        settings: Keyword arguments of the kind of split.

    Raises:
        UnknownNameError: There is no such kind, or it has no such setting.
        ValueError: The kind has no such cut (the reason is given), the request is impossible, a
            part would be empty, or the split does not keep what its kind promises.
    """
    return _make(kind, factor_space, seed, settings, transfer=True)


def _make(
    kind: str, factor_space: FactorSpace, seed: int, settings: Mapping[str, Any], *, transfer: bool
) -> Split:
    entry, space = SPLITS[kind], _grid(factor_space)
    maker = entry.maker(transfer)
    settings = check_settings(kind, maker, settings)
    cut = maker(space, np.random.default_rng(seed), **settings)
    if not isinstance(cut, Cut):
        cut = Cut(cut)
    split = Split(
        kind,
        space,
        cut.members,
        unions=cut.unions,
        seed=seed,
        settings={name: _storable(value) for name, value in settings.items()},
        weights=cut.weights,
    )
    for name in split.parts:
        if not len(split.ids(name)):
            raise ValueError(f"Split {kind!r} leaves part {name!r} without any combination.")
    _check_promises(split, entry, transfer)
    return split


def _check_promises(split: Split, entry: SplitKind, transfer: bool) -> None:
    """Refuse a split that is not what its kind promises, which is an error of its maker."""
    seen, held = ("encoder", "ood2") if transfer else ("train", "test")
    is_seen, is_held = (np.zeros(split.factor_space.size, dtype=bool) for _ in range(2))
    is_seen[split.ids(seen)] = True
    is_held[split.ids(held)] = True
    trained = split.indices("policy" if transfer else "train")
    kept = {
        "disjoint": not (is_seen & is_held).any(),
        "complete": (is_seen | is_held).all(),
        "covers_values": all(
            np.bincount(trained[:, k], minlength=f.size).all()
            for k, f in enumerate(split.factor_space)
        ),
    }
    broken = [name for name, is_kept in kept.items() if getattr(entry, name) and not is_kept]
    if broken:
        raise ValueError(
            f"Split {split.kind!r} promises {broken}, and its maker does not keep that for "
            f"settings {dict(split.settings)}."
        )


def _storable(value: Any) -> Any:
    """Return a setting as JSON can hold it: a function only as its name."""
    if isinstance(value, Mapping):
        return {str(k): _storable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_storable(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if callable(value):
        return f"function {getattr(value, '__qualname__', type(value).__qualname__)}"
    return value


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
        # "test/object_hue" is a part of a part.
        top = partition.split("/")[0]
        if top not in (*_TWO_WAY, *_TRANSFER):
            raise UnknownNameError("partition", partition, (*_TWO_WAY, *_TRANSFER))
        make = make_split if top in _TWO_WAY else make_transfer_split
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
