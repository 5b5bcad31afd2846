"""UDR on codes whose disentanglement is known."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso

from drl_latent.registry import UnknownNameError
from drl_latent.udr import LASSO_ALPHA, SIMILARITIES, udr

PERFECT = {"spearman": 1.0, "lasso": 1 - LASSO_ALPHA}
FACTORS = 4


def draw(n=400, d=FACTORS, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, d))


def grid(d, rows=32):
    """Every combination of 4 levels, repeated to at least so many rows: uncorrelated columns."""
    levels = np.array(list(itertools.product(range(4), repeat=d)), dtype=float)
    return np.tile(levels, (-(-rows // len(levels)), 1))


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def shuffled(codes, seed):
    """The same latents in another order, some of them negated, on other scales."""
    rng = np.random.default_rng(seed)
    d = codes.shape[1]
    factors = rng.choice([-1, 1], d) * rng.uniform(0.5, 20, d)
    return codes[:, rng.permutation(d)] * factors + rng.uniform(-5, 5, d)


def disentangled(n_models, noise=0.1, **kwargs):
    z = draw(**kwargs)
    rng = np.random.default_rng(99)
    return [shuffled(z + noise * rng.standard_normal(z.shape), i) for i in range(n_models)]


def entangled(n_models, **kwargs):
    z = draw(**kwargs)
    return [z @ rotation(z.shape[1], i) for i in range(n_models)]


def all_latents(codes):
    return [np.ones(z.shape[1], dtype=bool) for z in codes]


def score(codes, informative=None, similarity="spearman"):
    return udr(codes, informative or all_latents(codes), similarity=similarity)


def slow_udr(codes, informative, similarity):
    """The definition, one entry and one sum at a time, on standardised codes."""

    def entry(i, a, j, b):
        if similarity == "spearman":
            return abs(spearmanr(codes[i][:, a], codes[j][:, b]).statistic)
        scaled = [(z - z.mean(axis=0)) / z.std(axis=0) for z in (codes[i], codes[j])]
        inputs = scaled[1][:, informative[j]]
        weights = Lasso(0.1, tol=1e-8).fit(inputs, scaled[0][:, a]).coef_
        return abs(weights[list(np.flatnonzero(informative[j])).index(b)])

    scores = []
    for i in range(len(codes)):
        partners = []
        for j in range(len(codes)):
            if i == j:
                continue
            rows, columns = np.flatnonzero(informative[i]), np.flatnonzero(informative[j])
            r = {(a, b): entry(i, a, j, b) for a, b in itertools.product(rows, columns)}
            total = 0.0
            for b in columns:
                column = [r[a, b] for a in rows]
                total += max(column) ** 2 / sum(column) if sum(column) else 0
            for a in rows:
                row = [r[a, b] for b in columns]
                total += max(row) ** 2 / sum(row) if sum(row) else 0
            partners.append(total / (len(rows) + len(columns)))
        scores.append(np.median(partners))
    return scores


# Known answers


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("d", [1, 3])
def test_same_latents_in_another_order_sign_and_scale_are_a_perfect_match(similarity, d):
    result = score([shuffled(grid(d, 30), seed) for seed in range(3)], similarity=similarity)
    assert result.scores == pytest.approx(np.full(3, PERFECT[similarity]), abs=1e-6)


def test_uncorrelated_ranks_match_perfectly_through_any_monotone_function():
    levels = grid(3)
    models = [levels, -(levels[:, [2, 0, 1]] ** 3), np.exp(levels[:, ::-1])]
    result = score(models)
    assert result.scores == pytest.approx(np.ones(3), abs=1e-12)
    assert (result.scores <= 1).all()
    assert np.isnan(np.diag(result.pairwise)).all()
    assert list(result.informative) == [3, 3, 3]


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_entangled_codes_score_lower_and_unrelated_ones_near_the_floor(similarity):
    aligned = score(disentangled(5), similarity=similarity).scores
    rotated = score(entangled(5), similarity=similarity).scores
    unrelated = score([draw(seed=i) for i in range(5)], similarity=similarity).scores
    assert aligned.min() > rotated.max() + 0.2
    assert rotated.min() > unrelated.max() + 0.1
    assert unrelated.max() < 0.1


def test_a_latent_that_is_split_in_two_costs():
    z = grid(2)
    # The three are matched in full, 1^2 / 1, and so is one of the two; the other spreads, 1^2 / 2.
    assert score([z, z[:, [0, 1, 1]]]).scores == pytest.approx(np.full(2, (3 + 1 + 0.5) / 5))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_picks_the_disentangled_ones_of_a_mixed_family(similarity):
    models = [*entangled(2), *disentangled(3)]
    scores = score(models, similarity=similarity).scores
    assert set(np.argsort(-scores)[:3]) == {2, 3, 4}


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_agrees_with_the_definition_written_out(similarity):
    rng = np.random.default_rng(3)
    z = draw(60, 3)
    models = [z @ rng.standard_normal((3, d)) + 0.3 * rng.standard_normal((60, d)) for d in (2, 4)]
    models += [z, np.insert(z, 1, rng.standard_normal(60), axis=1)]
    masks = [np.ones(2, bool), np.array([1, 0, 1, 1], bool), np.ones(3, bool), np.ones(4, bool)]
    fast = score(models, masks, similarity).scores
    assert fast == pytest.approx(slow_udr(models, masks, similarity), abs=2e-3)
    if similarity == "spearman":
        assert fast == pytest.approx(slow_udr(models, masks, similarity), abs=1e-12)


# Latents that do not count


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_uninformative_latents_are_ignored(similarity):
    models = disentangled(3)
    expected = score(models, similarity=similarity)
    noisy = [np.insert(z, 1, draw(d=1, seed=50 + i)[:, 0], 1) for i, z in enumerate(models)]
    mask = np.array([True, False, True, True, True])
    result = score(noisy, [mask] * 3, similarity)
    np.testing.assert_allclose(result.pairwise, expected.pairwise, atol=1e-12)
    assert list(result.informative) == [FACTORS] * 3
    assert score(noisy, similarity=similarity).scores.max() < expected.scores.min()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_constant_latents_are_ignored_without_a_warning(similarity):
    models = disentangled(3)
    dead = [np.insert(z, [0, 2], 0.3, axis=1) for z in models[:2]] + models[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = score(dead, similarity=similarity)
    expected = score(models, similarity=similarity)
    np.testing.assert_allclose(result.pairwise, expected.pairwise, atol=1e-12)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_model_without_informative_latents_scores_zero(similarity):
    models = disentangled(4)
    masks = all_latents(models)
    masks[1] = ~masks[1]
    result = score(models, masks, similarity)
    assert result.scores[1] == 0
    assert result.informative[1] == 0
    assert result.scores[[0, 2, 3]].min() > 0.5
    nothing = score([np.zeros((30, 2)), np.ones((30, 3))], similarity=similarity)
    assert list(nothing.scores) == [0, 0]


# Properties

models_of_any_kind = st.integers(0, 10_000).map(
    lambda seed: [
        draw(40, 3) @ np.random.default_rng([seed, i]).standard_normal((3, 2 + (seed + i) % 3))
        + 0.1 * np.random.default_rng([seed, i, 1]).standard_normal((40, 2 + (seed + i) % 3))
        for i in range(3)
    ]
)


@settings(deadline=None, max_examples=25)
@given(models_of_any_kind, st.integers(0, 10_000), st.sampled_from(list(SIMILARITIES)))
def test_order_sign_and_scale_of_latents_do_not_matter(models, seed, similarity):
    before = score(models, similarity=similarity).pairwise
    changed = [shuffled(z, [seed, i]) for i, z in enumerate(models)]
    after = score(changed, similarity=similarity).pairwise
    # Coordinate descent stops within a tolerance, at another point for another order.
    tolerance = 1e-9 if similarity == "spearman" else 0.02
    np.testing.assert_allclose(after, before, atol=tolerance)
    scores = score(models, similarity=similarity).scores
    assert (scores >= 0).all()
    assert similarity == "lasso" or (scores <= 1).all()


@settings(deadline=None, max_examples=25)
@given(
    models_of_any_kind,
    st.permutations(range(3)),
    st.integers(0, 2),
    st.floats(-1e3, 1e3),
    st.sampled_from(list(SIMILARITIES)),
)
def test_order_of_models_and_dead_latents_do_not_matter(models, order, where, dead, similarity):
    before = score(models, similarity=similarity).scores
    changed = [np.insert(models[i], where, dead, axis=1) for i in order]
    after = score(changed, similarity=similarity).scores
    np.testing.assert_allclose(after, before[order], atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(models_of_any_kind)
def test_spearman_is_symmetric_and_blind_to_monotone_functions(models):
    pairwise = score(models).pairwise
    np.testing.assert_allclose(pairwise, pairwise.T, atol=1e-12)
    # A power of two keeps ranks to the bit.
    warped = score([np.sign(z) * z**2 * 4 for z in models]).pairwise
    np.testing.assert_allclose(warped, pairwise, atol=1e-9)


# Wrong requests


@pytest.mark.parametrize(
    ("codes", "masks", "says"),
    [
        ([draw()], None, "codes of 1 models"),
        ([draw(), draw()], [np.ones(4, bool)], "1 masks"),
        ([draw(), draw()[:-1]], None, r"\[399, 400\] rows"),
        ([draw(10), draw(10)], None, "at least 20"),
        ([draw(), draw() * np.nan], None, "codes of model 1 hold NaN"),
        ([draw(), draw()[:, 0]], [np.ones(4, bool)] * 2, "codes of model 1 have shape"),
        ([draw(), draw()], [np.ones(4, bool), np.ones(3, bool)], r"mask of model 1 is bool \[3\]"),
        ([draw(), draw()], [np.ones(4)] * 2, "mask of model 0 is float64"),
    ],
)
def test_wrong_codes_are_refused(codes, masks, says):
    with pytest.raises(ValueError, match=says):
        score(codes, masks)


def test_unknown_similarity_is_refused():
    with pytest.raises(UnknownNameError, match="'spearman'"):
        score([draw(), draw()], similarity="spearmann")
