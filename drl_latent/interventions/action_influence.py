"""Action influence: which dimension of the action moves which latent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from drl_latent.interventions.permutation import bootstrap, losses_of_episodes, scores_of
from drl_latent.interventions.transitions import Transitions, make_transitions
from drl_latent.metrics.base import BoolArray, FloatArray, jsonable
from drl_latent.metrics.inputs import IntArray, varying_columns
from drl_latent.registry import Registry

RESAMPLES = 1000
TEST_FRACTION = 1 / 3
MIN_EPISODES = 15

PREDICTORS: Registry[Callable[[int], Any]] = Registry("estimator of changes")
"""`build(seed)` -> an unfitted regressor of scikit-learn, for one target."""


@PREDICTORS.register("linear")
def _linear(seed: int) -> Any:
    return LinearRegression()


@PREDICTORS.register("gradient_boosting")
def _gradient_boosting(seed: int) -> Any:
    return HistGradientBoostingRegressor(max_leaf_nodes=8, early_stopping=False, random_state=seed)


@dataclass(frozen=True, eq=False)
class ActionInfluence:
    """What each of A action dimensions moves, of D targets.

    Intervals are percentile intervals of 95% over held-out episodes drawn again with replacement,
    the predictor as it is: they say how far a number depends on the episodes tested on, and leave
    out how far it depends on those fitted on. Targets in `left_out` are NaN throughout, and so are
    the rows of actions in `left_out_actions`.

    Attributes:
        names: Names of the D targets.
        action_names: Names of the A action dimensions.
        matrix: [A, D], the share of the variance of a target's change that the action dimension
            brings about: about 0 for none (noise puts it a little above or below), 1 for all. It
            can exceed 1 where actions and states depend on each other, as at a stop that an action
            has led to: permuted, the action would have moved what the stop holds.
        interval: [A, D, 2], low and high ends for `matrix`.
        signed: [A, D], which way: standard deviations of the change for one of the action, from a
            linear fit, whatever the estimator.
        explained: [D], held-out R2 of the change, predicted from state and action.
        explained_interval: [D, 2].
        from_state: [D], held-out R2 of the change, predicted from the state alone.
        from_state_interval: [D, 2].
        left_out: Names of targets that never change, or always by the same.
        left_out_actions: Names of action dimensions that were never varied.
        settings: The arguments that the numbers depend on.
        episodes: Episodes that were fitted on, and held out.
        transitions: Transitions that were fitted on, and held out.
    """

    names: tuple[str, ...]
    action_names: tuple[str, ...]
    matrix: FloatArray
    interval: FloatArray
    signed: FloatArray
    explained: FloatArray
    explained_interval: FloatArray
    from_state: FloatArray
    from_state_interval: FloatArray
    left_out: tuple[str, ...]
    left_out_actions: tuple[str, ...]
    settings: dict[str, Any]
    episodes: tuple[int, int]
    transitions: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in types that JSON has: arrays as lists, NaN as None."""
        return {entry.name: jsonable(getattr(self, entry.name)) for entry in fields(self)}


