"""Grids of cells with names on both axes, for heat maps and Hinton diagrams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike, NDArray

from drl_latent.report.theme import GREY, SMALL, Theme, name_margin, sized_axes

MINUS = "\N{MINUS SIGN}"
MOST_ROOMY_ROWS = 24
"""Rows up to which cells are high and text is of its usual size."""
OUTLINE = 1.1
"""Width of the outline of a square, points."""
_HATCH = "/////"


def check_matrix(
    matrix: ArrayLike, rows: Sequence[str], columns: Sequence[str]
) -> NDArray[np.float64]:
    """Return the matrix as floats, if it has a name for each row and column.

    Args:
        matrix: [R, C]; NaN where there is no value.
        rows: R names.
        columns: C names.

    Raises:
        ValueError: It has not, or an entry is infinite.
    """
    values = np.asarray(matrix, np.float64)
    if values.shape != (len(rows), len(columns)) or not values.size:
        raise ValueError(
            f"matrix must be [rows, columns] with a name for each, 1 or more; got shape "
            f"{values.shape}, {len(rows)} names of rows and {len(columns)} of columns."
        )
    if np.isinf(values).any():
        raise ValueError("matrix has infinite entries; give NaN where there is no value.")
    return values


def cell_axes(
    values: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    width: float,
    height: float,
) -> tuple[Figure, Axes]:
    """Return axes whose cell (r, c) is 1 wide around (c, r), with names, and hatches for NaN.

    Args:
        values: [R, C].
        rows: R names, from the top.
        columns: C names, from the left.
        title: What stands above.
        width: Of all cells, inches.
        height: Of all cells, inches.
    """
    figure, axis = sized_axes(
        width,
        height,
        left=name_margin(rows),
        bottom=name_margin(columns) * 0.75 + 0.2,
        right=1.8,
    )
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    # Steep enough that lines of text beside each other do not touch.
    steep = width / len(columns) < 0.28
    axis.set_xticks(
        range(len(columns)),
        list(columns),
        rotation=60 if steep else 40,
        ha="right",
        rotation_mode="anchor",
    )
    axis.set_yticks(range(len(rows)), list(rows))
    axis.tick_params(length=0, labelsize=9 if len(rows) <= MOST_ROOMY_ROWS else SMALL + 0.5)
    for spine in axis.spines.values():
        spine.set_visible(False)
    unknown = [Rectangle((c - 0.5, r - 0.5), 1, 1) for r, c in np.argwhere(np.isnan(values))]
    axis.add_collection(
        PatchCollection(
            unknown,
            facecolor="none",
            hatch=_HATCH,
            edgecolor=GREY,
            lw=0,
            zorder=1,
            label="_no value",
        )
    )
    axis.set_title(title)
    return figure, axis


def short_number(value: float) -> str:
    """Return a number in 5 characters or so."""
    size = abs(value)
    digits = 2 if size < 10 else 1 if size < 100 else 0
    words = f"{value:.{digits}f}" if size < 10_000 else f"{value:.0e}".replace("e+0", "e")
    return words.replace("-", MINUS if float(words) else "")


def no_value_key() -> Patch:
    """Return what stands in a legend for the cells that have no value."""
    return Patch(fill=False, hatch=_HATCH, ec=GREY, lw=0, label="no value")


def square_keys(values: NDArray[np.float64], side: float, theme: Theme) -> list[Line2D | Patch]:
    """Return what stands in a legend for the squares of a Hinton diagram.

    The largest and one of a quarter of its area, the other sign, and cells that have no value.

    Args:
        values: [R, C].
        side: Of the largest square, points.
        theme: Colours.
    """

    def square(side: float, words: str, positive: bool) -> Line2D:
        colour = theme.positive if positive else theme.negative
        face, edge = (colour, 0.0) if positive else (theme.ground, OUTLINE)
        return Line2D(
            [], [], marker="s", ls="", ms=side, mfc=face, mec=colour, mew=edge, label=words
        )

    known = values[np.isfinite(values)]
    largest = float(known[np.abs(known).argmax()]) if known.size else 0.0
    handles: list[Line2D | Patch] = []
    if largest:
        handles += [
            square(side, f"{short_number(largest)}, the largest", largest > 0),
            square(side / 2, f"{short_number(largest / 4)}, a quarter", largest > 0),
        ]
    if (known < 0).any() and largest > 0:
        handles.append(square(side / 2, "outlined: negative", False))
    elif (known > 0).any() and largest < 0:
        handles.append(square(side / 2, "filled: positive", True))
    if len(known) < values.size:
        handles.append(no_value_key())
    return handles or [Patch(visible=False, label="all are 0")]
