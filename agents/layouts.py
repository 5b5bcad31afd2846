"""What the parts of an observation are to an encoder: frames, stacks of frames, or vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from torch import Tensor

from drl_latent.checkpoint import Encoder


@dataclass(frozen=True)
class VectorLayout:
    """A part that is passed on as it is.

    Args:
        size: Number of its values.
    """

    size: int


@dataclass(frozen=True)
class ImageLayout:
    """A part of one frame, or of frames stacked along the channels, the oldest first.

    Args:
        channels: Where its channels are.
        stack: Number of frames.
    """

    channels: Literal["first", "last"]
    stack: int

    def frames(self, images: Tensor) -> Tensor:
        """Return each frame on its own, [N * stack, C, H, W], of a batch of this part.

        The frames of one observation follow each other, the oldest first.
        """
        if self.channels == "first":
            n, channels, height, width = images.shape
            return images.reshape(n * self.stack, channels // self.stack, height, width)
        n, height, width, channels = images.shape
        split = images.reshape(n, height, width, self.stack, channels // self.stack)
        return split.permute(0, 3, 4, 1, 2).flatten(0, 1)


Layouts = dict[str, VectorLayout | ImageLayout]


def observation_layouts(space: spaces.Space[Any], encoder: Encoder) -> Layouts:
    """Return what each key of an observation is, in order; ``""`` is the key of a Box.

    Raises:
        ValueError: There is no image, or a part is neither a vector nor what the encoder takes.
    """
    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {"": space}
    layouts = {key: _layout(key, part, encoder) for key, part in parts.items()}
    if not any(isinstance(layout, ImageLayout) for layout in layouts.values()):
        raise ValueError(f"There is no image in the observation space {space}.")
    return layouts


def _layout(key: str, space: spaces.Space[Any], encoder: Encoder) -> VectorLayout | ImageLayout:
    name = f"observation {key!r}" if key else "the observation"
    if not isinstance(space, spaces.Box):
        raise ValueError(f"LatentExtractor needs Box observations; {name} is {space}.")
    if len(space.shape) <= 1:
        return VectorLayout(int(np.prod(space.shape)))
    height, width, channels = encoder.image_shape
    shape = space.shape
    layout: ImageLayout | None = None
    if len(shape) == 3 and shape[1:] == (height, width) and shape[0] % channels == 0:
        layout = ImageLayout("first", shape[0] // channels)
    elif len(shape) == 3 and shape[:2] == (height, width) and shape[2] % channels == 0:
        layout = ImageLayout("last", shape[2] // channels)
    if layout is None:
        raise ValueError(
            f"The encoder takes images of shape {encoder.image_shape} (or channels first; stacked "
            f"frames have a multiple of {channels} channels), but {name} has {shape}. Pretrain at "
            "the environment's image_size, or resize; stack frames with VecFrameStack."
        )
    low, high = space.low.min(), space.high.max()
    is_unit = space.dtype.kind == "f" and low >= 0 and high <= 1
    # Stable-Baselines3 scales just those bytes to [0, 1] that go from 0 to 255.
    is_bytes = space.dtype == np.uint8 and low == 0 and high == 255
    if not is_unit and not is_bytes:
        raise ValueError(
            f"Images must be uint8 in [0, 255], or float in [0, 1]; {name} is {space.dtype} in "
            f"[{low:g}, {high:g}]."
        )
    return layout
