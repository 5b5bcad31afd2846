"""A reader of factors on drawings whose factors are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from matplotlib.colors import hsv_to_rgb
from scipy.ndimage import gaussian_filter

from drl_latent.data import FrameDataset
from drl_latent.interventions.degradation import degrade
from drl_latent.interventions.readers import FactorReader

NAMES = ("x", "y", "hue", "floor")
PERIODS = (None, np.nan, 360.0, 0)
SIZE = 16


def draw(n, seed=0):
    """Frames of 32 x 32 with a disc at (x, y) of any hue, in degrees, on one of three floors."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, (2, n))
    hue, floor = rng.uniform(-180, 180, n), rng.integers(3, size=n)
    grid = np.linspace(-1.4, 1.4, 32)
    far = np.hypot(grid[None, None] - x[:, None, None], grid[None, :, None] - y[:, None, None])
    disc = 1 / (1 + np.exp(30 * (far - 0.3)))[..., None]
    colour = hsv_to_rgb(np.stack([hue / 360 % 1, np.ones(n), np.ones(n)], axis=1))
    ground = np.array([[0.2, 0.2, 0.2], [0.5, 0.5, 0.5], [0.2, 0.2, 0.5]])[floor]
    images = disc * colour[:, None, None] + (1 - disc) * ground[:, None, None]
    frames = np.round(255 * images).astype(np.uint8)
    return frames, np.stack([x, y, hue, floor], axis=1)


def fit(n=1_500, seed=0, steps=500, **kwargs):
    frames, factors = draw(n)
    settings = {"names": NAMES, "periods": PERIODS, "size": SIZE} | kwargs
    return FactorReader.fit(frames, factors, steps=steps, seed=seed, **settings)


@pytest.fixture(scope="module")
def reader() -> FactorReader:
    return fit()


@pytest.fixture(scope="module")
def unseen():
    return draw(300, seed=99)


def test_factors_of_each_kind_are_read_from_frames_that_were_not_seen(reader, unseen):
    frames, factors = unseen
    found = reader(frames)
    assert tuple(found) == reader.names == NAMES
    for k, name in enumerate(("x", "y")):
        assert found[name].values.shape == (300,)
        assert np.abs(found[name].values - factors[:, k]).mean() < 0.1
    assert found["floor"].values.shape == (300, 3)
    np.testing.assert_allclose(found["floor"].values.sum(axis=1), 1)
    assert (found["floor"].likeliest == factors[:, 3]).mean() > 0.97
    hue = found["hue"]
    assert hue.period == 360
    assert hue.values.min() >= 0
    assert hue.values.max() < 360
    off = np.abs((hue.values - factors[:, 2] + 180) % 360 - 180)
    assert np.median(off) < 15
    # Also where the circle closes: a reading that averaged -179 and 179 would be off by 180.
    assert np.median(off[np.abs(factors[:, 2]) > 170]) < 15


def test_the_accuracy_is_that_of_unseen_frames(reader, unseen):
    frames, factors = unseen
    found = reader(frames)
    heads = dict(zip(NAMES, reader.heads, strict=True))
    for k, name in enumerate(NAMES):
        again = found[name].agreement(heads[name].truth(factors[:, k]))
        assert reader.accuracy[name] == pytest.approx(again, abs=0.07)
        assert again > 0.85


def test_variances_are_those_of_the_factors(reader):
    _, factors = draw(1_500)
    found = reader(draw(2)[0])
    assert found["x"].variance == pytest.approx(factors[:, 0].var())
    assert found["hue"].variance == pytest.approx(1, abs=0.01)
    assert found["floor"].variance == pytest.approx(2 / 3, abs=0.01)


def test_blurred_and_faded_images_are_read_alike(reader, unseen):
    frames, _ = unseen
    blurred = gaussian_filter(frames.astype(float), sigma=(0, 1.5, 1.5, 0))
    poor = np.round(0.75 * blurred + 0.25 * blurred.mean((1, 2), keepdims=True)).astype(np.uint8)
    crisp, read = reader(frames), reader(poor)
    for name in NAMES:
        assert read[name].agreement(crisp[name]) > 0.85, name


def test_images_are_read_at_the_size_of_decoded_ones(reader, unseen):
    frames, _ = unseen
    blocks = frames.reshape(len(frames), SIZE, 2, SIZE, 2, 3).astype(np.float32)
    small = np.round(blocks.mean((2, 4))).astype(np.uint8)
    large, little = reader(frames), reader(small)
    for name in NAMES:
        assert little[name].agreement(large[name]) > 0.99
    # Alone, an image is read as among others.
    alone = reader(frames[7:8])["x"].values[0]
    assert alone == pytest.approx(large["x"].values[7], abs=1e-5)


