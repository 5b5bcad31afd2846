"""When a loss has stopped falling."""

from __future__ import annotations

from typing import Any

_LEAST_IMPROVEMENT = 1e-3


class Plateau:
    """Compares the mean loss of stretches of steps.

    `over` turns true when a stretch ends whose mean is not below the best one before it.

    Args:
        patience: Steps a stretch; 0 for a plateau that is never reached.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.over = False
        self._best: float | None = None
        self._sum, self._count = 0.0, 0

    def take_in(self, loss: float) -> None:
        """Take in the loss of one step."""
        self._sum, self._count = self._sum + loss, self._count + 1
        if not self.patience or self._count < self.patience:
            return
        mean, self._sum, self._count = self._sum / self._count, 0.0, 0
        if self._best is not None:
            self.over = not mean < self._best - _LEAST_IMPROVEMENT * abs(self._best)
        self._best = mean if self._best is None else min(self._best, mean)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold, JSON-able."""
        return {"over": self.over, "best": self._best, "sum": self._sum, "count": self._count}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        self.over, self._best = state["over"], state["best"]
        self._sum, self._count = state["sum"], state["count"]
