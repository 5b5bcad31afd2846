"""Where a replay buffer keeps the frames of one camera, or latents: each of them once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

ChannelsOrder = Literal["first", "last"]
Frames = NDArray[Any]
"""Of the type of the observations: uint8 images, float vectors."""


class FrameRing:
    """Frames of one camera: a ring for each environment, and a side table of final frames.

    The ring has `n_stack` places more than there are transitions, for the older frames in the
    stack of the oldest transition and for the frame after the newest. A frame that the next
    observation does not go on from, the last of an episode, moves to the side table, which holds
    as many as are in use.

    Args:
        size: Number of transitions of each environment.
        n_envs: Number of environments.
        space: The observations, stacks of `n_stack` frames: images stacked along their channels,
            or vectors one after the other.
        n_stack: Number of frames in an observation.
        order: Where the channels of images are; None for the smallest of the three sizes.
        key: Name of the observation in a Dict, for errors.

    Raises:
        ValueError: The observations are not `n_stack` frames, or the place of the channels is not
            clear.
    """

    def __init__(
        self,
        size: int,
        n_envs: int,
        space: spaces.Box,
        n_stack: int,
        order: ChannelsOrder | None,
        key: str,
    ) -> None:
        is_image = len(space.shape) == 3
        kind = "image" if is_image else "vector"
        self._name = f"{kind} {key!r}" if key else kind
        self._size, self._n_stack = size, n_stack
        self._channels_first = is_image and _channels_first(space.shape, order, self._name)
        self._shape = (n_envs, *space.shape)
        frame = list(space.shape)
        axis = 0 if self._channels_first else -1
        if n_stack < 1 or frame[axis] % n_stack:
            parts = "channels" if is_image else "numbers"
            raise ValueError(
                f"n_stack={n_stack} does not divide the {frame[axis]} {parts} of the "
                f"{self._name} of shape {space.shape}: give the n_stack of VecFrameStack or "
                "VecLatent, or 1."
            )
        frame[axis] //= n_stack
        self._frames: Frames = np.zeros((size + n_stack, n_envs, *frame), space.dtype)
        # For each transition: how many older frames of its stack there are, the others are zeros;
        # and the row of the side table with the frame after it, or -1 where that is in the ring.
        self._older = np.zeros((size, n_envs), np.int16)
        self._final_row = np.zeros((size, n_envs), np.int32)
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._newest = -1  # place of the last frame of the newest transition's observation
        self._expected: Frames | None = None  # what the episode goes on with
        self._final_row[:] = -1
        self._finals = np.empty((0, *self._frames.shape[2:]), self._frames.dtype)
        self._free: list[int] = []

    @property
    def nbytes(self) -> int:
        """Bytes of all that is stored."""
        arrays = (self._frames, self._older, self._final_row, self._finals)
        return sum(array.nbytes for array in arrays)

    def state(self, is_full: bool) -> dict[str, NDArray[Any]]:
        """Return all that is stored as arrays, for `restore`.

        Args:
            is_full: Whether transitions have been overwritten; if not, empty places are left out.
        """
        places = np.arange(len(self._frames))
        if not is_full:
            # The frames so far, the next one, and the older ones of the first stack.
            is_used = (places <= self._newest + 1) | (places > len(places) - self._n_stack)
            places = places[is_used]
        expected = {} if self._expected is None else {"expected": self._expected}
        return {
            "places": places,
            "frames": self._frames[places],
            "newest": np.array(self._newest),
            "older": self._older,
            "final_row": self._final_row,
            "finals": self._finals,
            "free": np.array(self._free, dtype=np.int64),
            **expected,
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `state` returned."""
        self._frames[state["places"]] = state["frames"]
        self._newest = int(state["newest"])
        self._older[:], self._final_row[:] = state["older"], state["final_row"]
        self._finals, self._free = state["finals"].copy(), state["free"].tolist()
        self._expected = state["expected"].copy() if "expected" in state else None

    def check(
        self, before: NDArray[Any], after: NDArray[Any]
    ) -> tuple[Frames, Frames, NDArray[np.bool_]]:
        """Return both as frames, oldest first [n_envs, n_stack, ...], and which begin an episode.

        Raises:
            ValueError: They could not be given back as they are.
        """
        now, later = self._split(before), self._split(after)
        if not np.array_equal(now[:, 1:], later[:, :-1]):
            raise ValueError(
                f"The next observation of the {self._name} is not the observation moved on by one "
                f"frame: n_stack={self._n_stack} is wrong for this environment, or what "
                "VecFrameStack or VecLatent gives is changed after it (normalised, or the "
                "'terminal_observation' left out of the infos)."
            )
        if self._expected is None:
            return now, later, np.zeros(len(now), bool)
        # Not from `done`: an environment can also be reset in the middle of an episode.
        pairs = zip(now, self._expected, strict=True)
        starts = np.array([not np.array_equal(*pair) for pair in pairs])
        if now[starts, :-1].any():
            raise ValueError(
                f"A stack of the {self._name} neither goes on from the one before it nor begins "
                f"with the empty frames of a reset: n_stack={self._n_stack} is wrong for this "
                "environment, or steps are missing between two calls of add."
            )
        return now, later, starts

    def write(
        self,
        pos: int,
        now: Frames,
        later: Frames,
        starts: NDArray[np.bool_],
    ) -> None:
        """Store what `check` returned as the transition at `pos`."""
        previous, places = pos - 1, len(self._frames)
        self._newest = newest = (self._newest + 1) % places
        if self._expected is None:
            # The stream may begin anywhere in an episode; there is room for its whole stack.
            self._frames[np.arange(newest, newest - self._n_stack, -1)] = now.swapaxes(0, 1)[::-1]
            older = np.full(len(now), self._n_stack - 1)
        else:
            for env in np.flatnonzero(starts):
                self._final_row[previous, env] = self._store_final(self._frames[newest, env])
                self._frames[newest, env] = now[env, -1]
            older = np.minimum(self._older[previous] + 1, self._n_stack - 1)
            older[starts] = 0
        overwritten = self._final_row[pos]
        self._free += overwritten[overwritten >= 0].tolist()
        self._final_row[pos] = -1
        self._older[pos] = older
        self._frames[(newest + 1) % places] = later[:, -1]
        self._expected = later.copy(order="K")

    def read(
        self, rows: NDArray[np.integer], envs: NDArray[np.integer], pos: int, *, after: bool
    ) -> Frames:
        """Return observations, or those `after` the transitions, contiguous [B, ...].

        Args:
            rows: Places of the transitions, [B].
            envs: Their environments, [B].
            pos: Where `write` is next.
            after: Whether to return the next observations.
        """
        places, n_envs = self._frames.shape[:2]
        offsets = np.arange(1 - self._n_stack, 1) + after
        newest = self._newest - (pos - 1 - rows) % self._size
        index = (newest[:, None] + offsets) % places * n_envs + envs[:, None]
        # Rows of a flat table: `take` copies each in one go, unlike an index of two arrays.
        stacks = self._frames.reshape(places * n_envs, -1).take(index, axis=0)
        stacks[-offsets > self._older[rows, envs][:, None]] = 0
        if after:
            final = self._final_row[rows, envs]
            ended = np.flatnonzero(final >= 0)
            stacks[ended, -1] = self._finals[final[ended]].reshape(len(ended), stacks.shape[2])
        return self._join(stacks)

    def _store_final(self, frame: Frames) -> int:
        if not self._free:
            used = len(self._finals)
            grown = np.empty((used + max(16, used // 4), *frame.shape), frame.dtype)
            grown[:used] = self._finals
            self._finals, self._free = grown, list(range(used, len(grown)))
        row = self._free.pop()
        self._finals[row] = frame
        return row

    def _split(self, stacks: NDArray[Any]) -> Frames:
        if stacks.shape != self._shape or stacks.dtype != self._frames.dtype:
            raise ValueError(
                f"Expected the {self._name} as {self._frames.dtype} {list(self._shape)}, "
                f"got {stacks.dtype} {list(stacks.shape)}."
            )
        n_envs, *size = self._shape
        if self._channels_first:
            return stacks.reshape(n_envs, self._n_stack, -1, *size[1:])
        return np.moveaxis(stacks.reshape(n_envs, *size[:-1], self._n_stack, -1), -2, 1)

    def _join(self, stacks: Frames) -> Frames:
        frames = stacks.reshape(*stacks.shape[:2], *self._frames.shape[2:])
        if not self._channels_first:
            frames = np.moveaxis(frames, 1, -2)
        # With one channel a frame, the reshape would be a strided view of the channels last.
        return np.ascontiguousarray(frames.reshape(len(stacks), *self._shape[1:]))


def _channels_first(shape: tuple[int, ...], order: ChannelsOrder | None, name: str) -> bool:
    first, _, last = shape
    if order is None and min(first, last) < min(max(first, last), shape[1]):
        return first < last
    if order not in ("first", "last"):
        raise ValueError(
            f"Cannot tell where the channels of the {name} of shape {shape} are, "
            f'got channels_order={order!r}: give channels_order="first" or "last".'
        )
    return order == "first"
