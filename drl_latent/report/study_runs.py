"""Sections on the runs of a study: profiles, learning curves, and agents in pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from drl_latent.report.study_builder import StudyPage
from drl_latent.report.study_figures import interval_rows, lines_with_bands
from drl_latent.report.study_findings import Findings
from drl_latent.report.study_tables import ReportTable, p_words, report_table, with_interval
from drl_latent.report.study_words import (
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

_RUN = ["encoder_seed", "agent_seed"]


def profiles_section(page: StudyPage, found: Findings) -> None:
    """Show which share of runs scores above each threshold."""
    page.section(
        "profiles",
        "Performance profiles",
        f"The share of runs whose {found.measure} is above a threshold. An agent whose line lies "
        "above another's everywhere is better at every level.",
    )
    task = tasks_of(found.profiles)[-1]
    rows = rows_of(found.profiles, task)
    order = [agent for agent in sorted_agents(rows["agent"]) if agent != RANDOM]
    for part in found.parts:
        own = rows[(rows["part"] == part) & (rows["agent"] != RANDOM)]
        lines = own.dropna(subset=["tau"]).rename(
            columns={"agent": "series", "tau": "x", "fraction": "value"}
        )
        if lines.empty:
            page.missing(f"{part_words(part)}: no profile, {'; '.join(own['note'].unique())}.")
            continue
        is_scaled = (lines["scale"] == "normalized").all()
        scale = f"normalised {found.measure}" if is_scaled else found.measure
        page.figure(
            f"profiles-{part}",
            lambda theme, lines=lines, scale=scale: lines_with_bands(  # type: ignore[misc]
                lines, theme, x_label=scale, y_label="share of runs above", order=order
            ),
            f"Performance profiles on {part_words(part)}: share of runs above each {scale}, one "
            "line an agent.",
            f"{task_words(task)}, {part_words(part)}: {count_words(lines['n_runs'])} runs of "
            f"{count_words(lines['n_seeds'])} seeds an agent; bands are Wilson's 95% intervals "
            "over seeds, threshold by threshold.",
        )


def curves_section(page: StudyPage, found: Findings) -> None:
    """Show success, or return, during training."""
    measure = found.measure
    page.section(
        "curves",
        "Learning curves",
        f"{measure.capitalize()} during training, on the combinations that the policy is trained "
        "on.",
    )
    curves = found.results.curves
    if curves.empty:
        page.missing("There are no learning curves: the results hold none of the training.")
        return
    order = sorted_agents(curves["agent"])
    for task in tasks_of(curves):
        rows = rows_of(curves, task)
        runs = rows[["agent", "encoder_seed", "agent_seed"]].drop_duplicates().groupby("agent")
        band = _aligned(rows, measure).groupby(["agent", "steps"], sort=False)[measure]
        lines = band.agg(["mean", "min", "max"]).reset_index()
        lines = lines.rename(
            columns={"agent": "series", "mean": "value", "min": "low", "max": "high"}
        )
        lines["x"] = lines["steps"] / 1000
        page.figure(
            f"curves-{task_slug(task)}",
            lambda theme, lines=lines: lines_with_bands(  # type: ignore[misc]
                lines,
                theme,
                x_label="thousand environment steps",
                y_label=f"{measure} in training",
                limits=(0.0, 1.0) if measure == "success" else None,
                order=order,
            ),
            f"Learning curves on {task_words(task)}: {measure} against environment steps, one line "
            "an agent.",
            f"{task_words(task)}: mean of {count_words(runs.size())} runs an agent; the band goes "
            "from the worst run to the best, and is no interval.",
        )


def _aligned(curves: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the curves of the runs of each agent at the same steps.

    A run ends with an episode, so that the bins of another may lie a little beside its own:
    between their places a curve is a straight line.
    """
    tables = []
    for agent, rows in curves.groupby("agent", sort=False):
        runs = [r.sort_values("steps") for _, r in rows.groupby(_RUN, sort=False, dropna=False)]
        count = max(len(run) for run in runs)
        first = max(run["steps"].min() for run in runs)
        last = min(run["steps"].max() for run in runs)
        steps = np.linspace(first, max(first, last), count)
        tables += [
            pd.DataFrame(
                {
                    "agent": agent,
                    "steps": steps,
                    measure: np.interp(steps, run["steps"], run[measure].astype(float)),
                }
            )
            for run in runs
        ]
    return pd.concat(tables, ignore_index=True)


def comparisons_section(page: StudyPage, found: Findings) -> None:
    """Show agents in pairs."""
    page.section(
        "comparisons",
        "Agents in pairs",
        "Differences are taken seed by seed. p is of a permutation test of the signs of these "
        "differences, which cannot be below 2/2^n with n pairs (0.25 with three, 0.06 with five); "
        "Holm's correction is over the pairs of a task and part. Improvement is the probability "
        "that a run of the one scores higher than a run of the other.",
    )
    table = found.comparisons
    if table.empty:
        page.missing("There are no pairs: the study has one agent besides random actions.")
        return
    table = table[table["part"].isin(found.parts)]
    for task in tasks_of(table):
        rows = rows_of(table, task)
        points = _against(rows, found)
        if len(points):
            page.figure(
                f"comparisons-{task_slug(task)}",
                lambda theme, points=points: interval_rows(  # type: ignore[misc]
                    points,
                    theme,
                    label=f"{found.measure} above that of {found.baseline}",
                    reference=0.0,
                    order=[part_words(part) for part in found.parts],
                ),
                f"Points with intervals: {found.measure} of each agent above that of "
                f"{found.baseline} on {task_words(task)}.",
                f"{task_words(task)}: mean difference to {found.baseline}, of "
                f"{count_words(points['n_pairs'])} pairs of seeds; 95% intervals are Student's "
                "over these pairs.",
            )
    for task in tasks_of(table):
        page.table(_pairs_table(rows_of(table, task), task, found.measure), folded=True)


def _against(rows: pd.DataFrame, found: Findings) -> pd.DataFrame:
    """Return differences to the baseline, as `interval_rows` takes them."""
    first = rows[rows["agent"] == found.baseline].assign(group=lambda r: r["other"], sign=-1)
    other = rows[rows["other"] == found.baseline].assign(group=lambda r: r["agent"], sign=1)
    both = pd.concat([first, other])
    both["value"] = both["sign"] * both["difference"]
    flipped = both["sign"] < 0
    both["low"], both["high"] = (
        both["low"].where(~flipped, -both["high"]),
        both["high"].where(~flipped, -both["low"]),
    )
    agents = sorted_agents(found.results.episodes["agent"])
    both["place"] = both["group"].map(agents.index) * len(found.parts)
    both["place"] += both["part"].map(found.parts.index)
    both["series"] = both["part"].map(part_words)
    return both.sort_values("place")


def _pairs_table(rows: pd.DataFrame, task: Task, measure: str) -> ReportTable:
    words = pd.DataFrame(
        {
            "agent": rows["agent"],
            "other": rows["other"],
            "part": rows["part"].map(part_words),
            "difference": with_interval(rows, "difference", "low", "high"),
            "p": rows["p"].map(p_words),
            "p, Holm": rows["p_holm"].map(p_words),
            "improvement": with_interval(
                rows, "improvement", "improvement_low", "improvement_high"
            ),
            "pairs": rows["n_pairs"],
        }
    )
    return report_table(
        f"comparisons-{task_slug(task)}",
        f"{task_words(task)}: all pairs of agents, difference of {measure} with its 95% interval "
        "over pairs of seeds, p, and probability of improvement.",
        rows,
        words,
    )
