"""Matrices with names on both axes: latents by factors, factors by factors."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from drl_latent.report.cell_grid import (
    MOST_ROOMY_ROWS,
    OUTLINE,
    cell_axes,
    check_matrix,
    no_value_key,
    short_number,
    square_keys,
)
from drl_latent.report.theme import GREY, SMALL, Theme, ink_on

_MOST_COLUMNS_WITH_VALUES = 15
_LARGEST_SIDE = 0.92
"""Side of the largest square of a Hinton diagram, of a cell."""
_KEY_SIZE = 8.5
"""Size of the text beside a Hinton diagram, points."""


def matrix_heat_map(
    matrix: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    theme: Theme,
    *,
    label: str = "",
    limits: tuple[float, float] | None = (0.0, 1.0),
    diverging: bool = False,
) -> Figure:
    """Return a matrix as a heat map.

    Values are written into the cells of up to 15 columns; in wider diverging maps a minus sign
    tells negative cells without colour.

    Args:
        matrix: [R, C]; NaN where there is no value: the cell is hatched.
        rows: R names, from the top.
        columns: C names, from the left.
        title: What stands above.
        theme: Colours.
        label: What an entry is; stands beside the colour bar.
        limits: Ends of the colour bar; entries beyond them get the colour of the end, and the bar
            an arrow. None takes them from the entries.
        diverging: Entries have a sign: the colours change at 0, and the bar reaches equally far to
            both sides, to the larger of the limits in magnitude.

    Raises:
        ValueError: The matrix and the names do not fit, an entry is infinite, the limits are not
            in order, or an entry is below 0 and below the limits of a map that is not diverging.
    """
    values = check_matrix(matrix, rows, columns)
    low, high = _limits(values, limits, diverging)
    norm = Normalize(low, high)
    written = len(columns) <= _MOST_COLUMNS_WITH_VALUES
    roomy = len(rows) <= MOST_ROOMY_ROWS
    width = len(columns) * (0.54 if written else 0.34)
    height = len(rows) * (0.32 if roomy else 0.19)
    figure, axis = cell_axes(values, rows, columns, title, width, height)
    colours = ScalarMappable(norm, theme.colour_map(diverging=diverging))
    edges = [np.arange(n + 1) - 0.5 for n in (len(columns), len(rows))]
    axis.pcolormesh(
        *edges,
        np.ma.masked_invalid(values),
        norm=norm,
        cmap=colours.cmap,
        edgecolors=theme.ground,
        linewidth=0.8,
        zorder=1,
    )
    inks = {
        (r, c): ink_on(colours.to_rgba(np.asarray(value)))
        for (r, c), value in np.ndenumerate(values)
        if np.isfinite(value)
    }
    if written:
        for (r, c), ink in inks.items():
            text = axis.text(
                c, r, short_number(float(values[r, c])), color=ink, ha="center", va="center"
            )
            text.set_fontsize(8 if roomy else SMALL)
            # It lies within the axes: measuring each text takes long where there are many.
            text.set_in_layout(False)
    elif diverging:
        negative = [cell for cell in inks if values[cell] < -0.02 * high]
        axis.scatter(
            [c for _, c in negative],
            [r for r, _ in negative],
            s=20,
            marker="_",
            linewidths=1,
            color=[inks[cell] for cell in negative],
            zorder=2,
            label="_negative",
        )
    _colour_bar(figure, axis, colours, values, label)
    return figure


def hinton_diagram(
    matrix: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    theme: Theme,
    *,
    label: str = "",
) -> Figure:
    """Return a matrix as squares whose areas are proportional to the magnitudes of its entries.

    Squares of positive entries are filled, of negative ones outlined. Prefer it to a heat map
    where most entries are near 0 and the few that are not should be found at a glance.

    Args:
        matrix: [R, C]; NaN where there is no value: the cell is hatched.
        rows: R names, from the top.
        columns: C names, from the left.
        title: What stands above.
        theme: Colours.
        label: What an entry is; stands above the legend, which gives the value of the largest
            square.

    Raises:
        ValueError: The matrix and the names do not fit, or an entry is infinite.
    """
    values = check_matrix(matrix, rows, columns)
    pitch = 0.3 if max(len(rows), len(columns)) <= MOST_ROOMY_ROWS else 0.2
    width, height = len(columns) * pitch, len(rows) * pitch
    figure, axis = cell_axes(values, rows, columns, title, width, height)
    for line in np.arange(len(columns) + 1) - 0.5:
        axis.axvline(line, color=theme.faint, lw=0.5, zorder=0)
    for line in np.arange(len(rows) + 1) - 0.5:
        axis.axhline(line, color=theme.faint, lw=0.5, zorder=0)
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    for positive in (True, False):
        cells = np.argwhere(values > 0 if positive else values < 0)
        sides = [_LARGEST_SIDE * np.sqrt(abs(values[r, c]) / largest) for r, c in cells]
        places = zip(cells, sides, strict=True)
        axis.add_collection(
            PatchCollection(
                [Rectangle((c - a / 2, r - a / 2), a, a) for (r, c), a in places],
                facecolor=theme.positive if positive else theme.ground,
                edgecolor=theme.positive if positive else theme.negative,
                linewidth=0 if positive else OUTLINE,
                zorder=2,
                label="_positive" if positive else "_negative",
            )
        )
    side = 72 * pitch * _LARGEST_SIDE
    axis.legend(
        handles=square_keys(values, side, theme),
        title=label or None,
        title_fontsize=9,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1 + 0.1 / width, 1),
        borderaxespad=0,
        fontsize=_KEY_SIZE,
        handlelength=side / _KEY_SIZE,
        # The squares are higher than the lines of text that they stand beside.
        labelspacing=max(0.5, (side + 4) / _KEY_SIZE - 1.1),
    )
    return figure


def _colour_bar(
    figure: Figure,
    axis: Axes,
    colours: ScalarMappable,
    values: NDArray[np.float64],
    label: str,
) -> None:
    """Draw the colour bar right of the matrix, and below it what hatches mean if there are any."""
    width, height = figure.get_size_inches() * axis.get_position().size
    # As high as the matrix, but no lower than its numbers need and no higher than the eye does.
    bar_height = float(np.clip(height, 1.1, 3.2))
    bar = axis.inset_axes(
        (1 + 0.16 / width, 1 - bar_height / height, 0.14 / width, bar_height / height)
    )
    low, high = colours.get_clim()
    below, above = (values < low - 1e-9).any(), (values > high + 1e-9).any()
    figure.colorbar(
        colours,
        cax=bar,
        label=fill(label, int(16 * bar_height)),
        extend="both" if below and above else "min" if below else "max" if above else "neither",
        ticks=MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]),
    )
    bar.tick_params(labelsize=8, color=GREY)
    bar.yaxis.label.set_fontsize(9)
    bar.spines["outline"].set_visible(False)
    if np.isnan(values).any():
        axis.legend(
            handles=[no_value_key()],
            loc="upper left",
            bbox_to_anchor=(1 + 0.08 / width, 1 - (bar_height + 0.08) / height),
            fontsize=8,
            borderpad=0,
            borderaxespad=0.5,
        )


def _limits(
    values: NDArray[np.float64], limits: tuple[float, float] | None, diverging: bool
) -> tuple[float, float]:
    largest = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    low, high = limits or (0.0, largest)
    if not low < high:
        raise ValueError(f"limits must be (low, high) with low below high, got {limits}.")
    if diverging:
        high = max(abs(low), abs(high))
        return -high, high
    smallest = float(np.nanmin(values, initial=np.inf))
    if smallest < min(low, 0) - 1e-9:
        raise ValueError(
            f"matrix has entries below 0 (down to {smallest:.3g}); pass diverging=True, or limits "
            "that begin below them."
        )
    return low, high
