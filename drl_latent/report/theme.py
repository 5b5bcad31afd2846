"""How figures look: one set of colours and markers, on light and on dark."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any kind of colour vision.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILLION, SKY = "#D55E00", "#56B4E9"
GREY = "#8a8a8a"

SMALL = 7.5
"""Size of the smallest text, points."""

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Theme:
    """Colours of a figure.

    Args:
        name: ``light`` or ``dark``.
        text: Text.
        faint: Lines that guide the eye.
        ground: What is drawn on.
        magnitude: Colours of magnitudes from 0, which is nearest to the ground; they differ in
            brightness alone, so that they keep their order in grey.
        series: Colours of lines and markers, each with a contrast of 3 or more to the ground.
        negative: End of the colour map of signed numbers; the ground is in its middle.
        positive: The other end.
    """

    name: str
    text: str
    faint: str
    ground: str
    magnitude: tuple[str, ...]
    series: tuple[str, ...]
    negative: str
    positive: str

    def colour_map(self, *, diverging: bool) -> Colormap:
        """Return the colour map of magnitudes, or of numbers that have a sign."""
        colours = [self.negative, self.ground, self.positive] if diverging else self.magnitude
        return LinearSegmentedColormap.from_list(f"{self.name}-{diverging}", list(colours))


LIGHT = Theme(
    name="light",
    text="#1f2328",
    faint="#d0d7de",
    ground="#ffffff",
    magnitude=("#f4f8fc", "#a9cfe8", "#4393c3", BLUE, "#08305f"),
    series=(BLUE, VERMILLION, GREEN, PURPLE, "#1f2328"),
    negative=VERMILLION,
    positive=BLUE,
)
DARK = Theme(
    name="dark",
    text="#e6edf3",
    faint="#3d444d",
    ground="#161b22",
    magnitude=("#1e2630", "#1d4468", "#2f7fb8", SKY, "#f2f9ff"),
    series=(SKY, ORANGE, GREEN, PURPLE, "#e6edf3"),
    negative=ORANGE,
    positive=SKY,
)


@dataclass(frozen=True)
class SeriesStyle:
    """What tells a series from the others: a colour, and without colours a marker or a dash."""

    colour: str
    marker: str
    dash: Any


def series_styles(theme: Theme, count: int) -> list[SeriesStyle]:
    """Return a style for each of `count` series.

    Up to 5 differ in colour, marker and dash, each by itself; up to 40 in the three together.
    """
    return [
        SeriesStyle(
            theme.series[i % len(theme.series)],
            _MARKERS[i % len(_MARKERS)],
            _DASHES[i % len(_DASHES)],
        )
        for i in range(count)
    ]


def luminance(colour: Any) -> float:
    """Return the relative luminance of a colour, in ``[0, 1]``.

    Reference:
        W3C (2018), "Web Content Accessibility Guidelines 2.1", definition of relative luminance.
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def ink_on(colour: Any) -> str:
    """Return the colour of text that is read best on a colour: black or white."""
    # Where the contrast (brighter + 0.05) / (darker + 0.05) to black equals that to white.
    return "#000000" if luminance(colour) > 0.179 else "#ffffff"


def sized_axes(
    width: float,
    height: float,
    *,
    left: float = 0.6,
    right: float = 0.3,
    bottom: float = 0.6,
    top: float = 0.4,
    **options: Any,
) -> tuple[Figure, Axes]:
    """Return a figure whose axes have a size of their own, so that names take no room from them.

    Args:
        width: Width of the axes, inches.
        height: Height of the axes, inches.
        left: Margin, inches; `draw` widens or trims margins to what is in them.
        right: Margin, inches.
        bottom: Margin, inches.
        top: Margin, inches.
        options: Passed to `matplotlib.figure.Figure.add_axes`.
    """
    across, up = left + width + right, bottom + height + top
    figure = Figure(figsize=(across, up))
    place = (left / across, bottom / up, width / across, height / up)
    return figure, figure.add_axes(place, **options)


def name_margin(names: Sequence[str], size: float = 9) -> float:
    """Return about how wide the longest line of the names is, inches.

    Args:
        names: Lines of text.
        size: Size of their type, points.
    """
    longest = max((len(line) for name in names for line in name.splitlines()), default=0)
    return 0.2 + longest * size * 0.62 / 72


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
        "hatch.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.titlelocation": "left",
        "axes.titlesize": "medium",
        "font.size": 10,
        "font.family": "DejaVu Sans",
        "legend.frameon": False,
        "legend.fontsize": 9,
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
