"""The figures of a report, each from plain tables and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from drl_latent.report.theme import AGENT_COLOURS, BLUE, GREEN, GREY, Theme

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
) -> Figure:
    """Return labelled rows of images.

    Args:
        rows: uint8 [H, W, C] images; rows may differ in length.
        labels: One a row, to its left.
        theme: Colours.
        captions: What stands under each image.
        cell: Width of an image, inches.
    """
    columns = max(len(row) for row in rows)
    gap = 0.34 if captions else 0.06
    height = cell * (1 + gap)
    figure = Figure(figsize=(1.9 + columns * cell * 1.06, len(rows) * height))
    axes = figure.subplots(
        len(rows), columns, squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": gap}
    )
    for r, row in enumerate(rows):
        for c in range(columns):
            axis = axes[r, c]
            axis.set_xticks([])
            axis.set_yticks([])
            for spine in axis.spines.values():
                spine.set_visible(False)
            if c >= len(row):
                axis.axis("off")
                continue
            axis.imshow(row[c], interpolation="nearest")
            if captions:
                axis.set_xlabel(captions[r][c], fontsize=7, labelpad=2)
        axes[r, 0].set_ylabel(labels[r], rotation=0, ha="right", va="center", fontsize=9)
    return figure


def matrix_heat_map(
    matrix: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    theme: Theme,
) -> Figure:
    """Return a matrix in ``[0, 1]`` as a heat map with its values written in."""
    figure = Figure(figsize=(1.6 + 0.72 * len(columns), 1.5 + 0.34 * len(rows)))
    axis = figure.subplots()
    shown = axis.imshow(matrix, cmap=theme.matrix, vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(columns)), columns, rotation=35, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    for (r, c), value in np.ndenumerate(matrix):
        if not np.isfinite(value):
            continue
        red, green, blue, _ = shown.to_rgba(np.asarray(value))
        bright = 0.299 * red + 0.587 * green + 0.114 * blue
        ink = "#111111" if bright > 0.5 else "#ffffff"
        axis.text(c, r, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    axis.set_title(title)
    return figure


def probe_bars(scores: pd.DataFrame, theme: Theme) -> Figure:
    """Return how well each factor can be read off the code, with intervals.

    Args:
        scores: Rows of one probe from `score_all`: ``factor``, ``part``, ``value``, ``low``,
            ``high``.
        theme: Colours.
    """
    figure = Figure(figsize=(6.4, 0.7 + 0.36 * len(scores)))
    axis = figure.subplots()
    places = np.arange(len(scores))[::-1]
    for place, (_, row) in zip(places, scores.iterrows(), strict=True):
        colour = BLUE if row["part"] == "r2" else GREEN
        axis.plot([0, max(row["value"], 0)], [place, place], color=theme.faint, lw=6, zorder=1)
        axis.plot([row["low"], row["high"]], [place, place], color=colour, lw=2, zorder=2)
        axis.plot(row["value"], place, "o", color=colour, ms=6, zorder=3)
        axis.text(1.04, place, f"{row['value']:.3f}", va="center", fontsize=9)
    kinds = {"r2": "R²", "accuracy": "accuracy"}
    axis.set_yticks(
        places, [f"{r['factor']} ({kinds.get(r['part'], r['part'])})" for _, r in scores.iterrows()]
    )
    axis.set_xlim(min(0.0, float(scores["low"].min())), 1.02)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", lw=0.6)
    axis.set_xlabel("held-out score, 95% bootstrap interval")
    return figure


def success_by_part(summary: pd.DataFrame, names: Mapping[str, str], theme: Theme) -> Figure:
    """Return the success rate of each agent on each part, with intervals.

    Args:
        summary: What `drl_latent.evaluation.summarize` gave.
        names: Agent to the words in the legend, in order.
        theme: Colours.
    """
    parts = list(dict.fromkeys(summary["part"]))
    figure = Figure(figsize=(6.8, 3.2))
    axis = figure.subplots()
    offsets = (np.arange(len(names)) - (len(names) - 1) / 2) * 0.25
    for (agent, words), offset, colour in zip(names.items(), offsets, AGENT_COLOURS, strict=False):
        rows = summary[summary["agent"] == agent].set_index("part").loc[parts]
        places = np.arange(len(parts)) + offset
        axis.vlines(places, rows["success_low"], rows["success_high"], color=colour, lw=2)
        axis.plot(places, rows["success"], "o", color=colour, ms=7, label=words)
        for place, value in zip(places, rows["success"], strict=True):
            axis.annotate(
                f"{value:.2f}",
                (place, value),
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    axis.set_xticks(range(len(parts)), [PART_LABELS.get(p, p).replace(": ", ":\n") for p in parts])
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.5, len(parts) - 0.4)
    axis.set_ylim(0, 1.1)
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.set_ylabel("success rate")
    axis.grid(axis="y", lw=0.6)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=len(names))
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
    figure = Figure(figsize=(6.8, 2.8))
    axis = figure.subplots()
    for (agent, table), colour in zip(episodes.items(), AGENT_COLOURS, strict=False):
        smooth = table["success"].rolling(100, min_periods=20).mean()
        axis.plot(table["steps"] / 1000, smooth, color=colour, lw=2, label=names.get(agent, agent))
    axis.set_ylim(0, 1.04)
    axis.set_xlim(left=0)
    axis.set_xlabel("thousand environment steps")
    axis.set_ylabel("success rate\n(last 100 episodes)")
    axis.grid(lw=0.6)
    axis.axhline(1, color=GREY, lw=0.6)
    axis.legend(loc="lower right")
    return figure
