"""A trajectory stored as latents: quantised, changes only, deflated.

The bytes describe themselves. Little-endian, one after the other:

    b"DLC", format 1            4 bytes
    T, D, planes                uint32, uint16, uint8
    width of each latent        D uint16, the upper half of a float32; 0 where values are listed
    listed values               for each such latent their number, uint8, and the float32 values
    indices                     deflated: `planes` planes of bytes, the lowest bytes first, each a
                                row for each of T rows, of all latents but those with one value
    CRC-32 of all before        uint32

An index times its width is the code; or an index is the place of the code among the listed values.
Indices are stored as the change since the last row, the first since 0, with the sign in the lowest
bit, so that small changes are small numbers.

Why deflate: over episodes of 40 frames of Reach, streams are 50 to 250 bytes, in which the
parameters of distributions count. A range coder with an adaptive Laplace distribution for each
latent took from a quarter fewer bytes, in steps of a standard deviation, to 15% more, in those of a
twentieth; over 800 frames from 7% fewer to 40% more.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import IntArray, finite_matrix, varying_columns

_MAGIC, _FORMAT = b"DLC", 1
_HEAD = struct.Struct("<3sBIHB")
_CHECK = struct.Struct("<I")
_MOST_LISTED = 255
# From here on a multiple of a width is not its own nearest multiple after rounding to float32.
_MOST_STEPS = 2**22
_STRATEGIES = (zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE)


def compress(codes: ArrayLike, *, step: float, scale: ArrayLike | None = None) -> bytes:
    """Store a trajectory of codes, each latent in steps of a share of its standard deviation.

    A latent of few values, at most 255 and a quarter of the rows, as of a quantised encoder, is
    stored without loss. So is one that is constant, up to rounding. All others are rounded to
    multiples of ``step * scale`` (kept to 8 binary digits), so that they are off by half of that at
    most, and rounding to float32. Storing what `decompress` gives once more, by the same `step` and
    `scale`, loses nothing further.

    Args:
        codes: [T, D], in the order of time, finite in float32.
        step: Width of a step, in units of `scale`, above 0.
        scale: [D], the standard deviation of each latent over the data that trajectories come
            from; over `codes` alone by default, which spends bits on the noise of a latent that
            does not change in this trajectory.

    Raises:
        ValueError: `codes` is not a finite matrix, `step` or `scale` is not positive or does not
            fit, or steps are too fine or too large for float32.
    """
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        z = finite_matrix(np.asarray(codes).astype(np.float32), "codes")
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"step is {step}; expected a positive number, such as 0.1.")
    widths = _widths(z, step, scale)
    listed, constant = [], np.zeros(len(widths), dtype=bool)
    indices = np.empty(z.shape, dtype=np.int64)
    for d, column in enumerate(z.T):
        if widths[d]:
            indices[:, d] = np.rint(column / widths[d])
        else:
            values, indices[:, d] = _list_values(column)
            constant[d] = len(values) == 1
            listed.append(bytes([len(values)]) + values.astype("<f4").tobytes())
    if np.abs(indices).max() >= _MOST_STEPS:
        worst = int(np.abs(indices).max(axis=0).argmax())
        raise ValueError(
            f"step={step} cuts latent {worst} into {np.abs(indices).max()} steps from 0; expected "
            f"fewer than {_MOST_STEPS}, the precision of float32. Use a larger step."
        )
    changes = np.diff(indices[:, ~constant], axis=0, prepend=0)
    unsigned = (changes << 1) ^ (changes >> 63)
    planes = max(1, (int(unsigned.max(initial=0)).bit_length() + 7) // 8)
    raw = unsigned.astype("<u4").reshape(-1, 1).view(np.uint8)[:, :planes].T.tobytes()
    head = _HEAD.pack(_MAGIC, _FORMAT, len(z), z.shape[1], planes)
    body = head + _upper_half(widths).tobytes() + b"".join(listed) + _deflate(raw)
    return body + _CHECK.pack(zlib.crc32(body))


def decompress(stored: bytes) -> NDArray[np.float32]:
    """Return the codes that `compress` stored, quantised, float32 [T, D].

    Raises:
        ValueError: These are not the bytes of `compress`, or not all of them, or they were damaged.
    """
    body, check = stored[: -_CHECK.size], stored[-_CHECK.size :]
    if len(body) < _HEAD.size or body[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"These {len(stored)} bytes are not a trajectory stored by `compress`.")
    _, version, t, d, planes = _HEAD.unpack_from(body)
    if zlib.crc32(body) != _CHECK.unpack(check)[0]:
        raise ValueError(
            f"These {len(stored)} bytes of a stored trajectory are damaged or cut off: their "
            "checksum differs. Copy them again."
        )
    if version != _FORMAT:
        raise ValueError(
            f"The trajectory is stored in format {version}; this version of drl-latent reads "
            f"{_FORMAT}. Upgrade it."
        )
    try:
        return _read(body, t, d, planes)
    except (IndexError, ValueError, zlib.error) as error:
        raise ValueError(f"The stored trajectory is not a valid one: {error}.") from error


def _read(body: bytes, t: int, d: int, planes: int) -> NDArray[np.float32]:
    """Return the codes [t, d] in what lies between head and checksum."""
    at = _HEAD.size + 2 * d
    bits = np.frombuffer(body, "<u2", d, _HEAD.size).astype(np.uint32) << 16
    widths = bits.view(np.float32).astype(np.float64)
    tables: dict[int, NDArray[np.float32]] = {}
    for latent in np.flatnonzero(widths == 0).tolist():
        tables[latent] = np.frombuffer(body, "<f4", body[at], at + 1)
        at += 1 + 4 * body[at]
    constant = [latent for latent, values in tables.items() if len(values) == 1]
    coded = np.setdiff1d(np.arange(d), constant)
    size = planes * t * len(coded)
    # One byte more than there should be, so that a longer stream is not taken for a right one.
    raw = np.frombuffer(zlib.decompressobj(-15).decompress(body[at:], size + 1), np.uint8)
    unsigned = np.zeros((t, len(coded)), dtype=np.int64)
    for plane, part in enumerate(raw.reshape(planes, t, len(coded))):
        unsigned |= part.astype(np.int64) << 8 * plane
    indices = np.zeros((t, d), dtype=np.int64)
    indices[:, coded] = np.cumsum((unsigned >> 1) ^ -(unsigned & 1), axis=0)
    codes = (indices * widths).astype(np.float32)
    for latent, values in tables.items():
        codes[:, latent] = values[indices[:, latent]]
    return codes


def _widths(z: FloatArray, step: float, scale: ArrayLike | None) -> FloatArray:
    """Return the width of a step of each latent, [D], 0 for those whose values are listed."""
    spread = z.std(axis=0) if scale is None else np.asarray(scale, dtype=np.float64)
    if spread.shape != z.shape[1:] or not (np.isfinite(spread) & (spread >= 0)).all():
        raise ValueError(
            f"scale is {spread.tolist()}; expected {z.shape[1]} standard deviations, one a latent."
        )
    few = min(_MOST_LISTED, len(z) // 4)
    stepped = varying_columns(z) & np.array([len(np.unique(column)) > few for column in z.T])
    if (stepped & (spread == 0)).any():
        raise ValueError(
            f"scale is 0 for latents {np.flatnonzero(stepped & (spread == 0)).tolist()}, which "
            "vary. Give the standard deviations of data that these codes are like."
        )
    with np.errstate(over="ignore"):
        exact = np.where(stepped, step * spread, 0).astype(np.float32)
    kept = _upper_half(exact).astype(np.uint32) << 16
    widths = kept.view(np.float32).astype(np.float64)
    if not np.isfinite(widths).all() or (stepped & (widths == 0)).any():
        raise ValueError(
            f"step={step} and scale={spread.tolist()} give steps of {exact.tolist()}; expected "
            "positive numbers in the range of float32."
        )
    return widths


def _upper_half(widths: FloatArray | NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the nearest numbers of half the digits of float32, as their bits."""
    bits = widths.astype("<f4").view("<u4")
    return ((bits + np.uint32(0x8000)) >> 16).astype("<u2")


def _list_values(column: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the distinct values of a latent, ascending, and where each row's is among them."""
    if not varying_columns(column[:, None])[0]:
        return np.array([column.mean()]), np.zeros(len(column), dtype=np.int64)
    return np.unique(column, return_inverse=True)


def _deflate(raw: bytes) -> bytes:
    """Return the smallest that zlib makes of the bytes, without its header."""
    found = []
    for strategy in _STRATEGIES:
        coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
        found.append(coder.compress(raw) + coder.flush())
    return min(found, key=len)
