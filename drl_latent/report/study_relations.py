"""Sections on what goes with success: scores of encoders, and forecasts from probes."""

from __future__ import annotations

import pandas as pd

from drl_latent.evaluation.outcomes import encoder_outcomes, scores_by_metric
from drl_latent.evaluation.relation import INFORMATIVENESS
from drl_latent.report.matrices import matrix_heat_map
from drl_latent.report.study_builder import StudyPage
from drl_latent.report.study_figures import interval_rows, scatter
from drl_latent.report.study_findings import Findings
from drl_latent.report.study_tables import (
    number_words,
    p_words,
    report_table,
    slug,
    with_interval,
)
from drl_latent.report.study_words import (
    count_words,
    heads,
    metric_words,
    outcome_words,
    part_words,
    task_slug,
    task_words,
)

_METHOD = ["algorithm", "mode"]
_INTERVAL = (
    "95% bootstrap intervals over kinds of encoders and their seeds, rough where kinds are few"
)


def relations_section(page: StudyPage, found: Findings) -> None:
    """Show which scores of an encoder go with what agents did."""
    page.section(
        "relations",
        f"Which scores go with {found.measure}",
        f"Spearman's rank correlation of each score of an encoder with the {found.measure} of the "
        f"agents on it: a point is a seed of an encoder. A loss is {found.measure} in distribution "
        "less that on the part, so that a score that helps correlates below 0 with it. Partial "
        "correlations compare encoders that are equally informative "
        f"({metric_words(INFORMATIVENESS)}). No p here is corrected for the number of pairs.",
    )
    relations = found.relations
    if relations.empty:
        page.missing("Nothing to relate: no encoder has a score.")
        return
    of_measure = relations[relations["measure"] == found.measure]
    if of_measure["rho"].isna().all():
        page.missing(
            "There are no correlations: they need 4 encoders or more on a task (kinds times "
            f"seeds), and there are {count_words(of_measure['n'])}."
        )
        return
    outcomes = [*found.parts, *(f"gap:{part}" for part in found.parts[1:])]
    for key, rows in of_measure.groupby(["env", "split", *_METHOD], sort=False, dropna=False):
        title, name = _group_words(key), _group_slug(key)
        page.heading(title)
        own = rows[rows["outcome"].isin(outcomes) & rows["metric"].isin(heads(rows["metric"]))]
        matrix = own.pivot_table(index="metric", columns="outcome", values="rho", sort=False)
        matrix = matrix.reindex(columns=[o for o in outcomes if o in matrix])
        if matrix.empty:
            page.missing(f"{title}: no correlations, of {count_words(own['n'])} encoders.")
            continue
        points = f"{count_words(own['n'])} encoders of {count_words(own['clusters'])} kinds"
        page.figure(
            f"relations-{name}",
            lambda theme, matrix=matrix: matrix_heat_map(  # type: ignore[misc]
                matrix,
                [metric_words(m) for m in matrix.index],
                [outcome_words(o, found.measure) for o in matrix.columns],
                "",
                theme,
                label="Spearman's rho",
                limits=(-1.0, 1.0),
                diverging=True,
            ),
            f"Heat map: rank correlation of scores with outcomes on {title}.",
            f"{title}: rank correlations, {points}. Intervals stand beside, and in the table.",
        )
        words = outcome_words(outcomes[-1], found.measure)
        _interval_figure(page, own[own["outcome"] == outcomes[-1]], words, title, name)
        for row in _strongest(own, outcomes[-1], found.furthest).itertuples():
            _scatter(page, found, key, str(row.metric), str(row.outcome))
        page.table(
            report_table(
                f"relations-{name}",
                f"{title}: rank correlations of {points}, with {_INTERVAL}; partial ones at equal "
                "informativeness.",
                relations[
                    (relations[["env", "split", *_METHOD]] == list(key)).all(axis=1)
                ],
                pd.DataFrame(
                    {
                        "score": own["metric"].map(metric_words),
                        "outcome": [outcome_words(o, found.measure) for o in own["outcome"]],
                        "rho": with_interval(own, "rho", "low", "high"),
                        "p": own["p"].map(p_words),
                        "partial": with_interval(own, "partial", "partial_low", "partial_high"),
                        "n": own["n"],
                        "kinds": own["clusters"],
                    }
                ),
            ),
            folded=True,
        )  # fmt: skip


def _interval_figure(
    page: StudyPage, own: pd.DataFrame, outcome: str, title: str, name: str
) -> None:
    plain = own.assign(series="correlation", value=own["rho"])
    partial = own.assign(
        series="at equal informativeness",
        value=own["partial"],
        low=own["partial_low"],
        high=own["partial_high"],
    )
    both = pd.concat([plain, partial]).sort_index(kind="stable").reset_index(drop=True)
    both["group"] = both["metric"].map(metric_words)
    page.figure(
        f"relation-intervals-{name}",
        lambda theme: interval_rows(
            both,
            theme,
            label=f"Spearman's rho with {outcome}",
            limits=(-1.0, 1.0),
            reference=0.0,
        ),
        f"Points with intervals: rank correlation of each score with {outcome}.",
        f"{title}: correlation of each score with {outcome}, "
        f"{count_words(own['n'])} encoders; {_INTERVAL}.",
    )


