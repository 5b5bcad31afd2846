"""Success at each pair of values of two factors: what is lost to their combination."""

from __future__ import annotations

import pandas as pd

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
    caption = f"{task_words(task)}: success by pairs of values, Wilson's 95% intervals."
    page.file(report_table(f"pairs-{task_slug(task)}", caption, table))
    for part in found.parts:
        rows = table[(table["part"] == part) & (table["agent"] != RANDOM)]
        words = f"{task_words(task)}, {part_words(part)}: success by pairs of values"
        across, down = _values(rows, "a"), _values(rows, "b")
        if rows.empty or len(across) + len(down) > _MOST_VALUES:
            page.missing(f"{words} are not drawn, with too many values or none; see the CSV.")
            continue
        grids = [
            _grid(rows[rows["agent"] == agent], agent, across, down)
            for agent in sorted_agents(rows["agent"])
        ]
        page.grids(f"pairs-{task_slug(task)}-{part}", f"{words}; below, episodes a cell.", grids)


def _grid(rows: pd.DataFrame, agent: str, across: Values, down: Values) -> Grid:
    keys = ["factor_b", "value_b", "factor_a", "value_a"]
    known = {
        tuple(key): (float(success), int(episodes))
        for *key, success, episodes in rows[[*keys, "success", "episodes"]].to_numpy()
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
