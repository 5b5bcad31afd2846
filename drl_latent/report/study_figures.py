"""The figures of a study's report: narrow, so that they can be read on a phone.

Every function takes a tidy table and draws what is in it; the statistics are
`drl_latent.evaluation`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from drl_latent.report.study_tables import number_words
from drl_latent.report.theme import (
    GREY,
    SeriesStyle,
    Theme,
    series_styles,
    sized_axes,
)

WIDTH = 3.3
"""Width of the axes of lines and points, inches."""
_INTERVALS_WIDTH = 2.75
"""Width of the axes beside which numbers stand, inches."""
_LINE = 0.19
"""Distance of two points of a group, inches."""
_NAME = 0.24
"""Room for the name above a group, inches."""
_LONGEST_NAME = 48


def interval_rows(
    table: pd.DataFrame,
    theme: Theme,
    *,
    label: str,
    limits: tuple[float, float] | None = None,
    reference: float | None = None,
    order: Sequence[str] = (),
    digits: int = 2,
) -> Figure:
    """Return points with their intervals below each other, in groups with a name above each.

    Args:
        table: ``group``, ``series``, ``value``, ``low``, ``high``; one row a group and series,
            drawn in the order of the table. NaN in ``low`` and ``high`` where there is no
            interval, and in ``value`` where there is nothing.
        theme: Colours.
        label: What the scale is.
        limits: Ends of the scale; those of the numbers unless given.
        reference: Where a line is drawn across all groups.
        order: Series in the order of their styles, where the table may lack some.
        digits: Decimals of the numbers beside the points.

    Raises:
        ValueError: The table has no rows.
    """
    if table.empty:
        raise ValueError("table has no rows; leave the figure out.")
    series = [*(order or dict.fromkeys(table["series"]))]
    styles = dict(zip(series, series_styles(theme, len(series)), strict=True))
    places, headings, height = _places(table)
    figure, axis = sized_axes(_INTERVALS_WIDTH, height, left=0.1, right=1.3, bottom=0.5, top=0.5)
    axis.set_ylim(height, 0)
    axis.set_xlim(*(limits or _span(table, reference)))
    if reference is not None:
        axis.axvline(reference, color=GREY, lw=1.2, zorder=1)
    for place, row in zip(places, table.itertuples(), strict=True):
        _interval(axis, place, (row.value, row.low, row.high), styles[row.series], theme, digits)
    for name, top in headings.items():
        axis.annotate(
            shorten(name, _LONGEST_NAME, placeholder=" ..."),
            (0, top),
            (0, -3),
            xycoords=axis.get_yaxis_transform(),
            textcoords="offset points",
            va="top",
            fontsize=9.5,
            weight="bold",
            # A line or a point behind it would be hard to read through.
            bbox={"facecolor": theme.ground, "edgecolor": "none", "pad": 0.5},
            zorder=2,
        )
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", lw=0.6)
    axis.tick_params(axis="x", labelsize=8.5)
    axis.set_xlabel(label, fontsize=9)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    if len(series) > 1:
        _legend(axis, _present(styles, table), lines=False)
    return figure


def lines_with_bands(
    table: pd.DataFrame,
    theme: Theme,
    *,
    x_label: str,
    y_label: str,
    order: Sequence[str] = (),
    limits: tuple[float, float] | None = (0.0, 1.0),
) -> Figure:
    """Return a line for each series, with a band around it.

    Args:
        table: ``series``, ``x``, ``value``, ``low``, ``high``; sorted by ``x`` here.
        theme: Colours.
        x_label: Words below.
        y_label: Words at the left.
        order: Series in the order of their styles, where the table may lack some.
        limits: Ends of the upright scale.

    Raises:
        ValueError: The table has no rows.
    """
    if table.empty:
        raise ValueError("table has no rows; leave the figure out.")
    series = [*(order or dict.fromkeys(table["series"]))]
    styles = dict(zip(series, series_styles(theme, len(series)), strict=True))
    figure, axis = sized_axes(WIDTH + 0.4, 2.3, left=0.7, right=0.2, top=0.7)
    for name, rows in table.sort_values("x").groupby("series", sort=False):
        style = styles[name]
        axis.fill_between(
            rows["x"], rows["low"], rows["high"], color=style.colour, alpha=0.12, lw=0
        )
        axis.plot(
            rows["x"],
            rows["value"],
            color=style.colour,
            ls=style.dash,
            lw=1.7,
            marker=style.marker,
            markevery=(0.08, 0.2) if rows["value"].notna().sum() > 1 else None,
            ms=5,
            mec=theme.ground,
            mew=0.6,
        )
    if limits is not None:
        axis.set_ylim(limits[0], limits[1] + 0.03 * (limits[1] - limits[0]))
    axis.set_xlabel(x_label, fontsize=9)
    axis.set_ylabel(y_label, fontsize=9)
    axis.tick_params(labelsize=8.5)
    axis.grid(lw=0.6)
    _legend(axis, _present(styles, table), lines=True)
    return figure


def scatter(
    table: pd.DataFrame,
    theme: Theme,
    *,
    x_label: str,
    y_label: str,
    order: Sequence[str] = (),
    diagonal: bool = False,
) -> Figure:
    """Return points of several series.

    Args:
        table: ``series``, ``x``, ``y``.
        theme: Colours.
        x_label: Words below.
        y_label: Words at the left.
        order: Series in the order of their styles, where the table may lack some.
        diagonal: Draw the line on which ``y`` is ``x``, on equal scales.

    Raises:
        ValueError: The table has no rows.
    """
    if table.empty:
        raise ValueError("table has no rows; leave the figure out.")
    series = [*(order or dict.fromkeys(table["series"]))]
    styles = dict(zip(series, series_styles(theme, len(series)), strict=True))
    figure, axis = sized_axes(
        WIDTH, WIDTH if diagonal else 2.5, left=0.8, right=0.2, bottom=0.6, top=0.7
    )
    if diagonal:
        both = table[["x", "y"]].to_numpy()
        low, high = float(np.nanmin(both)), float(np.nanmax(both))
        room = 0.06 * ((high - low) or 1.0)
        axis.set_xlim(low - room, high + room)
        axis.set_ylim(low - room, high + room)
        axis.axline((low, low), slope=1, color=GREY, lw=1.2, zorder=1)
    for name, rows in table.groupby("series", sort=False):
        style = styles[name]
        axis.plot(
            rows["x"],
            rows["y"],
            style.marker,
            color=style.colour,
            mec=theme.ground,
            mew=0.7,
            ms=7,
            alpha=0.9,
        )
    axis.set_xlabel(x_label, fontsize=9)
    axis.set_ylabel(y_label, fontsize=9)
    axis.tick_params(labelsize=8.5)
    axis.grid(lw=0.6)
    _legend(axis, _present(styles, table), lines=False)
    return figure


def _places(table: pd.DataFrame) -> tuple[list[float], dict[str, float], float]:
    """Return where each point is, where each group begins, and the height of all, in inches."""
    places: list[float] = []
    headings: dict[str, float] = {}
    height = 0.0
    for group, rows in table.groupby("group", sort=False):
        headings[str(group)] = height
        height += _NAME
        places += [height + _LINE * (i + 0.5) for i in range(len(rows))]
        height += _LINE * len(rows) + 0.08
    by_row = pd.Series(
        places, index=[i for _, rows in table.groupby("group", sort=False) for i in rows.index]
    )
    return [float(by_row[i]) for i in table.index], headings, height


def _span(table: pd.DataFrame, reference: float | None) -> tuple[float, float]:
    numbers = table[["value", "low", "high"]].to_numpy(dtype=float).ravel()
    numbers = numbers[np.isfinite(numbers)]
    if reference is not None:
        numbers = np.append(numbers, reference)
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 1.0)
    room = 0.06 * ((high - low) or 1.0)
    return low - room, high + room


def _interval(
    axis: Axes,
    place: float,
    numbers: tuple[float, float, float],
    style: SeriesStyle,
    theme: Theme,
    digits: int,
) -> None:
    value, low, high = numbers
    if np.isfinite([low, high]).all():
        axis.plot(
            [low, high], [place, place], color=style.colour, lw=2.2, solid_capstyle="butt", zorder=3
        )
    axis.plot(
        value, place, style.marker, color=style.colour, mec=theme.ground, mew=0.7, ms=7, zorder=4,
        clip_on=False,
    )  # fmt: skip
    axis.annotate(
        number_words(value, low, high, digits),
        (1, place),
        (8, 0),
        xycoords=axis.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
    )


def _present(styles: Mapping[str, SeriesStyle], table: pd.DataFrame) -> dict[str, SeriesStyle]:
    present = set(table["series"])
    return {name: style for name, style in styles.items() if name in present}


def _legend(axis: Axes, styles: Mapping[str, SeriesStyle], *, lines: bool) -> None:
    handles = [
        Line2D(
            [],
            [],
            marker=style.marker,
            ms=6,
            ls=style.dash if lines else "",
            lw=1.7,
            color=style.colour,
            label=name,
        )
        for name, style in styles.items()
    ]
    longest = max(map(len, styles))
    axis.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncol=1 if longest > 26 else 2 if longest > 12 else 3,
        handlelength=3.2 if lines else 1,
        borderaxespad=0.3,
        borderpad=0,
        columnspacing=1.2,
        fontsize=8.5,
    )
