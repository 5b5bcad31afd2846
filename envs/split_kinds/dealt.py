"""Combinations that are dealt out at random, with every value in training or not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.split_choices import check_share
from drl_latent.envs.split_registry import Cut, Ids, register_split

_ENCODER = {"encoder": ("policy", "ood1")}


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
