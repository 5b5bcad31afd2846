"""Values that training never has: a gap inside their range, or an end of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.split_choices import (
    Mask,
    Names,
    any_held,
    check_levels,
    choose_columns,
    gaps,
    transfer,
    two_way,
)
from drl_latent.envs.split_registry import Cut, Ids, register_split
from drl_latent.registry import UnknownNameError


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
