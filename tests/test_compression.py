import struct
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from drl_latent import Encoder
from drl_latent.data import FrameDataset
from drl_latent.interventions.compression import compress, decompress
from drl_latent.interventions.rate_distortion import rate_distortion
from drl_latent.interventions.video_codecs import decode_h264, encode_h264, png_bytes
from drl_latent.report.compression_figure import rate_distortion_figure
from drl_latent.report.theme import DARK, LIGHT, draw


def trajectory(rows=60, latents=6, seed=0):
    """Codes that change slowly, as those of an episode do."""
    steps = np.random.default_rng(seed).normal(size=(rows, latents), scale=0.1)
    return np.cumsum(steps, axis=0).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    codes=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 30), st.integers(1, 5)),
        elements=st.floats(-8, 8, width=32),
    ),
    step=st.floats(0.003, 3),
)
def test_codes_come_back_within_half_a_step_and_never_change_again(codes, step):
    scale = np.full(codes.shape[1], 0.7)
    back = decompress(compress(codes, step=step, scale=scale))
    assert back.dtype == np.float32
    assert back.shape == codes.shape
    # A width is kept to 8 binary digits, and codes to those of float32.
    np.testing.assert_allclose(back, codes, atol=0.7 * step * 0.502 + 2e-6)
    again = decompress(compress(back, step=step, scale=scale))
    np.testing.assert_array_equal(again, back)


def test_steps_are_shares_of_each_latents_own_spread():
    codes = trajectory() * [1e-3, 1, 1e3, 1, 1, 1]
    error = np.abs(decompress(compress(codes, step=0.5)) - codes).max(axis=0)
    assert (error < 0.26 * codes.std(axis=0)).all()
    assert (error > 0.1 * codes.std(axis=0)).all()


def test_larger_steps_take_fewer_bytes_and_all_take_fewer_than_deflated_floats():
    codes = trajectory(400)
    sizes = [len(compress(codes, step=step)) for step in (0.01, 0.1, 0.3, 1.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < len(zlib.compress(codes.tobytes(), 9)) / 4


def test_changes_are_cheaper_than_values():
    codes = trajectory(400)
    shuffled = np.random.default_rng(0).permutation(codes)
    assert len(compress(codes, step=0.1)) < 0.7 * len(compress(shuffled, step=0.1))


def test_values_of_a_quantised_encoder_come_back_exactly_at_any_step():
    rng = np.random.default_rng(0)
    values = np.sort(rng.normal(size=10)).astype(np.float32)
    codes = values[rng.integers(10, size=(60, 4))]
    stored = compress(codes, step=3.0)
    np.testing.assert_array_equal(decompress(stored), codes)
    assert len(stored) < 4 * 4 * 10 + 60 * 4 * 6 / 8  # the tables, and 6 bits an index


def test_a_constant_latent_is_kept_and_costs_almost_nothing():
    codes = trajectory()
    dead = np.random.default_rng(0).normal(3.3, 1e-7, size=(60, 1)).astype(np.float32)  # rounding
    both = np.hstack([codes, dead])
    stored = compress(both, step=0.1)
    np.testing.assert_allclose(decompress(stored)[:, -1], 3.3, rtol=1e-6)
    np.testing.assert_array_equal(decompress(stored)[:, :-1], decompress(compress(codes, step=0.1)))
    assert len(stored) - len(compress(codes, step=0.1)) == 2 + 1 + 4


def test_a_trajectory_in_which_nothing_changes_is_kept():
    still = np.tile(np.float32([0.1, -2, 0]), (50, 1))
    stored = compress(still, step=0.1)
    np.testing.assert_array_equal(decompress(stored), still)
    assert len(stored) < 40


def test_a_scale_from_other_data_spends_nothing_on_noise_of_this_trajectory():
    codes = trajectory()
    codes[:, 0] = np.random.default_rng(1).normal(scale=1e-3, size=60)
    own, shared = compress(codes, step=0.1), compress(codes, step=0.1, scale=np.ones(6))
    assert len(shared) < len(own) - 20
    assert (decompress(shared)[:, 0] == 0).all()


def test_what_is_stored_describes_itself():
    stored = compress(trajectory(3, 2), step=0.5)
    assert stored.startswith(b"DLC\x01")
    assert struct.unpack_from("<IH", stored, 4) == (3, 2)


@pytest.mark.parametrize("quantised", [False, True])
def test_damaged_bytes_are_refused(quantised: bool):
    codes = np.sign(trajectory()) if quantised else trajectory()
    stored = compress(codes, step=0.3)
    for at in range(len(stored)):
        broken = bytearray(stored)
        broken[at] ^= 0x10
        with pytest.raises(ValueError, match=r"damaged or cut off|not a trajectory"):
            decompress(bytes(broken))
        with pytest.raises(ValueError, match=r"damaged or cut off|not a trajectory"):
            decompress(stored[:at])
    with pytest.raises(ValueError, match="damaged or cut off"):
        decompress(stored + b"\0")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=12))
