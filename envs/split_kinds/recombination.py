"""Known values in a combination that training never has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.split_choices import (
    Mask,
    Names,
    all_held,
    check_levels,
    choose_columns,
    disjoint_levels,
    pair_of,
    transfer,
    two_way,
)
from drl_latent.envs.split_registry import Cut, Ids, register_split


def _cells(
    space: FactorSpace, rng: np.random.Generator, factors: Names, levels: int, count: int
) -> list[Mask]:
    """Return `count` cells that share no level of any chosen factor."""
    levels = check_levels(levels)
    columns = choose_columns(space, factors, at_least=max(2, levels + 1, count * levels))
    if len(columns) < 2:
        raise ValueError(
            f"A combination needs two factors or more, and only {space.names[columns[0]]!r} was "
            "named or fits: without its cell, its values would not be seen at all."
        )
    drawn = {k: disjoint_levels(space.factors[k], rng, levels, count) for k in columns}
    return [all_held(space, {k: sets[i] for k, sets in drawn.items()}) for i in range(count)]


def _element_transfer(
    factor_space: FactorSpace, rng: np.random.Generator, *, factors: Names = None, levels: int = 1
) -> Cut:
    return transfer(*_cells(factor_space, rng, factors, levels, 2))


@register_split("recombination_to_element", covers_values=True, transfer=_element_transfer)
def recombination_to_element(
    factor_space: FactorSpace, rng: np.random.Generator, *, factors: Names = None, levels: int = 1
) -> Mapping[str, Ids]:
    """One small cell of the grid is held out: a combination of values that are all known.

    In a transfer split there are two cells that share no value: the encoder saw one (``ood1``),
    nobody the other (``ood2``). Montero et al. 2021, "The Role of Disentanglement in
    Generalisation", recombination-to-element.

    Args:
        factor_space: The factors to cut.
        rng: Source of randomness: where the cell lies.
        factors: Names of the factors, two or more, that the cell fixes; all with enough levels
            unless given. The fewer, the larger the cell: the other factors vary in it.
        levels: Width of the cell along each factor: neighbouring levels where there is an order.
    """
    return two_way(_cells(factor_space, rng, factors, levels, 1)[0])


def _range_strips(
    space: FactorSpace,
    rng: np.random.Generator,
    factors: Sequence[str] | None,
    levels: int | None,
    count: int,
) -> list[Mask]:
    """Return `count` strips: one value each of the first factor, the same range of the second."""
    if factors is None:
        ordered = choose_columns(space, None, at_least=2, ordered=True)
        second = max(ordered, key=lambda k: space.factors[k].size)
        others = [k for k in range(len(space)) if k != second and space.factors[k].size > count]
        if not others:
            raise ValueError(
                f"No factor beside {space.names[second]!r} has {count + 1} levels or more, so no "
                "value of it can be kept from a range. Let more factors vary."
            )
        first = min(others, key=lambda k: not space.factors[k].is_categorical)
    else:
        first, second = pair_of(space, factors)
        choose_columns(space, space.names[first], at_least=count + 1)
        choose_columns(space, space.names[second], at_least=2, ordered=True)
    size = space.factors[second].size
    width = size // 2 if levels is None else check_levels(levels)
    if width >= size:
        raise ValueError(
            f"A range of {width} levels leaves none of the {size} of {space.names[second]!r} "
            f"beside it; levels must be {size - 1} or less."
        )
    order = space.factors[second].order
    if space.factors[second].circular:
        order = np.roll(order, rng.integers(size))
    held_range = order[:width] if rng.random() < 0.5 else order[size - width :]
    values = rng.permutation(space.factors[first].size)[:count]
    return [all_held(space, {first: np.array([value]), second: held_range}) for value in values]


def _range_transfer(
    factor_space: FactorSpace,
    rng: np.random.Generator,
    *,
    factors: Sequence[str] | None = None,
    levels: int | None = None,
) -> Cut:
    return transfer(*_range_strips(factor_space, rng, factors, levels, 2))


@register_split("recombination_to_range", covers_values=True, transfer=_range_transfer)
def recombination_to_range(
    factor_space: FactorSpace,
    rng: np.random.Generator,
    *,
    factors: Sequence[str] | None = None,
    levels: int | None = None,
) -> Mapping[str, Ids]:
    """One value of one factor is never seen with a range of another.

    Training has the value with the rest of the range, and the range with the other values. In a
    transfer split two values of the first factor (of three or more) are kept from the same range:
    the encoder saw the one there (``ood1``), nobody the other (``ood2``). Montero et al. 2021,
    "The Role of Disentanglement in Generalisation", recombination-to-range.

    Args:
        factor_space: The factors to cut.
        rng: Source of randomness: which value, and which end of the range.
        factors: Names of the factor with the value and of the one with the range; unless given,
            the range is that of the numeric factor with most levels, and the value that of the
            first categorical factor, or else the first other one.
        levels: Number of levels in the range; half of them unless given.
    """
    return two_way(_range_strips(factor_space, rng, factors, levels, 1)[0])
