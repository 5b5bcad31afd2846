"""Latent traversals: decode one anchor with one latent moved through its range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drl_latent.checkpoint import Encoder


@dataclass(frozen=True)
class Traversal:
    """Decoded images along each latent.

    Args:
        images: uint8 [D, steps, H, W, C]; row d moves latent d alone.
        values: What latent d was set to, float32 [D, steps].
        change: Mean absolute change of a pixel from one end of a row to the other, in ``[0, 1]``,
            float32 [D]: about 0 for a latent that does nothing.
        anchor: The code around which latents were moved, float32 [D].
    """

    images: NDArray[np.uint8]
    values: NDArray[np.float32]
    change: NDArray[np.float32]
    anchor: NDArray[np.float32]

    @property
    def order(self) -> NDArray[np.int64]:
        """The latents, those that change the image most first, int [D]."""
        return np.argsort(-self.change, kind="stable")


def traverse(
    encoder: Encoder,
    frames: NDArray[np.uint8],
    *,
    anchor: int = 0,
    steps: int = 9,
    percentiles: tuple[float, float] = (5.0, 95.0),
) -> Traversal:
    """Move each latent through its range around one frame's code.

    Args:
        encoder: The encoder and its decoder.
        frames: uint8 [N, H, W, C], a sample whose codes give each latent its range.
        anchor: Index of the frame that is decoded with one latent moved.
        steps: Images a latent, 2 or more.
        percentiles: Ends of the range, percentiles of the sample's codes.

    Raises:
        ValueError: There are fewer than 2 steps or the anchor is not in the sample.
    """
    if steps < 2 or not 0 <= anchor < len(frames):
        raise ValueError(
            f"steps must be 2 or more and anchor below {len(frames)}, got {steps} and {anchor}."
        )
    codes = encoder(frames)
    low, high = np.percentile(codes, percentiles, axis=0)
    values = np.linspace(low, high, steps, axis=1).astype(np.float32)
    rows = np.tile(codes[anchor], (encoder.latent_dim, steps, 1))
    for d in range(encoder.latent_dim):
        rows[d, :, d] = values[d]
    images = encoder.decode(rows.reshape(-1, encoder.latent_dim))
    images = images.reshape(encoder.latent_dim, steps, *images.shape[1:])
    ends = images[:, [0, -1]].astype(np.float32) / 255
    change = np.abs(ends[:, 1] - ends[:, 0]).mean((1, 2, 3))
    return Traversal(images, values, change, codes[anchor])