def test_the_seed_decides_all_bits_and_the_global_generator_stays():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = fit(n=200, steps=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again, other = fit(n=200, steps=3), fit(n=200, steps=3, seed=1)
    frames = draw(5)[0]
    values = [r(frames)["x"].values for r in (first, again, other)]
    np.testing.assert_array_equal(values[0], values[1])
    assert (values[0] != values[2]).any()
    assert first.accuracy == again.accuracy


def test_constant_factors_are_left_out():
    frames, factors = draw(100)
    factors[:, 1] = 3
    reader = FactorReader.fit(frames, factors, names=NAMES, size=SIZE, steps=2)
    assert reader.names == ("x", "hue", "floor")
    assert tuple(reader(frames[:2])) == reader.names


def test_classes_are_classes_though_they_lie_on_a_circle():
    frames, factors = draw(100)
    reader = FactorReader.fit(
        frames, factors, names=NAMES, periods=(None, None, None, 3), size=SIZE, steps=2
    )
    assert reader(frames[:2])["floor"].values.shape == (2, 3)
    reader = FactorReader.fit(
        frames, factors, names=NAMES, periods=(0, 0, 0, 3), discrete=[False] * 4, size=SIZE, steps=2
    )
    assert reader(frames[:2])["floor"].period == 3


def test_a_data_set_gives_names_and_periods_and_no_dynamics(frames: FrameDataset):
    space = frames.factor_space
    changed = [
        dataclasses.replace(space["object_x"], circular=True),
        dataclasses.replace(space["object_y"], kind="dynamics"),
    ]
    factors = tuple({f.name: f for f in changed}.get(f.name, f) for f in space)
    data = dataclasses.replace(frames, factor_space=dataclasses.replace(space, factors=factors))
    reader = FactorReader.from_dataset(data, most=100, steps=2)
    assert reader.names == tuple(name for name in space.names if name != "object_y")
    found = reader(frames.frames[:4])
    wide = space["object_x"].high - space["object_x"].low
    assert found["object_x"].period == pytest.approx(wide)
    assert found["effector_x"].period is None
    assert found["object_hue"].values.shape == (4, space["object_hue"].size)


def test_degraded_images_are_poorer_but_still_the_images():
    images = torch.from_numpy(draw(64)[0]).permute(0, 3, 1, 2).float() / 255
    before = images.clone()
    poor = degrade(images, torch.Generator().manual_seed(0))
    assert torch.equal(images, before)
    assert poor.shape == images.shape
    assert (poor - images).abs().mean() < 0.1
    kept = torch.corrcoef(torch.stack([poor.flatten(), images.flatten()]))[0, 1]
    assert 0.8 < kept < 0.99


def test_what_cannot_be_read_is_refused(reader):
    frames, factors = draw(30)
    rest = {"names": NAMES, "size": SIZE, "steps": 1}
    with pytest.raises(ValueError, match="steps must be 1 or more, got 0"):
        FactorReader.fit(frames, factors, names=NAMES, steps=0)
    with pytest.raises(ValueError, match="Got 29 frames and factors of 30"):
        FactorReader.fit(frames[:-1], factors, **rest)
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        FactorReader.fit(frames, np.where(factors > 0.9, np.nan, factors), **rest)
    with pytest.raises(ValueError, match="expected 4 distinct names"):
        FactorReader.fit(frames, factors, names=("x", "y"), size=SIZE)
    with pytest.raises(ValueError, match="expected 4 numbers, one a factor"):
        FactorReader.fit(frames, factors, periods=[1.0], **rest)
    with pytest.raises(ValueError, match="expected 4 numbers, one a factor"):
        FactorReader.fit(frames, factors, periods=[-1.0, 0, 0, 0], **rest)
    with pytest.raises(ValueError, match="32 x 32 cannot be read at 24 x 24"):
        FactorReader.fit(frames, factors, names=NAMES, size=24)
    with pytest.raises(ValueError, match="32 x 24 cannot be read at 16 x 16"):
        reader(frames[:, :, :24])
    with pytest.raises(ValueError, match=r"Expected uint8 images \[N, H, W, C\], got float32"):
        reader(frames.astype(np.float32))
    with pytest.raises(ValueError, match="images of 3 channels, got 1"):
        reader(frames[..., :1])
