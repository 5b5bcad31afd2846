"""Intervals, floors, warnings and types of factors: what every metric gets from its definition."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

from drl_latent import metrics
from drl_latent.metrics import METRICS, CorrelatedFactorsWarning, Score, define_metric
from drl_latent.metrics.intervals import score_rows

# Metrics whose default predictor takes long, in a form that does not.
QUICK = {"dci": {"estimator": "lasso"}, "probe": {"model": "linear"}}
SMALL = {"resamples": 5}
# Scores of random codes scatter with few rows, those of votes most.
ROWS = {"factor_vae": 1_500}


def draw(n=300, seed=0, noise=0.4):
    rng = np.random.default_rng(seed)
    y = np.stack([rng.integers(size, size=n) for size in (3, 4)], axis=1)
    return (y - y.mean(axis=0)) / y.std(axis=0) + noise * rng.standard_normal(y.shape), y


@pytest.mark.parametrize("name", METRICS)
def test_every_result_has_an_interval_that_holds_its_score_and_a_floor(name):
    z, y = draw(ROWS.get(name, 300))
    result = METRICS[name](z, y, **SMALL, **QUICK.get(name, {}))
    low, high = result.interval
    assert low <= result.score + 1e-9
    assert result.score <= high + 1e-9
    assert np.isfinite(result.floor)
    noise = np.random.default_rng(5).standard_normal(z.shape)
    bare = {"resamples": 0, "floor": False} | QUICK.get(name, {})
    random_code = METRICS[name](noise, y, **bare)
    assert random_code.interval is None
    assert np.isnan(random_code.floor)
    assert random_code.score == pytest.approx(result.floor, abs=0.2)


@pytest.mark.parametrize("name", METRICS)
def test_intervals_and_floors_do_not_move_the_score(name):
    z, y = draw(120)
    more = QUICK.get(name, {})
    full = METRICS[name](z, y, **SMALL, **more)
    assert full.score == METRICS[name](z, y, resamples=0, floor=False, **more).score
    assert full.interval == METRICS[name](z, y, **SMALL, **more).interval


def test_halves_that_a_metric_cannot_score_are_left_out():
    @define_metric("picky", bounds=(-np.inf, np.inf))
    def picky(inputs):
        if len(inputs.codes) < 400 and inputs.codes[:, 0].mean() > 0:
            raise ValueError("too few rows")
        return Score({"mean": float(inputs.codes.mean())})

    try:
        z = np.random.default_rng(0).standard_normal((400, 1))
        z -= z.mean()
        assert picky(z, draw(400)[1], resamples=20).interval is not None
        assert picky(z + 9, draw(400)[1], resamples=20).interval is None
    finally:
        METRICS.pop("picky")


def test_intervals_narrow_as_rows_grow():
    few, many = (metrics.mig(*draw(n)).interval for n in (300, 4800))
    ratio = (few[1] - few[0]) / (many[1] - many[0])
    assert 2.5 < ratio < 6.5


def test_the_scale_of_an_interval_is_that_of_a_mean():
    """Halves of the rows scatter about all of them as all rows do about the truth."""

    @define_metric("mean_of_the_code", bounds=(-np.inf, np.inf))
    def mean(inputs):
        return Score({"mean": float(inputs.codes.mean())})

    try:
        z = np.random.default_rng(0).standard_normal((400, 1))
        low, high = mean(z, draw(400)[1], resamples=400).interval
    finally:
        METRICS.pop("mean_of_the_code")
    assert (high - low) / 2 == pytest.approx(1.96 / np.sqrt(400), rel=0.15)


def test_rows_of_one_group_stay_together():
    """Copies of a row on both sides of a split would make a lookup table of the probe."""
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((60, 30)), rng.uniform(-1, 1, (60, 1))
    z, y, episode = z.repeat(10, axis=0), y.repeat(10, axis=0), np.arange(60).repeat(10)
    bare = {"resamples": 0, "floor": False}
    leaking = metrics.linear_probe(z, y, **bare).score
    apart = metrics.linear_probe(z, y, groups=episode, **bare).score
    assert leaking > 0.2 > apart
    fit, held = metrics.split_inputs(z, y, groups=episode)
    assert not set(fit.codes[:, 0]) & set(held.codes[:, 0])


def test_dependent_rows_widen_intervals():
    z, y = draw(60, noise=1.0)
    z, y, episode = z.repeat(20, axis=0), y.repeat(20, axis=0), np.arange(60).repeat(20)
    for name in ("mig", "linear_probe"):
        alone, together = (METRICS[name](z, y, groups=g).interval for g in (None, episode))
        assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_groups_must_fit_the_rows():
    z, y = draw()
    with pytest.raises(ValueError, match="the group of each row"):
        metrics.mig(z, y, groups=[1, 2, 3])
    with pytest.raises(ValueError, match="1 groups"):
        metrics.linear_probe(z, y, groups=np.zeros(len(z)))


# Circular factors


def circle(n=900, seed=0):
    angle = np.random.default_rng(seed).uniform(-180, 180, n)
    turn = np.deg2rad(angle)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1), angle[:, None]


def test_circular_factors_are_predicted_on_their_circle():
    z, y = circle()
    z = z + 0.02 * np.random.default_rng(1).standard_normal(z.shape)
    bare = {"resamples": 0, "floor": False, "periods": [360]}
    for name in ("probe", "linear_probe"):
        result = METRICS[name](z, y, **bare)
        assert result.score > 0.98
        assert list(result.factor_parts) == ["r2"]
    assert metrics.linear_probe(z, y, resamples=0, floor=False).score < 0.7
    dci = metrics.dci(z, y, estimator="lasso", **bare)
    assert dci.parts["informativeness"] > 0.98
    assert dci.matrix[:, 0] == pytest.approx([0.5, 0.5], abs=0.02)
    # Both codes explain half of the circle, and each of them is explained in full.
    assert metrics.sap(z, y, **bare).matrix[:, 0] == pytest.approx([1, 1], abs=0.01)


def test_scores_do_not_depend_on_where_a_circle_is_cut():
    z, y = circle()
    bare = {"resamples": 0, "floor": False, "periods": [360]}
    for name in ("mig", "linear_probe", "sap", "irs"):
        scores = [METRICS[name](z, y + shift, **bare).score for shift in (0, 360, -720)]
        assert scores == pytest.approx([scores[0]] * 3, abs=1e-9)


def test_periods_must_fit_the_factors():
    z, y = draw()
    for wrong in ([360], [-1, 0], [np.nan, 0]):
        with pytest.raises(ValueError, match="the period of a circular factor"):
            metrics.mig(z, y, periods=wrong)


# Correlated factors


def correlated(n=1500, share=0.8, seed=0):
    rng = np.random.default_rng(seed)
    first = rng.integers(4, size=n)
    second = np.where(rng.random(n) < share, first, rng.integers(4, size=n))
    y = np.stack([first, second, rng.integers(3, size=n)], axis=1)
    return y + 0.05 * rng.standard_normal(y.shape), y


def test_correlated_factors_are_named_with_how_much():
    z, y = correlated()
    with pytest.warns(CorrelatedFactorsWarning, match=r"hue and size \(0\.8"):
        result = metrics.mig(z, y, names=["hue", "size", "shape"], resamples=0)
    ((first, second, strength),) = result.correlated
    assert (first, second) == ("hue", "size")
    assert strength == pytest.approx(0.8, abs=0.05)


def test_independent_factors_and_small_samples_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(20):
            for n in (21, 60, 1000):
                y = np.random.default_rng(seed).integers(8, size=(n, 3))
                assert metrics.correlated_factors(metrics.check_inputs(y, y)) == ()


def test_a_table_of_scores_warns_once():
    z, y = correlated()
    with pytest.warns(CorrelatedFactorsWarning) as raised:
        metrics.score_all(z, y, metrics=["mig", "modularity", "irs"], resamples=0, floor=False)
    assert len(raised) == 1


def test_given_its_partner_a_correlated_factor_does_not_count_against_the_code():
    z, y = correlated()
    with pytest.warns(CorrelatedFactorsWarning):
        plain, given = (
            metrics.mig(z, y, conditional=c, resamples=0, floor=False).score for c in (False, True)
        )
    assert plain < 0.75
    assert given > 0.93


# Help and settings


def test_settings_are_shown_and_unknown_ones_refused():
    assert {"bins", "conditional", "periods", "resamples"} <= set(
        inspect.signature(metrics.mig).parameters
    )
    assert "test" not in inspect.signature(metrics.mig).parameters
    assert "test" in inspect.signature(metrics.dci).parameters
    with pytest.raises(TypeError, match="mig has no setting"):
        metrics.mig(*draw(), bin=3)
    assert metrics.mig(*draw(), bins=7, resamples=0).settings["bins"] == 7


def test_r2_of_rows_drawn_again_is_that_of_scikit_learn():
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(0)
    truth = rng.standard_normal((50, 2))
    guess = truth + 0.5 * rng.standard_normal((50, 2))
    labels = rng.integers(3, size=50)
    found = score_rows(
        [truth, labels], [guess, np.zeros(50)], [False, True],
        groups=np.arange(50), resamples=200, seed=0,
    )  # fmt: skip
    assert found.values[0] == pytest.approx(r2_score(truth, guess, multioutput="variance_weighted"))
    assert found.values[1] == np.mean(labels == 0)
    assert found.interval[0] < found.values.mean() < found.interval[1]
