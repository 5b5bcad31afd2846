"""Figures of scores: metrics of one encoder or of several, and probes factor by factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from drl_latent.report.score_points import (
    ScorePoint,
    check_table,
    draw_points,
    random_code_key,
    row_axes,
    row_places,
)
from drl_latent.report.theme import SeriesStyle, Theme, series_styles, sized_axes

_PROBE_KINDS = {"r2": "R²", "accuracy": "accuracy"}
_MOST_ON_RADAR = 5


def score_bars(table: pd.DataFrame, theme: Theme) -> Figure:
    """Return the scores of one encoder: a row a metric, in the order of the table.

    A score is a point with its interval; a ring marks what a random code scores. Scores beyond
    ``[0, 1]`` are arrows at the end of the scale, with their numbers beside as for all others.

    Args:
        table: ``metric``, ``value``, ``low`` and ``high`` (ends of the 95% interval), ``floor``
            (score of a random code); the last three NaN where they are not known.
        theme: Colours.

    Raises:
        ValueError: A column is missing, or a metric has no row or two.
    """
    return _score_rows({"score": table}, theme)


def score_comparison(tables: Mapping[str, pd.DataFrame], theme: Theme) -> Figure:
    """Return the scores of several encoders, those of a metric below each other.

    Metrics stand in the order in which the tables first name them, encoders in that of `tables`.

    Args:
        tables: Name of an encoder to its table, as `score_bars` takes it. A metric that a table
            lacks leaves the encoder's line empty.
        theme: Colours.

    Raises:
        ValueError: There is no table, or one is not as it should be.
    """
    return _score_rows(tables, theme)


def score_radar(tables: Mapping[str, pd.DataFrame], theme: Theme) -> Figure:
    """Return the scores of encoders on axes around a centre, with their intervals as bands.

    A radar shows the profile of an encoder at a glance: good at some metrics, poor at others. To
    read off or compare scores prefer `score_comparison`: it has one common scale, shows random
    codes, and its reader is not misled by areas, which depend on the order of the metrics.

    Args:
        tables: Name of an encoder to its table, as `score_bars` takes it, for 1 to 5 encoders. The
            metrics of the first are drawn, clockwise from the top.
        theme: Colours.

    Raises:
        ValueError: There are no or too many encoders, a table is not as it should be or lacks a
            metric of the first, there are fewer than 3 metrics, or a score is not in ``[0, 1]``.
    """
    metrics, scores = _radar_scores(tables)
    figure, axis = sized_axes(
        3.6, 3.6, left=1.4, right=1.4, bottom=0.9, top=0.5, projection="polar"
    )
    axis.set_theta_zero_location("N")  # type: ignore[attr-defined]
    axis.set_theta_direction(-1)  # type: ignore[attr-defined]
    angles = np.linspace(0, 2 * np.pi, len(metrics) + 1)
    for (name, table), style in zip(scores.items(), series_styles(theme, len(scores)), strict=True):
        closed = pd.concat([table, table.iloc[:1]])
        low, high = (closed[end].fillna(closed["value"]).clip(0, 1) for end in ("low", "high"))
        axis.fill_between(angles, low, high, color=style.colour, alpha=0.22, lw=0, zorder=2)
        axis.plot(
            angles,
            closed["value"],
            color=style.colour,
            ls=style.dash,
            marker=style.marker,
            ms=6,
            mec=theme.ground,
            mew=0.7,
            lw=1.6,
            zorder=3,
            clip_on=False,
            label=name,
        )
    _radar_frame(axis, angles[:-1], metrics, theme)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=2, handlelength=4.5)
    return figure


def probe_bars(scores: pd.DataFrame, theme: Theme) -> Figure:
    """Return how well each factor can be read off the code, with intervals.

    Args:
        scores: Rows of one probe from `score_all`: ``factor``, ``part``, ``value``, ``low``,
            ``high``.
        theme: Colours.
    """
    parts = [str(part) for part in dict.fromkeys(scores["part"])]
    styles = dict(zip(parts, series_styles(theme, len(parts)), strict=True))
    places = row_places(len(scores), 1)
    figure, axis = row_axes([str(factor) for factor in scores["factor"]], 1)
    points = [
        ScorePoint(place, row.value, row.low, row.high, np.nan, styles[row.part])
        for place, row in zip(places[:, 0], scores.itertuples(), strict=True)
    ]
    draw_points(axis, points, theme)
    axis.set_xlabel("held-out score, 95% bootstrap interval", fontsize=9)
    _legend(axis, {_PROBE_KINDS.get(part, part): styles[part] for part in parts})
    return figure


def _score_rows(tables: Mapping[str, pd.DataFrame], theme: Theme) -> Figure:
    if not tables:
        raise ValueError("tables must have an encoder or more, got none.")
    by_metric = _by_metric(tables)
    metrics = list(dict.fromkeys(metric for table in by_metric.values() for metric in table.index))
    styles = dict(zip(tables, series_styles(theme, len(tables)), strict=True))
    places = row_places(len(metrics), len(tables))
    figure, axis = row_axes([str(metric) for metric in metrics], len(tables))
    points = [
        ScorePoint(place, row.value, row.low, row.high, row.floor, styles[name])
        for column, (name, table) in zip(places.T, by_metric.items(), strict=True)
        for place, row in zip(column, table.reindex(metrics).itertuples(), strict=True)
    ]
    draw_points(axis, points, theme)
    if len(tables) > 1:
        for edge in (places[:-1, -1] + places[1:, 0]) / 2:
            axis.axhline(edge, color=theme.faint, lw=0.6)
    known = any(np.isfinite(point.low) for point in points)
    axis.set_xlabel("score, 95% interval" if known else "score", fontsize=9)
    _legend(
        axis,
        styles,
        [random_code_key(theme)] if any(np.isfinite(point.floor) for point in points) else [],
    )
    return figure


def _by_metric(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {
        name: check_table(table, f"the table of {name!r}").set_index("metric")
        for name, table in tables.items()
    }


def _legend(axis: Axes, styles: Mapping[str, SeriesStyle], more: Sequence[Line2D] = ()) -> None:
    handles = [
        Line2D(
            [],
            [],
            marker=style.marker,
            ms=6,
            lw=2.2,
            color=style.colour,
            label=name,
        )
        for name, style in styles.items()
    ]
    axis.legend(
        handles=[*handles, *more],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncol=2 if max(map(len, styles)) > 16 else 4,
        borderaxespad=0.3,
        borderpad=0,
        columnspacing=1.4,
    )


def _radar_scores(
    tables: Mapping[str, pd.DataFrame],
) -> tuple[list[str], dict[str, pd.DataFrame]]:
    if not 1 <= len(tables) <= _MOST_ON_RADAR:
        raise ValueError(
            f"A radar takes 1 to {_MOST_ON_RADAR} encoders, got {len(tables)}; use "
            "score_comparison for more."
        )
    checked = _by_metric(tables)
    metrics = list(next(iter(checked.values())).index)
    if len(metrics) < 3:
        raise ValueError(f"A radar needs 3 metrics or more, got {metrics}; use score_comparison.")
    for name, table in checked.items():
        lacking = [metric for metric in metrics if metric not in table.index]
        if lacking:
            raise ValueError(f"The table of {name!r} lacks {lacking}; use score_comparison.")
        beyond = [m for m in metrics if table.loc[m, "value"] < 0 or table.loc[m, "value"] > 1]
        if beyond:
            raise ValueError(
                f"{beyond} of {name!r} are not in [0, 1]; leave them out, or use score_comparison."
            )
    return metrics, {name: table.loc[metrics] for name, table in checked.items()}


def _radar_frame(axis: Axes, angles: np.ndarray, metrics: Sequence[str], theme: Theme) -> None:
    axis.set_ylim(0, 1)
    axis.set_xticks(angles, [""] * len(angles))
    axis.set_yticks([0.25, 0.5, 0.75, 1], ["", "0.5", "", "1"], fontsize=8)
    axis.set_rlabel_position(np.degrees(angles[1] / 2))  # type: ignore[attr-defined]
    axis.spines["polar"].set_visible(False)
    axis.grid(lw=0.7)
    for angle, metric in zip(angles, metrics, strict=True):
        across, up = np.sin(angle), np.cos(angle)
        axis.text(
            angle,
            1.09,
            fill(str(metric), 18, break_long_words=False),
            ha="center" if abs(across) < 0.1 else "left" if across > 0 else "right",
            va="bottom" if up > 0.9 else "top" if up < -0.9 else "center",
            fontsize=9,
        )
