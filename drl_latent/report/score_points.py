"""Scores as points with intervals, one a line: what all figures of scores are drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from drl_latent.report.theme import GREY, SeriesStyle, Theme, name_margin, sized_axes

COLUMNS = ("metric", "value", "low", "high", "floor")
_LINE_HEIGHT = 0.21
"""Distance of lines, inches: room for a marker and for small text."""
_WIDTH = 3.9
"""Width of the scale, inches."""
_LOWEST = -0.5
"""Where the common scale ends at the left: a score far below 0 would squeeze all others."""


@dataclass(frozen=True)
class ScorePoint:
    """A score on a line of its own; numbers that are not known are NaN.

    Args:
        place: Where the line is, inches from the bottom.
        value: The score.
        low: Lower end of its interval.
        high: Upper end.
        floor: What a random code scores.
        style: How it is drawn.
    """

    place: float
    value: float
    low: float
    high: float
    floor: float
    style: SeriesStyle


def check_table(table: pd.DataFrame, name: str = "table") -> pd.DataFrame:
    """Return a table of scores, one row a metric, its numbers as floats.

    Args:
        table: As `drl_latent.report.score_figures.score_bars` takes it.
        name: What a refusal calls it.

    Raises:
        ValueError: A column is missing, there is no row, or a metric has two.
    """
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise ValueError(
            f"{name} lacks the columns {missing}; it needs {list(COLUMNS)}, with NaN in low, high "
            "and floor where they are not known."
        )
    twice = list(table["metric"][table["metric"].duplicated()])
    if twice or not len(table):
        raise ValueError(f"{name} must have one row a metric, got {len(table)}, twice: {twice}.")
    return table.astype(dict.fromkeys(COLUMNS[1:], float))


def row_places(rows: int, lines: int) -> NDArray[np.float64]:
    """Return where the lines of each row are, [rows, lines], inches from the bottom."""
    height = _row_height(lines)
    tops = height * np.arange(rows, 0, -1)[:, None]
    return tops - height / 2 + _LINE_HEIGHT * ((lines - 1) / 2 - np.arange(lines))


def _row_height(lines: int) -> float:
    return _LINE_HEIGHT * lines + 0.12


def row_axes(names: Sequence[str], lines: int) -> tuple[Figure, Axes]:
    """Return axes, an inch of which is 1 upward, with a name for each row from the top."""
    height = _row_height(lines) * len(names)
    figure, axis = sized_axes(_WIDTH, height, left=name_margin(names), right=1.8, top=0.7)
    axis.set_ylim(0, height)
    axis.set_yticks(row_places(len(names), lines).mean(1), list(names))
    return figure, axis


def draw_points(axis: Axes, points: Sequence[ScorePoint], theme: Theme) -> None:
    """Draw points with their intervals, a ring at what a random code scores, and the numbers.

    The scale is ``[0, 1]``, and reaches to -0.5 at most for scores below. A score that is not on it
    is an arrow at its end; if none is on it, the scale is that of the scores.
    """
    low, high = _span(points)
    for point in points:
        _draw_point(axis, point, low, high, theme)
    axis.set_xlim(low, high)
    axis.tick_params(axis="y", length=0, labelsize=9, pad=8)
    axis.tick_params(axis="x", labelsize=8.5)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", lw=0.6)


def random_code_key(theme: Theme) -> Line2D:
    """Return what stands in a legend for the score of a random code."""
    return Line2D([], [], label="random code", **_random_code(theme))


def _random_code(theme: Theme) -> dict[str, Any]:
    # Wider than the marker of a score, so that it is seen around one that is no better.
    return {"marker": "o", "ls": "", "ms": 9, "mew": 1.3, "mec": GREY, "mfc": theme.ground}


def _span(points: Sequence[ScorePoint]) -> tuple[float, float]:
    numbers = np.array([(p.value, p.low, p.high, p.floor) for p in points])
    lowest = float(np.nanmin(numbers, initial=0.0))
    values = numbers[np.isfinite(numbers[:, 0]), 0]
    if len(values) and not ((values >= _LOWEST) & (values <= 1)).any():
        return lowest, float(np.nanmax(numbers, initial=0.0))
    return max(_LOWEST, np.floor(lowest * 20) / 20), 1.0


def _draw_point(axis: Axes, point: ScorePoint, low: float, high: float, theme: Theme) -> None:
    style, y = point.style, point.place
    shown = float(np.clip(point.value, low, high))
    axis.plot([max(0.0, low), shown], [y, y], color=theme.faint, lw=1.2, zorder=1, label="_rail")
    if point.low <= high and point.high >= low:
        axis.plot(
            np.clip([point.low, point.high], low, high),
            [y, y],
            color=style.colour,
            lw=2.2,
            solid_capstyle="butt",
            marker="|",
            ms=9,
            mew=1.3,
            zorder=3,
            clip_on=False,
            label="_interval",
        )
    if low <= point.floor <= high:
        axis.plot(point.floor, y, label="_floor", zorder=2, clip_on=False, **_random_code(theme))
    marker = style.marker
    if point.value != shown and np.isfinite(point.value):
        marker = ">" if point.value > high else "<"
    axis.plot(
        shown,
        y,
        marker,
        ms=6,
        color=style.colour,
        zorder=4,
        clip_on=False,
        label="_value",
    )
    axis.annotate(
        score_words(point.value, point.low, point.high),
        (1, y),
        (10, 0),
        xycoords=axis.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
    )


def score_words(value: float, low: float, high: float) -> str:
    """Return a score and its interval in figures."""
    if not np.isfinite(value):
        return "no value"
    interval = f"  [{_figures(low)}, {_figures(high)}]" if np.isfinite([low, high]).all() else ""
    return _figures(value) + interval


def _figures(value: float) -> str:
    words = f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"
    return words.replace("-", "\N{MINUS SIGN}")
