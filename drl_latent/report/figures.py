"""The figures of a report, each from plain tables and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from drl_latent.report.theme import Theme, name_margin, series_styles, sized_axes

PART_LABELS = {
    "id": "In distribution",
    "ood1": "OOD1: seen by the encoder only",
    "ood2": "OOD2: seen by neither",
    "ood": "Out of distribution",
}


def image_sheet(
    rows: Sequence[Sequence[NDArray[np.uint8]]],
    labels: Sequence[str],
    theme: Theme,
    captions: Sequence[Sequence[str]] | None = None,
    cell: float = 0.72,
    groups: Mapping[int, str] | None = None,
) -> Figure:
    """Return labelled rows of images.

    Args:
        rows: uint8 [H, W, C] images; rows may differ in length. Of stacked frames the newest is
            shown: the last 3 channels, or the last where their number is no multiple of 3.
        labels: One a row, to its left.
        theme: Colours.
        captions: What stands under each image.
        cell: Width and height of an image, inches.
        groups: Column to the words above it; a gap sets it off from the columns before.

    Raises:
        ValueError: There is no image, or labels or captions do not fit the rows.
    """
    if not rows or not max(map(len, rows)) or len(labels) != len(rows):
        raise ValueError(
            f"rows must have an image or more and a label each, got {len(rows)} rows and "
            f"{len(labels)} labels."
        )
    if captions is not None and [len(row) for row in captions] != [len(row) for row in rows]:
        raise ValueError("captions must have the same rows and columns as the images.")
    headings = groups or {}
    columns = max(map(len, rows))
    pitch, height = cell * 1.06, cell * 1.06 + (0.18 if captions else 0.0)
    left = [c * pitch + 0.22 * sum(0 < g <= c for g in headings) for c in range(columns)]
    right, low = left[-1] + cell, (len(rows) - 1) * height + cell
    figure, axis = sized_axes(right, low, left=name_margin(labels), right=0.1, bottom=0.25, top=0.3)
    for r, row in enumerate(rows):
        top = r * height
        for c, image in enumerate(row):
            axis.imshow(
                _visible(image),
                extent=(left[c], left[c] + cell, top + cell, top),
                interpolation="nearest",
                aspect="auto",
                cmap="gray",
                vmin=0,
                vmax=255,
            )
            if captions:
                axis.text(
                    left[c] + cell / 2,
                    top + cell + 0.03,
                    captions[r][c],
                    fontsize=7,
                    ha="center",
                    va="top",
                )
        axis.text(-0.08, top + cell / 2, labels[r], fontsize=9, ha="right", va="center")
    for column, words in headings.items():
        axis.text(left[column], -0.07, words, fontsize=9, ha="left", va="bottom")
    axis.set_xlim(0, right)
    axis.set_ylim(low, 0)
    axis.axis("off")
    return figure


def _visible(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[..., -3:] if image.shape[-1] % 3 == 0 else image[..., -1]


def success_by_part(summary: pd.DataFrame, names: Mapping[str, str], theme: Theme) -> Figure:
    """Return the success rate of each agent on each part, with intervals.

    Args:
        summary: What `drl_latent.evaluation.summarize` gave.
        names: Agent to the words in the legend, in order.
        theme: Colours.
    """
    parts = list(dict.fromkeys(summary["part"]))
    width = max(5.6, len(parts) * (0.5 + 0.42 * len(names)))
    figure, axis = sized_axes(width, 2.6, left=0.8, top=0.6)
    step = 0.84 / max(len(names), 3)
    offsets = (np.arange(len(names)) - (len(names) - 1) / 2) * step
    styles = series_styles(theme, len(names))
    for (agent, words), offset, style in zip(names.items(), offsets, styles, strict=True):
        rows = summary[summary["agent"] == agent].set_index("part").reindex(parts)
        places = np.arange(len(parts)) + offset
        axis.vlines(places, rows["success_low"], rows["success_high"], color=style.colour, lw=2)
        axis.plot(
            places,
            rows["success"],
            style.marker,
            color=style.colour,
            mec=theme.ground,
            mew=0.8,
            ms=8,
            label=words,
            clip_on=False,
        )
        for place, value, high in zip(places, rows["success"], rows["success_high"], strict=True):
            if np.isfinite(value):
                axis.annotate(
                    f"{value:.2f}",
                    (place, np.fmax(value, high)),
                    (0, 6),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                    path_effects=[withStroke(linewidth=2.5, foreground=theme.ground)],
                )
    axis.set_xticks(range(len(parts)), [PART_LABELS.get(p, p).replace(": ", ":\n") for p in parts])
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.5, len(parts) - 0.4)
    axis.set_ylim(0, 1.1)
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.set_ylabel("success rate")
    axis.grid(axis="y", lw=0.6)
    axis.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.02), ncol=min(len(names), 3), handlelength=1
    )
    return figure


def learning_curves(
    episodes: Mapping[str, pd.DataFrame], names: Mapping[str, str], theme: Theme
) -> Figure:
    """Return success during training against steps, as a mean over 100 episodes.

    Args:
        episodes: Agent to its training episodes: ``steps`` and ``success``.
        names: Agent to the words in the legend.
        theme: Colours.
    """
    figure, axis = sized_axes(5.6, 2.2, left=0.8)
    styles = series_styles(theme, len(episodes))
    for (agent, table), style in zip(episodes.items(), styles, strict=True):
        smooth = table["success"].rolling(100, min_periods=20).mean()
        axis.plot(
            table["steps"] / 1000,
            smooth,
            color=style.colour,
            ls=style.dash,
            lw=1.8,
            marker=style.marker,
            # Enough markers to tell the curve, and few enough not to hide it; distances along a
            # curve are not defined where it has no point yet.
            markevery=(0.08, 0.2) if smooth.notna().any() else None,
            mec=theme.ground,
            mew=0.7,
            label=names.get(agent, agent),
        )
    axis.set_ylim(0, 1.04)
    axis.set_xlim(left=0)
    axis.set_xlabel("thousand environment steps")
    axis.set_ylabel("success rate\n(last 100 episodes)")
    axis.grid(lw=0.6)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=min(len(episodes), 3), handlelength=4)
    return figure
