"""Sections on the encoders of a study: their scores, which latents move, and which are needed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from drl_latent.report.matrices import matrix_heat_map
from drl_latent.report.study_builder import StudyPage
from drl_latent.report.study_figures import interval_rows
from drl_latent.report.study_findings import Findings
from drl_latent.report.study_tables import report_table
from drl_latent.report.study_words import (
    count_words,
    heads,
    main_parts,
    metric_words,
    part_words,
    rows_of,
    task_column,
    task_slug,
    task_words,
    tasks_of,
)
from drl_latent.study.results import StudyResults


def scores_section(page: StudyPage, results: StudyResults) -> None:
    """Show the scores of the encoders."""
    page.section(
        "scores",
        "How disentangled the codes are",
        "Scores of the encoders that the agents were given. MIG and DCI are 1 for a code with one "
        "latent a factor; a linear probe tells how well factors can be read off the code, on "
        "combinations of each part.",
    )
    scores = results.scores
    if scores.empty:
        page.missing("There are no scores: the results hold none, or no agent has an encoder.")
        return
    for task in tasks_of(scores):
        rows = rows_of(scores, task)
        shown = rows[rows["metric"].isin(heads(rows["metric"]))]
        wide = shown.pivot_table(
            index="encoder", columns="metric", values="value", aggfunc="mean", sort=False
        )
        seeds = rows.groupby("encoder", sort=False)["encoder_seed"].nunique()
        words = wide.map(lambda v: f"{v:.2f}" if np.isfinite(v) else "")
        words.columns = [metric_words(metric) for metric in words.columns]
        page.table(
            report_table(
                f"scores-{task_slug(task)}",
                f"{task_words(task)}: scores of encoders, mean over seeds of the encoder. The CSV "
                "has each seed, with its interval, and all parts of the metrics.",
                rows,
                pd.concat([seeds.rename("seeds").astype(str), words], axis=1).reset_index(),
            )
        )


def moves_section(page: StudyPage, results: StudyResults) -> None:
    """Show which latents move with which factor."""
    page.section(
        "moves",
        "Which latents move with which factor",
        "One factor alone is changed in the simulator, and the change of each latent is measured, "
        "in standard deviations of that latent. Latents of other seeds stand in another order, so "
        "that one encoder of each kind is drawn; the CSV has all.",
    )
    # A factor that shows in no image has no moves.
    moves = results.moves.dropna(subset=["move"])
    if moves.empty:
        page.missing("It was not measured: the results hold no moves of latents.")
        return
    for task in tasks_of(moves):
        rows = rows_of(moves, task)
        for encoder, every in rows.groupby("encoder", sort=False):
            seed = every["encoder_seed"].min()
            one = every[every["encoder_seed"] == seed]
            matrix = one.pivot_table(index="latent", columns="factor", values="move", sort=False)
            matrix = matrix.sort_index()
            page.figure(
                f"moves-{task_slug(task)}-{encoder}",
                lambda theme, matrix=matrix: matrix_heat_map(  # type: ignore[misc]
                    matrix,
                    [f"z{latent}" for latent in matrix.index],
                    [str(factor) for factor in matrix.columns],
                    "",
                    theme,
                    label="mean change, standard deviations",
                    limits=None,
                ),
                f"Heat map: how far each latent of {encoder} moves with each factor.",
                f"{task_words(task)}, {encoder}, seed {int(seed)}, one of "
                f"{every['encoder_seed'].nunique()}: mean absolute change of each latent when one "
                "factor changes. A disentangled code has one strong cell a column.",
            )
    strongest = moves.loc[moves.groupby(["env", "split", "encoder", "encoder_seed", "factor"],
                                        sort=False)["move"].idxmax()]  # fmt: skip
    page.table(
        report_table(
            "moves",
            f"The latent that each factor moves most, of {len(strongest)} encoders and factors.",
            moves,
            pd.DataFrame(
                {
                    "task": task_column(strongest),
                    "encoder": strongest["encoder"],
                    "seed": strongest["encoder_seed"],
                    "factor": strongest["factor"],
                    "latent": [f"z{latent}" for latent in strongest["latent"]],
                    "change, sd": strongest["move"].map("{:.2f}".format),
                }
            ),
        ),
        folded=True,
    )


def set_back_section(page: StudyPage, found: Findings) -> None:
    """Show what is lost when the latent of a factor is held."""
    measure = found.measure
    page.section(
        "set-back",
        "Which latents the agents need",
        "The latent that a factor moves most is set back to its mean, and the same episodes are "
        "run again. A factor that does not matter for the task should cost nothing; where it does, "
        "the agent acts on it, or other things share its latent.",
    )
    table = found.results.set_back
    if table.empty:
        page.missing(
            "It was not measured: the results hold no episodes in which a latent was set back. "
            "It needs agents that act on the latents of a frozen encoder."
        )
        return
    keys = ["env", "split", "agent", "part", "factor"]
    means = (
        table.groupby(keys, sort=False)
        .agg(
            before=(measure, "mean"),
            after=(f"{measure}_set_back", "mean"),
            runs=(measure, "size"),
            episodes=("episodes", "sum"),
        )
        .reset_index()
    )
    means["lost"] = means["before"] - means["after"]
    for task in tasks_of(means):
        of_task = rows_of(means, task)
        # One part is drawn, the furthest from training; the table has all.
        for part in main_parts(of_task["part"])[-1:]:
            rows = of_task[(of_task["part"] == part) & of_task["lost"].notna()]
            if rows.empty:
                page.missing(f"{task_words(task)}: no factor moves a latent.")
                continue
            points = rows.assign(
                group=rows["agent"], series=rows["factor"], value=rows["lost"],
                low=np.nan, high=np.nan,
            )  # fmt: skip
            page.figure(
                f"set-back-{task_slug(task)}-{part}",
                lambda theme, points=points: interval_rows(  # type: ignore[misc]
                    points, theme, label=f"{measure} that is lost", reference=0.0
                ),
                f"Points: {measure} that each agent loses on {part_words(part)} when the latent of "
                "a factor is held.",
                f"{task_words(task)}, {part_words(part)}: {measure} lost, mean over "
                f"{count_words(rows['runs'])} runs, {count_words(rows['episodes'])} episodes a "
                "point. No intervals: read small differences as none.",
            )
    page.table(
        report_table(
            "set-back",
            f"{measure.capitalize()} with all latents, and with the latent that the factor moves "
            "most set back to its mean: means over runs.",
            table,
            pd.DataFrame(
                {
                    "task": task_column(means),
                    "agent": means["agent"],
                    "part": means["part"].map(part_words),
                    "factor": means["factor"],
                    measure: means["before"].map(_rate),
                    "set back": means["after"].map(_rate),
                    "runs": means["runs"],
                    "episodes": means["episodes"],
                }
            ),
        ),
        folded=True,
    )


def _rate(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "no latent moves"
