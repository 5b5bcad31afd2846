"""A data set of camera frames with their factor values, memory-mapped."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from drl_latent.artifacts import ArtifactError, digest, read_manifest
from drl_latent.data.stacking import StackedFrames
from drl_latent.envs.factor_space import FactorSpace
from drl_latent.registry import UnknownNameError

KIND = "frames"
PairKind = Literal["pairs", "consecutive"]
ROLLOUT_ARRAYS = ("actions", "episode", "rewards", "terminated", "truncated")


@dataclass(frozen=True)
class FrameDataset:
    """Frames, and what was true when they were taken.

    In rollouts, frames are in the order of time, episode by episode. The last frame of an episode
    is what its last action led to: there the action and the reward are NaN.

    Args:
        frames: uint8 [N, H, W, C], memory-mapped; of a stacked data set, what reads like it.
        factors: Factor values, float32 [N, K]; K is 0 where none are known.
        factor_space: The K factors.
        config: How it was made, as in the manifest; ``config["source"]`` says from what.
        path: Its folder.
        actions: Float [N, A], the action taken after each frame; rollouts only.
        episode: int64 [N], the row of the first frame of each frame's episode; rollouts only.
        rewards: Float [N], the reward of each action; rollouts only.
        terminated: bool [N], whether the action ended the task; rollouts only.
        truncated: bool [N], whether the episode was cut off after the action; rollouts only.
    """

    frames: NDArray[np.uint8] | StackedFrames
    factors: NDArray[np.float32]
    factor_space: FactorSpace
    config: dict[str, Any]
    path: Path
    actions: NDArray[np.floating] | None = None
    episode: NDArray[np.int64] | None = None
    rewards: NDArray[np.floating] | None = None
    terminated: NDArray[np.bool_] | None = None
    truncated: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a frame."""
        height, width, channels = self.frames.shape[1:]
        return height, width, channels

    @property
    def fingerprint(self) -> str:
        """A hash of the content, for the record of what was trained on it."""
        return digest(self.config)

    @property
    def pair_kind(self) -> PairKind | None:
        """What pairs of frames there are: made as such, consecutive in an episode, or none."""
        if self.config.get("source") == "pairs":
            return "pairs"
        return None if self.episode is None else "consecutive"

    def pairs(self, kind: PairKind = "pairs") -> NDArray[np.int64]:
        """Return the rows of the two frames of each pair, int64 [P, 2].

        Args:
            kind: ``"pairs"``: frames that share most of their factors: those of a data set
                collected as pairs, where exactly `k` differ, or consecutive ones of a rollout,
                where it is not known how many do. ``"consecutive"``: frames of a rollout, the
                earlier one first; never across episodes.

        Raises:
            ValueError: The data set has no such pairs.
        """
        if kind not in get_args(PairKind):
            raise UnknownNameError("kind of pairs", kind, get_args(PairKind))
        if self.pair_kind == "pairs" and kind == "pairs":
            return np.arange(len(self), dtype=np.int64).reshape(-1, 2)
        if self.episode is None:
            sources = '"rollout"' if kind == "consecutive" else '"pairs" or source="rollout"'
            raise ValueError(
                f"{self.path} has no {kind} frames: it was made with source="
                f"{self.config.get('source')!r}. Collect with source={sources}."
            )
        earlier = np.flatnonzero(self.episode[1:] == self.episode[:-1])
        if not len(earlier):
            raise ValueError(f"{self.path} has no two frames of one episode; collect more.")
        return np.stack([earlier, earlier + 1], axis=1)

    def changed(self, kind: PairKind = "pairs") -> NDArray[np.bool_]:
        """Return which factors differ between the two frames of each pair, bool [P, K].

        Raises:
            ValueError: The data set has no such pairs.
        """
        first, second = self.pairs(kind).T
        return self.factors[first] != self.factors[second]

    def stacked(self, n: int) -> FrameDataset:
        """Return this data set with each frame stacked on the `n` - 1 before it, not in memory.

        Frames become [N, H, W, C * n], the oldest first and zeros before an episode's first
        frame, as ``VecFrameStack(env, n)`` of Stable-Baselines3 shows them to an agent. All else
        stays, and belongs to the newest frame.

        Raises:
            ValueError: `n` is below 1, or frames are in no order in time, or stacked already.
        """
        if n < 1:
            raise ValueError(f"A stack has 1 frame or more, got {n}.")
        if isinstance(self.frames, StackedFrames):
            raise ValueError(f"{self!r} is stacked already; stack what open_dataset gives.")
        if self.episode is None:
            raise ValueError(
                f"Frames of {self.path} are in no order in time (source="
                f"{self.config.get('source')!r}), so none can be stacked. Collect with "
                'source="rollout".'
            )
        if n == 1:
            return self
        rows = np.arange(len(self), dtype=np.int64)
        begins = np.diff(self.episode, prepend=self.episode[:1] - 1) != 0
        first = np.maximum.accumulate(np.where(begins, rows, 0))
        return dataclasses.replace(
            self,
            frames=StackedFrames(self.frames, first, n),
            config={**self.config, "stacked": n},
        )

    def __repr__(self) -> str:
        return (
            f"FrameDataset({len(self)} frames {self.image_shape}, "
            f"{len(self.factor_space)} factors, {self.path})"
        )


def open_dataset(path: str | Path, verify: bool = False) -> FrameDataset:
    """Open a data set that was collected or imported, without reading its frames into memory.

    Args:
        path: Its folder.
        verify: Also check each file's SHA-256.

    Raises:
        ArtifactError: The folder is absent, unfinished, damaged or something else.
    """
    folder = Path(path)
    manifest = read_manifest(folder, KIND, verify=verify)
    config = manifest["config"]

    def load(name: str) -> Any:
        if f"{name}.npy" not in manifest["files"]:
            return None
        try:
            return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise ArtifactError(f"{folder / name}.npy cannot be read: {error}.") from error

    frames, factors = load("frames"), load("factors")
    space = FactorSpace.from_dict(config["factor_space"])
    if frames is None or frames.dtype != np.uint8 or frames.ndim != 4:
        found = "nothing" if frames is None else f"{frames.dtype} {list(frames.shape)}"
        raise ArtifactError(f"{folder}: frames.npy should be uint8 [N, H, W, C], found {found}.")
    if factors is None or factors.shape != (len(frames), len(space)):
        found = "nothing" if factors is None else str(list(factors.shape))
        raise ArtifactError(
            f"{folder}: factors.npy should be [{len(frames)}, {len(space)}], found {found}."
        )
    rest = {name: load(name) for name in ROLLOUT_ARRAYS}
    for name, array in rest.items():
        if array is not None and len(array) != len(frames):
            raise ArtifactError(
                f"{folder}: {name}.npy should have {len(frames)} rows, found {len(array)}."
            )
    return FrameDataset(frames, np.asarray(factors), space, config, folder, **rest)
