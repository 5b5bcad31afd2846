"""What permuting an action costs a predictor of changes, on held-out episodes, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from drl_latent.metrics.base import BoolArray, FloatArray
from drl_latent.metrics.fitting import fit_all
from drl_latent.metrics.inputs import IntArray

REPEATS = 10
"""Permutations of each action dimension whose losses are averaged."""


def losses_of_episodes(
    inputs: FloatArray,
    changes: FloatArray,
    held: BoolArray,
    episode: IntArray,
    n_actions: int,
    build: Callable[[], Any],
    rng: np.random.Generator,
) -> FloatArray:
    """Return sums for each held-out episode, [E, 4 + A + 1, d], of which scores are functions.

    They are the squared errors with actions and without, what permuting each action adds to the
    former, the sums of the change and of its square, and the number of rows.
    """
    fitted, truth = ~held, changes[held]
    state = inputs[:, :-n_actions]
    each = range(changes.shape[1])
    with_actions = fit_all([(build(), inputs[fitted], changes[fitted, d]) for d in each])
    without = fit_all([(build(), state[fitted], changes[fitted, d]) for d in each])

    def errors(models: list[Any], shown: FloatArray) -> FloatArray:
        predicted = np.stack([model.predict(shown) for model in models], axis=1)
        return np.square(truth - predicted)

    # Small matrices gain nothing from threads, which contend where several processes run.
    with threadpool_limits(1):
        seen = inputs[held]
        base = errors(with_actions, seen)
        added = np.zeros((n_actions, *truth.shape))
        for _ in range(REPEATS):
            order = rng.permutation(len(seen))
            for a in range(n_actions):
                column = inputs.shape[1] - n_actions + a
                mixed = seen.copy()
                mixed[:, column] = seen[order, column]
                added[a] += (errors(with_actions, mixed) - base) / REPEATS
        rows = [base, errors(without, state[held]), *added, truth, np.square(truth)]
    terms = np.stack([*rows, np.ones_like(truth)], axis=1)
    starts = np.flatnonzero(np.diff(episode[held], prepend=-1))
    return np.add.reduceat(terms, starts, axis=0)


def scores_of(sums: FloatArray) -> FloatArray:
    """Return R2 with actions, R2 without, and influences, [..., 2 + A, d], from sums of terms."""
    total, square, n = sums[..., -3, :], sums[..., -2, :], sums[..., -1, :]
    variation = square - np.square(total) / n
    # Episodes can be drawn in which nothing changes, where R2 is undefined.
    variation = np.where(variation > 1e-9 * square, variation, np.nan)[..., None, :]
    r2 = 1 - sums[..., :2, :] / variation
    return np.concatenate([r2, sums[..., 2:-3, :] / (2 * variation)], axis=-2)


def bootstrap(terms: FloatArray, rng: np.random.Generator, resamples: int) -> FloatArray:
    """Return the ends of 95% intervals of `scores_of`, [2, 2 + A, d], over episodes [E, ...]."""
    n = len(terms)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    scores = scores_of(np.tensordot(drawn, terms, axes=1))
    ends: FloatArray = np.nanpercentile(scores, [2.5, 97.5], axis=0)
    return ends
