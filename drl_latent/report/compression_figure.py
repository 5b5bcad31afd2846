"""Rate-distortion curves of latents beside those of image and video codecs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drl_latent.report.theme import Theme

# Place in the theme's series, marker, name, and where the name stands from the last point: in
# points, and its alignment.
_CURVES = {
    "latents": (0, "o", "latents", (0, 8), "right"),
    "h264": (1, "s", "H.264", (-10, 0), "right"),
}


def rate_distortion_figure(table: pd.DataFrame, theme: Theme) -> Figure:
    """Return bits a frame against PSNR, one panel for each size of images.

    Args:
        table: Rows of one encoder from `drl_latent.interventions.rate_distortion`: ``method``,
            ``size``, ``bits_per_frame``, ``psnr``.
        theme: Colours.

    Raises:
        ValueError: The table has no rows, or lacks a column.
    """
    needed = {"method", "size", "bits_per_frame", "psnr"}
    if missing := sorted(needed - set(table.columns)):
        raise ValueError(f"The table lacks {missing}; expected that of rate_distortion.")
    if table.empty:
        raise ValueError("The table has no rows; expected that of rate_distortion.")
    sizes = sorted(table["size"].unique())
    figure = Figure(figsize=(0.6 + 3.7 * len(sizes), 3.6), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
    for axis, size in zip(panels, sizes, strict=True):
        _panel(axis, table[table["size"] == size], theme)
        axis.set_title(f"{size} x {size} pixels")
        axis.set_xlabel("bits a frame")
    panels[0].set_ylabel("PSNR, dB")
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, theme: Theme) -> None:
    axis.set_xscale("log")
    axis.grid(lw=0.6, which="major")
    for method, (series, marker, name, offset, side) in _CURVES.items():
        colour = theme.series[series]
        curve = rows[rows["method"] == method].sort_values("bits_per_frame")
        curve = curve[np.isfinite(curve["psnr"])]
        if curve.empty:
            continue
        axis.plot(curve["bits_per_frame"], curve["psnr"], color=colour, marker=marker, ms=5, lw=1.8)
        best = curve.iloc[-1]
        axis.annotate(
            name,
            (best["bits_per_frame"], best["psnr"]),
            offset,
            textcoords="offset points",
            ha=side,
            va="center" if not offset[1] else "baseline",
            color=colour,
            weight="bold",
        )
    for rate in rows.loc[rows["method"] == "png", "bits_per_frame"]:
        axis.axvline(rate, color=theme.series[2], lw=1.8, ls="--")
        axis.annotate(
            "PNG,\nlossless",
            (rate, 0.04),
            (-5, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right",
            color=theme.series[2],
            weight="bold",
        )
