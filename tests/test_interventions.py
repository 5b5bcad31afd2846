"""Traversals: what is decoded, in which range, in which order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from drl_latent import Encoder
from drl_latent.data import FrameDataset
from drl_latent.interventions.traversal import traverse
from drl_latent.models import LatentModel, ModelConfig


class Painter:
    """A decoder that is known: codes are the pixels of one grey row, [N, 1, D, 1], in [0, 1]."""

    latent_dim = 3

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return images[:, 0, :, 0].astype(np.float32) / 255

    def decode(self, codes: NDArray[np.floating]) -> NDArray[np.uint8]:
        return (codes[:, None, :, None] * 255).round().astype(np.uint8)


class Circle(Painter):
    """Its first latent goes round: 0 and 1 look alike, and 0.5 differs most."""

    def decode(self, codes: NDArray[np.floating]) -> NDArray[np.uint8]:
        turned = codes.copy()
        turned[:, 0] = (1 - np.cos(2 * np.pi * codes[:, 0])) / 2
        return super().decode(turned)


def test_each_row_moves_one_latent_through_its_range(encoder: Encoder, frames: FrameDataset):
    shown = traverse(encoder, frames.frames[:100], anchors=(3, 40), steps=5)
    assert shown.images.shape == (2, 10, 5, 32, 32, 3)
    codes = encoder(frames.frames[:100])
    np.testing.assert_allclose(shown.values[:, 0], np.percentile(codes, 5, axis=0), rtol=1e-5)
    np.testing.assert_allclose(shown.values[:, -1], np.percentile(codes, 95, axis=0), rtol=1e-5)
    np.testing.assert_array_equal(shown.anchors, codes[[3, 40]])
    moved = codes[40].copy()
    moved[4] = shown.values[4, 2]
    # One row alone is decoded by other kernels than many rows, which round differently.
    expected = encoder.decode(moved[None])[0].astype(int)
    np.testing.assert_allclose(expected, shown.images[1, 4, 2], atol=1)


def test_one_anchor_is_decoded_unless_more_are_asked_for(encoder: Encoder, frames: FrameDataset):
    shown = traverse(encoder, frames.frames[:50], steps=2)
    np.testing.assert_array_equal(shown.anchors, encoder(frames.frames[:50])[:1])


def test_latents_are_ordered_by_how_much_they_move():
    rng = np.random.default_rng(0)
    reach = np.array([10, 200, 50])
    images = (rng.random((500, 1, 3, 1)) * reach[:, None]).astype(np.uint8)
    shown = traverse(Painter(), images, anchors=(0, 1, 2), percentiles=(0, 100))
    assert shown.order.tolist() == [1, 2, 0]
    # One of three pixels moves through the latent's range.
    ranges = np.ptp(images[:, 0, :, 0], axis=0)
    np.testing.assert_allclose(shown.change, ranges / 255 / 3, rtol=1e-5)


def test_a_latent_whose_ends_look_alike_counts_by_what_lies_between():
    images = np.random.default_rng(0).integers(0, 256, (500, 1, 3, 1), dtype=np.uint8)
    shown = traverse(Circle(), images, percentiles=(0, 100))
    np.testing.assert_allclose(shown.change, 1 / 3, atol=0.01)


def test_change_is_the_mean_over_anchors():
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 3, 1), dtype=np.uint8)

    class Lit(Painter):
        """Latent 0 shows only where latent 1 is high."""

        def decode(self, codes: NDArray[np.floating]) -> NDArray[np.uint8]:
            return super().decode(codes * np.where(codes[:, 1:2] > 0.5, [1, 1, 1], [0, 1, 1]))

    dark, lit = (int(np.argmax(images[:, 0, 1, 0] * sign)) for sign in (-1.0, 1.0))
    changes = [
        traverse(Lit(), images, anchors=anchors).change[0]
        for anchors in ((dark,), (lit,), (dark, lit))
    ]
    assert changes[0] == 0
    np.testing.assert_allclose(changes[2], changes[1] / 2, rtol=1e-5)


@pytest.mark.parametrize("bottleneck", ["codebook", "fsq"])
def test_quantised_latents_visit_only_levels_that_occur(bottleneck: str, frames: FrameDataset):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = ModelConfig(bottleneck=bottleneck, levels=12, encoder_width=8, decoder_width=16)
        encoder = Encoder(LatentModel(config))
    # An untrained code hardly varies: spread it over its levels.
    encoder.model.bottleneck.linear.weight.mul_(20)
    codes = encoder(frames.frames[:200])
    levels = [np.unique(column) for column in codes.T]
    assert max(map(len, levels)) > 3
    shown = traverse(encoder, frames.frames[:200], steps=7)
    for values, known in zip(shown.values, levels, strict=True):
        assert np.isin(values, known).all()
        assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize("anchors", [(), (10,), (0, -1)])
def test_anchors_that_are_not_in_the_sample_are_refused(
    anchors: tuple[int, ...], encoder: Encoder, frames: FrameDataset
):
    with pytest.raises(ValueError, match="rows of the 10 frames, from 0 to 9, got"):
        traverse(encoder, frames.frames[:10], anchors=anchors)


def test_a_single_step_is_refused(encoder: Encoder, frames: FrameDataset):
    with pytest.raises(ValueError, match="steps must be 2 or more, got 1"):
        traverse(encoder, frames.frames[:10], steps=1)
