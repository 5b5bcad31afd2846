"""What an agent remembers of the steps before: stacks of inputs, and the state of an LSTM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Stack:
    """The last inputs of each environment along the last axis, oldest first.

    Where an episode has not had as many yet, the missing ones are zeros, as in
    Stable-Baselines3's ``VecFrameStack``.

    Args:
        depth: Number of inputs in a stack.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._kept: dict[str, NDArray[Any]] = {}

    def reset(self) -> None:
        """Forget: the next inputs are the first of their episodes."""
        self._kept.clear()

    def push(self, inputs: Any) -> Any:
        """Return stacks that end with `inputs`, an array [N, ..., C] or a dict of such.

        Raises:
            ValueError: There are fewer or more environments than before.
        """
        if self.depth == 1:
            return inputs
        if isinstance(inputs, dict):
            return {key: self._push(key, value) for key, value in inputs.items()}
        return self._push("", inputs)

    def _push(self, key: str, value: NDArray[Any]) -> NDArray[Any]:
        before = self._kept.get(key)
        width = value.shape[-1]
        if before is None:
            before = np.zeros((*value.shape[:-1], width * self.depth), value.dtype)
        elif before.shape[:-1] != value.shape[:-1]:
            raise ValueError(
                f"This agent remembers the steps before of {len(before)} environments, but got "
                f"observations of {len(value)}; call reset() where episodes begin."
            )
        self._kept[key] = np.concatenate([before[..., width:], value], axis=-1)
        return self._kept[key]
