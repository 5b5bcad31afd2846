"""Metrics from mutual information: answers worked out by hand, and faults of peers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent.metrics import METRICS, CorrelatedFactorsWarning, check_inputs, correlated_factors
from drl_latent.metrics.dcimig import dcimig
from drl_latent.metrics.infomec import infoc, infoe, infom
from drl_latent.metrics.information import factor_entropies, mutual_information
from drl_latent.metrics.jemmig import jemmig
from drl_latent.metrics.med import med
from drl_latent.metrics.mig_sup import mig_sup

NAMES = ("mig_sup", "jemmig", "dcimig", "med", "infom", "infoc", "infoe")
# Those that look for axes; infoe reads the whole code.
ALIGNED = tuple(name for name in NAMES if name != "infoe")
WITH_ESTIMATOR = ("mig_sup", "dcimig", "med", "infom", "infoc")
LOG2 = np.log(2)


def score(name, codes, factors, **more):
    return METRICS[name](codes, factors, resamples=0, floor=False, **more)


def grid(*sizes, repeats=50):
    """Every combination of values, equally often: information is exact."""
    return np.indices(sizes).reshape(len(sizes), -1).T.repeat(repeats, axis=0)


def bits():
    """Two bits [N, 2], and the code that holds both [N]."""
    y = grid(2, 2, repeats=100)
    return y, 2 * y[:, 0] + y[:, 1]


def draw(n=2000, sizes=(3, 4, 5), seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(size, size=n) for size in sizes], axis=1)


def standardised(factors):
    return (factors - factors.mean(axis=0)) / factors.std(axis=0)


def noisy(factors, noise=0.05, seed=1):
    rng = np.random.default_rng(seed)
    return standardised(factors) + noise * rng.standard_normal(factors.shape)


def correlated_pair(n=4000):
    """Two factors of five classes with a Cramer's V of about 0.8."""
    rng = np.random.default_rng(0)
    first = rng.integers(5, size=n)
    second = np.where(rng.random(n) < 0.8, first, rng.integers(5, size=n))
    return np.stack([first, second], axis=1)


# Known answers on exact grids


@pytest.mark.parametrize("name", NAMES)
def test_a_code_that_is_the_factors_in_another_order_scores_1(name):
    y = grid(4, 2)
    result = score(name, y[:, ::-1], y)
    assert result.score == pytest.approx(1, abs=0.01 if name == "infoe" else 1e-9)


def test_two_copies_of_each_code_cost_compactness_alone():
    y = grid(4, 2)
    twice = np.concatenate([y, y], axis=1)
    assert score("mig_sup", twice, y).score == pytest.approx(1)
    assert score("dcimig", twice, y).score == pytest.approx(1)
    assert score("infom", twice, y).score == pytest.approx(1)
    assert score("infoe", twice, y).score == pytest.approx(1, abs=0.01)
    # Each factor is in 2 of 4 codes: 1 - log 2 / log 4, and (1/2 - 1/4) / (1 - 1/4).
    assert score("med", twice, y).parts == pytest.approx({"med": 1, "completeness": 1 / 2})
    assert score("infoc", twice, y).score == pytest.approx(1 / 3)
    # The second best code tells all of the factor.
    entropies = np.log([4, 2])
    parts = score("jemmig", twice, y).parts
    assert parts["jemmig_nats"] == pytest.approx(entropies.mean())
    assert parts["jemmig"] == pytest.approx(np.mean(1 - entropies / (entropies + np.log(20))))


def test_one_code_of_everything_costs_modularity_alone():
    y, both = bits()
    assert score("mig_sup", both[:, None], y).score == pytest.approx(0, abs=1e-12)
    assert score("dcimig", both[:, None], y).score == pytest.approx(0, abs=1e-12)
    assert score("infom", both[:, None], y).score == pytest.approx(0, abs=1e-12)
    assert score("infoc", both[:, None], y).score == pytest.approx(1)
    parts = score("med", both[:, None], y).parts
    assert parts == pytest.approx({"med": 0, "completeness": 1}, abs=1e-12)
    # A joint entropy of log 4, and all of the factor's log 2 is told.
    assert score("jemmig", both[:, None], y).parts["jemmig_nats"] == pytest.approx(LOG2)


