"""Edits of codes and images whose factors are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ortho_group

from drl_latent import Encoder
from drl_latent.data import FrameDataset
from drl_latent.interventions.editing import Editor
from drl_latent.interventions.knobs import KNOBS
from drl_latent.registry import UnknownNameError

NAMES = ("x", "y", "shape")
KINDS = tuple(KNOBS)


class Toy:
    """Images are one row of pixels, [N, 1, K, 1], and codes a matrix times these.

    A pixel is a factor, 0 to 250 for 0 to 1, so that a decoded image shows what was set.
    """

    def __init__(self, matrix: NDArray[np.floating]) -> None:
        self.matrix = matrix
        self.latent_dim = len(matrix)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return ((images[:, 0, :, 0] / 250 - 0.5) @ self.matrix.T).astype(np.float32)

    def decode(self, codes: NDArray[np.floating]) -> NDArray[np.uint8]:
        factors = codes @ np.linalg.pinv(self.matrix).T + 0.5
        pixels = (factors * 250).round().clip(0, 255)
        return pixels[:, None, :, None].astype(np.uint8)


class Rounding(Toy):
    """Its codes have steps of a quarter."""

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (super().__call__(images) * 4).round() / 4


def grid() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return images and factors of every combination: 26 x, 26 y and 3 shapes."""
    steps = range(0, 251, 10)
    pixels = np.array(list(itertools.product(steps, steps, (0, 125, 250))))
    return pixels[:, None, :, None].astype(np.uint8), pixels / 250


IMAGES, FACTORS = grid()


def rotated(seed: int) -> Toy:
    return Toy(ortho_group.rvs(3, random_state=seed))


def fit(toy: Toy, knob: str = "latent") -> Editor:
    return Editor.fit(toy, IMAGES, FACTORS, names=NAMES, knob=knob)


def some(n: int, seed: int = 0) -> NDArray[np.uint8]:
    return IMAGES[np.random.default_rng(seed).integers(0, len(IMAGES), n)]


def assert_only(before: NDArray[np.uint8], after: NDArray[np.uint8], k: int, value: float) -> None:
    expected = before.copy()
    expected[:, 0, k] = round(250 * value)
    np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("knob", KINDS)
@pytest.mark.parametrize(("factor", "value"), [("x", 0.0), ("x", 0.36), ("y", 1.0), ("shape", 0.5)])
def test_a_factor_of_a_disentangled_code_is_set_and_nothing_else(
    knob: str, factor: str, value: float
):
    images = some(20)
    edited = fit(Toy(np.diag([1.0, -3.0, 0.2])), knob).set(images, factor, value)
    assert_only(images, edited, NAMES.index(factor), value)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    edit=st.sampled_from([("x", 0.1), ("y", 0.84), ("shape", 0.0), ("shape", 1.0)]),
)
def test_a_factor_of_a_rotated_code_is_set_by_its_direction_and_nothing_else(
    seed: int, edit: tuple[str, float]
):
    images = some(20, seed)
    edited = fit(rotated(seed), "direction").set(images, *edit)
    assert_only(images, edited, NAMES.index(edit[0]), edit[1])


def test_a_single_latent_of_a_rotated_code_moves_other_factors_too():
    images = some(20)
    edited = fit(rotated(0)).set(images, "x", 0.5).astype(int)
    assert np.abs(edited - images)[:, 0, 1:].max() > 25


def test_setting_what_is_there_already_changes_nothing():
    images = some(30)
    x = images[:, 0, 0, 0] / 250
    for knob in KINDS:
        np.testing.assert_array_equal(fit(Toy(np.eye(3)), knob).set(images, "x", x), images)


@pytest.mark.parametrize("knob", KINDS)
def test_each_image_can_be_set_to_a_value_of_its_own(knob: str):
    images = some(3)
    edited = fit(Toy(np.eye(3)), knob).set(images, "shape", [0.0, 0.5, 1.0])
    assert edited[:, 0, 2, 0].tolist() == [0, 125, 250]


@pytest.mark.parametrize(("toy", "knob"), [(Toy(np.eye(3)), "latent"), (rotated(3), "direction")])
def test_a_swap_exchanges_one_factor_and_a_second_one_gives_back_the_images(toy: Toy, knob: str):
    first, second = some(20, 1), some(20, 2)
    editor = fit(toy, knob)
    for k, name in enumerate(NAMES):
        a, b = editor.swap(first, second, name)
        expected = first.copy(), second.copy()
        expected[0][:, :, k], expected[1][:, :, k] = second[:, :, k], first[:, :, k]
        np.testing.assert_array_equal(a, expected[0])
        np.testing.assert_array_equal(b, expected[1])
        for given_back, original in zip(editor.swap(a, b, name), (first, second), strict=True):
            np.testing.assert_array_equal(given_back, original)


