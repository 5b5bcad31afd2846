"""Knob purity on codes whose decoder is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent import Encoder
from drl_latent.data import FrameDataset
from drl_latent.interventions.concentration import concentration, weighted_concentration
from drl_latent.interventions.purity import KnobPurity, knob_purity
from drl_latent.interventions.readings import Reading, factor_variance

FACTORS = 4
NAMES = ("x", "y", "hue", "shape")
# The values are 0 to 1; the hue comes round at 1, and the shape is one of three.
SHAPES = 3


def draw(n=400, seed=0):
    """Frames of 2 x 2 pixels, each of which is one factor."""
    rng = np.random.default_rng(seed)
    return np.round(255 * rng.uniform(0, 1, (n, FACTORS))).astype(np.uint8).reshape(n, 2, 2, 1)


def read_numbers(images):
    values = images.reshape(-1, FACTORS) / 255
    return {name: Reading(values[:, k], 1 / 12) for k, name in enumerate(NAMES)}


def read_all_kinds(images):
    values = images.reshape(-1, FACTORS) / 255
    shape = np.eye(SHAPES)[np.minimum((SHAPES * values[:, 3]).astype(int), SHAPES - 1)]
    return {
        "x": Reading(values[:, 0], 1 / 12),
        "y": Reading(values[:, 1], 1 / 12),
        "hue": Reading(values[:, 2], 1.0, period=1.0),
        "shape": Reading(shape, 1 - 1 / SHAPES),
    }


class LinearCodec:
    """Codes are linear in the pixels, and decoded by the inverse."""

    def __init__(self, matrix, shift=0.0):
        self.matrix, self.shift = np.asarray(matrix, float), shift

    @property
    def latent_dim(self):
        return len(self.matrix)

    def __call__(self, frames):
        return (frames.reshape(-1, FACTORS) / 255 - 0.5) @ self.matrix.T + self.shift

    def decode(self, codes):
        values = (codes - self.shift) @ np.linalg.pinv(self.matrix).T + 0.5
        return np.round(255 * values.clip(0, 1)).astype(np.uint8).reshape(-1, 2, 2, 1)


def turned(degrees):
    """Latents 0 and 1, and 2 and 3, turned in their planes."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.kron(np.eye(2), [[cosine, -sine], [sine, cosine]])


def purity(matrix, reader=read_numbers, **kwargs) -> KnobPurity:
    return knob_purity(LinearCodec(matrix), reader, draw(), **kwargs)


def test_a_latent_that_is_a_factor_is_pure_whatever_the_kind_of_factor():
    found = purity(np.eye(FACTORS), read_all_kinds)
    assert found.score == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found.per_latent, 1, atol=1e-6)
    np.testing.assert_allclose(found.per_factor, 1, atol=1e-6)
    # Even steps from the 5th to the 95th percentile show all there is of a factor, nearly: of five
    # steps, two classes of three have two, and one has one.
    np.testing.assert_allclose(np.diag(found.matrix), [1, 1, 1, 0.96], atol=0.02)
    np.testing.assert_allclose(found.faithful, 1)
    assert found.moved == NAMES
    assert found.knobs == {"x": 0, "y": 1, "hue": 2, "shape": 3}


def test_identity_ranks_above_rotated_above_random():
    identity, rotated = purity(np.eye(FACTORS)).score, purity(turned(30)).score
    mixtures = [np.random.default_rng(seed).standard_normal((8, FACTORS)) for seed in range(10)]
    mixed = [purity(mixture).score for mixture in mixtures]
    assert identity > 0.999
    assert rotated < 0.75
    assert np.mean(mixed) < rotated - 0.1
    assert max(mixed) < identity - 0.2


@pytest.mark.parametrize("degrees", [15, 30, 45])
def test_turned_latents_are_as_pure_as_the_larger_share_of_their_variance(degrees):
    found = purity(turned(degrees))
    share = np.cos(np.radians(degrees)) ** 2
    assert found.score == pytest.approx((share - 1 / 4) / (1 - 1 / 4), abs=0.05)
    # Two latents of four move each factor.
    column = (share - 1 / 4) / (1 - 1 / 4)
    np.testing.assert_allclose(found.per_factor, column, atol=0.06)


