"""How many bits a frame takes as latents, as PNG and as H.264, and how far it is then off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from drl_latent.checkpoint import Encoder
from drl_latent.interventions.compression import compress, decompress
from drl_latent.interventions.video_codecs import Frames, decode_h264, encode_h264, png_bytes

STEPS = (2.0, 1.0, 0.5, 0.25, 0.1, 0.05)
CRFS = (10, 20, 28, 34, 40, 46, 51)


def rate_distortion(
    encoder: Encoder,
    episodes: Sequence[Frames],
    *,
    steps: Sequence[float] = STEPS,
    crfs: Sequence[int] = CRFS,
) -> pd.DataFrame:
    """Return the rate-distortion curves of latents and of H.264, and the rate of PNG.

    Each episode is one stream: of `compress`, which stores each latent in steps of a share of its
    standard deviation over all episodes, or of H.264 at its most thorough (see `encode_h264`). PNG
    is one file a frame. Rates count every byte of a stream, headers included. Distortion is the
    peak signal-to-noise ratio of all pixels of all frames together.

    Where the decoder is smaller than the frames, each method is asked for two things. At the size
    of the frames, decoded images are enlarged bilinearly. At the size of the decoder, originals are
    averaged over blocks of pixels, and PNG and H.264 are given these small images to code.

    What the comparison does not say: a decoder has learned how this scene looks, and its weights,
    `shared_bytes`, are not in the rate, while H.264 knows no scene and starts each stream from
    nothing. So the curves are what further episodes of a known scene cost, not the first; of frames
    unlike those the encoder was trained on they say nothing. And a decoder's images can be no
    better than the decoder: beyond some rate its curve is flat, where that of H.264 rises on.

    Args:
        encoder: The encoder and its decoder.
        episodes: uint8 [T, H, W, C] each, frames in the order of time, of 1 or 3 channels.
        steps: Steps of the latents, see `compress`. A quantised encoder's codes are stored without
            loss at any.
        crfs: Constant rate factors of H.264; none at all for no H.264, which then need not be
            installed.

    Returns:
        A row for each method, setting and size: ``method`` (``"latents"``, ``"png"``, ``"h264"``),
        ``setting`` (the step, the constant rate factor, NaN for PNG), ``size`` (height and width,
        pixels), ``episodes``, ``frames``, ``bytes``, ``bits_per_frame``, ``bits_per_pixel``,
        ``psnr`` (dB; infinite where nothing is lost) and ``shared_bytes`` (the decoder's weights).

    Raises:
        ValueError: There are no episodes, or frames that the encoder does not take.
        ImportError: imageio-ffmpeg is not installed, and `crfs` asks for it.
    """
    if not len(episodes):
        raise ValueError("There are no episodes; expected a list of frames uint8 [T, H, W, C].")
    codes = [encoder(frames) for frames in episodes]
    scale = np.concatenate(codes).std(axis=0, dtype=np.float64)
    sizes = dict.fromkeys((encoder.image_shape[0], encoder.config.decoded_size))
    originals = {size: [_shrunk(frames, size) for frames in episodes] for size in sizes}
    state = encoder.model.decoder.state_dict()
    decoder_bytes = sum(weight.nbytes for weight in state.values())
    rows = []
    for step in steps:
        streams = [compress(z, step=step, scale=scale) for z in codes]
        images = [encoder.decode(decompress(stream)) for stream in streams]
        for size, truth in originals.items():
            shown = [_enlarged(decoded, size) for decoded in images]
            row = _row("latents", step, truth, shown, sum(map(len, streams)))
            rows.append(row | {"shared_bytes": decoder_bytes})
    for truth in originals.values():
        rows.append(_row("png", np.nan, truth, truth, sum(map(png_bytes, truth))))
        for crf in crfs:
            streams = [encode_h264(frames, crf) for frames in truth]
            pairs = zip(streams, truth, strict=True)
            shown = [decode_h264(stream, frames.shape) for stream, frames in pairs]
            rows.append(_row("h264", crf, truth, shown, sum(map(len, streams))))
    return pd.DataFrame(rows)


def _row(
    method: str, setting: float, truth: list[Frames], shown: list[Frames], size: int
) -> dict[str, Any]:
    frames = sum(map(len, truth))
    height, width = truth[0].shape[1:3]
    errors = [np.square(a.astype(np.float64) - b).sum() for a, b in zip(truth, shown, strict=True)]
    mse = sum(errors) / sum(frames.size for frames in truth)
    return {
        "method": method,
        "setting": float(setting),
        "size": height,
        "episodes": len(truth),
        "frames": frames,
        "bytes": size,
        "bits_per_frame": 8 * size / frames,
        "bits_per_pixel": 8 * size / (frames * height * width),
        "psnr": 10 * np.log10(255**2 / mse) if mse else np.inf,
        "shared_bytes": 0,
    }


def _shrunk(frames: Frames, size: int) -> Frames:
    """Return frames averaged over blocks of pixels, as a decoder of this size is trained on."""
    t, height, _, channels = frames.shape
    block = height // size
    blocks = frames.reshape(t, size, block, size, block, channels)
    return np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)


def _enlarged(images: Frames, size: int) -> Frames:
    """Return images enlarged bilinearly."""
    if images.shape[1] == size:
        return images
    unit = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    large = functional.interpolate(unit, (size, size), mode="bilinear", align_corners=False)
    return large.round().byte().permute(0, 2, 3, 1).numpy()
