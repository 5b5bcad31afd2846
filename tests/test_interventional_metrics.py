"""FactorVAE score, beta-VAE score and IRS: from rows of data, and from interventions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent.metrics import check_inputs, irs
from drl_latent.metrics.beta_vae_score import beta_vae
from drl_latent.metrics.factor_vae_score import factor_vae
from drl_latent.metrics.sampling import FEWEST_ROWS, DataSampler

SIZES = (3, 4, 5)
SCORES = pytest.mark.parametrize("score", [factor_vae, beta_vae])
FEW = {"votes": 600, "test_votes": 600, "batch": 32, "resamples": 0, "floor": False}
BARE = {"resamples": 0, "floor": False}


def draw_factors(n=1500, seed=0, sizes=SIZES):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(size, size=n) for size in sizes], axis=1)


def noisy(factors, noise=0.05, seed=1):
    scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    return scaled + noise * np.random.default_rng(seed).standard_normal(factors.shape)


class ToySampler:
    """A simulator of `SIZES`, whose codes are the factors, mixed."""

    names = ("hue", "shape", "size")

    def __init__(self, mixing=((1, 0, 0), (0, 1, 0), (0, 0, 1)), noise=0.05):
        self.mixing, self.noise = np.array(mixing, float), noise

    def fixed(self, column, groups, n, rng):
        values = rng.integers(SIZES, size=(groups, n, 3)).astype(float)
        values[:, :, column] = values[:, :1, column]
        values = (values - 0.5 * (np.array(SIZES) - 1)) / np.sqrt((np.square(SIZES) - 1) / 12)
        return values @ self.mixing + self.noise * rng.standard_normal((groups, n, 3))


# Known answers


@SCORES
def test_a_code_for_each_factor_scores_one_in_any_order(score):
    y = draw_factors()
    result = score(noisy(y)[:, [2, 0, 1]], y, **FEW)
    assert result.score > 0.99
    assert min(result.per_factor.values()) > 0.98
    votes = result.matrix if score is factor_vae else -result.matrix
    assert votes.argmax(axis=0).tolist() == [1, 2, 0]


def test_codes_that_mix_factors_score_lower_and_linear_mixing_costs_beta_vae_less():
    y = draw_factors(6000)
    mixing = [[1, 1, 0], [1, -1, 0.5], [0, 0.5, 1]]
    z = noisy(y) @ np.array(mixing)
    strict, lenient = (score(z, y, **FEW).score for score in (factor_vae, beta_vae))
    assert strict < 0.9
    assert lenient > strict


@SCORES
@pytest.mark.parametrize("codes", [2, 8])
def test_codes_of_noise_score_one_over_the_number_of_factors(score, codes):
    y = draw_factors(9000)
    z = np.random.default_rng(2).standard_normal((9000, codes))
    assert score(z, y, **FEW).score == pytest.approx(1 / 3, abs=0.08)


def test_rows_that_votes_come_from_are_not_scored():
    """Groups of the same rows vote alike: any code would pass for one that knows the factors."""
    y = draw_factors(150)
    codes = [np.random.default_rng(s).standard_normal((150, 30)) for s in range(8)]
    scores = [factor_vae(z, y, seed=s, **FEW).score for s, z in enumerate(codes)]
    again = [factor_vae(z, y, test=(z, y), **FEW).score for z in codes]
    assert np.mean(scores) < 0.5 < np.mean(again)


@SCORES
def test_two_copies_of_each_code_are_as_good_as_one(score):
    y = draw_factors()
    z = noisy(y)
    assert score(np.concatenate([z, 3 * z], axis=1), y, **FEW).score > 0.99


def test_codes_that_tie_share_a_vote():
    y = draw_factors()
    z = np.concatenate([y, y], axis=1).astype(float)
    matrix = factor_vae(z, y, **FEW).matrix
    assert matrix == pytest.approx(np.tile(np.eye(3) / 2, (2, 1)), abs=0.02)


@SCORES
def test_dead_codes_win_no_votes(score):
    """Their variance over that of all rows is 0 / 0, which peers let win."""
    y = draw_factors()
    z = noisy(y, noise=0.8)
    plain = score(z, y, **FEW)
    more = score(np.insert(z, [0, 2], [7.0, 0.1], axis=1), y, **FEW)
    assert more.active.tolist() == [False, True, True, False, True]
    assert more.score == pytest.approx(plain.score, abs=1e-12)
    assert (more.matrix[~more.active] == 0).all()


def test_a_code_that_is_dead_throughout_scores_nothing():
    y = draw_factors()
    assert factor_vae(np.ones((len(y), 2)), y, **FEW).score == 0
    assert beta_vae(np.ones((len(y), 2)), y, **FEW).score == pytest.approx(1 / 3)
    dead = {"codes": np.ones((len(y), 3)), "sampler": ToySampler(), "names": ToySampler.names}
    assert irs(factors=y, **dead, **BARE).score == 0
    assert factor_vae(factors=y, **dead, **FEW).score == 0


@SCORES
def test_a_single_factor_is_always_named(score):
    y = draw_factors()[:, :1]
    z = np.random.default_rng(0).standard_normal((len(y), 3))
    assert score(z, y, **FEW).score == 1


@SCORES
def test_continuous_and_circular_factors_are_kept_by_their_bins(score):
    y = np.random.default_rng(0).uniform(0, 1, (3000, 2))
    turns = 2 * np.pi * y[:, 0]
    z = np.stack([np.cos(turns), np.sin(turns), y[:, 1]], axis=1)
    assert score(z, y, periods=[1.0, 0.0], **FEW).score > 0.95


@SCORES
def test_grids_need_not_be_complete(score):
    y = draw_factors(4000)
    y = y[(y[:, 0] != 0) | (y[:, 1] < 2)]
    assert score(noisy(y), y, **FEW).score > 0.99


@SCORES
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    order=st.permutations(range(4)),
    scales=st.lists(st.floats(1e-2, 1e2), min_size=4, max_size=4),
)
def test_order_scale_and_origin_of_codes_change_nothing(score, seed, order, scales):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=(200, 3))
    z = y @ rng.standard_normal((3, 4)) + rng.standard_normal((200, 4))
    few = FEW | {"votes": 60, "test_votes": 60}
    moved = z[:, order] * scales - 1
    # Logistic regression stops short of its optimum, by as much as the order of columns matters.
    slack = 1e-9 if score is factor_vae else 0.02
    assert score(moved, y, **few).score == pytest.approx(score(z, y, **few).score, abs=slack)


def test_factor_vae_agrees_with_a_hand_count():
    """Of two binary factors, one code is the first, and another is noise."""
    y = np.tile(np.indices((2, 2)).reshape(2, -1).T, (900, 1)).astype(float)
    z = np.stack([y[:, 0], np.random.default_rng(0).standard_normal(len(y))], axis=1)
    result = factor_vae(z, y, **FEW)
    assert result.per_factor["factor_0"] == 1
    assert result.matrix[:, 0].tolist() == [1, 0]
    # With the second kept, both stray as far as ever. Votes of the first code are then wrong.
    assert 0.2 < result.matrix[1, 1] < 0.99
    assert result.per_factor["factor_1"] == pytest.approx(result.matrix[1, 1], abs=0.1)
    # Alone, it gets all votes of both factors, and stands for each by half.
    assert factor_vae(z[:, :1], y, **FEW).per_factor == {"factor_0": 0.5, "factor_1": 0.5}


@SCORES
@pytest.mark.parametrize("setting", ["votes", "test_votes", "batch"])
def test_settings_that_make_no_sense_are_refused(score, setting):
    y = draw_factors(100)
    with pytest.raises(ValueError, match=f"^{setting} is 0; expected [12] or more"):
        score(noisy(y), y, **(FEW | {setting: 0}))


# Groups of rows


def groups_of(labels, n, groups=400, seed=0):
    """Row numbers [groups, n] that a sampler draws for a factor with these classes."""
    rows = np.arange(len(labels), dtype=float)[:, None]
    sampler = DataSampler(check_inputs(rows, np.asarray(labels)[:, None]))
    return sampler.fixed(0, groups, n, np.random.default_rng(seed))[..., 0].astype(int)


def test_rows_of_a_group_share_the_value_and_none_comes_twice():
    labels = np.repeat([4, 7, 9], [10, 30, 60])
    rows = groups_of(labels, 10)
    assert (labels[rows] == labels[rows[:, :1]]).all()
    assert all(len(set(row)) == 10 for row in rows)
    chosen = np.bincount(labels[rows[:, 0]], minlength=10)[[4, 7, 9]] / 400
    assert chosen == pytest.approx([0.1, 0.3, 0.6], abs=0.08)
    often = np.bincount(rows[labels[rows[:, 0]] == 7].ravel(), minlength=100)[10:40]
    assert often.min() > 0.5 * often.mean()


def test_of_a_value_with_fewer_rows_than_a_group_all_come_in_turn():
    labels = np.repeat([0, 1], [6, 24])
    rows = groups_of(labels, 12)
    small = rows[labels[rows[:, 0]] == 0]
    assert len(small)
    assert (np.sort(small, axis=1) == np.repeat(np.arange(6), 2)).all()


def test_a_value_with_too_few_rows_is_never_chosen():
    labels = np.repeat([0, 1, 2], [FEWEST_ROWS - 1, 20, 20])
    assert 0 not in labels[groups_of(labels, 4)]
    with pytest.raises(ValueError, match="No value of 'factor_0' has 2 rows, the most frequent 1"):
        groups_of(np.arange(30), 4)


# Samplers


def call(score, sampler, names=ToySampler.names, **more):
    y = draw_factors(300)
    settings = {"names": names, "sampler": sampler, **BARE}
    return score(noisy(y), y, **(settings | more))


@SCORES
def test_a_sampler_and_rows_of_data_agree(score):
    mixing = np.array([[1, 0.6, 0], [0, 1, 0.6], [0.6, 0, 1]])
    few = {**FEW, "votes": 1500, "test_votes": 1500}
    y = draw_factors(20_000)
    of_data = score(noisy(y) @ mixing, y, **few).score
    sampled = call(score, ToySampler(mixing), **few)
    assert sampled.score == pytest.approx(of_data, abs=0.05)
    assert sampled.estimator == "ToySampler"


@pytest.mark.filterwarnings("ignore::drl_latent.metrics.CorrelatedFactorsWarning")
def test_only_interventions_tell_factors_apart_that_go_together_in_the_data():
    y = draw_factors(3000)
    y[:, 1] = y[:, 0]
    z = noisy(y)
    names = {"names": ToySampler.names}
    assert factor_vae(z, y, **names, **FEW).score < 0.8
    assert factor_vae(z, y, **names, sampler=ToySampler(), **FEW).score > 0.99
    together = irs(z, y, **names, **BARE).matrix
    apart = irs(z, y, **names, sampler=ToySampler(), **BARE).matrix
    # The code of hue is still where shape is kept, since hue is then kept as well.
    assert together[0, 1] > 0.8
    assert apart[0, 0] > 0.8 > 0.4 > apart[0, 1]


def test_irs_of_interventions_is_near_that_of_data_and_has_an_interval():
    y = draw_factors(6000)
    mixing = np.array([[1, 0.6, 0], [0, 1, 0.6], [0.6, 0, 1]])
    of_data = irs(noisy(y) @ mixing, y, **BARE).score
    found = call(irs, ToySampler(mixing), interventions=30, batch=200, resamples=50)
    assert found.score == pytest.approx(of_data, abs=0.05)
    low, high = found.interval
    assert low < found.score < high
    assert high - low < 0.1
    assert call(irs, ToySampler(mixing)).interval is None
    with pytest.raises(ValueError, match="interventions is 1; expected 2 or more"):
        call(irs, ToySampler(), interventions=1)


def test_the_interval_of_irs_is_as_wide_as_the_scores_of_other_interventions_scatter():
    sampler = ToySampler([[1, 0.6, 0], [0, 1, 0.6], [0.6, 0, 1]], noise=0.3)
    few = {"interventions": 20, "batch": 30}
    found = [call(irs, sampler, seed=seed, resamples=50, **few) for seed in range(40)]
    scatter = np.std([result.score for result in found])
    width = np.mean([result.interval[1] - result.interval[0] for result in found])
    assert width / (2 * 1.96 * scatter) == pytest.approx(1, abs=0.35)


@SCORES
def test_the_interval_of_a_sampler_narrows_with_the_votes(score):
    sampler = ToySampler([[1, 1, 0], [1, -1, 1], [0, 1, 1]], noise=0.5)
    widths = []
    for votes in (150, 2400):
        few = FEW | {"votes": 300, "test_votes": votes, "batch": 4, "resamples": 1}
        found = call(score, sampler, **few)
        low, high = found.interval
        assert 0 <= low < found.score < high <= 1
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)
    assert call(score, sampler, **FEW).interval is None


@SCORES
def test_the_interval_of_data_is_that_of_its_rows_and_not_of_votes(score):
    y = draw_factors(400)
    z = noisy(y, noise=1.5)
    few = FEW | {"batch": 8, "resamples": 20}
    low, high = score(z, y, **few).interval
    more = score(z, y, **(few | {"votes": 900, "test_votes": 900})).interval
    assert high - low > 0.05
    assert more[1] - more[0] == pytest.approx(high - low, rel=0.5)


@pytest.mark.parametrize("score", [factor_vae, beta_vae, irs])
def test_a_sampler_of_other_factors_or_codes_is_refused(score):
    with pytest.raises(ValueError, match=r"The sampler varies \['hue', 'shape', 'size'\].*names="):
        call(score, ToySampler(), names=None)

    class Narrow(ToySampler):
        def fixed(self, *how):
            return super().fixed(*how)[..., :2]

    with pytest.raises(ValueError, match=r"gave codes of shape .* use the encoder"):
        call(score, Narrow())


def test_a_sampler_may_have_its_factors_in_another_order():
    y = draw_factors(300)[:, ::-1]
    found = factor_vae(noisy(y)[:, ::-1], y, names=["size", "shape", "hue"], sampler=ToySampler(),
                       **FEW)  # fmt: skip
    assert found.score > 0.99
    assert found.matrix.argmax(axis=0).tolist() == [2, 1, 0]


def test_the_floor_is_that_of_data():
    found = call(factor_vae, ToySampler(), floor=True, **{k: FEW[k] for k in ("votes", "batch")})
    assert found.score > 0.99
    assert found.floor < 0.75
