"""A data set of camera frames with their factor values, memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.artifacts import ArtifactError, digest, read_manifest
from drl_latent.envs.factors import FactorSpace

KIND = "frames"


@dataclass(frozen=True)
class FrameDataset:
    """Frames of one environment, and what was true when they were taken.

    Args:
        frames: uint8 [N, H, W, C], memory-mapped.
        factors: Factor values, float32 [N, K].
        factor_space: The K factors.
        config: How it was collected, as in the manifest.
        path: Its folder.
        actions: float32 [N, A], the action taken after each frame; rollouts only.
        episode: int64 [N], the episode of each frame; rollouts only.
    """

    frames: NDArray[np.uint8]
    factors: NDArray[np.float32]
    factor_space: FactorSpace
    config: dict[str, Any]
    path: Path
    actions: NDArray[np.float32] | None = None
    episode: NDArray[np.int64] | None = None

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

    def __repr__(self) -> str:
        return (
            f"FrameDataset({len(self)} frames {self.image_shape}, "
            f"{len(self.factor_space)} factors, {self.path})"
        )


def open_dataset(path: str | Path, verify: bool = False) -> FrameDataset:
    """Open a data set that `collect` wrote, without reading its frames into memory.

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
    return FrameDataset(
        frames, np.asarray(factors), space, config, folder, load("actions"), load("episode")
    )
