"""Scores of runs, from episodes: a run is one trained agent, with its encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TASK = ("env", "split")
"""Columns that name a task; the strata of all statistics."""
RUN = ("seed_of_run", "encoder_seed", "agent_seed")
MEASURES = ("success", "return")
ALL = "all"
"""What stands for all tasks together in the columns of `TASK`."""

_NO_SEED = -1
_COLUMNS = (*TASK, "agent", "encoder_seed", "agent_seed", "part", "episode", "seed")


@dataclass(frozen=True, eq=False)
class Cell:
    """One agent on one part of one task.

    Args:
        runs: The runs, sorted: (outer seed, encoder seed, agent seed), -1 for none.
        results: Success or return, [R, E], NaN for an episode that a run did not meet.
    """

    runs: tuple[tuple[int, int, int], ...]
    results: NDArray[np.float64]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Mean over the episodes of each run, [R]."""
        return np.asarray(np.nanmean(self.results, axis=1))

    @property
    def seeds(self) -> NDArray[np.int64]:
        """Outer seed of each run, [R]: the encoder's, or the agent's where there is no encoder."""
        return np.array([run[0] for run in self.runs], dtype=np.int64)

    @property
    def episodes(self) -> int:
        """Number of episodes of all runs."""
        return int((~np.isnan(self.results)).sum())

    def only(self, runs: Sequence[tuple[int, int, int]]) -> Cell:
        """Return the cell of some of the runs."""
        return Cell(tuple(runs), self.results[[self.runs.index(run) for run in runs]])