def test_bytes_of_something_else_are_refused(content: bytes, head: bytes):
    with pytest.raises(ValueError, match="not a trajectory"):
        decompress(content)
    # What has the right checksum, but was not made by `compress`.
    body = b"DLC\x01" + head + content
    with pytest.raises(ValueError, match="not a"):
        decompress(body + struct.pack("<I", zlib.crc32(body)))


def test_a_format_of_a_later_version_is_refused_by_name():
    body = b"DLC\x02" + bytes(20)
    with pytest.raises(ValueError, match=r"format 2; this version of drl-latent reads 1\. Upgrade"):
        decompress(body + struct.pack("<I", zlib.crc32(body)))


def test_what_cannot_be_stored_is_refused():
    codes = trajectory()
    cases = [
        (codes[0], {"step": 0.1}, "expected a matrix"),
        (np.full((4, 2), np.nan), {"step": 0.1}, "NaN or infinity"),
        (np.array([[0.0], [1e300]]), {"step": 0.1}, "NaN or infinity"),
        (codes, {"step": 0.0}, "step is 0.0; expected a positive number"),
        (codes, {"step": np.inf}, "step is inf"),
        (codes, {"step": 1e-8}, "steps from 0; expected fewer than 4194304"),
        (codes, {"step": 1e300}, "in the range of float32"),
        (codes, {"step": 1e-50}, "in the range of float32"),
        (codes, {"step": 0.1, "scale": [1.0]}, "expected 6 standard deviations"),
        (codes, {"step": 0.1, "scale": np.full(6, -1.0)}, "expected 6 standard deviations"),
        (codes, {"step": 0.1, "scale": [1, 1, 0, 1, 1, 1]}, r"scale is 0 for latents \[2\]"),
    ]
    for z, how, message in cases:
        with pytest.raises(ValueError, match=message):
            compress(z, **how)


@pytest.fixture(scope="module")
def episodes(rollouts: FrameDataset) -> list[np.ndarray]:
    """Two episodes of 12 frames."""
    starts = np.unique(rollouts.episode)[:2]
    return [np.array(rollouts.frames[start : start + 12]) for start in starts]


@pytest.fixture(scope="module")
def table(encoder: Encoder, episodes: list[np.ndarray]) -> pd.DataFrame:
    return rate_distortion(encoder, episodes, steps=(1.0, 0.1), crfs=(10, 40))


def test_every_method_has_a_row_for_each_setting_and_size(table: pd.DataFrame):
    keys = table[["method", "setting", "size"]].itertuples(index=False, name=None)
    wanted = [("latents", 1.0), ("latents", 0.1), ("h264", 10.0), ("h264", 40.0), ("png", None)]
    found = {
        (method, None if np.isnan(setting) else setting, size) for method, setting, size in keys
    }
    assert found == {(*pair, size) for pair in wanted for size in (32, 64)}
    assert len(table) == 10
    assert (table["frames"] == 24).all()
    np.testing.assert_allclose(table["bits_per_frame"], table["bytes"] * 8 / 24)
    np.testing.assert_allclose(
        table["bits_per_pixel"], table["bits_per_frame"] / table["size"] ** 2
    )


