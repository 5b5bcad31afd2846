"""The first words of a study's report: does disentanglement transfer, and which agent does?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from drl_latent.report.study_builder import StudyPage
from drl_latent.report.study_figures import interval_rows
from drl_latent.report.study_findings import Findings
from drl_latent.report.study_tables import number_words
from drl_latent.report.study_words import (
    ALL_TASKS,
    RANDOM,
    count_words,
    metric_words,
    part_words,
    rows_of,
    task_words,
    tasks_of,
)

DISENTANGLEMENT = ("dci", "infom", "mig", "sap", "modularity", "mcc")
"""Scores that say how disentangled a code is, the one that the headline is about first."""


def headline(page: StudyPage, found: Findings) -> list[str]:
    """Return the sentences that stand first, and add the figure they are about.

    What they say is worked out: of each task and method, whether the interval of the rank
    correlation of disentanglement with the success that is lost out of distribution leaves out 0.
    """
    page.section("answer", "Does disentanglement transfer?")
    rows = headline_rows(found)
    if rows.empty:
        page.missing(_why_not(found))
        return [_why_not(found), *_best(found)]
    points = pd.concat(
        [
            rows.assign(series="rank correlation", value=rows["rho"]),
            rows.assign(
                series="at equal informativeness",
                value=rows["partial"],
                low=rows["partial_low"],
                high=rows["partial_high"],
            ),
        ]
    ).sort_index(kind="stable")
    metric, part = metric_words(rows["metric"].iloc[0]), part_words(found.furthest)
    page.figure(
        "answer",
        lambda theme: interval_rows(
            points.reset_index(drop=True),
            theme,
            label=f"Spearman's rho: {metric} and {found.measure} lost",
            limits=(-1.0, 1.0),
            reference=0.0,
        ),
        f"Points with intervals: rank correlation of {metric} with {found.measure} lost from ID to "
        f"{part}, by task.",
        f"Rank correlation of {metric} with the {found.measure} that agents lose from ID to "
        f"{part}, of {count_words(rows['n'])} encoders of {count_words(rows['clusters'])} kinds a "
        "task. Left of 0: better disentangled encoders lose less. Intervals are 95% bootstrap "
        "intervals over kinds of encoders and their seeds. At equal informativeness: partial, with "
        "a linear probe's score held.",
    )
    return [_answer(rows, metric, part, found.measure), *_best(found)]


def headline_rows(found: Findings) -> pd.DataFrame:
    """Return the relations that the headline is about, a row a task and method."""
    relations = found.relations
    if relations.empty or len(found.parts) < 2:
        return pd.DataFrame()
    own = relations[
        (relations["measure"] == found.measure) & (relations["outcome"] == f"gap:{found.furthest}")
    ]
    own = own[own["rho"].notna()]
    metric = next((m for m in DISENTANGLEMENT if (own["metric"] == m).any()), None)
    own = own[own["metric"] == metric].reset_index(drop=True)
    methods = own[["algorithm", "mode"]].drop_duplicates()
    names = []
    for row in own.itertuples():
        words = task_words((row.env, row.split))
        names.append(f"{words} ({row.algorithm}, {row.mode})" if len(methods) > 1 else words)
    return own.assign(group=names)


def _answer(rows: pd.DataFrame, metric: str, part: str, measure: str) -> str:
    less, more = int((rows["high"] < 0).sum()), int((rows["low"] > 0).sum())
    total = len(rows)
    unknown = total - less - more
    several = rows.duplicated(["env", "split"]).any()
    units = "pairs of task and method" if several else "tasks"
    each = "; ".join(
        f"{row.group}: {number_words(row.rho, row.low, row.high)}, {row.n} encoders"
        for row in rows.itertuples()
    )
    if unknown == total:
        return (
            f"It cannot be told from this study: on {_none(total, units)} does the 95% interval of "
            f"the rank correlation of {metric} with the {measure} that agents lose from ID to "
            f"{part} leave out 0 ({each})."
        )
    if less == total:
        verdict = "Yes, as far as this study can tell: better disentangled encoders lost less"
        where = f" on {_all(total, units)}"
    elif more == total:
        verdict = "No, the opposite: better disentangled encoders lost more"
        where = f" on {_all(total, units)}"
    else:
        kinds = [f"less on {less}", f"more on {more}", f"and on {unknown} it cannot be told"]
        counts = [k for k, n in zip(kinds, (less, more, unknown), strict=True) if n]
        verdict = f"It depends: of {total} {units}, better disentangled encoders lost "
        return (
            f"{verdict}{', '.join(counts)}. What is lost is {measure} from ID to {part}; its rank "
            f"correlation with {metric}: {each}."
        )
    return (
        f"{verdict} {measure} from ID to {part}{where} (rank correlation of {metric} with what was "
        f"lost: {each})."
    )


def _all(total: int, units: str) -> str:
    return "the one task" if total == 1 else f"all {total} {units}"


def _none(total: int, units: str) -> str:
    return "no task" if total == 1 else f"none of {total} {units}"


def _why_not(found: Findings) -> str:
    if len(found.parts) < 2:
        return (
            "Whether disentanglement transfers is not known: agents were evaluated on "
            f"{part_words('id')} alone."
        )
    if found.relations.empty:
        return (
            "Whether disentanglement transfers is not known: the study has no agents on encoders "
            "with a score."
        )
    return (
        "Whether disentanglement transfers is not known: it takes 4 encoders or more (kinds times "
        "seeds) with a disentanglement score, and a difference between them."
    )


def _best(found: Findings) -> list[str]:
    """Say of each task which agent does best furthest from training."""
    summary, sentences = found.summary, []
    raw = summary[(summary["measure"] == found.measure) & (summary["scale"] == "raw")]
    raw = raw[(raw["part"] == found.furthest) & ~raw["agent"].isin([RANDOM, found.reference])]
    for task in tasks_of(raw):
        if task == ALL_TASKS:
            continue
        rows = rows_of(raw, task)
        means = rows[rows["statistic"] == "mean"].set_index("agent")
        if means["value"].isna().all():
            continue
        best = str(means["value"].idxmax())
        row = means.loc[best]
        words = f"{best} {number_words(row['value'], row['low'], row['high'])}"
        kept = rows[(rows["statistic"] == "retention") & (rows["agent"] == best)]
        if len(kept) and np.isfinite(kept["value"].iloc[0]):
            words += f", {kept['value'].iloc[0]:.0%} of its {found.measure} on ID"
        if found.baseline in means.index and found.baseline != best:
            other = means.loc[found.baseline]
            words += f"; {found.baseline} "
            words += number_words(other["value"], other["low"], other["high"])
        sentences.append(f"{task_words(task)}: {words}")
    if not sentences:
        return []
    most = {"success": "Most success", "return": "Highest return"}[found.measure]
    return [f"{most} on {part_words(found.furthest)}. " + ". ".join(sentences) + "."]