def test_one_code_of_a_bit_and_one_of_both_is_as_worked_out_by_hand():
    y, both = bits()
    z = np.stack([y[:, 0], both], axis=1)
    information = np.array([[1, 0], [1, 1]]) * LOG2

    result = score("mig_sup", z, y)
    assert result.matrix == pytest.approx(information / LOG2)
    assert result.per_code == pytest.approx([1, 0])
    assert result.score == pytest.approx(1 / 2)

    result = score("dcimig", z, y, names=["first", "second"])
    assert result.matrix == pytest.approx(information)
    assert result.per_factor == pytest.approx({"first": 1, "second": 0})
    assert result.score == pytest.approx(1 / 2)

    # first: log 2 - log 2 + log 2; second: log 4 - log 2 + 0.
    result = score("jemmig", z, y)
    assert result.factor_parts["jemmig_nats"] == pytest.approx({"factor_0": LOG2, "factor_1": LOG2})
    assert result.score == pytest.approx(1 - LOG2 / (LOG2 + np.log(20)))

    # Importances 1/2 and 0 of the first code, 1/2 and 1 of the second, whose weight is 3/4.
    result = score("med", z, y)
    thirds = (np.log(3) - LOG2 * 2 / 3) / LOG2
    assert result.matrix == pytest.approx(np.array([[0.5, 0], [0.5, 1]]))
    assert result.per_code == pytest.approx([1, 1 - thirds])
    assert result.parts == pytest.approx({"med": 1 - 0.75 * thirds, "completeness": 1 / 2})

    assert score("infom", z, y).per_code == pytest.approx([1, 0], abs=1e-12)
    assert score("infoc", z, y).per_factor == pytest.approx({"factor_0": 0, "factor_1": 1})


def test_jemmig_does_not_depend_on_which_of_two_equally_good_codes_comes_first():
    y, both = bits()
    z = np.stack([y[:, 0], both], axis=1)
    assert score("jemmig", z[:, ::-1], y).score == pytest.approx(score("jemmig", z, y).score)


def test_top_k_keeps_the_most_disentangled_codes_of_each_factor():
    y, both = bits()
    z = np.column_stack([both, y, y])
    every = score("med", z, y)
    # Importances are thirds, so that the code of both bits has a weight of 1/3.
    assert every.score == pytest.approx(2 / 3)
    assert every.per_code == pytest.approx([0, 1, 1, 1, 1], abs=1e-12)
    one = score("med", z, y, top_k=1)
    assert one.parts == pytest.approx({"med": 1, "completeness": 1})
    assert np.isnan(one.per_code).tolist() == [True, False, False, True, True]
    assert one.matrix == pytest.approx(every.matrix)
    assert score("med", z, y, top_k=9).parts == pytest.approx(every.parts)


@pytest.mark.parametrize("name", ALIGNED)
def test_rotated_codes_score_lower(name):
    y = draw()
    rotation, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))
    z = noisy(y)
    assert score(name, z @ rotation, y).score < score(name, z, y).score - 0.3


def test_explicitness_does_not_depend_on_the_axes():
    y = draw()
    rotation, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))
    z = noisy(y)
    assert score("infoe", z, y).score > 0.95
    assert score("infoe", z @ rotation, y).score == pytest.approx(
        score("infoe", z, y).score, abs=0.02
    )


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("mig_sup", 0.01),
        ("dcimig", 0.01),
        ("med", 0.05),
        ("infom", 0.2),
        ("infoc", 0.1),
        ("jemmig", 0.2),
        ("infoe", 0.01),
    ],
)
def test_noise_is_near_the_floor(name, most):
    y = draw()
    z = np.random.default_rng(1).standard_normal((len(y), 6))
    assert -0.05 < score(name, z, y).score < most


# Faults that peers have


def test_infoe_is_scored_on_rows_that_were_not_fitted_on():
    """Scored on its own rows, a code of noise was explicit once it had enough dimensions."""
    y = draw(300)
    z = np.random.default_rng(1).standard_normal((300, 40))
    parts = score("infoe", z, y).parts
    assert parts["infoe"] < 0 < 0.2 < parts["infoe_train"]
    given = score("infoe", z[:200], y[:200], test=(z[200:], y[200:]))
    assert (given.n, given.n_test) == (200, 100)


def test_infoc_does_not_divide_by_zero_where_one_code_is_used():
    y = grid(4, 2)
    z = np.stack([y[:, 0], np.zeros(len(y))], axis=1)
    result = score("infoc", z, y)
    assert result.score == 1
    # The code tells nothing of the second factor, which is then neither compact nor not.
    assert result.per_factor == {"factor_0": 1}


@pytest.mark.parametrize("name", NAMES)
def test_codes_of_integers_score_as_the_same_numbers_stored_as_floats(name):
    y = draw(400)
    z = y // 2 + y[:, ::-1]
    assert score(name, z, y).score == score(name, z.astype(np.float32), y).score


