"""The kinds of split: each is one function that is registered with what it promises."""

from drl_latent.envs.split_kinds import (
    axis,
    correlated,
    dealt,
    predicate,
    recombination,
    unseen_values,
)

__all__ = ["axis", "correlated", "dealt", "predicate", "recombination", "unseen_values"]