def test_a_latent_that_moves_all_factors_alike_has_no_purity():
    hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    assert purity(hadamard).score < 0.1


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from([0, 30, "random"]))
def test_order_scale_and_shift_of_latents_do_not_matter(seed, kind):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((6, FACTORS)) if kind == "random" else turned(kind)
    codec, plain = LinearCodec(matrix), purity(matrix)
    order = rng.permutation(len(matrix))
    scale = rng.choice([-1, 1], len(matrix)) * rng.uniform(0.1, 30, len(matrix))

    class Changed:
        latent_dim = len(matrix)

        def __call__(self, frames):
            return codec(frames)[:, order] * scale + 7

        def decode(self, codes):
            back = np.empty_like(codes)
            back[:, order] = (codes - 7) / scale
            return codec.decode(back)

    changed = knob_purity(Changed(), read_numbers, draw())
    assert changed.score == pytest.approx(plain.score, abs=0.01)
    np.testing.assert_allclose(changed.matrix, plain.matrix[order], atol=0.02)
    np.testing.assert_allclose(changed.per_factor, plain.per_factor, atol=0.02)


def test_dead_latents_change_nothing_and_are_in_no_mean():
    plain = purity(turned(30))
    matrix = np.concatenate([turned(30), np.zeros((2, FACTORS))])
    found = purity(matrix)
    assert found.score == plain.score
    assert found.interval == plain.interval
    np.testing.assert_array_equal(found.matrix[FACTORS:], 0.0)
    np.testing.assert_array_equal(found.active, [True] * FACTORS + [False] * 2)
    assert np.isnan(found.per_latent[FACTORS:]).all()
    assert found.moved[FACTORS:] == (None, None)
    np.testing.assert_array_equal(found.per_factor, plain.per_factor)


def test_a_latent_that_the_decoder_ignores_moves_nothing():
    codec = LinearCodec(np.eye(FACTORS))

    class Ignoring(LinearCodec):
        latent_dim = FACTORS + 1

        def __call__(self, frames):
            return np.concatenate([codec(frames), codec(frames)[:, :1] ** 3], axis=1)

        def decode(self, codes):
            return codec.decode(codes[:, :FACTORS])

    found = knob_purity(Ignoring(np.eye(FACTORS)), read_numbers, draw())
    np.testing.assert_allclose(found.matrix[FACTORS], 0.0, atol=1e-20)
    assert found.score == pytest.approx(1)


def test_duplicated_latents_stay_pure_but_share_their_factors():
    found = purity(np.concatenate([np.eye(FACTORS)] * 2))
    assert found.score == pytest.approx(1, abs=1e-6)
    # The largest of two shares of a half, among eight latents.
    np.testing.assert_allclose(found.per_factor, (1 / 2 - 1 / 8) / (1 - 1 / 8), atol=0.01)


def test_latents_that_move_little_count_little():
    """Latent 4 spreads over all factors, but hardly moves them."""
    codec = LinearCodec(np.eye(FACTORS))

    class Leaking(LinearCodec):
        latent_dim = FACTORS + 1

        def __call__(self, frames):
            return np.concatenate([codec(frames), codec(frames[::-1])[:, :1]], axis=1)

        def decode(self, codes):
            return codec.decode(codes[:, :FACTORS] + 0.15 * codes[:, FACTORS:])

    found = knob_purity(Leaking(np.eye(FACTORS)), read_numbers, draw())
    assert found.active.all()
    assert found.per_latent[FACTORS] < 0.1
    assert found.score > 0.95


def test_quantised_latents_are_set_to_values_that_occur_only():
    seen = []

    class Quantised(LinearCodec):
        def __call__(self, frames):
            return np.round(3 * super().__call__(frames))

        def decode(self, codes):
            seen.append(np.unique(codes))
            return super().decode(codes / 3)

    found = knob_purity(Quantised(np.eye(FACTORS)), read_numbers, draw())
    assert set(np.concatenate(seen)) <= {-2, -1, 0, 1, 2}
    assert found.score == pytest.approx(1, abs=1e-6)


def test_a_factor_that_the_decoder_does_not_draw_is_marked():
    class Blind(LinearCodec):
        def decode(self, codes):
            images = super().decode(codes)
            images.reshape(-1, FACTORS)[:, 1] = 128
            return images

    found = knob_purity(Blind(np.eye(FACTORS)), read_numbers, draw())
    np.testing.assert_allclose(found.faithful[[0, 2, 3]], 1)
    assert found.faithful[1] < 0.1
    assert np.isnan(found.per_factor[1])
    assert "y" not in found.knobs
    np.testing.assert_array_equal(found.active, [True, False, True, True])


def test_a_decoder_that_draws_nothing_has_purity_0():
    class Constant(LinearCodec):
        def decode(self, codes):
            return np.zeros((len(codes), 2, 2, 1), np.uint8)

    found = knob_purity(Constant(np.eye(FACTORS)), read_numbers, draw())
    assert found.score == 0
    assert found.interval == (0, 0)
    assert not found.active.any()
    assert found.knobs == {}


