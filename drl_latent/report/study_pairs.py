"""Success, or return, at each pair of values of two factors: what their combination costs."""

from __future__ import annotations

import pandas as pd

from drl_latent.report.cell_grid import short_number
from drl_latent.report.study_builder import Grid, StudyPage
from drl_latent.report.study_findings import Findings
from drl_latent.report.study_tables import report_table
from drl_latent.report.study_words import (
    RANDOM,
    Task,
    part_words,
    rows_of,
    sorted_agents,
    task_slug,
    task_words,
)

EPISODE_INTERVALS = {
    "success": "Wilson's 95% intervals over episodes",
    "return": "Student's 95% intervals over episodes",
}
_MOST_VALUES = 40
"""Values of all factors together up to which their pairs are drawn."""
Values = list[tuple[str, float]]
"""Factors, each with one of its values."""


def pairs_of_factors(page: StudyPage, found: Findings, task: Task) -> None:
    """Show a task's success at each pair of values, of each agent on each part, folded."""
    table = rows_of(found.by_pair, task)
    if table.empty:
        page.missing(f"{task_words(task)}: there are no two factors to pair.")
        return
    measure = found.measure
    caption = f"{task_words(task)}: {measure} by pairs of values, {EPISODE_INTERVALS[measure]}."
    page.file(report_table(f"pairs-{task_slug(task)}", caption, table))
    for part in found.parts:
        rows = table[(table["part"] == part) & (table["agent"] != RANDOM)]
        words = f"{task_words(task)}, {part_words(part)}: {measure} by pairs of values"
        across, down = _values(rows, "a"), _values(rows, "b")
        if rows.empty or len(across) + len(down) > _MOST_VALUES:
            page.missing(f"{words} are not drawn, with too many values or none; see the CSV.")
            continue
        limits = colour_limits(rows[measure], measure)
        grids = [
            _grid(rows[rows["agent"] == agent], agent, (across, down), measure, limits)
            for agent in sorted_agents(rows["agent"])
        ]
        page.grids(f"pairs-{task_slug(task)}-{part}", f"{words}; below, episodes a cell.", grids)


def colour_limits(values: pd.Series, measure: str) -> tuple[float, float]:
    """Return the values that have the lightest and the darkest colour."""
    if measure == "success":
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return low, high if high > low else low + 1.0


def _grid(
    rows: pd.DataFrame,
    agent: str,
    values: tuple[Values, Values],
    measure: str,
    limits: tuple[float, float],
) -> Grid:
    across, down = values
    low, high = limits
    keys = ["factor_b", "value_b", "factor_a", "value_a"]
    known = {
        tuple(key): ((mean - low) / (high - low), short_number(mean), int(episodes))
        for *key, mean, episodes in rows[[*keys, measure, "episodes"]].to_numpy()
    }
    return Grid(
        agent,
        [_words(*value) for value in across],
        [(_words(*row), [known.get((*row, *column)) for column in across]) for row in down],
    )


def _values(rows: pd.DataFrame, end: str) -> Values:
    """Return the factors that come first in a pair, or second, with their values in order."""
    found = rows[[f"factor_{end}", f"value_{end}"]].drop_duplicates()
    order = {name: k for k, name in enumerate(found[f"factor_{end}"].unique())}
    names = [(str(factor), float(value)) for factor, value in found.to_numpy()]
    return sorted(names, key=lambda item: (order[item[0]], item[1]))


def _words(factor: str, value: float) -> str:
    return f"{factor.replace('_', ' ')} {value:g}"
