"""Latent traversals: decode anchors with one latent moved through its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from drl_latent.checkpoint import Encoder
from drl_latent.interventions.levels import latent_steps


@dataclass(frozen=True, eq=False)
class Traversal:
    """Images decoded along each latent, around each anchor.

    Args:
        images: uint8 [A, D, steps, H, W, C]; ``images[a, d]`` moves latent d of anchor a alone.
        values: What latent d was set to, float32 [D, steps]; the same around all anchors.
        change: How much latent d moves the image, float32 [D] in ``[0, 1]``: the mean absolute
            difference of a pixel between the two images of a row that differ most, averaged over
            anchors. About 0 for a latent that does nothing.
        anchors: The codes around which latents were moved, float32 [A, D].
    """

    images: NDArray[np.uint8]
    values: NDArray[np.float32]
    change: NDArray[np.float32]
    anchors: NDArray[np.float32]

    @property
    def order(self) -> NDArray[np.int64]:
        """The latents, those that change the image most first, int [D]."""
        return np.argsort(-self.change, kind="stable")


def traverse(
    encoder: Encoder,
    frames: NDArray[np.uint8],
    *,
    anchors: Sequence[int] = (0,),
    steps: int = 9,
    percentiles: tuple[float, float] = (5.0, 95.0),
) -> Traversal:
    """Move each latent through its range around the codes of some frames.

    A latent that takes few values, as those of quantised codes do, is moved in even steps like
    any other, and each step then goes to the nearest value that occurs in the sample: a level may
    come twice or be passed over, and nothing between levels is decoded.

    Args:
        encoder: The encoder and its decoder.
        frames: uint8 [N, H, W, C], a sample whose codes give each latent its range.
        anchors: Rows of the frames that are decoded with one latent moved.
        steps: Images a row, 2 or more.
        percentiles: Ends of the range, percentiles of the sample's codes.

    Raises:
        ValueError: There are fewer than 2 steps, or no anchors, or one that is not in the sample.
    """
    if steps < 2:
        raise ValueError(f"steps must be 2 or more, got {steps}.")
    if not len(anchors) or not all(0 <= a < len(frames) for a in anchors):
        raise ValueError(
            f"anchors must be one or more rows of the {len(frames)} frames, from 0 to "
            f"{len(frames) - 1}, got {list(anchors)}."
        )
    codes = encoder(frames)
    values = latent_steps(codes, steps, percentiles).T.astype(np.float32)
    around = codes[list(anchors)]
    images = np.stack([_decode_rows(encoder, code, values) for code in around])
    change = np.stack([_largest_changes(rows) for rows in images]).mean(axis=0)
    return Traversal(images, values, change, around)


def _decode_rows(
    encoder: Encoder, code: NDArray[np.float32], values: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return [D, steps, H, W, C]: one code, [D], with each latent set to its values in turn."""
    latents, steps = values.shape
    rows = np.tile(code, (latents, steps, 1))
    for d in range(latents):
        rows[d, :, d] = values[d]
    images = encoder.decode(rows.reshape(-1, latents))
    return images.reshape(latents, steps, *images.shape[1:])


def _largest_changes(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return [D]: the largest mean absolute difference between two images of each row."""
    # Not only the ends: a hue that goes round the circle comes back to where it began.
    images = rows.astype(np.float32) / 255
    pairs = combinations(range(rows.shape[1]), 2)
    return np.max([np.abs(images[:, i] - images[:, j]).mean((1, 2, 3)) for i, j in pairs], axis=0)
