"""Traversals to look at: one still sheet, or a film in which every latent moves."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from drl_latent.artifacts import write_bytes
from drl_latent.interventions.traversal import Traversal

_TILE = 64
"""Least height of a tile, pixels, where no scale is given."""
_THIN, _WIDE = 1, 8
"""Pixels between tiles, and between blocks of tiles."""
_PAPER, _INK = (255, 255, 255), (0, 0, 0)
_MARGIN = 4
"""Pixels around a label."""


def traversal_grid(
    traversal: Traversal, *, scale: int | None = None, most: int | None = None
) -> NDArray[np.uint8]:
    """Draw a traversal as one image.

    Each row is a latent, those that move the image most on top, under its name: ``z3`` is latent
    3. Each block of columns is an anchor, whose columns go from the latent's lowest value to its
    highest.

    Args:
        traversal: What to draw.
        scale: Pixels a side that each decoded pixel becomes, 1 or more; by default the least that
            makes tiles at least 64 pixels high.
        most: Latents to draw at most, the first ones; all unless given.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: `scale` or `most` is below 1.
    """
    latents = _latents(traversal, most)
    tiles = _tiles(traversal, scale)[:, latents]
    rows = tiles.transpose(1, 0, 2, 3, 4, 5).reshape(len(latents), -1, *tiles.shape[3:])
    return _board(rows, block=tiles.shape[2], labels=[f"z{d}" for d in latents], beside=True)


def save_gif(
    traversal: Traversal,
    path: str | Path,
    *,
    scale: int | None = None,
    most: int | None = None,
    milliseconds: int = 120,
) -> Path:
    """Write a traversal as an animated GIF, in which every latent moves at once, forth and back.

    Each column is a latent, those that move the image most first, under its name; each row is an
    anchor. It repeats without end.

    Args:
        traversal: What to draw.
        path: The file to write, as a whole or not at all.
        scale: See `traversal_grid`.
        most: See `traversal_grid`.
        milliseconds: Time a step, 20 or more: viewers show shorter ones slowly.

    Returns:
        The path.

    Raises:
        ValueError: `scale` or `most` is below 1, or `milliseconds` below 20.
    """
    if milliseconds < 20:
        raise ValueError(f"milliseconds must be 20 or more, got {milliseconds}.")
    latents = _latents(traversal, most)
    tiles = _tiles(traversal, scale)[:, latents]
    labels = [f"z{d}" for d in latents]
    forth = [_board(tiles[:, :, i], labels=labels) for i in range(tiles.shape[2])]
    # The usual palette goes by area, and turns what is small and of its own colour grey.
    cover = Image.Quantize.MAXCOVERAGE
    images = [Image.fromarray(frame).quantize(256, cover) for frame in forth]
    images += images[-2:0:-1]
    film = io.BytesIO()
    images[0].save(
        film, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0
    )
    out = Path(path)
    write_bytes(out, film.getvalue())
    return out


def _latents(traversal: Traversal, most: int | None) -> NDArray[np.int64]:
    """Return the latents to draw, in order."""
    if most is not None and most < 1:
        raise ValueError(f"most must be 1 or more latents, got {most}.")
    return traversal.order[:most]


def _tiles(traversal: Traversal, scale: int | None) -> NDArray[np.uint8]:
    """Return the images as enlarged RGB, uint8 [A, D, steps, h, w, 3]."""
    images = traversal.images
    if scale is None:
        scale = -(-_TILE // images.shape[3])
    if scale < 1:
        raise ValueError(f"scale must be 1 or more, got {scale}.")
    # Of stacked frames, the newest one.
    colour = images[..., -3:] if images.shape[-1] >= 3 else images[..., :1].repeat(3, axis=-1)
    return colour.repeat(scale, axis=3).repeat(scale, axis=4)


def _board(
    tiles: NDArray[np.uint8], labels: list[str], block: int = 0, beside: bool = False
) -> NDArray[np.uint8]:
    """Lay out tiles, [R, C, h, w, 3], with a label beside each row or else above each column.

    A wider gap follows each `block` columns, where `block` is not 0.
    """
    rows, columns, height, width = tiles.shape[:4]
    font = ImageFont.load_default()
    boxes = [font.getbbox(label) for label in labels]
    left = int(max(box[2] for box in boxes)) + 2 * _MARGIN if beside else 0
    above = 0 if beside else int(max(box[3] for box in boxes)) + 2 * _MARGIN
    gaps = [_WIDE if block and c % block == 0 else _THIN for c in range(1, columns)]
    xs = left + np.cumsum([0, *(width + gap for gap in gaps)])
    ys = above + np.arange(rows) * (height + _THIN)
    board = np.full((ys[-1] + height, xs[-1] + width, 3), _PAPER, np.uint8)
    for row, y in zip(tiles, ys, strict=True):
        for tile, x in zip(row, xs, strict=True):
            board[y : y + height, x : x + width] = tile
    picture = Image.fromarray(board)
    pen = ImageDraw.Draw(picture)
    for i, label in enumerate(labels):
        at = (_MARGIN, ys[i] + height / 2) if beside else (xs[i] + width / 2, above / 2)
        pen.text(at, label, fill=_INK, font=font, anchor="lm" if beside else "mm")
    return np.asarray(picture)