def test_a_swap_of_latents_reads_the_other_code_and_not_the_usual_value():
    codes = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    a, b = fit(Toy(np.eye(3))).swap_codes(*codes, "y")
    np.testing.assert_array_equal(a, np.stack([codes[0, :, 0], codes[1, :, 1], codes[0, :, 2]], 1))
    np.testing.assert_array_equal(b, np.stack([codes[1, :, 0], codes[0, :, 1], codes[1, :, 2]], 1))


def test_knobs_say_which_latents_they_move_and_how_much_these_tell():
    order = np.eye(3)[[2, 0, 1]]
    aligned, mixed = fit(Toy(order)), fit(rotated(0))
    assert {k: v.latents for k, v in aligned.knobs.items()} == {"x": (1,), "y": (2,), "shape": (0,)}
    assert all(0.9 < v.informativeness <= 1 for v in aligned.knobs.values())
    assert all(v.informativeness < 0.7 for v in mixed.knobs.values())
    assert repr(aligned.knobs["shape"]) == "LatentKnob(z0, informativeness=1.00)"
    straight = fit(rotated(0), "direction").knobs
    assert all(v.informativeness == pytest.approx(1) for v in straight.values())
    assert all(sorted(v.latents) == [0, 1, 2] for v in straight.values())


def test_a_latent_that_does_nothing_is_left_as_it_is():
    matrix = np.concatenate([np.eye(3), np.zeros((1, 3))])
    for knob in KINDS:
        editor = fit(Toy(matrix), knob)
        assert all(3 not in k.latents for k in editor.knobs.values())
        codes = editor.set_codes([[0.1, 0.2, 0.0, 0.7]], "x", 0.9)
        np.testing.assert_allclose(codes, [[0.4, 0.2, 0.0, 0.7]], atol=1e-6)


def test_classes_need_no_order_in_the_code():
    """Three shapes lie at 0.5, -0.5 and 0: the code does not rise with the class."""
    codes_of = np.array([0.5, -0.5, 0.0])
    shape = np.tile(np.arange(3), 100)
    x = np.repeat(np.linspace(0, 1, 100), 3)
    pixels = np.stack([250 * x, 250 * (codes_of[shape] + 0.5)], 1).round()
    images = pixels[:, None, :, None].astype(np.uint8)
    factors = np.stack([x, shape], 1)
    for knob in KINDS:
        editor = Editor.fit(Toy(np.eye(2)), images, factors, names=["x", "shape"], knob=knob)
        edited = np.stack([editor.set(images, "shape", c)[:, 0, 1, 0] for c in range(3)])
        np.testing.assert_array_equal(edited, np.repeat([[250], [0], [125]], 300, axis=1))


def test_classes_of_an_entangled_code_may_need_several_directions():
    """Four classes at the corners of a tetrahedron, which one direction cannot tell apart."""
    rng = np.random.default_rng(0)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.3
    kind, x = rng.integers(0, 4, 4000), rng.random(4000)
    turn = ortho_group.rvs(4, random_state=1)
    codes = np.column_stack([corners[kind], x]) @ turn.T

    class Given(Toy):
        def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            return codes.astype(np.float32)

    images = np.zeros((4000, 1, 4, 1), np.uint8)
    factors = np.column_stack([kind, x])
    editor = Editor.fit(Given(turn), images, factors, names=["kind", "x"], knob="direction")
    for c in range(4):
        edited = editor.set_codes(codes[:50], "kind", c) @ turn
        np.testing.assert_allclose(edited[:, :3], np.tile(corners[c], (50, 1)), atol=0.01)
        np.testing.assert_allclose(edited[:, 3], x[:50], atol=0.01)


def test_correlated_factors_are_told_apart_by_their_directions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000)
    y = 0.8 * x + 0.6 * rng.normal(size=5000)
    toy, factors = rotated(5), np.column_stack([x, y, rng.normal(size=5000)])
    codes = (factors @ toy.matrix.T).astype(np.float32)
    toy.__class__ = type("Given", (Toy,), {"__call__": lambda self, images: codes})
    images = np.zeros((5000, 1, 3, 1), np.uint8)
    editor = Editor.fit(toy, images, factors, names=NAMES, knob="direction")
    moved = editor.set_codes(codes[:100], "x", 1.0) @ toy.matrix
    np.testing.assert_allclose(moved[:, 0], 1.0, atol=0.1)
    change = np.abs(moved[:, 0] - x[:100])
    # An edit along the usual change of the code would take y along by 0.8 of it.
    assert (np.abs(moved[:, 1] - y[:100]) < 0.05 * change + 1e-3).all()


