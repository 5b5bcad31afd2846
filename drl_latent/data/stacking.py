"""Frames of an episode stacked along the channels, put together when they are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = int | np.integer | slice | list[int] | NDArray[np.integer]


@dataclass(frozen=True)
class StackedFrames:
    """Each frame with those before it, as Stable-Baselines3's ``VecFrameStack`` shows them.

    Channels are those of the oldest frame first. Where an episode has not had as many frames yet,
    the missing ones are zeros. It reads like an array [N, H, W, C * depth]: ``len``, ``shape``,
    ``dtype``, and an index (int, slice, or ints) that gives a real uint8 array.

    Args:
        frames: The single frames, uint8 [N, H, W, C].
        first: int64 [N], the row of the first frame of each frame's episode.
        depth: Frames in a stack.
    """

    frames: NDArray[np.uint8]
    first: NDArray[np.int64]
    depth: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of stacks, height, width, and channels of a stack."""
        return (*self.frames.shape[:-1], self.frames.shape[-1] * self.depth)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """That of the frames."""
        return self.frames.dtype

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: Index) -> NDArray[np.uint8]:
        """Return the stacks at `index`, uint8 [n, H, W, C * depth], or [H, W, C * depth] of one.

        Raises:
            IndexError: A row is not there.
        """
        rows = np.arange(len(self))[index]
        newest = np.atleast_1d(rows)
        channels = self.frames.shape[-1]
        stacks = np.zeros((len(newest), *self.shape[1:]), np.uint8)
        for place in range(self.depth):
            source = newest - (self.depth - 1 - place)
            known = source >= self.first[newest]
            where = slice(place * channels, (place + 1) * channels)
            stacks[known, ..., where] = self.frames[source[known]]
        return stacks if np.ndim(rows) else stacks[0]