def test_the_interval_surrounds_the_score_and_narrows_with_anchors():
    matrix = np.random.default_rng(3).standard_normal((6, FACTORS))
    few, many = purity(matrix, anchors=20), purity(matrix, anchors=300)
    for found in (few, many):
        assert found.interval[0] <= found.score <= found.interval[1]
    widths = [found.interval[1] - found.interval[0] for found in (few, many)]
    assert widths[1] < widths[0] / 2
    assert (few.n, many.n) == (20, 300)
    assert purity(matrix, anchors=1_000).n == 400


def test_the_seed_decides_the_anchors_and_nothing_else_is_drawn():
    matrix = turned(30)
    first, again, other = (purity(matrix, anchors=20, seed=seed) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict()
    assert first.score != other.score


def test_results_are_json():
    found = purity(np.concatenate([np.eye(FACTORS), np.zeros((1, FACTORS))]), anchors=10)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["per_latent"][FACTORS] is None
    assert told["moved"] == [*NAMES, None]
    assert np.shape(told["matrix"]) == (FACTORS + 1, FACTORS)


def test_wrong_requests_are_refused():
    with pytest.raises(ValueError, match="steps, anchors and frames must be 2 or more, got 1, 100"):
        purity(np.eye(FACTORS), steps=1)
    with pytest.raises(ValueError, match="must be 2 or more, got 5, 1 and"):
        purity(np.eye(FACTORS), anchors=1)
    with pytest.raises(ValueError, match="reads no factor"):
        purity(np.eye(FACTORS), lambda images: {})
    with pytest.raises(ValueError, match="variance of a factor must be above 0, got 0"):
        Reading(np.zeros(3), 0.0)
    with pytest.raises(ValueError, match="belongs to values"):
        Reading(np.eye(3), 1.0, period=1.0)
    with pytest.raises(ValueError, match=r"got \[2, 2, 2\]"):
        Reading(np.zeros((2, 2, 2)), 1.0)


def test_an_encoder_on_reach_is_measured_with_any_reader(encoder: Encoder, frames: FrameDataset):
    def red_and_green(images):
        means = images.mean((1, 2))
        return {"red": Reading(means[:, 0], 100.0), "green": Reading(means[:, 1], 100.0)}

    found = knob_purity(encoder, red_and_green, frames.frames[:50], anchors=5, steps=3)
    assert found.matrix.shape == (encoder.latent_dim, 2)
    assert found.names == ("red", "green")
    assert 0 <= found.score <= 1


def test_movement_of_all_classes_visited_alike_is_1():
    once = Reading(np.eye(5), factor_variance(np.arange(5.0), discrete=True))
    assert once.movement(5) == pytest.approx(1)
    # Two groups: one that stays, one that visits two classes of five.
    groups = Reading(np.eye(5)[[0, 0, 1, 3]], once.variance)
    np.testing.assert_allclose(groups.movement(2, 2), [0, 0.5 / 0.8])
    # Half sure of each of two classes, without change, is no movement.
    assert Reading(np.full((4, 2), 0.5), 0.5).movement(4) == 0


def test_movement_on_a_circle_knows_no_seam():
    variance = factor_variance(np.linspace(0, 360, 100, endpoint=False), False, 360)
    assert variance == pytest.approx(1)
    across = Reading(np.array([355.0, 5.0]), variance, period=360).movement(2)
    within = Reading(np.array([175.0, 185.0]), variance, period=360).movement(2)
    assert across == pytest.approx(within)
    assert across < 0.01
    assert Reading(np.arange(0.0, 360, 60), variance, period=360).movement(6) == pytest.approx(1)


def test_agreement_is_accuracy_or_r2_and_turns_do_not_matter():
    truth = np.array([0.0, 90, 180, 270])
    angles = Reading(truth, 1.0, period=360)
    assert Reading(truth + 360, 1.0, period=360).agreement(angles) == pytest.approx(1)
    assert Reading(np.full(4, 10.0), 1.0, period=360).agreement(angles) < 0
    classes = Reading(np.eye(4), 0.75)
    assert Reading(np.eye(4)[[0, 1, 2, 2]], 0.75).agreement(classes) == 0.75
    values = Reading(truth, 1.0)
    assert Reading(np.full(4, truth.mean()), 1.0).agreement(values) == pytest.approx(0)
    assert np.isnan(values.agreement(Reading(np.ones(4), 1.0)))


def test_concentration_has_known_values():
    rows = np.array([[1.0, 0, 0], [2, 2, 2], [0, 0, 0], [2, 1, 1]])
    np.testing.assert_allclose(concentration(rows), [1, 0, np.nan, 0.25])
    assert weighted_concentration(rows) == pytest.approx((1 * 1 + 6 * 0 + 4 * 0.25) / 11)
    assert weighted_concentration(np.zeros((2, 3))) == 0
    np.testing.assert_array_equal(concentration(np.array([[3.0], [0.0]])), [1, np.nan])