def test_where_the_code_has_no_room_the_factor_itself_is_still_set():
    """Three factors in two latents: something has to give."""
    toy = Toy(np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.6]]))
    knob = fit(toy, "direction").knobs["shape"]
    codes = toy(some(20)).astype(np.float64)
    moved = knob.set(codes, np.full(20, 0.5))
    np.testing.assert_allclose(knob.read(moved), knob.response([0.5] * 20), atol=1e-9)
    assert np.abs(moved - codes).max() < 2


@pytest.mark.parametrize("knob", KINDS)
def test_quantised_codes_stay_on_their_levels(knob: str):
    toy = Rounding(ortho_group.rvs(3, random_state=2))
    editor = fit(toy, knob)
    levels = [np.unique(column) for column in toy(IMAGES).T]
    codes, other = toy(some(50, 1)), toy(some(50, 2))
    moved = [
        *(editor.set_codes(codes, "x", v) for v in (0.0, 0.33, 1.0)),
        editor.set_codes(codes, "shape", 0.5),
        *editor.swap_codes(codes, other, "y"),
    ]
    assert any((m != codes).any() for m in moved)
    for result in moved:
        for column, known in zip(result.T, levels, strict=True):
            assert np.isin(column, known).all()


def test_numbers_with_few_values_can_be_interpolated_between():
    editor = Editor.fit(
        rotated(0), IMAGES, FACTORS, names=NAMES, discrete=[False] * 3, knob="direction"
    )
    images = some(5)
    assert_only(images, editor.set(images, "shape", 0.2), 2, 0.2)


def test_trained_models_are_edited_through_their_own_decoder(
    encoder: Encoder, frames: FrameDataset
):
    names = frames.factor_space.names
    for knob in KINDS:
        editor = Editor.fit(encoder, frames.frames, frames.factors, names=names, knob=knob)
        assert set(editor.knobs) == set(names)
        hue = frames.factors[0, names.index("object_hue")]
        edited = editor.set(frames.frames[:4], "object_hue", hue)
        codes = editor.set_codes(encoder(frames.frames[:4]), "object_hue", hue)
        assert edited.shape == (4, 32, 32, 3)
        np.testing.assert_array_equal(edited, encoder.decode(codes))


def test_unknown_names_are_refused_with_the_nearest():
    editor = fit(Toy(np.eye(3)))
    with pytest.raises(UnknownNameError, match=r"Unknown factor 'shapes'. Did you mean 'shape'"):
        editor.set(IMAGES[:1], "shapes", 0.0)
    with pytest.raises(UnknownNameError, match=r"Unknown kind of knob 'latents'. Did you mean"):
        fit(Toy(np.eye(3)), "latents")


def test_a_factor_that_never_varied_has_no_knob():
    factors = np.column_stack([FACTORS, np.ones(len(FACTORS))])
    editor = Editor.fit(Toy(np.eye(3)), IMAGES, factors, names=[*NAMES, "light"])
    assert editor.constant == ("light",)
    with pytest.raises(ValueError, match="light has one value in all frames"):
        editor.set(IMAGES[:1], "light", 1.0)


@pytest.mark.parametrize(
    ("factor", "value", "message"),
    [
        ("x", 1.2, "x cannot be set to 1.2: .* values from 0 to 1"),
        ("x", float("nan"), "x cannot be set to nan"),
        ("y", [0.5, -0.1], "y cannot be set to -0.1"),
        ("shape", 0.7, "shape cannot be set to 0.7: .* the values 0, 0.5, 1. Give one of these"),
        ("shape", float("nan"), "shape cannot be set to nan"),
        ("x", [0.1, 0.2, 0.3], r"value has shape \(3,\); expected one number, or one for each"),
    ],
)
def test_values_that_were_not_seen_are_refused(factor: str, value: float, message: str):
    for knob in KINDS:
        with pytest.raises(ValueError, match=message):
            fit(Toy(np.eye(3)), knob).set(IMAGES[:2], factor, value)


def test_codes_that_do_not_fit_are_refused():
    editor = fit(Toy(np.eye(3)))
    with pytest.raises(ValueError, match=r"Expected codes of shape \[N, 3\], got \[2, 4\]"):
        editor.set_codes(np.zeros((2, 4)), "x", 0.5)
    with pytest.raises(ValueError, match="codes hold NaN"):
        editor.set_codes([[np.nan, 0, 0]], "x", 0.5)
    with pytest.raises(ValueError, match="Got 2 first and 3 second rows"):
        editor.swap(IMAGES[:2], IMAGES[:3], "x")


def test_an_encoder_that_sees_nothing_is_refused():
    for knob in KINDS:
        with pytest.raises(ValueError, match="same value in all frames"):
            fit(Toy(np.zeros((2, 3))), knob)