def action_influence(
    codes: ArrayLike,
    actions: ArrayLike,
    episode: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    action_names: Sequence[str] | None = None,
    horizon: int = 1,
    estimator: str = "linear",
    periods: Sequence[float | None] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ActionInfluence:
    """Measure which dimension of the action moves which latent, on recorded transitions.

    The change of each code over the next `horizon` steps is predicted from the state (the codes
    and their last changes) and the mean action over these steps, on two thirds of the episodes. On
    the others, an action dimension is permuted among all rows. The influence of a on d is half of
    what R2 falls by:

        influence[a, d] = sum(|y - f(s, permuted a)|^2 - |y - f(s, a)|^2) / (2 sum |y - mean y|^2)

    that is permutation importance (as in `sklearn.inspection.permutation_importance`, with R2),
    halved because an input that explains all of the variance, permuted, costs twice the variance:
    Gregorutti, Michel and Saint-Pierre 2017, "Correlation and variable importance in random
    forests", Proposition 1. Of independent inputs it is then the total-effect index of Jansen
    1999, "Analysis of variance designs for model output": shares of inputs that act together
    count that for each, and may sum to more than 1.

    What follows from the state is not credited to actions: a momentum that shows in the last
    change, a drift that depends on where things are, or a reaction of the policy to either. Where
    things have inertia, the influence on the next step is therefore small, and a horizon of some
    steps shows what actions lead to. It is a statement about these data: actions that were varied
    little have little influence, and a hidden cause that both actions and codes follow is not
    controlled for.

    Any columns can be targets: with true factors in the place of codes, it says what the actions
    do in the environment itself.

    Args:
        codes: [N, D], in the order of time, episode by episode.
        actions: [N, A], the action taken after each row; NaN on the last row of an episode, as in
            a `FrameDataset` of rollouts.
        episode: [N], what tells episodes apart. Transitions never cross them.
        names: D distinct names of the codes, ``"latent_0"``... by default.
        action_names: A distinct names, ``"action_0"``... by default.
        horizon: Steps over which a change is taken, 1 or more.
        estimator: A name in `PREDICTORS`: ``"linear"`` or ``"gradient_boosting"``, which sees
            what depends on action and state together, such as a hand moved by a joint.
        periods: For each of the D codes its period if it is an angle, else 0, NaN or None.
            Changes then go the shorter way round.
        seed: Of the held-out episodes, the permutations, the estimator and the bootstrap.
        resamples: Of the bootstrap, 100 or more.

    Raises:
        ValueError: Shapes or names do not fit, no episode is long enough for a transition, fewer
            than 15 are, no code changes or no action varies, or there are fewer transitions than
            inputs.
        UnknownNameError: There is no such estimator.
    """
    build = PREDICTORS[estimator]
    if resamples < 100:
        raise ValueError(f"resamples is {resamples}; expected 100 or more.")
    moves = make_transitions(codes, actions, episode, horizon=horizon, periods=periods)
    targets = _names(names, moves.changes.shape[1], "latent", "names")
    dimensions = _names(action_names, moves.actions.shape[1], "action", "action_names")
    rng = np.random.default_rng(seed)
    held = _hold_out(moves, rng)
    moving = _varying_in_both(moves.changes, held)
    varied = _varying_in_both(moves.actions, held)
    if not moving.any() or not varied.any():
        what = f"None of {list(targets)} changes" if varied.any() else "No action varies"
        raise ValueError(
            f"{what} in both the episodes to fit on and those held out, so that there is nothing "
            "to measure. Collect episodes with other actions."
        )
    inputs = _standardised(np.hstack([moves.state, moves.actions[:, varied]]), ~held)
    changes = _standardised(moves.changes[:, moving], ~held)
    if (~held).sum() <= inputs.shape[1]:
        raise ValueError(
            f"There are {(~held).sum()} transitions to fit {inputs.shape[1]} inputs on; expected "
            "ten times as many. Collect more."
        )
    n_varied = int(varied.sum())
    terms = losses_of_episodes(
        inputs, changes, held, moves.episode, n_varied, lambda: build(seed), rng
    )
    found = scores_of(terms.sum(axis=0))
    ends = bootstrap(terms, rng, resamples)
    line = LinearRegression().fit(inputs[~held], changes[~held])

    def full(values: FloatArray) -> FloatArray:
        """Put values [..., d] of the moving targets into [..., D]."""
        spread = np.full((*values.shape[:-1], len(targets)), np.nan)
        spread[..., moving] = values
        return spread

    def full_rows(values: FloatArray) -> FloatArray:
        spread = np.full((len(dimensions), *values.shape[1:]), np.nan)
        spread[varied] = values
        return spread

    episodes = [len(np.unique(moves.episode[part])) for part in (~held, held)]
    return ActionInfluence(
        names=targets,
        action_names=dimensions,
        matrix=full_rows(full(found[2:])),
        interval=full_rows(np.moveaxis(full(ends[:, 2:]), 0, -1)),
        signed=full_rows(full(line.coef_[:, -n_varied:].T)),
        explained=full(found[0]),
        explained_interval=full(ends[:, 0]).T,
        from_state=full(found[1]),
        from_state_interval=full(ends[:, 1]).T,
        left_out=tuple(np.array(targets, dtype=object)[~moving]),
        left_out_actions=tuple(np.array(dimensions, dtype=object)[~varied]),
        settings={
            "horizon": horizon,
            "estimator": estimator,
            "periods": None if periods is None else [_period(p) for p in periods],
            "seed": seed,
            "resamples": resamples,
        },
        episodes=(episodes[0], episodes[1]),
        transitions=(int((~held).sum()), int(held.sum())),
    )


def _hold_out(moves: Transitions, rng: np.random.Generator) -> BoolArray:
    """Return which transitions are of held-out episodes, [M]."""
    n = int(moves.episode[-1]) + 1
    if n < MIN_EPISODES:
        raise ValueError(
            f"Got {n} episodes with a transition; expected at least {MIN_EPISODES}, of which a "
            "third is held out, and 60 or more for intervals that mean something: episodes, not "
            "rows, are what is independent. Collect more."
        )
    chosen: IntArray = rng.permutation(n)[: round(n * TEST_FRACTION)]
    return np.isin(moves.episode, chosen)


def _varying_in_both(values: FloatArray, held: BoolArray) -> BoolArray:
    """Return which columns [M, C] vary beyond rounding among held-out rows and among the rest."""
    return varying_columns(values[held]) & varying_columns(values[~held])


def _standardised(values: FloatArray, fitted: BoolArray) -> FloatArray:
    """Return [M, C] on the scale of the rows that are fitted on."""
    spread = values[fitted].std(axis=0)
    return (values - values[fitted].mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _names(given: Sequence[str] | None, n: int, default: str, argument: str) -> tuple[str, ...]:
    names = tuple(f"{default}_{i}" for i in range(n)) if given is None else tuple(map(str, given))
    if len(names) != n or len(set(names)) != n:
        raise ValueError(f"{argument} is {names}; expected {n} distinct names, one a column.")
    return names


def _period(given: float | None) -> float | None:
    return float(given) if given and np.isfinite(given) else None
