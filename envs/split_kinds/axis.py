"""One factor at a time leaves its training values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.split_choices import Names, check_levels, choose_columns, has_level
from drl_latent.envs.split_registry import Cut, register_split


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
