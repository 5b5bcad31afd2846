"""Resamples of the runs of a study: which, how many, and of what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.evaluation.run_scores import Cell, Cells, Scale
from drl_latent.evaluation.seed_bootstrap import (
    METHODS,
    Method,
    Stratum,
    draw_counts,
    draw_episodes,
)

FloatArray = NDArray[np.float64]
Task = tuple[str, str]


@dataclass(frozen=True)
class Intervals:
    """How intervals over seeds are made.

    `scripts/check_coverage.py` measures how often they hold the truth. With three encoder seeds
    95% percentiles hold a mean success about 0.7 to 0.8 of the time, ``"student"`` about 0.95, or
    0.83 to 0.97 where success is near 1, where the few failures say little about other seeds. So
    that is the default.

    Args:
        method: ``"student"``, or ``"percentile"`` as in Agarwal et al. (2021); see
            `drl_latent.evaluation.seed_bootstrap.estimate`.
        draws: Number of resamples.
        confidence: Coverage that is aimed at, in (0, 1).
        episodes: Whether episodes are drawn again too, the same for all runs. Without, intervals
            say what other seeds of training would give on these very episodes; with, what they
            would on other episodes of the part. That matters where some episodes are much harder
            than others, most for the generalisation gap; it errs on the wide side.
        seed: Of the draws.
    """

    method: Method = "student"
    draws: int = 2_000
    confidence: float = 0.95
    episodes: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"Expected one of {list(METHODS)} as method, got {self.method!r}.")
        if self.draws < 2:
            raise ValueError(f"draws must be 2 or more, got {self.draws}.")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must be in (0, 1), got {self.confidence}.")


def shared_runs(
    cells: Cells, task: Task, agent: str, parts: Sequence[str]
) -> list[tuple[int, int, int]]:
    """Return the runs of an agent that were evaluated on all of the parts."""
    first, *others = (cells[task, agent, part].runs for part in parts)
    return [run for run in first if all(run in runs for runs in others)]


def shared_cells(cells: Cells, task: Task, agent: str, parts: Sequence[str]) -> list[Cell]:
    """Return the cells of the parts, of `shared_runs` alone."""
    runs = shared_runs(cells, task, agent, parts)
    return [cells[task, agent, part].only(runs) for part in parts]


class Resamples:
    """Resamples of the runs of each task; agents with the same seeds share them.

    Args:
        cells: What `drl_latent.evaluation.run_scores.run_cells` gave.
        intervals: How many, and of what.
    """

    def __init__(self, cells: Cells, intervals: Intervals) -> None:
        self._cells, self._intervals = cells, intervals
        # Sorted, so that draws do not depend on the order of rows.
        self._tasks = sorted({task for task, _, _ in cells})
        self._parts = sorted({part for _, _, part in cells})
        self._counts: dict[tuple[Task, tuple[int, ...]], FloatArray] = {}
        self._scores: dict[tuple[Task, str, str, tuple[Any, ...]], FloatArray] = {}

    def stratum(
        self, task: Task, agent: str, parts: Sequence[str], scales: Sequence[Scale]
    ) -> Stratum:
        """Return the runs of an agent on the parts of a task, normalised."""
        cells = shared_cells(self._cells, task, agent, parts)
        number, seeds = self._tasks.index(task), cells[0].seeds
        how = self._intervals
        key = task, tuple(int(s) for s in seeds)
        if key not in self._counts:
            rng = np.random.default_rng([how.seed, number])
            self._counts[key] = draw_counts(
                seeds, how.draws, rng, leave_one_out=how.method == "student"
            )
        scores = tuple(scale(c.scores) for scale, c in zip(scales, cells, strict=True))
        drawn = scores
        if how.episodes:
            drawn = tuple(
                scale(self._drawn(task, agent, part, cell))
                for scale, part, cell in zip(scales, parts, cells, strict=True)
            )
        return Stratum(scores, drawn, self._counts[key], seeds)

    def _drawn(self, task: Task, agent: str, part: str, cell: Cell) -> FloatArray:
        """Scores with episodes drawn again, [B, R]: the same episodes for all agents."""
        key = task, agent, part, cell.runs
        if key not in self._scores:
            how = self._intervals
            number = self._tasks.index(task), self._parts.index(part)
            rng = np.random.default_rng([how.seed, *number, 1])
            self._scores[key] = draw_episodes(cell.results, how.draws, rng)
        return self._scores[key]
