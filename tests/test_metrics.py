"""Every metric: known answers, faults of peers, properties, and the contract of the registry."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent import metrics
from drl_latent.metrics import METRICS, MetricResult

SIZES = (3, 4, 5)
# Metrics that take seconds by default, in a form that takes a fraction of one.
QUICK = {"dci": {"estimator": "lasso"}}
BARE = {"resamples": 0, "floor": False}


def draw_factors(n=400, seed=0, sizes=SIZES):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(size, size=n) for size in sizes], axis=1)


def standardised(factors):
    return (factors - factors.mean(axis=0)) / factors.std(axis=0)


def draw_codes(factors, noise=0.05, seed=1):
    rng = np.random.default_rng(seed)
    return standardised(factors) + noise * rng.standard_normal(factors.shape)


def with_dead(codes, value=0.0):
    return np.insert(codes, [0, 2], value, axis=1)


def bare(name, codes, factors, **more):
    """The score alone: intervals and floors take their time, and have tests of their own."""
    return METRICS[name](codes, factors, **(BARE | more))


def score(name, codes, factors, **more):
    return bare(name, codes, factors, **(QUICK.get(name, {}) | more))


# Contract


@pytest.fixture(scope="module")
def identity():
    factors = draw_factors()
    return draw_codes(factors), factors


@pytest.mark.parametrize("name", METRICS)
def test_metric_keeps_the_contract(name, identity):
    z, y = identity
    before = z.copy(), y.copy()
    result = score(name, z, y, names=["hue", "shape", "size"])
    assert isinstance(result, MetricResult)
    assert result.metric == name
    assert np.isfinite(result.score)
    assert result.score in result.parts.values()
    assert result.names == ("hue", "shape", "size")
    assert result.left_out == ()
    assert result.active.tolist() == [True] * 3
    assert result.n + result.n_test == len(z)
    assert set(result.per_factor) <= set(result.names)
    if result.matrix is not None:
        assert result.matrix.shape == (3, 3)
        assert result.matrix_holds
    assert np.array_equal(z, before[0])
    assert np.array_equal(y, before[1])
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize("name", METRICS)
def test_metric_gives_the_same_result_twice_and_leaves_the_global_generator_alone(name, identity):
    z, y = identity
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (score(name, z, y).to_dict() for _ in range(2))
    assert first == second
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("name", METRICS)
def test_metric_names_a_constant_factor_and_scores_the_others_as_if_it_were_not_there(
    name, identity
):
    z, y = identity
    result = score(name, z, np.insert(y, 1, 7, axis=1), names=["a", "still", "b", "c"])
    assert result.left_out == ("still",)
    assert "still" not in result.per_factor
    assert result.score == score(name, z, y).score
    if result.matrix is not None:
        assert np.isnan(result.matrix[:, 1]).all()
        assert np.isfinite(result.matrix[:, [0, 2, 3]]).all()


@pytest.mark.parametrize("name", METRICS)
def test_metric_is_unmoved_by_dead_codes(name, identity):
    z, y = identity
    result = score(name, with_dead(z, value=3.0), y)
    assert result.active.tolist() == [False, True, True, False, True]
    assert result.score == pytest.approx(score(name, z, y).score, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_metric_survives_a_code_that_is_dead_throughout(name, identity):
    _, y = identity
    result = score(name, np.zeros((len(y), 4)), y)
    assert not result.active.any()
    assert np.isfinite(result.score)
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize("name", METRICS)
def test_metric_takes_mixed_factors_one_code_and_one_factor(name):
    rng = np.random.default_rng(0)
    y = np.stack([rng.uniform(-1, 1, 300), rng.integers(3, size=300)], axis=1)
    assert np.isfinite(score(name, y + 0.1 * rng.standard_normal(y.shape), y).score)
    assert np.isfinite(score(name, y[:, :1], y).score)
    assert np.isfinite(score(name, y, y[:, :1]).score)
    assert np.isfinite(score(name, y[:, 1:], y[:, 1:]).score)


BAD = {
    "NaN in codes": (lambda z, y: (np.where(z == z[3, 1], np.nan, z), y), "NaN or infinity"),
    "infinity in codes": (lambda z, y: (np.where(z == z[3, 1], np.inf, z), y), "NaN or infinity"),
    "NaN in factors": (lambda z, y: (z, np.where(y == 2, np.nan, y)), "factors hold NaN"),
    "a vector of codes": (lambda z, y: (z[:, 0], y), "expected a matrix"),
    "a vector of factors": (lambda z, y: (z, y[:, 0]), r"\[:, None\]"),
    "no codes": (lambda z, y: (z[:, :0], y), "at least one column"),
    "rows that differ": (lambda z, y: (z[:-1], y), "399 rows and factors 400"),
    "transposed codes": (lambda z, y: (z.T, y), "transposed"),
    "few rows": (lambda z, y: (z[:20], y[:20]), "at least 21"),
    "words": (lambda z, y: (z, y.astype(str)), "expected real numbers"),
    "objects": (lambda z, y: (z.astype(object), y), "expected real numbers"),
    "constant factors": (lambda z, y: (z, np.ones_like(y)), "None of the factors"),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("what", BAD)
def test_metric_refuses(name, what, identity):
    spoil, message = BAD[what]
    with pytest.raises(ValueError, match=message):
        score(name, *spoil(*identity))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"names": ["a", "b"]}, "3 distinct names"),
        ({"names": ["a", "a", "b"]}, "3 distinct names"),
        ({"discrete": [True]}, "3 bools"),
        ({"test": 5}, "expected a pair"),
        ({"test": (np.ones((9, 2)), np.ones((9, 3)))}, r"expected \(M, 3\)"),
        ({"test": (np.ones((9, 3)), np.ones((8, 3)))}, "9 rows and test factors 8"),
        ({"test": (np.ones((9, 3)), np.ones((9, 3)))}, "in any rows held out"),
        ({"test_fraction": 1.0}, "such as 1/3"),
    ],
)
def test_metric_with_held_out_rows_refuses(more, message, identity):
    with pytest.raises(ValueError, match=message):
        bare("explicitness", *identity, **more)


def test_unknown_choices_are_refused_with_the_nearest(identity):
    with pytest.raises(ValueError, match="Did you mean 'gradient_boosting'"):
        bare("dci", *identity, estimator="gradient_bosting")
    with pytest.raises(ValueError, match="Did you mean 'mlp'"):
        bare("probe", *identity, model="mpl")
    with pytest.raises(ValueError, match="Did you mean 'modularity'"):
        metrics.score_all(*identity, metrics=["modulrity"])
    with pytest.raises(ValueError, match="quantile"):
        bare("irs", *identity, quantile=0.0)


# Known answers


def test_aligned_codes_score_high(identity):
    z, y = identity
    assert bare("mig", z, y).score > 0.95
    assert bare("sap", z, y, continuous=True).score > 0.95
    assert bare("modularity", z, y).score > 0.99
    assert bare("explicitness", z, y).score > 0.99
    assert bare("irs", z, y).score > 0.85
    parts = bare("dci", z, y, estimator="lasso").parts
    assert min(parts["disentanglement"], parts["completeness"]) > 0.95
    assert min(parts["informativeness"], parts["informativeness_train"]) > 0.95


@pytest.mark.parametrize("estimator", ["gradient_boosting", "random_forest", "lasso"])
def test_every_estimator_of_dci_tells_aligned_from_rotated_codes(estimator):
    y = np.random.default_rng(0).integers(3, size=(300, 3))
    rotation, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))
    z = draw_codes(y)
    aligned = bare("dci", z, y, estimator=estimator)
    rotated = bare("dci", z @ rotation, y, estimator=estimator)
    assert aligned.score > 0.9
    assert rotated.score < 0.6
    assert aligned.matrix.sum(axis=0) == pytest.approx(np.ones(3))


def test_codes_of_noise_score_low():
    y = draw_factors(2000)
    z = np.random.default_rng(1).standard_normal((2000, 4))
    assert bare("mig", z, y).score < 0.02
    assert bare("sap", z, y).score < 0.03
    assert bare("sap", z, y, continuous=True).score < 0.01
    assert bare("explicitness", z, y).score == pytest.approx(0.5, abs=0.05)
    chance = np.mean([1 / size for size in SIZES])
    for model in ("mlp", "linear"):
        assert bare("probe", z, y, model=model).score == pytest.approx(chance, abs=0.06)


def test_a_code_of_zeros_scores_nothing():
    y = draw_factors()
    z = np.zeros((len(y), 3))
    for name in ("mig", "modularity", "irs", "sap", "dci"):
        assert score(name, z, y).score == 0
    assert bare("explicitness", z, y).score == 0.5
    assert np.isnan(bare("irs", z, y).per_code).all()


def test_two_copies_close_the_gaps_and_leave_modularity_and_disentanglement():
    y = draw_factors()
    z = draw_codes(y)
    twice = np.concatenate([z, z], axis=1)
    assert bare("mig", twice, y).score == pytest.approx(0, abs=1e-12)
    assert bare("sap", twice, y).score == 0
    assert bare("modularity", twice, y).score == pytest.approx(bare("modularity", z, y).score)
    parts = bare("dci", twice, y, estimator="random_forest").parts
    assert parts["disentanglement"] > 0.95
    # Two codes share each factor: the entropy is log 2, to base 6.
    assert parts["completeness"] == pytest.approx(1 - np.log(2) / np.log(6), abs=0.05)


def test_mutual_information_of_exact_codes_is_the_entropy():
    grid = np.indices((4, 2)).reshape(2, -1).T.repeat(5, axis=0)
    result = bare("mig", grid[:, ::-1], grid)
    assert result.score == pytest.approx(1)
    assert result.matrix == pytest.approx(np.array([[0, np.log(2)], [np.log(4), 0]]))
    assert bare("modularity", grid, grid).per_code == pytest.approx(np.ones(2))


def test_irs_matches_a_hand_count():
    y = np.tile(np.indices((2, 2)).reshape(2, -1).T, (10, 1))
    z = y[:, :1] * 4.0 + y[:, 1:]  # 0, 1, 4, 5: mean 2.5, farthest 2.5; 0.5 within a group of y0
    assert bare("irs", z, y).matrix == pytest.approx(np.array([[0.8, 0.2]]))


# Faults that peers have


def test_matrices_are_codes_by_factors():
    """MIG was computed from a reshaped, not transposed, matrix: 0.50 became 0.0008."""
    y = draw_factors(1000)
    z = np.concatenate([draw_codes(y)[:, ::-1], np.random.default_rng(2).normal(size=(1000, 2))], 1)
    for name in ("mig", "sap", "irs", "dci"):
        result = score(name, z, y)
        assert result.matrix.shape == (5, 3)
        assert result.matrix.argmax(axis=0).tolist() == [2, 1, 0]
        assert result.score > 0.3


def test_all_rows_count():
    """A return inside the loop scored the first batch alone."""
    y = draw_factors(1000)
    z = draw_codes(y)
    z[500:] = np.random.default_rng(3).standard_normal((500, 3))
    assert bare("mig", z, y).score < 0.7 * bare("mig", z[:500], y[:500]).score


def test_dci_goes_on_after_a_dead_code():
    """One dead code in front ended the loop, and the others were not counted."""
    y = draw_factors()
    result = bare("dci", with_dead(draw_codes(y)), y, estimator="lasso")
    assert result.score > 0.95
    assert np.isnan(result.per_code).tolist() == [True, False, False, True, False]
    assert (result.matrix[[0, 3]] == 0).all()


@pytest.mark.parametrize("name", ["mig", "modularity", "irs", "explicitness"])
def test_discrete_factors_are_not_binned_again(name):
    """Forty classes must not become twenty bins, whether stored as integers or as floats."""
    y = np.random.default_rng(0).integers(40, size=(800, 2))
    whole = score(name, y + 0.0, y, discrete=[True, True])
    assert score(name, y + 0.0, y).score == whole.score
    assert score(name, y + 0.0, y.astype(np.float32)).score == whole.score
    assert score(name, y + 0.0, y, discrete=[False, False]).score != whole.score


def test_few_values_are_classes_however_spaced():
    values = np.geomspace(1, 1000, 6)
    y = values[np.random.default_rng(0).integers(6, size=(900, 2))]
    assert metrics.check_inputs(y, y).discrete.tolist() == [True, True]
    assert bare("mig", np.log(y), y).score > 0.95


def test_continuous_factors_are_binned():
    """Unbinned, every value is a class: information and entropy are log N, whatever the code."""
    y = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    noise = np.random.default_rng(1).standard_normal((2000, 2))
    assert metrics.check_inputs(noise, y).discrete.tolist() == [False, False]
    assert bare("mig", y, y).score > 0.95
    assert bare("mig", noise, y).score < 0.05
    assert bare("mig", y, y).matrix.max() < np.log(20.5)


def test_dead_codes_are_not_in_modularitys_mean():
    y = draw_factors()
    result = bare("modularity", with_dead(draw_codes(y)), y)
    assert result.score > 0.99
    assert np.isnan(result.per_code).tolist() == [True, False, False, True, False]


# Probes


@pytest.fixture(scope="module")
def mixed():
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.uniform(-1, 1, (1500, 2)), rng.integers(4, size=(1500, 1))], axis=1)
    z = np.stack([y[:, 0], np.square(y[:, 1]), y[:, 2]], axis=1)
    return z + 0.05 * rng.standard_normal(z.shape), y


def test_probes_give_r2_and_accuracy_with_intervals_that_hold_them(mixed):
    result = bare("probe", *mixed, names=["line", "square", "kind"], resamples=1000)
    assert set(result.factor_parts["r2"]) == {"line", "square"}
    assert set(result.factor_parts["accuracy"]) == {"kind"}
    assert list(result.per_factor) == ["line", "square", "kind"]
    assert result.score == pytest.approx(np.mean(list(result.per_factor.values())))
    assert result.per_factor["line"] > 0.95
    assert result.per_factor["kind"] > 0.95
    assert result.per_factor["square"] < 0.2
    for name, value in result.per_factor.items():
        low, high = result.intervals[name]
        assert low <= value <= high
    low, high = result.intervals["line"]
    assert 0 < high - low < 0.02


def test_networks_read_what_lines_cannot():
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (2000, 2))
    y = np.stack([np.square(z[:, 0]), z[:, 0] * z[:, 1] > 0], axis=1)
    lines, network = (bare("probe", z, y, model=model).per_factor for model in ("linear", "mlp"))
    assert lines["factor_0"] < 0.1 < 0.9 < network["factor_0"]
    assert lines["factor_1"] < 0.7 < 0.9 < network["factor_1"]


def test_r2_is_not_clipped():
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((300, 40)), rng.standard_normal((300, 1))
    assert bare("probe", z, y, model="linear", test_fraction=0.8).score < -0.2


def test_probe_takes_classes_that_are_too_rare_to_stratify():
    y = np.zeros((60, 1), dtype=int)
    y[::2], y[7] = 1, 2
    assert bare("probe", y + 0.0, y).score > 0.8


def test_held_out_rows_can_be_given_and_are_not_fitted_on(mixed):
    z, y = mixed
    test = z[1000:], y[1000:]
    for name in ("probe", "linear_probe", "dci", "sap", "explicitness"):
        given_rows = score(name, z[:1000], y[:1000], test=test)
        assert (given_rows.n, given_rows.n_test) == (1000, 500)
    shuffled = np.random.default_rng(0).permutation(y[1000:])
    assert bare("probe", z[:1000], y[:1000], test=(z[1000:], shuffled), model="linear").score < 0.2


def test_threads_change_nothing(mixed):
    z, y = (array[:300] for array in mixed)
    one, two = (bare("dci", z, y, estimator="gradient_boosting", n_jobs=n) for n in (1, 2))
    assert one.to_dict() == two.to_dict()


# Table


def test_score_all_is_tidy(mixed):
    names = ["line", "square", "kind"]
    chosen = ["mig", "dci", "linear_probe", "sap", "modularity", "explicitness", "irs"]
    y = np.insert(mixed[1], 3, 1, axis=1)
    table = metrics.score_all(
        mixed[0], y, metrics=chosen, names=[*names, "still"], options={"dci": QUICK["dci"]}, **BARE
    )
    assert list(dict.fromkeys(table["metric"])) == chosen
    assert not table.duplicated(["metric", "part", "factor"]).any()
    assert set(table["factor"]) == {"", *names}
    assert np.isfinite(table["value"]).all()
    assert table.attrs["left_out"] == {name: ["still"] for name in chosen}
    dci = table[(table["metric"] == "dci") & (table["factor"] == "")]
    assert dci["part"].tolist() == [
        "disentanglement",
        "completeness",
        "informativeness",
        "informativeness_train",
    ]
    assert set(dci["estimator"]) == {"lasso"}
    r2 = table[(table["metric"] == "linear_probe") & (table["factor"] == "line")].iloc[0]
    assert r2["part"] == "r2"
    assert r2["value"] == bare("probe", mixed[0], y, model="linear").per_factor["factor_0"]


def test_score_all_covers_the_registry_and_refuses_options_for_others():
    y = draw_factors(120, sizes=(2, 2))
    table = metrics.score_all(draw_codes(y), y, options=QUICK, **BARE)
    assert list(dict.fromkeys(table["metric"])) == list(METRICS)
    with pytest.raises(ValueError, match="options names"):
        metrics.score_all(y + 0.0, y, metrics=["mig"], options=QUICK)


# Properties

seeds = st.integers(0, 2**31 - 1)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, scales=st.lists(st.floats(1e-2, 1e2), min_size=4, max_size=4))
def test_order_and_scale_of_codes_do_not_change_mig_and_modularity(seed, scales):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=(200, 3))
    z = y @ rng.standard_normal((3, 4)) + rng.standard_normal((200, 4))
    moved = z[:, rng.permutation(4)] * scales + rng.standard_normal(4)
    for name in ("mig", "modularity"):
        assert score(name, moved, y).score == pytest.approx(score(name, z, y).score, abs=1e-12)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, codes=st.integers(1, 4), continuous=st.booleans(), noise=st.floats(0, 3))
def test_scores_stay_in_their_range(seed, codes, continuous, noise):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((100, 3)) if continuous else rng.integers(3, size=(100, 3))
    z = y @ rng.standard_normal((3, codes)) + noise * rng.standard_normal((100, codes))
    for name in ("mig", "sap", "modularity", "irs", "explicitness"):
        assert -1e-12 <= score(name, z, y).score <= 1 + 1e-12
    parts = bare("dci", z, y, estimator="lasso").parts
    for part in ("disentanglement", "completeness"):
        assert -1e-12 <= parts[part] <= 1 + 1e-12
    assert parts["informativeness"] <= 1


def test_sap_of_a_circular_factor_of_two_opposite_values_is_that_of_its_number():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=(400, 2)) * 180.0
    z = y + 90 * rng.standard_normal(y.shape)
    circular = metrics.sap(z, y, discrete=[False, False], periods=[360.0, 360.0], **BARE)
    linear = metrics.sap(z, y, discrete=[False, False], **BARE)
    np.testing.assert_allclose(circular.matrix, linear.matrix, atol=1e-9)


def test_metrics_in_processes_give_the_table_of_one_process():
    y = draw_factors(3_000)
    z = draw_codes(y, noise=0.3)
    chosen = ["mig", "modularity", "linear_probe", "irs"]
    one, two = (
        metrics.score_all(z, y, metrics=chosen, resamples=5, n_jobs=n_jobs) for n_jobs in (1, 2)
    )
    pd.testing.assert_frame_equal(one, two)