def _strongest(rows: pd.DataFrame, gap: str, part: str) -> pd.DataFrame:
    """Return the strongest relation to success on a part, and to what is lost there."""
    found = [
        rows[(rows["outcome"] == outcome) & rows["rho"].notna()]
        for outcome in dict.fromkeys((part, gap))
    ]
    return pd.concat([r.loc[[r["rho"].abs().idxmax()]] for r in found if len(r)])


def _scatter(
    page: StudyPage, found: Findings, key: tuple[str, ...], metric: str, outcome: str
) -> None:
    points = _points(found, key, outcome).merge(
        scores_by_metric(found.results.scores), on=["env", "split", "encoder", "encoder_seed"]
    )
    points = points.rename(columns={"encoder": "series", metric: "x"}).dropna(subset=["x", "y"])
    order = list(dict.fromkeys(found.results.scores["encoder"]))
    relation = found.relations
    is_own = (relation[["env", "split", *_METHOD]] == list(key)).all(axis=1)
    row = relation[
        is_own
        & (relation["metric"] == metric)
        & (relation["outcome"] == outcome)
        & (relation["measure"] == found.measure)
    ].iloc[0]
    rho = number_words(row["rho"], row["low"], row["high"])
    words = outcome_words(outcome, found.measure)
    page.figure(
        slug("scatter", _group_slug(key), metric, outcome),
        lambda theme: scatter(
            points,
            theme,
            x_label=metric_words(metric),
            y_label=words,
            order=order,
        ),
        f"Scatter plot: {words} against {metric_words(metric)}, a point an encoder.",
        f"{_group_words(key)}: the score that goes most with {words} of all "
        f"{relation['metric'].nunique()}. A point is one of {len(points)} encoders; rho {rho}.",
    )


def _points(found: Findings, key: tuple[str, ...], outcome: str) -> pd.DataFrame:
    """Return ``y``, an outcome of each encoder of a task and method."""
    table = encoder_outcomes(found.results.episodes)
    own = table[(table[["env", "split", *_METHOD]] == list(key)).all(axis=1)]
    wide = own.pivot_table(
        index=["env", "split", "encoder", "encoder_seed"],
        columns="part",
        values=found.measure,
        sort=False,
    )
    part = outcome.removeprefix("gap:")
    y = wide[part] if part == outcome else wide["id"] - wide[part]
    return y.rename("y").reset_index()


def forecast_section(page: StudyPage, found: Findings) -> None:
    """Set what probes said before training beside what agents did."""
    page.section(
        "forecast",
        "Forecast from probes",
        "A linear probe is fitted to the codes of the policy's combinations and tested on those "
        "that were held out, before any agent is trained. Does it tell which encoder transfers?",
    )
    forecasts = found.forecasts
    if forecasts.empty:
        page.missing(
            "There is no forecast: no encoder has a linear probe on a part out of distribution "
            "that agents were evaluated on."
        )
        return
    order = list(dict.fromkeys(found.results.scores["encoder"]))
    keys = ["env", "split", *_METHOD, "part"]
    for key, rows in forecasts.groupby(keys, sort=False, dropna=False):
        part, title = str(key[-1]), _group_words(key[:-1])
        points = rows.rename(columns={"encoder": "series", "forecast": "x", "outcome": "y"})
        points = points.dropna(subset=["x", "y"])
        if points.empty:
            page.missing(f"{title}, {part_words(part)}: no encoder has a forecast and agents.")
            continue
        skill = found.skill[(found.skill[keys] == list(key)).all(axis=1)]
        row = skill[(skill["predictor"] == "forecast") & (skill["outcome"] == "outcome")].iloc[0]
        rho = number_words(row["rho"], row["low"], row["high"])
        page.figure(
            slug("forecast", _group_slug(key[:-1]), part),
            lambda theme, points=points, part=part: scatter(  # type: ignore[misc]
                points,
                theme,
                x_label=f"linear probe on {part_words(part)}",
                y_label=f"{found.measure} on {part_words(part)}",
                order=order,
            ),
            f"Scatter plot: {found.measure} of agents on {part_words(part)} against the score of a "
            "linear probe there.",
            f"{title}, {part_words(part)}: {len(points)} encoders of {int(row['clusters'])} kinds; "
            f"rank correlation {rho}, with a 95% bootstrap interval over kinds and seeds.",
        )
    words = pd.DataFrame(
        {
            "task": [_group_words(k) for k in found.skill[["env", "split", *_METHOD]].to_numpy()],
            "part": found.skill["part"].map(part_words),
            "forecast": found.skill["predictor"].map(
                {"forecast": "probe", "forecast_change": "probe, less that on ID"}
            ),
            "of": found.skill["outcome"].map(
                {"outcome": found.measure, "change": f"{found.measure}, less that on ID"}
            ),
            "rho": with_interval(found.skill, "rho", "low", "high"),
            "p": found.skill["p"].map(p_words),
            "n": found.skill["n"],
        }
    )
    page.table(
        report_table(
            "forecast",
            f"Rank correlations of forecasts with what then happened, with {_INTERVAL}.",
            found.skill,
            words,
        )
    )


def _group_words(key: tuple[str, ...]) -> str:
    method = ", ".join(str(word) for word in key[2:] if isinstance(word, str) and word)
    words = task_words((str(key[0]), str(key[1])))
    return f"{words} ({method.replace('_', ' ')})" if method else words


def _group_slug(key: tuple[str, ...]) -> str:
    return slug(task_slug((str(key[0]), str(key[1]))), *(str(word) for word in key[2:]))
