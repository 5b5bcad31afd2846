import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent.data import FrameDataset, collect
from drl_latent.interventions.action_influence import PREDICTORS, action_influence
from drl_latent.interventions.transitions import make_transitions
from drl_latent.registry import UnknownNameError

GAIN = np.array([[0.5, 0.0], [0.0, -0.3], [0.0, 0.0]])
"""Of three actions, the first moves latent 0, the second latent 1 backwards, the third nothing."""


def recorded(n_episodes=60, length=21, seed=0, noise=0.2):
    """Episodes of known linear dynamics under actions that are held for 4 steps."""
    rng = np.random.default_rng(seed)
    codes, actions = [], []
    for _ in range(n_episodes):
        taken = np.repeat(rng.normal(size=(length // 4 + 1, 3)), 4, axis=0)[:length]
        z = [rng.normal(size=2)]
        for u in taken[:-1]:
            z.append(0.9 * z[-1] + u @ GAIN + noise * rng.normal(size=2))
        taken[-1] = np.nan
        codes.append(z)
        actions.append(taken)
    return np.concatenate(codes), np.concatenate(actions), np.repeat(range(n_episodes), length)


@pytest.fixture(scope="module")
def reach(tmp_path_factory: pytest.TempPathFactory) -> FrameDataset:
    """20 episodes of Reach."""
    out = tmp_path_factory.mktemp("data") / "rollouts"
    return collect("DrlLatent/Reach-v0", out, n=820, source="rollout", progress=False)


def test_each_action_moves_the_latent_that_it_drives_by_its_share_of_the_variance():
    codes, actions, episode = recorded()
    found = action_influence(codes, actions, episode)
    moves = make_transitions(codes, actions, episode)
    share = np.square(GAIN) * moves.actions.var(axis=0)[:, None] / moves.changes.var(axis=0)
    np.testing.assert_allclose(found.matrix, share, atol=0.06)
    assert found.matrix[0, 0] > 0.5 < found.matrix[1, 1]
    assert found.signed[0, 0] > 0.6
    assert found.signed[1, 1] < -0.6


def test_an_action_that_moves_nothing_has_none_and_its_intervals_hold_zero():
    found = action_influence(*recorded())
    low, high = np.moveaxis(found.interval, -1, 0)
    np.testing.assert_allclose(found.matrix[2], 0, atol=0.003)
    assert (low[2] <= 0).all()
    assert (high[2] >= 0).all()
    assert low[0, 0] > 0.4
    assert (low <= found.matrix).all()
    assert (found.matrix <= high).all()


def test_intervals_narrow_with_the_square_root_of_the_number_of_episodes():
    def width(n):
        found = action_influence(*recorded(n, noise=0.5))
        return np.diff(found.interval)[0, 0, 0]

    assert 2 < width(60) / width(960) < 8


def test_transitions_never_cross_episodes():
    # A latent that gains 1 a step, and is 1000 higher in each further episode.
    episode = np.repeat([7, 3, 9], [5, 4, 2])
    codes = np.arange(11.0) + 1000 * np.repeat([0, 1, 2], [5, 4, 2])
    actions = np.arange(11.0)
    actions[[4, 8, 10]] = np.nan
    moves = make_transitions(codes[:, None], actions[:, None], episode)
    np.testing.assert_array_equal(moves.changes, np.ones((5, 1)))
    np.testing.assert_array_equal(moves.actions[:, 0], [1, 2, 3, 6, 7])
    np.testing.assert_array_equal(moves.episode, [0, 0, 0, 1, 1])


def test_over_a_horizon_changes_add_up_and_actions_are_averaged():
    codes, actions = np.square(np.arange(6.0)), np.array([1.0, 2, 3, 5, 7, np.nan])
    moves = make_transitions(codes[:, None], actions[:, None], np.zeros(6), horizon=3)
    np.testing.assert_array_equal(moves.changes[:, 0], [16 - 1, 25 - 4])
    np.testing.assert_allclose(moves.actions[:, 0], [10 / 3, 5])


@pytest.mark.parametrize("horizon", [1, 8])
def test_an_angle_that_wraps_goes_the_shorter_way_round(horizon: int):
    rng = np.random.default_rng(0)
    actions = rng.normal(size=(800, 1))
    turned = np.concatenate([np.zeros((1, 1)), np.cumsum(0.4 * actions[:-1], axis=0)])
    codes = np.hstack([turned % (2 * np.pi), rng.normal(size=(800, 1))])
    episode = np.repeat(range(20), 40)
    known = action_influence(codes, actions, episode, periods=[2 * np.pi, 0], horizon=horizon)
    assert known.matrix[0, 0] == pytest.approx(1, abs=0.15)
    assert known.explained[0] > 0.999
    assert known.settings["periods"] == [2 * np.pi, None]
    unknown = action_influence(codes, actions, episode, horizon=horizon)
    assert unknown.explained[0] < 0.7


def test_what_momentum_moves_is_not_credited_to_a_policy_that_reacts_to_it():
    rng = np.random.default_rng(0)
    codes, actions = [], []
    for _ in range(60):
        speed = np.zeros(30)
        for t in range(1, 30):
            speed[t] = 0.9 * speed[t - 1] + rng.normal()
        codes.append(np.concatenate([[0], np.cumsum(speed)[:-1]]))
        actions.append(np.concatenate([[0], speed[:-1]]) + 0.1 * rng.normal(size=30))
    data = np.concatenate(codes)[:, None], np.concatenate(actions)[:, None]
    episode = np.repeat(range(60), 30)
    moves = make_transitions(*data, episode)
    assert np.corrcoef(moves.actions[:, 0], moves.changes[:, 0])[0, 1] > 0.8
    found = action_influence(*data, episode)
    assert abs(found.matrix[0, 0]) < 0.02
    assert found.from_state[0] > 0.6
    assert found.explained[0] == pytest.approx(found.from_state[0], abs=0.01)


def test_gradient_boosting_sees_an_action_whose_effect_depends_on_the_state():
    rng = np.random.default_rng(0)
    actions, side = rng.normal(size=(1500, 1)), rng.choice([-1.0, 1.0], size=1500)
    change = 0.5 * side * actions[:, 0]
    codes = np.stack([np.concatenate([[0], np.cumsum(change)[:-1]]), side], axis=1)
    episode = np.repeat(range(30), 50)
    seen = action_influence(codes, actions, episode, estimator="gradient_boosting")
    assert seen.matrix[0, 0] > 0.7
    assert seen.explained[0] > 0.8 > 0.1 > seen.from_state[0]
    assert abs(action_influence(codes, actions, episode).matrix[0, 0]) < 0.05


def test_a_stage_is_moved_along_each_axis_by_the_action_for_it(reach: FrameDataset):
    names = reach.factor_space.names
    found = action_influence(
        reach.factors, reach.actions, reach.episode, names=names, horizon=5, action_names=("x", "y")
    )
    x, y = names.index("effector_x"), names.index("effector_y")
    assert min(found.matrix[0, x], found.matrix[1, y]) > 0.4
    assert max(abs(found.matrix[0, y]), abs(found.matrix[1, x])) < 0.03
    # What no action of random episodes changes is left out by its name.
    assert set(found.left_out) == set(names) - {"effector_x", "effector_y"}
    assert np.isnan(found.matrix[:, names.index("object_x")]).all()
    assert found.episodes == (13, 7)
    text = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert text["matrix"][0][x] == found.matrix[0, x]
    assert text["explained"][names.index("object_x")] is None


@settings(max_examples=10, deadline=None)
@given(
    order=st.permutations(range(3)),
    factors=st.lists(st.floats(0.1, 100), min_size=3, max_size=3),
    shift=st.floats(-5, 5),
)
def test_order_and_units_of_actions_do_not_matter(order, factors, shift):
    codes, actions, episode = recorded(20)
    found = action_influence(codes, actions, episode, resamples=100)
    other = action_influence(
        codes, actions[:, order] * np.array(factors) + shift, episode, resamples=100
    )
    np.testing.assert_allclose(other.matrix, found.matrix[list(order)], atol=1e-6)
    np.testing.assert_allclose(other.interval, found.interval[list(order)], atol=1e-6)
    np.testing.assert_allclose(other.signed, found.signed[list(order)], atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(flip=st.booleans(), scale=st.floats(0.1, 100), shift=st.floats(-5, 5))
def test_order_and_units_of_codes_do_not_matter(flip, scale, shift):
    codes, actions, episode = recorded(20)
    found = action_influence(codes, actions, episode, resamples=100)
    sign = -1 if flip else 1
    other = action_influence(
        codes[:, ::-1] * np.array([sign * scale, 1]) + shift, actions, episode, resamples=100
    )
    np.testing.assert_allclose(other.matrix, found.matrix[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(other.explained, found.explained[::-1], atol=1e-6)
    np.testing.assert_allclose(other.signed, found.signed[:, ::-1] * [sign, 1], atol=1e-6)


def test_influence_is_half_of_the_permutation_importance_of_scikit_learn():
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LinearRegression

    codes, actions, episode = recorded(200)
    moves = make_transitions(codes, actions, episode)
    inputs = np.hstack([moves.state, moves.actions])
    fitted = moves.episode < 130
    line = LinearRegression().fit(inputs[fitted], moves.changes[fitted, 0])
    peer = permutation_importance(
        line, inputs[~fitted], moves.changes[~fitted, 0], scoring="r2", n_repeats=10, random_state=0
    )
    found = action_influence(codes, actions, episode)
    np.testing.assert_allclose(
        found.matrix[:, 0], peer.importances_mean[-3:] / 2, rtol=0.1, atol=1e-3
    )


@pytest.mark.parametrize("estimator", list(PREDICTORS))
def test_the_same_seed_gives_the_same_numbers(estimator: str):
    data = recorded(15)
    first, second = (action_influence(*data, estimator=estimator, seed=3) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    assert first.matrix[0, 0] != action_influence(*data, estimator=estimator, seed=4).matrix[0, 0]


def test_a_constant_latent_and_an_action_that_was_never_varied_are_left_out_by_name():
    codes, actions, episode = recorded(20)
    codes = np.insert(codes, 1, 2.5, axis=1)
    codes[:, 1] += np.random.default_rng(0).normal(scale=1e-7, size=len(codes))  # rounding
    actions[:, 1] = 0.7
    found = action_influence(codes, actions, episode, names=["a", "dead", "b"])
    assert found.left_out == ("dead",)
    assert found.left_out_actions == ("action_1",)
    assert np.isnan(found.matrix[1]).all()
    assert np.isnan(found.matrix[:, 1]).all()
    assert np.isnan(found.explained_interval[1]).all()
    assert found.matrix[0, 0] > 0.4


def test_what_cannot_be_measured_is_refused():
    codes, actions, episode = recorded(20)
    gap = actions.copy()
    gap[5, 2] = np.nan
    shuffled = np.arange(len(codes)) % 20
    cases = [
        ((codes, gap, episode), {}, r"NaN or infinity inside episodes, in columns \[2\]"),
        ((codes, actions, shuffled), {}, "are not consecutive: 20 labels in 420 runs"),
        ((codes[:-1], actions, episode), {}, "codes have 419 rows and actions 420"),
        ((codes, actions, episode[:-1]), {}, r"episode has shape \(419,\)"),
        ((codes, actions[:, 0], episode), {}, r"expected numbers \[N, A\]"),
        ((codes, actions, np.arange(420)), {}, "No transitions: the longest of 420 episodes has 1"),
        ((codes, actions, episode), {"horizon": 20}, "has 21 rows; expected at least 22"),
        ((codes, actions, episode), {"horizon": 0}, "horizon is 0"),
        ((codes[:294], actions[:294], episode[:294]), {}, "Got 14 episodes .* at least 15"),
        ((np.zeros_like(codes), actions, episode), {}, "None of .* changes"),
        ((codes, np.zeros_like(actions), episode), {}, "No action varies"),
        ((codes, actions, episode), {"periods": [1.0]}, "expected 2 numbers"),
        ((codes, actions, episode), {"periods": [-1.0, 0]}, "a positive period"),
        ((codes, actions, episode), {"names": ["a"]}, "names is .* expected 2 distinct names"),
        ((codes, actions, episode), {"action_names": "aab"}, "action_names is .* expected 3"),
        ((codes, actions, episode), {"resamples": 5}, "resamples is 5"),
    ]
    for data, how, message in cases:
        with pytest.raises(ValueError, match=message):
            action_influence(*data, **how)
    with pytest.raises(UnknownNameError, match="gradient_boosting"):
        action_influence(codes, actions, episode, estimator="boosting")


def test_fewer_transitions_than_inputs_are_refused():
    rng = np.random.default_rng(0)
    codes, actions = rng.normal(size=(45, 10)), rng.normal(size=(45, 1))
    with pytest.raises(ValueError, match="10 transitions to fit 21 inputs"):
        action_influence(codes, actions, np.repeat(range(15), 3))