@pytest.mark.parametrize("name", NAMES)
def test_a_quantised_code_keeps_its_levels_however_they_are_spaced(name):
    y = draw(600, sizes=(6, 5))
    order = np.array([3, 0, 5, 1, 4, 2])
    # Of 20 equal-width bins, the first would hold five of these levels.
    levels = np.geomspace(1e-4, 1e4, 6)
    even = score(name, y, y).score
    assert score(name, levels[order[y]], y).score == pytest.approx(even, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_codes_that_are_dead_throughout_score_nothing(name):
    result = score(name, np.zeros((200, 3)), draw(200))
    assert result.score == pytest.approx(0, abs=0.01)
    assert not result.active.any()


# Which codes count


@pytest.mark.parametrize("name", ["mig_sup", "infom", "infoc"])
def test_codes_that_all_but_stand_still_do_not_count_unless_asked_for(name):
    y = draw()
    z = noisy(y)
    jitter = 1e-3 * np.random.default_rng(2).standard_normal((len(y), 3))
    padded = np.concatenate([z, jitter], axis=1)
    assert score(name, padded, y).score == pytest.approx(score(name, z, y).score)
    assert score(name, padded, y, prune=0).score != pytest.approx(score(name, z, y).score)
    counted = score(name, padded, y).per_code
    assert counted is None or np.isnan(counted).tolist() == [False] * 3 + [True] * 3


def test_a_quantised_code_of_small_range_counts():
    y = grid(4, 2)
    z = np.stack([1e-3 * y[:, 0], 1e3 * y[:, 1]], axis=1)
    assert score("infom", z, y).per_code == pytest.approx([1, 1])


@pytest.mark.parametrize("prune", [-0.1, 1.0])
def test_a_share_that_leaves_out_every_code_is_refused(prune):
    with pytest.raises(ValueError, match=r"expected a share in \[0, 1\)"):
        infom(draw(), draw(), prune=prune)


def test_med_refuses_to_keep_no_code():
    with pytest.raises(ValueError, match="at least 1 code"):
        med(draw(), draw(), top_k=0)


# Explicitness


def test_infoe_of_a_continuous_factor_is_the_share_of_its_variance_that_is_linear():
    rng = np.random.default_rng(0)
    # Of variance 1 each, as the noise.
    z = rng.uniform(-np.sqrt(3), np.sqrt(3), (3000, 2))
    y = np.stack([z.sum(axis=1) + rng.standard_normal(3000), np.square(z[:, 0])], axis=1)
    values = score("infoe", z, y).per_factor
    assert values["factor_0"] == pytest.approx(2 / 3, abs=0.03)
    assert values["factor_1"] == pytest.approx(0, abs=0.03)


def test_infoe_of_a_discrete_factor_is_the_share_of_its_entropy():
    """A bit that the code gives in 9 of 10 rows has log 2 - H(0.9) nats to use."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=(6000, 1))
    z = np.where(rng.random((6000, 1)) < 0.9, y, 1 - y)
    usable = 1 + (0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / LOG2
    assert score("infoe", z, y).score == pytest.approx(usable, abs=0.04)


def test_infoe_predicts_a_circular_factor_on_its_circle():
    angle = np.random.default_rng(0).uniform(0, 360, (2000, 1))
    radians = np.deg2rad(angle)
    circle = np.concatenate([np.cos(radians), np.sin(radians)], axis=1)
    assert score("infoe", circle, angle, periods=[360.0]).score > 0.99
    assert score("infoe", circle, angle).score < 0.7
    assert score("infoe", angle, angle, periods=[360.0]).score < 0.7


def test_infoe_takes_a_class_that_was_not_fitted_on():
    y = draw(300, sizes=(2, 3))
    test = y[:60].copy()
    test[::7, 0] = 2
    assert score("infoe", y, y, test=(test, test)).score > 0.9


# Estimates of mutual information


def test_both_estimators_know_the_information_of_a_gaussian_pair():
    rng = np.random.default_rng(0)
    rho, n = 0.8, 8000
    y = rng.standard_normal((n, 1))
    z = rho * y + np.sqrt(1 - rho**2) * rng.standard_normal((n, 1))
    inputs = check_inputs(z, y)
    truth = -0.5 * np.log(1 - rho**2)
    near = mutual_information(inputs, estimator="nearest_neighbour")
    assert near.item() == pytest.approx(truth, abs=0.03)
    assert mutual_information(inputs).item() == pytest.approx(truth, abs=0.05)


@pytest.mark.parametrize("name", WITH_ESTIMATOR)
def test_both_estimators_agree_on_codes_of_discrete_factors(name):
    y = draw(1000)
    binned, near = (
        score(name, noisy(y), y, estimator=estimator)
        for estimator in ("binned", "nearest_neighbour")
    )
    assert (binned.estimator, near.estimator) == ("binned", "nearest_neighbour")
    assert near.score == pytest.approx(binned.score, abs=0.1)


@pytest.mark.parametrize("name", WITH_ESTIMATOR)
def test_detail_finer_than_bins_takes_no_score_above_1(name):
    """Nearest neighbours find 5 nats and more in a code that has a uniform factor exactly."""
    y = np.random.default_rng(0).uniform(size=(500, 2))
    result = score(name, y, y, estimator="nearest_neighbour")
    assert 0.8 < result.score <= 1
    if result.matrix_holds.endswith("entropy of the factor"):
        assert result.matrix.max() <= 1


# Correlated factors


@pytest.mark.filterwarnings("ignore::drl_latent.metrics.CorrelatedFactorsWarning")
@pytest.mark.parametrize("name", ["mig", "modularity", *WITH_ESTIMATOR])
def test_correlation_of_factors_is_not_blamed_on_the_code_if_information_is_conditional(name):
    y = correlated_pair()
    ((_, _, strength),) = correlated_factors(check_inputs(y, y))
    assert strength == pytest.approx(0.8, abs=0.02)
    assert score(name, y, y).score < 0.75
    assert score(name, y, y, conditional=True).score == pytest.approx(1, abs=1e-6)


@pytest.mark.filterwarnings("ignore::drl_latent.metrics.CorrelatedFactorsWarning")
@pytest.mark.parametrize("name", ["mig", "modularity", *WITH_ESTIMATOR])
def test_conditional_information_does_not_excuse_codes_of_two_factors(name):
    y = correlated_pair()
    z = noisy(standardised(y) @ np.array([[1, 1], [1, -1]]), noise=0.1)
    assert score(name, z, y, conditional=True).score < 0.3


@pytest.mark.parametrize("name", ["mig", "modularity", *WITH_ESTIMATOR])
def test_conditional_scores_of_independent_factors_are_the_scores(name):
    y = draw(500)
    z = noisy(y, noise=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CorrelatedFactorsWarning)
        assert score(name, z, y, conditional=True).score == score(name, z, y).score


def test_conditional_information_is_at_most_the_conditional_entropy():
    y = correlated_pair(400)
    inputs = check_inputs(np.random.default_rng(0).standard_normal((400, 3)), y)
    information = mutual_information(inputs, conditional=True)
    assert (information <= factor_entropies(inputs, conditional=True) + 1e-12).all()


# The contract of every metric


@pytest.mark.parametrize("name", NAMES)
def test_metric_is_unmoved_by_dead_codes_and_constant_factors(name):
    y = draw(300)
    z = noisy(y)
    plain = score(name, z, y).score
    assert score(name, np.insert(z, [0, 2], 3.0, axis=1), y).score == pytest.approx(plain)
    still = score(name, z, np.insert(y, 1, 7, axis=1), names=["a", "still", "b", "c"])
    assert still.score == plain
    assert still.left_out == ("still",)
    if still.matrix is not None:
        assert still.matrix.shape == (3, 4)


@pytest.mark.parametrize("name", NAMES)
def test_metric_takes_mixed_factors_one_code_and_one_factor(name):
    rng = np.random.default_rng(0)
    y = np.stack([rng.uniform(-1, 1, 300), rng.integers(3, size=300)], axis=1)
    assert np.isfinite(score(name, y + 0.1 * rng.standard_normal(y.shape), y).score)
    assert np.isfinite(score(name, y[:, :1], y).score)
    assert np.isfinite(score(name, y, y[:, :1]).score)
    assert score(name, y[:, 1:], y[:, 1:]).score == pytest.approx(1, abs=0.01)
    assert np.isfinite(score(name, y[:21], y[:21]).score)


@pytest.mark.parametrize("metric", [mig_sup, jemmig, dcimig, med, infom, infoc, infoe])
def test_metric_has_an_interval_in_its_range_and_beats_its_floor(metric):
    y = draw(400)
    result = metric(noisy(y), y, resamples=5)
    low, high = result.interval
    assert low <= result.score <= high <= 1
    assert result.floor < 0.3 < result.score


seeds = st.integers(0, 2**31 - 1)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, scales=st.lists(st.floats(1e-2, 1e2), min_size=4, max_size=4))
def test_order_and_scale_of_codes_change_nothing_and_scores_stay_in_their_range(seed, scales):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=(200, 3))
    z = y @ rng.standard_normal((3, 4)) + rng.standard_normal((200, 4))
    moved = z[:, rng.permutation(4)] * scales + rng.standard_normal(4)
    for name in ALIGNED:
        more = {"prune": 0} if name in ("mig_sup", "infom", "infoc") else {}
        value = score(name, z, y, **more).score
        assert -1e-12 <= value <= 1 + 1e-12
        assert score(name, moved, y, **more).score == pytest.approx(value, abs=1e-9)
