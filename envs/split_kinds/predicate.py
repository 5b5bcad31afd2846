"""Whatever the user says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.split_choices import matches, transfer, two_way
from drl_latent.envs.split_registry import Cut, Ids, register_split


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
