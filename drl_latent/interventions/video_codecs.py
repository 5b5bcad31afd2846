"""Frames as PNG and as H.264: what latents are compared with."""

from __future__ import annotations

import io
import subprocess

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.uint8]
_FORMATS = {1: ("gray", "gray"), 3: ("rgb24", "yuv444p")}
"""Channels to how ffmpeg names frames in memory, and in the stream."""


def png_bytes(frames: Frames) -> int:
    """Return the size of frames [T, H, W, C] as one lossless PNG each, in bytes.

    Raises:
        ValueError: Frames have neither 1 nor 3 channels.
    """
    _formats(frames)
    total = 0
    for frame in frames:
        buffer = io.BytesIO()
        Image.fromarray(frame if frame.shape[2] == 3 else frame[:, :, 0]).save(
            buffer, format="png", optimize=True
        )
        total += buffer.tell()
    return total


def encode_h264(frames: Frames, crf: int) -> bytes:
    """Return frames [T, H, W, C] as one H.264 stream, without a container, by libx264.

    Everything is set for few bytes at a given squared error: the slowest preset, ``tune psnr``, one
    key frame, all colour (yuv444p; with the usual yuv420p, which halves the resolution of colour,
    frames of Reach at 64x64 stay below 32 dB), and no note of the encoder's settings in the stream.

    Args:
        frames: [T, H, W, C], 1 or 3 channels.
        crf: Constant rate factor, from 0, the best, to 51.

    Raises:
        ImportError: imageio-ffmpeg is not installed.
        ValueError: Frames have neither 1 nor 3 channels, or `crf` is out of range.
        RuntimeError: ffmpeg failed.
    """
    raw, coded = _formats(frames)
    if not 0 <= crf <= 51:
        raise ValueError(f"crf is {crf}; expected 0, the best, to 51.")
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    source = ["-f", "rawvideo", "-pix_fmt", raw, "-s", size, "-i", "-"]
    how = ["-c:v", "libx264", "-pix_fmt", coded, "-preset", "veryslow", "-tune", "psnr"]
    how += ["-crf", str(crf), "-g", str(len(frames) + 1), "-threads", "1"]
    # Units of type 6 say which x264 wrote the stream with which settings: 700 bytes.
    how += ["-bsf:v", "filter_units=remove_types=6"]
    return _run_ffmpeg([*source, *how, "-f", "h264", "-"], np.ascontiguousarray(frames).tobytes())


def decode_h264(stream: bytes, shape: tuple[int, ...]) -> Frames:
    """Return the frames of a stream of `encode_h264`, which had the shape [T, H, W, C].

    Raises:
        ImportError: imageio-ffmpeg is not installed.
        RuntimeError: ffmpeg failed, or there are not T frames.
    """
    raw = _FORMATS[shape[3]][0]
    source = ["-f", "h264", "-i", "-", "-fps_mode", "passthrough"]
    pixels = _run_ffmpeg([*source, "-f", "rawvideo", "-pix_fmt", raw, "-"], stream)
    if len(pixels) != np.prod(shape):
        raise RuntimeError(
            f"ffmpeg decoded {len(pixels)} bytes; expected {np.prod(shape)} of frames {shape}."
        )
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _formats(frames: Frames) -> tuple[str, str]:
    if frames.ndim != 4 or frames.dtype != np.uint8 or frames.shape[3] not in _FORMATS:
        raise ValueError(
            f"Frames are {frames.dtype} {list(frames.shape)}; expected uint8 [T, H, W, C] with 1 "
            "or 3 channels. Of stacked frames, give the newest."
        )
    return _FORMATS[frames.shape[3]]


def _run_ffmpeg(arguments: list[str], given: bytes) -> bytes:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ImportError(
            "H.264 needs the package imageio-ffmpeg, which is not installed. Run: "
            "pip install 'drl-latent[video]'"
        ) from error
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"ffmpeg failed with {done.returncode}: {said}")
    return done.stdout
