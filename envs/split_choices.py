"""Choosing factors and levels to hold out: what the kinds of split share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.factors import Factor
from drl_latent.envs.split_registry import Cut, Ids

Mask = NDArray[np.bool_]
Names = Sequence[str] | str | None


def check_share(name: str, value: float) -> None:
    """Refuse a share outside (0, 1)."""
    if not 0 < value < 1:
        raise ValueError(f"The share of {name!r} must lie in (0, 1), got {value}.")


def check_levels(levels: int) -> int:
    """Refuse a number of levels that is not a whole number of 1 or more."""
    if isinstance(levels, bool) or not isinstance(levels, (int, np.integer)) or levels < 1:
        raise ValueError(
            f"levels, how many levels a factor has held out, must be 1 or more, got {levels!r}."
        )
    return int(levels)


def choose_columns(
    space: FactorSpace,
    names: Sequence[str] | str | None,
    *,
    at_least: int,
    ordered: bool = False,
    ends: bool = False,
) -> list[int]:
    """Return the columns of the factors that a kind of split works on.

    Args:
        space: The factors.
        names: What the user asked for; None for all that fit.
        at_least: Levels that a factor needs.
        ordered: Whether its values need an order.
        ends: Whether that order needs a lowest and a highest value.

    Raises:
        ValueError: A factor that was asked for does not fit, or none does; the reason is given.
    """
    wanted = [names] if isinstance(names, str) else names
    columns = range(len(space)) if wanted is None else [space.column(name) for name in wanted]
    if len(set(columns)) < len(columns):
        raise ValueError(f"A factor is named twice in {names!r}.")
    reasons = {k: _misfit(space.factors[k], at_least, ordered, ends) for k in columns}
    fit = [k for k, reason in reasons.items() if reason is None]
    if (wanted is not None and len(fit) < len(reasons)) or not fit:
        told = "; ".join(
            f"{space.names[k]!r} {reason}" for k, reason in reasons.items() if reason is not None
        )
        raise ValueError(
            f"No factor can be held out in this way: {told or 'none was named'}. Choose other "
            "factors, hold out fewer levels, or give the factors more."
        )
    return fit


def _misfit(factor: Factor, at_least: int, ordered: bool, ends: bool) -> str | None:
    """Return why a factor does not fit, or None where it does."""
    if ordered and factor.is_categorical:
        return "is categorical, so its values have no order"
    if ends and factor.circular:
        return "is circular, so it has no end"
    if factor.size < at_least:
        return f"has {factor.size} levels where {at_least} are needed"
    return None


def gaps(factor: Factor, rng: np.random.Generator, levels: int, count: int) -> list[Ids]:
    """Draw `count` runs of `levels` neighbouring levels that lie inside the factor's range.

    Both ends of the order are kept out of the runs, so there is a seen value on either side. On a
    circle the ends are drawn too.
    """
    order = factor.order
    if factor.circular:
        order = np.roll(order, rng.integers(factor.size))
    slack = factor.size - 2 - count * levels
    offsets = np.sort(rng.integers(0, slack + 1, size=count))
    starts = 1 + offsets + levels * np.arange(count)
    return [order[start : start + levels] for start in rng.permutation(starts)]


def disjoint_levels(factor: Factor, rng: np.random.Generator, levels: int, count: int) -> list[Ids]:
    """Draw `count` disjoint sets of `levels` levels: neighbours where there is an order."""
    order = factor.order
    if factor.is_categorical or factor.circular:
        order = np.roll(order, rng.integers(factor.size))
    if factor.is_categorical:
        order = rng.permutation(order)
    slack = factor.size - count * levels
    offsets = np.sort(rng.integers(0, slack + 1, size=count))
    starts = offsets + levels * np.arange(count)
    return [order[start : start + levels] for start in rng.permutation(starts)]


def has_level(space: FactorSpace, held: Mapping[int, Ids]) -> NDArray[np.bool_]:
    """Say of each combination which of the held factors has one of its held levels.

    Args:
        space: The factors.
        held: Column to the indices of its held levels.

    Returns:
        bool [combinations, len(held)], in the order of flat ids.
    """
    grid = space.from_flat(np.arange(space.size))
    found = np.empty((space.size, len(held)), dtype=bool)
    for i, (k, levels) in enumerate(held.items()):
        is_held = np.zeros(space.factors[k].size, dtype=bool)
        is_held[levels] = True
        found[:, i] = is_held[grid[:, k]]
    return found


def any_held(space: FactorSpace, held: Mapping[int, Ids]) -> Mask:
    """Return which combinations, bool [combinations], have a held level of any factor."""
    return np.asarray(has_level(space, held).any(axis=1))


def all_held(space: FactorSpace, held: Mapping[int, Ids]) -> Mask:
    """Return which combinations, bool [combinations], have held levels of all the factors."""
    return np.asarray(has_level(space, held).all(axis=1))


def two_way(held: Mask) -> dict[str, Ids]:
    """Return train and test from which combinations are held out, bool [combinations]."""
    return {"train": np.flatnonzero(~held), "test": np.flatnonzero(held)}


def transfer(ood1: Mask, ood2: Mask) -> Cut:
    """Return the transfer split from two held-out sets; what is in both counts as ``ood2``."""
    return Cut(
        {
            "policy": np.flatnonzero(~ood1 & ~ood2),
            "ood1": np.flatnonzero(ood1 & ~ood2),
            "ood2": np.flatnonzero(ood2),
        },
        unions={"encoder": ("policy", "ood1")},
    )


def matches(space: FactorSpace, rule: Any, name: str) -> Mask:
    """Return which combinations, bool [combinations], a user's rule picks.

    Args:
        space: The factors.
        rule: A mapping of factor to the levels it may have (all named factors must), indices or
            values; or a function of one dict, factor to value, that returns a bool.
        name: Name of the setting, for messages.

    Raises:
        ValueError: It is neither, or names unknown factors or levels.
    """
    grid = space.from_flat(np.arange(space.size))
    if isinstance(rule, Mapping):
        picked = np.ones(len(grid), dtype=bool)
        for factor, levels in rule.items():
            allowed = space[factor].parse_indices(levels)
            picked &= np.isin(grid[:, space.column(factor)], allowed)
        return picked
    if not callable(rule):
        raise ValueError(
            f"{name} is a function of a combination (a dict of factor to value), or a mapping of "
            f"factor to the levels it may have, got {rule!r}."
        )
    levels_of = [f.levels for f in space]
    return np.array(
        [
            bool(rule({n: v[i] for n, v, i in zip(space.names, levels_of, row, strict=True)}))
            for row in grid.tolist()
        ]
    )


def pair_of(space: FactorSpace, names: Sequence[str]) -> tuple[int, int]:
    """Return the columns of two factors, in the order they were named."""
    if isinstance(names, str) or len(list(names)) != 2 or names[0] == names[1]:
        raise ValueError(f"factors must name two different factors, got {names!r}.")
    return space.column(names[0]), space.column(names[1])
