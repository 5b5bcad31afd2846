"""The section on how well the agents of a study do, in and out of distribution."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from drl_latent.report.study_builder import StudyPage
from drl_latent.report.study_figures import interval_rows
from drl_latent.report.study_findings import Findings
from drl_latent.report.study_tables import ReportTable, report_table, with_interval
from drl_latent.report.study_words import (
    ALL_TASKS,
    MEASURE_LABELS,
    RANDOM,
    Task,
    count_words,
    main_parts,
    part_words,
    rows_of,
    sorted_agents,
    sorted_parts,
    task_slug,
    task_words,
    tasks_of,
)

_OVER_SEEDS = "95% intervals over seeds (Student's)"
_RETAINED = {"success": "success", "return": "normalised return"}


def results_section(page: StudyPage, found: Findings) -> None:
    """Show success, or return, of each agent on each part, as a table and as points."""
    measure = found.measure
    scale = (
        f"Normalised scores are 0 for random actions and 1 for {found.reference} on the same part. "
        if found.reference
        else "There is no agent on the true state or none that acts at random, so that scores are "
        "not normalised. "
    )
    page.section(
        "results",
        "Results and generalisation gap",
        f"{measure.capitalize()} of each agent, as a mean over its runs; retention, "
        f"{_RETAINED[measure]} on a part over that in distribution by the same runs; and the gap, "
        f"{measure} in distribution less that on the part: 0 is no loss. "
        "Intervals come from resamples of the seeds, and there is none of one seed alone; "
        "where one is missing, the CSV says why. "
        f"{scale}Interquartile means (IQM) and more are in the folded tables and in the CSV.",
    )
    if measure == "return":
        page.say("Some episodes do not say whether they were a success: returns stand for it.")
    if len(found.parts) < 2:
        page.missing(f"There is no gap: agents were evaluated on {part_words('id')} alone.")
    summary = found.summary
    for task in tasks_of(summary):
        rows = rows_of(summary, task)
        page.heading(task_words(task))
        if task == ALL_TASKS:
            page.table(_together(rows, found))
            continue
        page.table(_main_table(rows, task, measure))
        points = _points(rows, measure, "mean", main_parts(rows["part"]))
        page.figure(
            f"success-{task_slug(task)}",
            lambda theme, points=points: interval_rows(  # type: ignore[misc]
                points,
                theme,
                label=MEASURE_LABELS[measure],
                limits=(0.0, 1.0) if measure == "success" else None,
                order=_words(found.parts),
            ),
            f"Points with intervals: {measure} of each agent on {task_words(task)}, by part.",
            f"{task_words(task)}: mean {measure} of {count_words(points['n_runs'])} runs, "
            f"{count_words(points['n_episodes'])} episodes a point; {_OVER_SEEDS}.",
        )
        _gap_figure(page, rows, task, found)
        page.table(_more_table(rows, task, measure), folded=True)
        others = [part for part in sorted_parts(rows["part"]) if part not in found.parts]
        if others:
            page.table(_other_parts(rows, task, others, measure), folded=True)


def _main_table(rows: pd.DataFrame, task: Task, measure: str) -> ReportTable:
    parts = main_parts(rows["part"])
    own = rows[rows["measure"] == measure]
    raw = own[own["scale"] == "raw"]
    words = _by_agent(raw, [("mean", part, f"{measure}, {part_words(part)}") for part in parts])
    # Returns have no zero of their own to be a share of.
    scaled = raw if measure == "success" else own[own["scale"] == "normalized"]
    if len(scaled):
        kept = [("retention", part, f"retention, {part_words(part)}") for part in parts[1:]]
        words = words.merge(_by_agent(scaled, kept), on="agent")
    runs = raw[raw["statistic"] == "mean"].groupby("agent")["n_runs"].max()
    words.insert(1, "runs", [str(int(runs[agent])) for agent in words["agent"]])
    return report_table(
        f"results-{task_slug(task)}",
        f"{task_words(task)}: {measure} and retention, with {_OVER_SEEDS}.",
        pd.concat(
            [
                raw[raw["statistic"].isin(["mean", "iqm", "generalization_gap"])],
                scaled[scaled["statistic"] == "retention"],
            ]
        ),
        words,
    )


def _by_agent(rows: pd.DataFrame, columns: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """Return agents by (statistic, part, heading), in words."""
    agents = sorted_agents(rows["agent"])
    table = pd.DataFrame({"agent": agents})
    for statistic, part, heading in columns:
        own = rows[(rows["statistic"] == statistic) & (rows["part"] == part)].set_index("agent")
        cells = with_interval(own, "value", "low", "high")
        # Random actions retain nothing that they had learned.
        blank = {RANDOM} if statistic == "retention" else set()
        table[heading] = ["" if a in blank else str(cells.get(a, "")) for a in agents]
    return table


def _more_table(rows: pd.DataFrame, task: Task, measure: str) -> ReportTable:
    """Return what the main table leaves out: IQM, normalised scores and returns."""
    parts = main_parts(rows["part"])
    kinds = [
        (measure, "raw", "iqm", f"IQM of {measure}"),
        (measure, "normalized", "mean", f"normalised {measure}"),
        (measure, "normalized", "optimality_gap", "optimality gap"),
    ]
    kinds += [("return", "raw", "mean", "return")] if measure == "success" else []
    tables = []
    for kind, scale, statistic, words in kinds:
        own = rows[(rows["measure"] == kind) & (rows["scale"] == scale)]
        if own.empty:
            continue
        table = _by_agent(own, [(statistic, part, part_words(part)) for part in parts])
        table.insert(0, "what", words)
        tables.append(table)
    return report_table(
        f"more-{task_slug(task)}",
        f"{task_words(task)}: interquartile mean (the mean, of up to 3 runs), normalised "
        f"{measure}{' and return' if measure == 'success' else ''}, with {_OVER_SEEDS}.",
        rows[rows["part"].isin(parts)],
        pd.concat(tables, ignore_index=True),
    )


def _other_parts(rows: pd.DataFrame, task: Task, parts: Sequence[str], measure: str) -> ReportTable:
    """Return success on the parts by axis and in other tasks."""
    raw = rows[(rows["measure"] == measure) & (rows["scale"] == "raw")]
    raw = raw[raw["part"].isin(parts)]
    return report_table(
        f"parts-{task_slug(task)}",
        f"{task_words(task)}: {measure} on parts by axis, and in other tasks, with {_OVER_SEEDS}.",
        raw,
        _by_agent(raw, [("mean", part, part_words(part)) for part in parts]),
    )


def _together(rows: pd.DataFrame, found: Findings) -> ReportTable:
    scale = "normalized" if found.reference else "raw"
    own = rows[(rows["measure"] == found.measure) & (rows["scale"] == scale)]
    parts = main_parts(rows["part"])
    columns = [("iqm", part, f"IQM, {part_words(part)}") for part in parts]
    columns += [("retention", part, f"retention, {part_words(part)}") for part in parts[1:]]
    kind = "normalised" if found.reference else "raw"
    return report_table(
        "results-all-tasks",
        f"All tasks together: interquartile mean of {kind} {found.measure}, and retention of its "
        f"mean, with {_OVER_SEEDS}.",
        rows,
        _by_agent(own, columns),
    )


def _points(rows: pd.DataFrame, measure: str, statistic: str, parts: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a raw measure by agent and part, as `interval_rows` takes them."""
    own = rows[
        (rows["measure"] == measure)
        & (rows["scale"] == "raw")
        & (rows["statistic"] == statistic)
        & rows["part"].isin(parts)
    ]
    agents, known = sorted_agents(own["agent"]), list(parts)
    ordered = own.assign(
        place=own["agent"].map(agents.index) * len(known) + own["part"].map(known.index)
    ).sort_values("place")
    return ordered.assign(group=ordered["agent"], series=ordered["part"].map(part_words))


def _words(parts: Sequence[str]) -> list[str]:
    return [part_words(part) for part in parts]


def _gap_figure(page: StudyPage, rows: pd.DataFrame, task: Task, found: Findings) -> None:
    points = _points(rows, found.measure, "generalization_gap", found.parts[1:])
    points = points[points["agent"] != RANDOM]
    if points.empty:
        return
    page.figure(
        f"gap-{task_slug(task)}",
        lambda theme: interval_rows(
            points,
            theme,
            label=f"{found.measure} lost, ID less the part",
            reference=0.0,
            order=_words(found.parts),
        ),
        f"Points with intervals: {found.measure} that each agent loses on {task_words(task)}.",
        f"{task_words(task)}: gap of {count_words(points['n_runs'])} runs, "
        f"{count_words(points['n_episodes'])} episodes on both parts; {_OVER_SEEDS}.",
    )
