"""The section on success at each value of each factor, and at pairs of them."""

from __future__ import annotations

import pandas as pd

from drl_latent.report.matrices import matrix_heat_map
from drl_latent.report.study_builder import StudyPage
from drl_latent.report.study_findings import Findings
from drl_latent.report.study_pairs import EPISODE_INTERVALS, colour_limits, pairs_of_factors
from drl_latent.report.study_tables import report_table, with_interval
from drl_latent.report.study_words import (
    MEASURE_LABELS,
    RANDOM,
    Task,
    count_words,
    part_words,
    rows_of,
    sorted_agents,
    task_slug,
    task_words,
    tasks_of,
)

_MOST_VALUES = 12
"""Values of a factor up to which it is drawn."""


def factors_section(page: StudyPage, found: Findings) -> None:
    """Show success, or return, at each value of each factor."""
    measure = found.measure
    page.section(
        "factors",
        f"{measure.capitalize()} by factor and value",
        "Other factors vary as they do in the part, so that a low cell is a hint at a cause and no "
        "proof of one. The CSV has intervals, and the loss against ID.",
    )
    table = found.by_factor
    if table.empty:
        page.missing("There are no values to tell apart: episodes have no factors.")
        return
    order = sorted_agents(found.results.episodes["agent"])
    for task in tasks_of(found.results.episodes):
        rows = rows_of(table, task)
        page.heading(task_words(task))
        for part in found.parts:
            own = rows[(rows["part"] == part) & (rows["agent"] != RANDOM)]
            counts = own.groupby("factor", sort=False)["value"].nunique()
            own = own[own["factor"].map(counts).between(2, _MOST_VALUES)]
            if own.empty:
                page.missing(
                    f"{task_words(task)}, {part_words(part)}: no factor has 2 to {_MOST_VALUES} "
                    "values; see the CSV."
                )
                continue
            _factor_figure(page, own, task, part, order, measure)
        name = f"factors-{task_slug(task)}"
        caption = (
            f"{task_words(task)}: {measure} by factor and value, {EPISODE_INTERVALS[measure]}."
        )
        page.table(report_table(name, caption, rows, _factor_words(rows, measure)), folded=True)
        pairs_of_factors(page, found, task)


def _factor_figure(
    page: StudyPage, rows: pd.DataFrame, task: Task, part: str, order: list[str], measure: str
) -> None:
    keys = ["factor", "value"]
    matrix = rows.pivot_table(index=keys, columns="agent", values=measure, sort=False)
    agents = [agent for agent in order if agent in matrix]
    counts = rows.groupby(keys, sort=False)["episodes"].agg(list)
    names = [
        f"{factor} {value:g} ({count_words(counts[factor, value])})"
        for factor, value in matrix.index
    ]
    page.figure(
        f"factors-{task_slug(task)}-{part}",
        lambda theme: matrix_heat_map(
            matrix[agents],
            names,
            agents,
            part_words(part),
            theme,
            label=MEASURE_LABELS[measure],
            limits=colour_limits(rows[measure], measure),
        ),
        f"Heat map: {measure} of each agent at each value of each factor on {task_words(task)}, "
        f"{part_words(part)}.",
        f"{task_words(task)}, {part_words(part)}: {measure} over all runs of an agent, "
        f"{count_words(rows['episodes'])} episodes a cell; in brackets those of its row. Intervals "
        "are in the table.",
    )


def _factor_words(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "agent": rows["agent"],
            "part": rows["part"].map(part_words),
            "factor": rows["factor"],
            "value": rows["value"].map("{:g}".format),
            "episodes": rows["episodes"],
            measure: with_interval(rows, measure, f"{measure}_low", f"{measure}_high"),
            "loss against ID": with_interval(rows, "loss", "loss_low", "loss_high"),
        }
    )
