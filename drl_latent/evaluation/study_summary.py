"""The main table of a study: aggregates of runs, the generalisation gap and retention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from drl_latent.evaluation.resamples import Intervals, Resamples, shared_cells, shared_runs
from drl_latent.evaluation.run_scores import (
    ALL,
    MEASURES,
    Cells,
    Scale,
    part_scales,
    run_cells,
)
from drl_latent.evaluation.run_statistics import OF_A_PART, OF_TWO_PARTS, estimate_statistic
from drl_latent.evaluation.seed_bootstrap import Estimate

Task = tuple[str, str]

_IDENTITY = Scale(0.0, 1.0)
_NO_RATIO = "returns have no zero: retention is of normalised scores alone"


def summarize_study(
    episodes: pd.DataFrame,
    *,
    measures: Sequence[str] | None = None,
    random: str = "random",
    reference: str | None = "true_state",
    in_distribution: str = "id",
    target: float = 1.0,
    intervals: Intervals | None = None,
) -> pd.DataFrame:
    """Return what a study says of each agent on each part, with intervals over seeds.

    The score of a run on a part is the mean of success, or of return, over its episodes.
    Normalised, random actions are 0 and the mean of the reference on that same part is 1; scores
    can lie outside. Seeds are resampled within each task: encoder seeds, or agent seeds where
    there is no encoder, and within an encoder seed its agent seeds.

    Statistics, each of raw and of normalised scores:

    - ``mean``, the mean over tasks of the mean over runs;
    - ``iqm``, the interquartile mean of the runs of all tasks;
    - ``optimality_gap``, mean shortfall from `target`, of normalised scores alone;
    - ``generalization_gap``, mean score in distribution less that on the part, by the same runs;
    - ``retention``, mean score on the part over that in distribution.

    Args:
        episodes: The `episodes` of the results of a study.
        measures: ``"success"``, ``"return"`` or both; both unless given, or return alone where
            there are episodes that do not say whether they were a success.
        random: Label of random actions.
        reference: Label of the agent whose mean is 1; None for raw scores alone.
        in_distribution: The part that gaps and retention compare with.
        target: The normalised score that is good enough for the optimality gap.
        intervals: How intervals are made.

    Returns:
        One row a task, agent, part, measure, scale and statistic: ``env``, ``split``, ``agent``,
        ``part``, ``measure``, ``scale`` ("raw" or "normalized"), ``statistic``, ``value``,
        ``low``, ``high``, ``n_tasks``, ``n_seeds`` (outer seeds, over tasks), ``n_runs``,
        ``n_episodes`` and ``note``: why a value or an interval is missing (NaN), or what it lacks.
        With more than one task there are rows of all together, whose ``env`` and ``split`` are
        "all"; not of raw returns, which have no common unit.

    Raises:
        ValueError: As `drl_latent.evaluation.score_runs`, or no part is in distribution.

    Reference:
        Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical
        Precipice".
    """
    if measures is None:
        measures = [m for m in MEASURES if m not in episodes or episodes[m].notna().all()]
    rows: list[dict[str, Any]] = []
    for measure in measures:
        cells = run_cells(episodes, measure)
        if not any(part == in_distribution for _, _, part in cells):
            parts = sorted({part for _, _, part in cells})
            raise ValueError(
                f"There is no part {in_distribution!r} to compare with, only {parts}; name it as "
                "`in_distribution`."
            )
        scales = {} if reference is None else part_scales(cells, random, reference)
        table = _Measure(measure, cells, scales, in_distribution, target, intervals or Intervals())
        rows += table.rows()
    return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class _Measure:
    """All that is said of one measure."""

    measure: str
    cells: Cells
    scales: Mapping[tuple[Task, str], Scale]
    in_distribution: str
    target: float
    intervals: Intervals

    def rows(self) -> list[dict[str, Any]]:
        tasks = list(dict.fromkeys(task for task, _, _ in self.cells))
        resamples = Resamples(self.cells, self.intervals)
        scopes: list[tuple[Task, list[Task]]] = [(task, [task]) for task in tasks]
        if len(tasks) > 1:
            scopes.append(((ALL, ALL), tasks))
        found = []
        for name, scope in scopes:
            agents = dict.fromkeys(agent for task, agent, _ in self.cells if task in scope)
            parts = dict.fromkeys(part for task, _, part in self.cells if task in scope)
            for agent in agents:
                for part in parts:
                    # Tasks whose split has the part, whoever was evaluated on it.
                    own = [t for t in scope if any(k[0] == t and k[2] == part for k in self.cells)]
                    for row in self._part(resamples, own, agent, part, name == (ALL, ALL)):
                        found.append({"env": name[0], "split": name[1], **row})
        return found

    def _part(
        self, resamples: Resamples, tasks: list[Task], agent: str, part: str, together: bool
    ) -> list[dict[str, Any]]:
        """One agent on one part of one task, or of all."""
        kinds = [] if self.measure == "return" and together else ["raw"]
        kinds += ["normalized"] if self.scales else []
        present = [t for t in tasks if (t, agent, part) in self.cells]
        rows = []
        for kind in kinds if present else []:
            chosen: list[tuple[Task, tuple[str, ...]]] = [(t, (part,)) for t in present]
            for name in OF_A_PART:
                if name != "optimality_gap" or kind == "normalized":
                    rows.append(self._row(resamples, chosen, agent, kind, name))
            if part != self.in_distribution:
                both = [
                    (t, (self.in_distribution, part))
                    for t in present
                    if (t, agent, self.in_distribution) in self.cells
                    and shared_runs(self.cells, t, agent, (self.in_distribution, part))
                ]
                for name in OF_TWO_PARTS:
                    rows.append(self._row(resamples, both, agent, kind, name))
        for row in rows:
            row["part"] = part
            if row["n_tasks"] < len(tasks):
                lacking = f"{row['n_tasks']} of {len(tasks)} tasks have the agent on this part"
                row["note"] = "; ".join(x for x in (row["note"], lacking) if x)
        return rows

    def _row(
        self,
        resamples: Resamples,
        chosen: Sequence[tuple[Task, tuple[str, ...]]],
        agent: str,
        kind: str,
        name: str,
    ) -> dict[str, Any]:
        cells = [shared_cells(self.cells, task, agent, parts) for task, parts in chosen]
        episodes = sum(cell.episodes for of_task in cells for cell in of_task)
        about = {
            "agent": agent,
            "part": "",
            "measure": self.measure,
            "scale": kind,
            "statistic": name,
            "n_tasks": len(chosen),
            "n_seeds": sum(len(set(of_task[0].seeds)) for of_task in cells),
            "n_runs": sum(len(of_task[0].runs) for of_task in cells),
            "n_episodes": episodes,
        }
        scales = [
            [_IDENTITY if kind == "raw" else self.scales[task, part] for part in parts]
            for task, parts in chosen
        ]
        if not chosen:
            found = Estimate(np.nan, np.nan, np.nan, "no run is on both parts")
        elif notes := [s.note for of_task in scales for s in of_task if s.note]:
            found = Estimate(np.nan, np.nan, np.nan, "; ".join(dict.fromkeys(notes)))
        elif name == "retention" and (self.measure, kind) == ("return", "raw"):
            found = Estimate(np.nan, np.nan, np.nan, _NO_RATIO)
        else:
            strata = [
                resamples.stratum(task, agent, parts, scale)
                for (task, parts), scale in zip(chosen, scales, strict=True)
            ]
            found = estimate_statistic(
                name,
                strata,
                [[self._range(s) for s in of_task] for of_task in scales],
                trials=episodes if self.measure == "success" else None,
                target=self.target,
                method=self.intervals.method,
                confidence=self.intervals.confidence,
            )
        return about | {
            "value": found.value, "low": found.low, "high": found.high, "note": found.note
        }  # fmt: skip

    def _range(self, scale: Scale) -> tuple[float, float]:
        """The least and the largest score there can be."""
        if self.measure != "success":
            return -np.inf, np.inf
        return float(scale(0.0)), float(scale(1.0))
