import numpy as np
import pytest

from drl_latent import Encoder
from drl_latent.data import FrameDataset
from drl_latent.interventions import traverse


def test_each_row_moves_one_latent_through_its_range(encoder: Encoder, frames: FrameDataset):
    shown = traverse(encoder, frames.frames[:100], anchor=3, steps=5)
    assert shown.images.shape == (10, 5, 32, 32, 3)
    codes = encoder(frames.frames[:100])
    np.testing.assert_allclose(shown.values[:, 0], np.percentile(codes, 5, axis=0), rtol=1e-5)
    np.testing.assert_allclose(shown.values[:, -1], np.percentile(codes, 95, axis=0), rtol=1e-5)
    np.testing.assert_array_equal(shown.anchor, codes[3])
    moved = codes[3].copy()
    moved[4] = shown.values[4, 2]
    np.testing.assert_array_equal(encoder.decode(moved[None])[0], shown.images[4, 2])
    assert (np.diff(shown.change[shown.order]) <= 0).all()


def test_wrong_requests_are_refused(encoder: Encoder, frames: FrameDataset):
    with pytest.raises(ValueError, match="steps must be 2 or more"):
        traverse(encoder, frames.frames[:10], steps=1)
    with pytest.raises(ValueError, match="anchor below 10"):
        traverse(encoder, frames.frames[:10], anchor=10)
