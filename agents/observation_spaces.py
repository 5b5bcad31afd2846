"""Gymnasium's spaces as JSON, so that an agent's folder tells what it acts on without pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces


def space_to_json(space: spaces.Space[Any]) -> dict[str, Any]:
    """Return a Box, a Discrete, or a Dict of these as JSON-able data.

    Raises:
        TypeError: It is a space of another kind.
    """
    if isinstance(space, spaces.Dict):
        return {"dict": {key: space_to_json(part) for key, part in space.spaces.items()}}
    if isinstance(space, spaces.Discrete):
        return {"discrete": int(space.n)}
    if isinstance(space, spaces.Box):
        bounds = {"low": _short(space.low), "high": _short(space.high)}
        return {"box": list(space.shape), "dtype": str(space.dtype), **bounds}
    raise TypeError(f"Only Box, Discrete and Dict spaces can be saved, got {space}.")


def space_from_json(data: dict[str, Any]) -> spaces.Space[Any]:
    """Return the space that `space_to_json` wrote.

    Raises:
        KeyError: Something is missing.
    """
    if "dict" in data:
        return spaces.Dict({key: space_from_json(part) for key, part in data["dict"].items()})
    if "discrete" in data:
        return spaces.Discrete(data["discrete"])
    shape, dtype = tuple(data["box"]), np.dtype(data["dtype"])
    low, high = (np.broadcast_to(_number(data[end], dtype), shape) for end in ("low", "high"))
    return spaces.Box(low.copy(), high.copy(), dtype=dtype.type)


def _short(bound: np.ndarray[Any, Any]) -> Any:
    """A bound as one number where all are equal; infinities as strings, which JSON lacks."""
    values = [v if np.isfinite(v) else str(v) for v in bound.ravel().tolist()]
    if len(set(values)) == 1:
        return values[0]
    return np.array(values, dtype=object).reshape(bound.shape).tolist()


def _number(bound: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.asarray(bound).astype(dtype)
