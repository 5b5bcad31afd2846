"""Observations of one environment or of several, as a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


def with_batch_axis(observations: Any, space: spaces.Space[Any]) -> tuple[Any, bool]:
    """Return observations with a batch axis, and whether there was none.

    Args:
        observations: Of a batch or of one environment: an array, or a dict of arrays.
        space: What one environment shows.

    Raises:
        ValueError: They have another shape or type.
    """
    if not isinstance(space, spaces.Dict):
        return _as_batch(observations, space, "observations")
    if not isinstance(observations, Mapping) or set(observations) != set(space.spaces):
        wanted = " and ".join(repr(key) for key in space.spaces)
        given = sorted(observations) if isinstance(observations, Mapping) else None
        raise ValueError(
            f"This agent acts on a dict of {wanted}, got {given or type(observations).__name__}."
        )
    parts = {k: _as_batch(observations[k], space[k], repr(k)) for k in space.spaces}
    return {k: part for k, (part, _) in parts.items()}, all(one for _, one in parts.values())


def count_rows(batch: Any) -> int:
    """Return of how many environments a batch is."""
    return len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch)


def _as_batch(values: Any, space: spaces.Space[Any], name: str) -> tuple[NDArray[Any], bool]:
    """Return values [N, ...] as the space has them, and whether they were of one environment.

    Raises:
        ValueError: They have another shape, or images another type.
    """
    assert isinstance(space, spaces.Box)
    array = np.asarray(values)
    is_image = space.dtype == np.uint8
    if not is_image:
        array = array.astype(np.float32)
    is_single = array.ndim == len(space.shape)
    batch = array[None] if is_single else array
    if batch.shape[1:] != space.shape or batch.dtype != space.dtype:
        kind = "uint8 frames" if is_image else "numbers"
        wanted = ", ".join(map(str, space.shape))
        raise ValueError(
            f"This agent acts on {kind} of shape [N, {wanted}]; {name} are {array.dtype} of shape "
            f"{list(array.shape)}."
        )
    return batch, is_single