@dataclass(frozen=True)
class Scale:
    """What scores of a part of a task are normalised with.

    Args:
        zero: Mean score of random actions.
        one: Mean score of the reference.
        note: Why nothing can be normalised; "" where it can.
    """

    zero: float
    one: float
    note: str = ""

    def __call__(self, scores: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return normalised scores: NaN where there is no scale."""
        if self.note:
            return np.full_like(np.asarray(scores, dtype=np.float64), np.nan)
        return np.asarray((np.asarray(scores) - self.zero) / (self.one - self.zero))


Cells = dict[tuple[tuple[str, str], str, str], Cell]
"""(task, agent, part) to cell."""
Scales = dict[tuple[tuple[str, str], str], Scale]
"""(task, part) to scale."""


def run_cells(episodes: pd.DataFrame, measure: str) -> Cells:
    """Sort the episodes of a study by task, agent and part.

    Args:
        episodes: One row an episode, with the columns ``env``, ``split``, ``agent``,
            ``encoder_seed`` (NaN or -1 for none), ``agent_seed`` (likewise), ``part``,
            ``episode``, ``seed`` and the measure.
        measure: ``"success"`` or ``"return"``.

    Raises:
        ValueError: A column or all rows are missing, a measure is unknown or NaN, or an episode
            of a run is there twice.
    """
    if measure not in MEASURES:
        raise ValueError(f"Expected one of {list(MEASURES)} as the measure, got {measure!r}.")
    if missing := [c for c in (*_COLUMNS, measure) if c not in episodes]:
        raise ValueError(
            f"The table of episodes lacks the columns {missing}; expected the `episodes` of the "
            "results of a study."
        )
    if episodes.empty:
        raise ValueError("The table of episodes has no rows; evaluate agents first.")
    table = episodes[[*_COLUMNS, measure]].copy()
    table[measure] = table[measure].astype(float)
    if count := int(table[measure].isna().sum()):
        raise ValueError(f"{count} rows of the table of episodes have no {measure!r}.")
    for column in ("encoder_seed", "agent_seed"):
        table[column] = table[column].astype(float).fillna(_NO_SEED).astype(int)
    # An agent without an encoder has its own seed on the outer level.
    outer = table["encoder_seed"].where(table["encoder_seed"] != _NO_SEED, table["agent_seed"])
    table[RUN[0]] = outer
    found: Cells = {}
    for (env, split, agent, part), rows in table.groupby(
        [*TASK, "agent", "part"], sort=False, observed=True
    ):
        if double := int(rows.duplicated([*RUN, "episode", "seed"]).sum()):
            raise ValueError(
                f"{double} episodes of {agent!r} on {part!r} of {env}, {split} are there more "
                "than once with the same seeds; give each run its own encoder_seed or agent_seed."
            )
        wide = rows.pivot(index=list(RUN), columns=["episode", "seed"], values=measure)
        wide = wide.sort_index(axis=0).sort_index(axis=1)
        runs = tuple((int(a), int(b), int(c)) for a, b, c in wide.index)
        found[(str(env), str(split)), str(agent), str(part)] = Cell(runs, wide.to_numpy())
    return found


def part_scales(cells: Cells, random: str, reference: str) -> Scales:
    """Return the scale of each part of each task: random actions are 0, the reference is 1.

    Both ends are the means over all runs of that agent on that very part. They are taken as
    given: intervals of normalised scores leave out how far the scale itself is uncertain.

    Args:
        cells: What `run_cells` gave.
        random: Label of random actions.
        reference: Label of the agent that is 1, as the one trained on true state.

    Raises:
        ValueError: No task has the one or the other.
    """
    agents = sorted({agent for _, agent, _ in cells})
    for label in (random, reference):
        if label not in agents:
            raise ValueError(
                f"There is no agent {label!r} to normalise scores with, only {agents}. Name "
                "others as `random` and `reference`, or give `reference=None` for raw scores."
            )
    found: Scales = {}
    for task, part in dict.fromkeys((task, part) for task, _, part in cells):
        place = f"{part!r} of {', '.join(task)}"
        ends = [cells.get((task, label, part)) for label in (random, reference)]
        absent = [x for x, cell in zip((random, reference), ends, strict=True) if cell is None]
        if absent:
            scale = Scale(np.nan, np.nan, f"not normalised: no {', '.join(absent)} on {place}")
        else:
            zero, one = (float(cell.scores.mean()) for cell in ends if cell is not None)
            scale = Scale(zero, one)
            if one - zero <= 1e-9 * max(abs(zero), abs(one), 1e-9):
                why = f"{reference} ({one:.3g}) does not score above {random} ({zero:.3g})"
                scale = Scale(zero, one, f"not normalised: {why} on {place}")
        found[task, part] = scale
    return found


def score_runs(
    episodes: pd.DataFrame,
    measure: str = "success",
    *,
    random: str = "random",
    reference: str | None = "true_state",
) -> pd.DataFrame:
    """Return the score of each run on each part.

    Args:
        episodes: The `episodes` of the results of a study.
        measure: ``"success"`` or ``"return"``; the score is its mean over the run's episodes.
        random: Label of random actions, which are 0 in normalised scores.
        reference: Label of the agent whose mean is 1; None for raw scores alone.

    Returns:
        One row a run and part: ``env``, ``split``, ``agent``, ``part``, ``encoder_seed`` and
        ``agent_seed`` (-1 for none), ``episodes``, ``score``, ``normalized`` (NaN where it cannot
        be), and ``note``, why not.

    Raises:
        ValueError: The table lacks columns or rows or says something twice, or no task has
            `random` or `reference`.
    """
    cells = run_cells(episodes, measure)
    scales = None if reference is None else part_scales(cells, random, reference)
    rows = []
    for (task, agent, part), cell in cells.items():
        scale = Scale(np.nan, np.nan, "no reference") if scales is None else scales[task, part]
        counts = (~np.isnan(cell.results)).sum(axis=1)
        both = zip(cell.runs, cell.scores, scale(cell.scores), counts, strict=True)
        for (_, encoder_seed, agent_seed), score, normalized, count in both:
            rows.append({"env": task[0], "split": task[1], "agent": agent, "part": part,
                         "encoder_seed": encoder_seed, "agent_seed": agent_seed,
                         "episodes": int(count), "score": float(score),
                         "normalized": float(normalized), "note": scale.note})  # fmt: skip
    return pd.DataFrame(rows)