def test_latents_are_charged_every_byte_and_judged_at_the_decoders_size_on_averaged_frames(
    encoder: Encoder, episodes: list[np.ndarray], table: pd.DataFrame
):
    codes = [encoder(frames) for frames in episodes]
    scale = np.concatenate(codes).std(axis=0, dtype=np.float64)
    streams = [compress(z, step=0.1, scale=scale) for z in codes]
    row = table.query("method == 'latents' and setting == 0.1 and size == 32").iloc[0]
    assert row["bytes"] == sum(map(len, streams))
    small = np.concatenate(episodes).reshape(24, 32, 2, 32, 2, 3).mean(axis=(2, 4)).round()
    shown = np.concatenate([encoder.decode(decompress(stream)) for stream in streams])
    psnr = -10 * np.log10(np.square((small - shown) / 255).mean())
    assert row["psnr"] == pytest.approx(psnr, abs=1e-6)
    weights = encoder.model.decoder.state_dict().values()
    assert row["shared_bytes"] == sum(weight.numel() * 4 for weight in weights)


def test_png_is_lossless_and_h264_trades_bits_for_error(
    episodes: list[np.ndarray], table: pd.DataFrame
):
    png, h264 = table[table["method"] == "png"], table[table["method"] == "h264"]
    assert np.isinf(png["psnr"]).all()
    assert (png["shared_bytes"] == 0).all()
    assert png.set_index("size").loc[64, "bytes"] == sum(map(png_bytes, episodes))
    for size, rows in h264.groupby("size"):
        fine, coarse = rows.sort_values("setting").itertuples()
        assert fine.psnr > coarse.psnr + 10 > 30
        assert coarse.bytes < fine.bytes < png.set_index("size").loc[size, "bytes"]


def test_without_h264_nothing_needs_to_be_installed(
    encoder: Encoder, episodes: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    table = rate_distortion(encoder, episodes, steps=(1.0,), crfs=())
    assert set(table["method"]) == {"latents", "png"}
    with pytest.raises(ImportError, match=r"pip install 'drl-latent\[video\]'"):
        rate_distortion(encoder, episodes, steps=(), crfs=(30,))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_stream_of_h264_gives_its_frames_back_and_has_no_note_in_it(
    episodes: list[np.ndarray], channels: int
):
    frames = episodes[0][..., :channels]
    stream = encode_h264(frames, 0)
    shown = decode_h264(stream, frames.shape)
    assert np.abs(shown.astype(int) - frames).mean() < 1
    assert b"x264" not in stream


def test_frames_that_cannot_be_coded_are_refused(encoder: Encoder, episodes: list[np.ndarray]):
    frames = episodes[0]
    with pytest.raises(ValueError, match=r"1 or 3 channels\. Of stacked frames, give the newest"):
        png_bytes(np.concatenate([frames, frames], axis=3))
    with pytest.raises(ValueError, match="crf is 60; expected 0"):
        encode_h264(frames, 60)
    with pytest.raises(RuntimeError, match="ffmpeg failed"):
        decode_h264(b"not a stream", frames.shape)
    with pytest.raises(RuntimeError, match="ffmpeg decoded"):
        decode_h264(encode_h264(frames[:3], 40), frames.shape)
    with pytest.raises(ValueError, match="There are no episodes"):
        rate_distortion(encoder, [])
    with pytest.raises(ValueError, match="takes uint8 frames"):
        rate_distortion(encoder, [frames[:, :32]])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_figure_names_each_method_beside_its_curve_in_a_panel_for_each_size(table, theme):
    def make(theme):
        return rate_distortion_figure(table, theme)

    figure = make(theme)
    assert [axis.get_title() for axis in figure.axes] == ["32 x 32 pixels", "64 x 64 pixels"]
    for axis in figure.axes:
        assert {text.get_text() for text in axis.texts} == {"latents", "H.264", "PNG,\nlossless"}
        assert axis.get_xscale() == "log"
        assert len(axis.get_lines()) == 3
    assert draw(make, theme).count(b"<svg") == 1


def test_the_figure_refuses_a_table_of_something_else(table: pd.DataFrame):
    with pytest.raises(ValueError, match=r"lacks \['psnr'\]"):
        rate_distortion_figure(table.drop(columns="psnr"), LIGHT)
    with pytest.raises(ValueError, match="has no rows"):
        rate_distortion_figure(table.iloc[:0], LIGHT)
