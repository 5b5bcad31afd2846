"""Combinations at other frequencies: two factors agree more or less often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.split_choices import choose_columns, pair_of
from drl_latent.envs.split_registry import Cut, register_split


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
        pair = list(pair_of(factor_space, factors))
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
