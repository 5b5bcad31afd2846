"""Code responses where it is known what each code is made of."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from drl_latent import Encoder
from drl_latent.data import FrameDataset
from drl_latent.envs import Factor, FactorSpace
from drl_latent.interventions.code_responses import (
    CodeResponses,
    code_responses,
    responses_from_pairs,
)

SPACE = FactorSpace(
    (
        Factor("wide", "state", low=0.0, high=1.0, bins=50),
        Factor("three", "appearance", values=(0.0, 0.5, 1.0)),
        Factor("two", "appearance", values=(0.0, 1.0)),
    )
)
FACTORS = len(SPACE)
ENV, ENV_KWARGS = "DrlLatent/Reach-v0", {"factors": ["object_hue", "object_size", "floor_hue"]}


def make_pairs(n=900, changes=1, seed=0) -> FrameDataset:
    """Pairs of frames whose three pixels are the factors."""
    rng = np.random.default_rng(seed)
    first = SPACE.sample_values(n, rng)
    second = first.copy()
    for row in range(n):
        for k in rng.choice(FACTORS, changes, replace=False):
            while second[row, k] == first[row, k]:
                second[row, k] = SPACE.sample_values(1, rng)[0, k]
    factors = np.stack([first, second], axis=1).reshape(-1, FACTORS)
    frames = np.round(255 * factors).astype(np.uint8).reshape(-1, 1, FACTORS, 1)
    return FrameDataset(frames, factors, SPACE, {"source": "pairs"}, Path("toy"))


class Linear:
    def __init__(self, matrix):
        self.matrix = np.asarray(matrix, float)

    def __call__(self, frames):
        return (frames.reshape(-1, FACTORS) / 255) @ self.matrix.T


def responses(matrix, **kwargs) -> CodeResponses:
    return responses_from_pairs(Linear(matrix), make_pairs(), **kwargs)


def test_a_code_that_is_a_factor_owes_it_all_its_variance_whatever_the_levels():
    found = responses(np.eye(FACTORS))
    np.testing.assert_allclose(found.matrix, np.eye(FACTORS), atol=0.1)
    np.testing.assert_array_equal(found.matrix[~np.eye(FACTORS, dtype=bool)], 0.0)
    assert found.score == 1
    assert found.interval == (1, 1)
    np.testing.assert_array_equal(found.per_factor, 1)
    np.testing.assert_array_equal(found.per_code, 1)
    assert found.codes == {"wide": 0, "three": 1, "two": 2}
    assert found.pairs.sum() == 900


def test_mixed_codes_share_their_variance_among_factors():
    spread = SPACE.sample_values(5_000, np.random.default_rng(1)).std(axis=0)
    found = responses(np.array([[1, 1, 0], [1, -1, 0], [0, 0, 1]]) / spread)
    half = [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]
    np.testing.assert_allclose(found.matrix.T, half, atol=0.08)
    # Half of two codes among three.
    np.testing.assert_allclose(found.per_factor, [0.25, 0.25, 1], atol=0.02)
    np.testing.assert_allclose(found.per_code, [0.25, 0.25, 1], atol=0.1)
    assert found.interval[0] <= found.score <= found.interval[1]
    assert found.score == pytest.approx(0.5, abs=0.02)


def test_identity_ranks_above_mixtures():
    identity = responses(np.eye(FACTORS)).score
    rng = np.random.default_rng(0)
    mixed = [responses(rng.standard_normal((6, FACTORS))).score for _ in range(5)]
    assert max(mixed) < identity - 0.3


def test_scale_order_and_dead_codes_do_not_matter():
    matrix = np.random.default_rng(0).standard_normal((4, FACTORS))
    plain = responses(matrix)
    changed = np.concatenate([[np.zeros(FACTORS)], -7 * matrix[::-1]])
    found = responses(changed)
    assert found.score == pytest.approx(plain.score)
    np.testing.assert_allclose(found.matrix[:, 1:], plain.matrix[:, ::-1])
    np.testing.assert_array_equal(found.matrix[:, 0], 0)
    np.testing.assert_array_equal(found.active, [False, True, True, True, True])
    assert np.isnan(found.per_code[0])


def test_codes_that_are_said_to_be_unused_are_in_no_share():
    matrix = np.concatenate([np.eye(FACTORS), 1e-3 * np.ones((1, FACTORS))])
    assert responses(matrix).score < 0.9
    found = responses(matrix, informative=[True, True, True, False])
    assert found.score == 1
    assert np.isnan(found.per_code[3])
    assert found.matrix[:, 3].sum() == pytest.approx(1, abs=0.1)
    assert found.codes == {"wide": 0, "three": 1, "two": 2}


def test_no_codes_that_vary_score_0():
    found = responses(np.zeros((2, FACTORS)))
    assert found.score == 0
    assert found.codes == {}
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["per_factor"] == [None] * FACTORS
    assert told["active"] == [False, False]


def test_a_factor_that_never_changes_alone_has_no_row():
    data = make_pairs()
    alone = data.changed().argmax(axis=1) != 1
    rows = data.pairs()[alone].reshape(-1)
    fewer = FrameDataset(data.frames[rows], data.factors[rows], SPACE, data.config, data.path)
    found = responses_from_pairs(Linear(np.eye(FACTORS)), fewer)
    assert np.isnan(found.matrix[1]).all()
    assert found.pairs[1] == 0
    assert np.isnan(found.per_factor[1])
    assert found.score == 1
    json.dumps(found.to_dict(), allow_nan=False)


def test_only_pairs_that_differ_in_one_factor_count():
    with pytest.raises(ValueError, match="No pair of toy differs in exactly one factor"):
        responses_from_pairs(Linear(np.eye(FACTORS)), make_pairs(20, changes=2))
    some = [make_pairs(300, changes) for changes in (1, 2)]
    both = FrameDataset(
        np.concatenate([data.frames for data in some]),
        np.concatenate([data.factors for data in some]),
        SPACE,
        some[0].config,
        Path("toy"),
    )
    found = responses_from_pairs(Linear(np.eye(FACTORS)), both)
    assert found.to_dict() == responses_from_pairs(Linear(np.eye(FACTORS)), some[0]).to_dict()


def floor_colour(frames):
    """The colour of most pixels of Reach."""
    return np.median(frames.reshape(len(frames), -1, 3), axis=1)


def test_on_the_simulator_the_colour_of_the_floor_responds_to_its_hue_alone():
    found = code_responses(floor_colour, ENV, n=20, env_kwargs=ENV_KWARGS)
    floor = found.names.index("floor_hue")
    np.testing.assert_allclose(found.matrix[floor], 1, atol=0.35)
    others = np.delete(found.matrix, floor, axis=0)
    assert others.max() < 0.02
    np.testing.assert_allclose(found.per_code, 1, atol=0.05)
    assert len(found.names) == 7
    assert found.pairs.sum() == 7 * 20
    assert found.pairs.min() >= 8


def test_an_environment_gives_what_its_id_gives_and_stays_open():
    env = gym.make(ENV, **ENV_KWARGS)
    env.reset(seed=3)
    before = env.unwrapped.factor_values
    here = code_responses(floor_colour, env, n=3, seed=1)
    np.testing.assert_array_equal(env.unwrapped.factor_values, before)
    env.step(env.action_space.sample())
    env.close()
    there = code_responses(floor_colour, ENV, n=3, seed=1, env_kwargs=ENV_KWARGS)
    assert here.to_dict() == there.to_dict()
    other = code_responses(floor_colour, ENV, n=3, seed=2, env_kwargs=ENV_KWARGS)
    assert other.to_dict() != there.to_dict()


def test_an_encoder_is_measured_on_pairs_of_reach(encoder: Encoder, pairs: FrameDataset):
    found = responses_from_pairs(encoder, pairs)
    assert found.matrix.shape == (len(pairs.factor_space), encoder.latent_dim)
    assert found.pairs.sum() == 100
    assert 0 < found.score < 1


def test_wrong_requests_are_refused(frames: FrameDataset):
    with pytest.raises(ValueError, match="n, the pairs of each factor, must be 2 or more, got 1"):
        code_responses(floor_colour, ENV, n=1)
    with pytest.raises(ValueError, match="has no factors of variation"):
        code_responses(floor_colour, "CartPole-v1")
    with pytest.raises(ValueError, match=r"informative is int64 \[3\]; expected 3 bools"):
        responses(np.eye(FACTORS), informative=[1, 1, 1])
    with pytest.raises(ValueError, match="has no pairs frames"):
        responses_from_pairs(floor_colour, frames)
