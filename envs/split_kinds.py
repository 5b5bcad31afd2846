"""The kinds of split: each is one function that is registered with what it promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drl_latent.envs.factors import FactorSpace
from drl_latent.envs.split_choices import (
    Mask,
    all_held,
    any_held,
    check_levels,
    check_share,
    choose_columns,
    disjoint_levels,
    gaps,
    has_level,
    matches,
    transfer,
    two_way,
)
from drl_latent.envs.split_registry import Cut, Ids, register_split
from drl_latent.registry import UnknownNameError

Names = Sequence[str] | str | None
_ENCODER = {"encoder": ("policy", "ood1")}

# --- Combinations dealt out at random -----------------------------------------------------------


def _cover(space: FactorSpace, rng: np.random.Generator) -> Ids:
    """Draw the fewest combinations that between them have every value of every factor."""
    rows = int(space.cardinalities.max())
    columns = [rng.permutation(np.resize(rng.permutation(f.size), rows)) for f in space]
    return np.unique(space.to_flat(np.stack(columns, axis=1)))


def _deal(
    space: FactorSpace, rng: np.random.Generator, shares: Mapping[str, float], *, cover: bool
) -> dict[str, Ids]:
    """Deal combinations out at random; the first name of `shares` takes what the others leave.

    With `cover`, the first part has every single value.
    """
    first, *others = shares
    for name in others:
        check_share(name, shares[name])
    kept = _cover(space, rng) if cover else np.empty(0, dtype=np.int64)
    rest = rng.permutation(np.setdiff1d(np.arange(space.size), kept))
    counts = {name: max(1, round(shares[name] * space.size)) for name in others}
    if sum(counts.values()) > len(rest) - (not cover):
        why = f"{len(kept)} are needed for {first!r} to have every value, which leaves {len(rest)}"
        raise ValueError(
            f"Cannot hold out {counts} of {space.size} combinations: "
            f"{why if cover else f'none would be left for {first!r}'}. Hold out a smaller share, "
            "or let more factors vary."
        )
    parts, start = {}, 0
    for name, count in counts.items():
        parts[name] = np.sort(rest[start : start + count])
        start += count
    return {first: np.sort(np.concatenate([kept, rest[start:]])), **parts}


def _deal_transfer(
    space: FactorSpace, rng: np.random.Generator, ood1: float, ood2: float, *, cover: bool
) -> Cut:
    shares = {"policy": 1 - ood1 - ood2, "ood1": ood1, "ood2": ood2}
    return Cut(_deal(space, rng, shares, cover=cover), unions=_ENCODER)


def _random_transfer(
    factor_space: FactorSpace,
    rng: np.random.Generator,
    *,
    ood1_share: float = 0.25,
    ood2_share: float = 0.25,
) -> Cut:
    return _deal_transfer(factor_space, rng, ood1_share, ood2_share, cover=False)


@register_split("random", transfer=_random_transfer)
def random(
    factor_space: FactorSpace, rng: np.random.Generator, *, test_share: float = 0.25
) -> Mapping[str, Ids]:
    """Combinations are dealt out at random; a small training part may miss a value.

    The easiest kind: held-out combinations lie among seen ones. Schott et al. 2022, "Visual
    Representation Learning Does Not Generalize Strongly Within the Same Domain", figure 1.

    Args:
        factor_space: The factors to cut.
        rng: Source of randomness.
        test_share: Share of all combinations that is held out, in (0, 1).
    """
    return _deal(factor_space, rng, {"train": 1 - test_share, "test": test_share}, cover=False)


def _composition_transfer(
    factor_space: FactorSpace,
    rng: np.random.Generator,
    *,
    ood1_share: float = 0.25,
    ood2_share: float = 0.25,
) -> Cut:
    return _deal_transfer(factor_space, rng, ood1_share, ood2_share, cover=True)


@register_split("composition", covers_values=True, transfer=_composition_transfer)
def composition(
    factor_space: FactorSpace, rng: np.random.Generator, *, test_share: float = 0.25
) -> Mapping[str, Ids]:
    """Every single value is seen in training, some combinations are not.

    Schott et al. 2022, "Visual Representation Learning Does Not Generalize Strongly Within the
    Same Domain", figure 1.

    Args:
        factor_space: The factors to cut.
        rng: Source of randomness.
        test_share: Share of all combinations that is held out, in (0, 1).
    """
    return _deal(factor_space, rng, {"train": 1 - test_share, "test": test_share}, cover=True)


# --- Values that training never has ---------------------------------------------------------------


def _interpolation_gaps(
    space: FactorSpace, rng: np.random.Generator, factors: Names, levels: int, count: int
) -> list[Mask]:
    """Return, for each of `count` gaps a factor, which combinations fall into any of them."""
    levels = check_levels(levels)
    columns = choose_columns(space, factors, at_least=2 + count * levels, ordered=True)
    drawn = {k: gaps(space.factors[k], rng, levels, count) for k in columns}
    return [any_held(space, {k: runs[i] for k, runs in drawn.items()}) for i in range(count)]


def _interpolation_transfer(
    factor_space: FactorSpace, rng: np.random.Generator, *, factors: Names = None, levels: int = 1
) -> Cut:
    return transfer(*_interpolation_gaps(factor_space, rng, factors, levels, 2))


@register_split("interpolation", transfer=_interpolation_transfer)
def interpolation(
    factor_space: FactorSpace, rng: np.random.Generator, *, factors: Names = None, levels: int = 1
) -> Mapping[str, Ids]:
    """A gap inside the range of each chosen factor is never seen in training.

    Test combinations have at least one value in a gap; training has seen a lower and a higher one.
    In a transfer split each factor has two gaps: the encoder saw one of them (``ood1``), nobody
    saw the other (``ood2``); the two may be neighbours. Schott et al. 2022, "Visual Representation
    Learning Does Not Generalize Strongly Within the Same Domain", figure 1.

    Args:
        factor_space: The factors to cut.
        rng: Source of randomness: where the gaps lie.
        factors: Names of the factors with a gap; all numeric factors with enough levels (3, or 4
            in a transfer split, where `levels` is 1) unless given.
        levels: Number of neighbouring levels in a gap.
    """
    return two_way(_interpolation_gaps(factor_space, rng, factors, levels, 1)[0])


def _extrapolation_ends(
    space: FactorSpace, factors: Names, levels: int, end: str, at_least: int
) -> list[Mask]:
    """Return which combinations have a value at the asked end, and at the opposite one."""
    if end not in ("high", "low"):
        raise UnknownNameError("end", end, ["high", "low"])
    levels = check_levels(levels)
    columns = choose_columns(space, factors, at_least=at_least, ordered=True, ends=True)
    low = {k: space.factors[k].order[:levels] for k in columns}
    high = {k: space.factors[k].order[-levels:] for k in columns}
    ends = [low, high] if end == "low" else [high, low]
    return [any_held(space, held) for held in ends]


def _extrapolation_transfer(
    factor_space: FactorSpace,
    rng: np.random.Generator,
    *,
    factors: Names = None,
    levels: int = 1,
    end: str = "high",
) -> Cut:
    held = _extrapolation_ends(factor_space, factors, levels, end, 2 * check_levels(levels) + 1)
    return transfer(ood1=held[1], ood2=held[0])


@register_split("extrapolation", transfer=_extrapolation_transfer)
def extrapolation(
    factor_space: FactorSpace,
    rng: np.random.Generator,
    *,
    factors: Names = None,
    levels: int = 1,
    end: str = "high",
) -> Mapping[str, Ids]:
    """The end of the range of each chosen factor is never seen in training.

    Test combinations have at least one value beyond what training has seen. In a transfer split
    the policy sees the middle, ``ood2`` (seen by nobody) is the end that was asked for, and
    ``ood1`` (seen by the encoder) the opposite one, so that both lie equally far outside. Schott
    et al. 2022, "Visual Representation Learning Does Not Generalize Strongly Within the Same
    Domain", figure 1.

    Args:
        factor_space: The factors to cut.
        rng: Not used: nothing is left to chance.
        factors: Names of the factors whose end is held out; all numeric, not circular factors
            with enough levels unless given. All of them leave two levels or more to training
            unless named here.
        levels: Number of levels at the end.
        end: ``"high"`` or ``"low"``.
    """
    spare = 2 if factors is None else 1
    at_least = check_levels(levels) + spare
    return two_way(_extrapolation_ends(factor_space, factors, levels, end, at_least)[0])


# --- Known values in a new combination ------------------------------------------------------------


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
        first, second = _pair(space, factors)
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


def _pair(space: FactorSpace, names: Sequence[str]) -> tuple[int, int]:
    """Return the columns of two factors, in the order they were named."""
    if isinstance(names, str) or len(list(names)) != 2 or names[0] == names[1]:
        raise ValueError(f"factors must name two different factors, got {names!r}.")
    return space.column(names[0]), space.column(names[1])


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


# --- Combinations at other frequencies ------------------------------------------------------------


@register_split(
    "correlated",
    covers_values=True,
    disjoint=False,
    transfer="its parts have the same combinations at other frequencies, so there is none that "
    "the encoder or the policy never saw.",
)
def correlated(
    factor_space: FactorSpace,
    rng: np.random.Generator,
    *,
    factors: Sequence[str] | None = None,
    train_rho: float = 0.95,
    test_rho: float = 0.05,
) -> Cut:
    """Two factors agree with one probability in training and with another in test.

    A distribution over combinations, not a partition: unless a probability is 0 or 1, each
    combination can occur in both ``"train"`` and ``"test"``, and what shifts is how often. Members
    ``"agree"`` and ``"differ"`` are disjoint, and the two parts are their mixtures. Factors agree
    where their levels are at the same place in their lists (in proportion, where one has more
    levels than the other); all else is uniform. Dunion et al. 2023, "Conditional Mutual
    Information for Disentangled Representations in Reinforcement Learning": 0.95 and 0.05.

    Args:
        factor_space: The factors to cut.
        rng: Not used: nothing is left to chance.
        factors: Names of the two factors; the first two with two levels or more unless given.
        train_rho: Probability that they agree in training, in [0, 1].
        test_rho: Probability that they agree in test, in [0, 1]; another one.
    """
    for name, rho in (("train_rho", train_rho), ("test_rho", test_rho)):
        if not 0 <= rho <= 1:
            raise ValueError(f"{name} is a probability in [0, 1], got {rho}.")
    if train_rho == test_rho:
        raise ValueError(f"train_rho and test_rho are both {train_rho}: nothing would shift.")
    if factors is None:
        pair = [k for k, f in enumerate(factor_space) if f.size > 1][:2]
        if len(pair) < 2:
            raise ValueError("A correlation needs two factors with two levels or more.")
    else:
        pair = list(_pair(factor_space, factors))
        choose_columns(factor_space, factors, at_least=2)
    first, second = pair
    sizes = factor_space.cardinalities
    grid = factor_space.from_flat(np.arange(factor_space.size))
    # The factor with more levels is scaled down to the other, so that each level has a partner.
    if sizes[first] >= sizes[second]:
        agree = grid[:, first] * sizes[second] // sizes[first] == grid[:, second]
    else:
        agree = grid[:, second] * sizes[first] // sizes[second] == grid[:, first]
    rhos = {"train": float(train_rho), "test": float(test_rho)}
    return Cut(
        {"agree": np.flatnonzero(agree), "differ": np.flatnonzero(~agree)},
        unions=dict.fromkeys(rhos, ("agree", "differ")),
        weights={part: {"agree": rho, "differ": 1 - rho} for part, rho in rhos.items()},
    )


# --- One factor at a time -------------------------------------------------------------------------


def _axis(
    space: FactorSpace,
    rng: np.random.Generator,
    factors: Names,
    levels: int,
    base: str,
    shifted: Sequence[str],
) -> Cut:
    """Cut into training values and, for each name in `shifted`, one part a factor off them."""
    levels = check_levels(levels)
    columns = choose_columns(space, factors, at_least=len(shifted) * levels + 1)
    drawn = {k: rng.permutation(space.factors[k].size) for k in columns}
    sets = [
        has_level(space, {k: order[i * levels : (i + 1) * levels] for k, order in drawn.items()})
        for i in range(len(shifted))
    ]
    off = np.sum(sets, axis=(0, 2))
    members = {base: np.flatnonzero(off == 0)}
    for name, is_off in zip(shifted, sets, strict=True):
        for column, on_axis in zip(columns, is_off.T, strict=True):
            members[f"{name}/{space.names[column]}"] = np.flatnonzero(on_axis & (off == 1))
    unions = {name: tuple(m for m in members if m.startswith(f"{name}/")) for name in shifted}
    if "ood1" in unions:
        unions["encoder"] = (base, *unions["ood1"])
    return Cut(members, unions)


def _axis_transfer(
    factor_space: FactorSpace, rng: np.random.Generator, *, factors: Names = None, levels: int = 1
) -> Cut:
    return _axis(factor_space, rng, factors, levels, "policy", ("ood1", "ood2"))


@register_split("axis", complete=False, transfer=_axis_transfer)
def axis(
    factor_space: FactorSpace, rng: np.random.Generator, *, factors: Names = None, levels: int = 1
) -> Cut:
    """One factor at a time leaves its training values; the rest stay at theirs.

    ``"test"`` is the union of one part a factor, ``"test/<factor>"``, so that a failure can be put
    down to one axis. Combinations with two or more factors off their training values are in no
    part. In a transfer split the encoder saw the shifts in ``"ood1/<factor>"``, and nobody those
    in ``"ood2/<factor>"``. After Cherepanov et al. 2026, "KAGE-Bench: Fast Known-Axis Visual
    Generalization Evaluation for Reinforcement Learning".

    Args:
        factor_space: The factors to cut.
        rng: Source of randomness: which levels are kept from training.
        factors: Names of the factors that shift; all with enough levels unless given.
        levels: Number of levels of each that are kept from training.
    """
    return _axis(factor_space, rng, factors, levels, "train", ("test",))


# --- Whatever the user says -----------------------------------------------------------------------


def _predicate_transfer(
    factor_space: FactorSpace, rng: np.random.Generator, *, ood1: Any, ood2: Any
) -> Cut:
    return transfer(matches(factor_space, ood1, "ood1"), matches(factor_space, ood2, "ood2"))


@register_split("predicate", transfer=_predicate_transfer)
def predicate(
    factor_space: FactorSpace, rng: np.random.Generator, *, test: Any = None, train: Any = None
) -> Mapping[str, Ids]:
    """The user's rule says what is held out, or what is trained on.

    A rule is a mapping of factor to the levels it may have, ``{"hue": [0, 2], "shape": "box"}``
    (a combination is picked where all named factors have one of theirs), or a function of one
    combination, a dict of factor to value, that returns a bool. A transfer split takes two rules,
    ``ood1`` and ``ood2``; what both pick is in ``ood2``. The ids are stored, so a split by a
    function goes through JSON too.

    Args:
        factor_space: The factors to cut.
        rng: Not used: nothing is left to chance.
        test: The rule for what is held out; training is the rest.
        train: The rule for what is trained on, in place of `test`; test is the rest.
    """
    if (test is None) == (train is None):
        raise ValueError(
            'Give one rule, test= or train=: a mapping such as {"hue": [0, 2]}, or a function of '
            "a combination; the other part is the rest."
        )
    if test is not None:
        return two_way(matches(factor_space, test, "test"))
    return two_way(~matches(factor_space, train, "train"))
