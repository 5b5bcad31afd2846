"""How figures look: one set of colours, on light and on dark."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any kind of colour vision, and in grey.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#8a8a8a"
AGENT_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)


@dataclass(frozen=True)
class Theme:
    """Colours of text, faint lines and ground, and the colour map of matrices."""

    name: str
    text: str
    faint: str
    ground: str
    matrix: str


LIGHT = Theme("light", "#1f2328", "#d0d7de", "#ffffff", "Blues")
DARK = Theme("dark", "#e6edf3", "#3d444d", "#161b22", "Blues_r")


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Apply a theme to the figures that are made inside."""
    settings: dict[str, Any] = {
        "figure.facecolor": theme.ground,
        "axes.facecolor": theme.ground,
        "savefig.facecolor": theme.ground,
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.edgecolor": theme.faint,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
        "grid.color": theme.faint,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.titlelocation": "left",
        "axes.titlesize": "medium",
        "font.size": 10,
        "font.family": "DejaVu Sans",
        "legend.frameon": False,
        "svg.hashsalt": "drl-latent",
    }
    with mpl.rc_context(settings):  # type: ignore[arg-type]
        yield


def draw(make: Callable[[Theme], Figure], theme: Theme, kind: str = "svg") -> bytes:
    """Return the figure that `make` gives under a theme, as SVG or PNG."""
    with themed(theme):
        figure = make(theme)
        buffer = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(buffer, format=kind, dpi=160, bbox_inches="tight", metadata=metadata)
    return buffer.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """Return the content as a URI that needs no file."""
    mime = {"svg": "image/svg+xml"}.get(kind, f"image/{kind}")
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"
