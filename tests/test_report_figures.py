"""Figures of a report: that each can be drawn, and read in light, dark and grey."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from drl_latent.report.figures import image_sheet, learning_curves, success_by_part
from drl_latent.report.matrices import hinton_diagram, matrix_heat_map
from drl_latent.report.score_figures import probe_bars, score_bars, score_comparison, score_radar
from drl_latent.report.theme import DARK, LIGHT, Theme, draw, ink_on, luminance, series_styles
from drl_latent.report.traversal_sheet import traversal_sheet

NAN = np.nan
GENERATOR = np.random.default_rng(0)
FACTORS = ["object_hue", "object_size", "floor_hue", "effector_x", "effector_y"]
LATENTS = [f"z{d}" for d in range(6)]
SHARES = GENERATOR.dirichlet(np.full(6, 0.3), 5).T
SIGNED = np.where(np.arange(5) == 2, NAN, SHARES - 0.3)
WIDE = GENERATOR.normal(size=(64, 20))
WIDE[:, 3] = NAN
LONG = "the_horizontal_position_of_the_end_effector_in_the_scene"
SCORES = pd.DataFrame(
    [
        ("MIG", 0.072, 0.043, 0.104, 0.041),
        ("DCI disentanglement", 0.292, 0.274, 0.312, 0.25),
        ("DCI completeness", 0.3, NAN, NAN, NAN),
        ("probe", 0.914, 0.88, 0.95, 0.7),
        ("UDR", 1.0, 0.98, 1.0, NAN),
    ],
    columns=["metric", "value", "low", "high", "floor"],
)
ODD = pd.DataFrame(
    [
        ("MIG", 0.4, 0.3, 0.45, 0.04),
        ("squared error, summed over all pixels of an image", 27.3, 26.0, 28.9, NAN),
        ("R² of a probe that fails", -0.13, -0.2, -0.05, -0.02),
        ("R² of one that fails badly", -7.0, -9.0, -5.0, NAN),
        ("not measured", NAN, NAN, NAN, NAN),
    ],
    columns=SCORES.columns,
)
IMAGES = GENERATOR.integers(0, 256, (3, 4, 5, 8, 8, 3), dtype=np.uint8)
CAPTIONS = [[f"{v:.1f}" for v in np.linspace(-2, 2, 5)]] * 4
PROBE = pd.DataFrame(
    {
        "factor": FACTORS,
        "part": ["accuracy", "accuracy", "accuracy", "r2", "r2"],
        "value": [0.97, 0.68, 1.0, 0.97, -0.1],
        "low": [0.96, 0.65, 1.0, 0.96, -0.15],
        "high": [0.98, 0.7, 1.0, 0.975, -0.05],
    }
)
AGENTS = {f"agent{i}": f"PPO number {i}" for i in range(6)}


def summary(agents: int) -> pd.DataFrame:
    rows = [
        (f"agent{a}", part, 0.9 - 0.1 * a, 0.85 - 0.1 * a, 0.93 - 0.1 * a)
        for a in range(agents)
        for part in ("id", "ood1", "ood2")
    ]
    return pd.DataFrame(rows, columns=["agent", "part", "success", "success_low", "success_high"])


def episodes(agents: int) -> dict[str, pd.DataFrame]:
    steps = np.arange(1, 300) * 50
    return {
        f"agent{a}": pd.DataFrame(
            {"steps": steps, "success": np.arange(299) % (a + 2) == 0},
        )
        for a in range(agents)
    }


MAKERS: dict[str, Callable[[Theme], Figure]] = {
    "heat map": lambda t: matrix_heat_map(SHARES, LATENTS, FACTORS, "Shares", t, label="share"),
    "heat map of signs with a factor left out": lambda t: matrix_heat_map(
        SIGNED, LATENTS, FACTORS, "Signs", t, label="a label that is rather long", diverging=True
    ),
    "heat map of one cell": lambda t: matrix_heat_map([[0.4]], ["z0"], ["hue"], "One", t),
    "heat map of one row": lambda t: matrix_heat_map(
        SIGNED[:1],
        ["z0"],
        FACTORS,
        "Row",
        t,
        label="share of the importance of a factor",
        diverging=True,
    ),
    "heat map without a value": lambda t: matrix_heat_map([[NAN]], ["z0"], ["hue"], "None", t),
    "heat map of 64 by 20": lambda t: matrix_heat_map(
        WIDE, range_names("z", 64), range_names("factor_", 20), "Wide", t, diverging=True
    ),
    "heat map of 30 rows with values and long names": lambda t: matrix_heat_map(
        abs(WIDE[:30, :3]) * 100, range_names(LONG, 30), [LONG] * 3, LONG, t, limits=None
    ),
    "Hinton diagram": lambda t: hinton_diagram(SHARES, LATENTS, FACTORS, "Shares", t, label="s"),
    "Hinton diagram of signs": lambda t: hinton_diagram(
        SIGNED, LATENTS, FACTORS, "Signs", t, label="share\nof importance"
    ),
    "Hinton diagram of zeros": lambda t: hinton_diagram([[0.0]], ["z0"], ["hue"], "Zero", t),
    "Hinton diagram of 64 by 20": lambda t: hinton_diagram(
        WIDE, range_names("z", 64), range_names("factor_", 20), "Wide", t
    ),
    "scores": lambda t: score_bars(SCORES, t),
    "scores of one metric": lambda t: score_bars(SCORES.iloc[:1], t),
    "scores beyond 0 and 1": lambda t: score_bars(ODD, t),
    "comparison": lambda t: score_comparison({"beta_vae": SCORES, LONG: ODD, "pca": SCORES}, t),
    "comparison of seven": lambda t: score_comparison(dict.fromkeys("abcdefg", SCORES), t),
    "radar of five": lambda t: score_radar(dict.fromkeys("abcde", SCORES), t),
    "radar of twelve metrics": lambda t: score_radar({"one": many_metrics(12)}, t),
    "radar of three metrics": lambda t: score_radar({LONG: many_metrics(3)}, t),
    "probe": lambda t: probe_bars(PROBE, t),
    "sheet": lambda t: image_sheet([[*IMAGES[0, 0]], [*IMAGES[0, 1, :2]]], ["a", LONG], t),
    "traversals from one anchor": lambda t: traversal_sheet(IMAGES[:1], LATENTS[:4], t, CAPTIONS),
    "traversals from three": lambda t: traversal_sheet(IMAGES, LATENTS[:4], t, CAPTIONS),
    "success": lambda t: success_by_part(summary(3), {k: AGENTS[k] for k in list(AGENTS)[:3]}, t),
    "success of six": lambda t: success_by_part(summary(6), AGENTS, t),
    "learning": lambda t: learning_curves(episodes(6), AGENTS, t),
}


def range_names(stem: str, count: int) -> list[str]:
    return [f"{stem}{i}" for i in range(count)]


def many_metrics(count: int) -> pd.DataFrame:
    value = np.linspace(0.1, 0.9, count)
    return pd.DataFrame(
        {
            "metric": range_names("a metric with a name ", count),
            "value": value,
            "low": value - 0.2,
            "high": value + 0.2,
            "floor": NAN,
        }
    )


def shown_texts(figure: Figure) -> list[Text]:
    """The texts that are drawn; ticks get their words when they are."""
    figure.draw_without_rendering()
    found = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    hidden: set[int] = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.majorTicks, *axis.minorTicks):
            if not axis.axes.axison or not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                hidden |= {id(tick.label1), id(tick.label2)}
    return [text for text in found if id(text) not in hidden]


@cache
def drawn(name: str, theme: Theme, kind: str) -> tuple[Figure, bytes]:
    """A figure after it was drawn, and the file."""
    made: list[Figure] = []

    def make(theme: Theme) -> Figure:
        made.append(MAKERS[name](theme))
        return made[0]

    file = draw(make, theme, kind)
    return made[0], file


KINDS = (
    "heat map of signs with a factor left out",
    "Hinton diagram of signs",
    "scores",
    "comparison",
    "radar of five",
    "probe",
    "sheet",
    "traversals from three",
    "success",
    "learning",
)
"""One figure of each kind: drawn in both themes and formats; the others as light SVG."""


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", KINDS)
def test_each_figure_can_be_drawn_as_png(name: str, theme: Theme):
    _, png = drawn(name, theme, "png")
    with Image.open(io.BytesIO(png)) as image:
        ground = tuple(int(theme.ground[i : i + 2], 16) for i in (1, 3, 5))
        assert image.convert("RGB").getpixel((0, 0)) == ground
        assert len(image.convert("RGB").getcolors(1 << 24)) > 10


@pytest.mark.parametrize(
    ("name", "theme"), [*((name, LIGHT) for name in MAKERS), *((name, DARK) for name in KINDS)]
)
def test_each_figure_can_be_drawn_as_svg(name: str, theme: Theme):
    _, svg = drawn(name, theme, "svg")
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert theme.ground.encode() in svg


@pytest.mark.parametrize("name", MAKERS)
def test_text_is_large_enough_to_read_and_does_not_overlap(name: str):
    figure, _ = drawn(name, LIGHT, "svg")
    texts = shown_texts(figure)
    assert min(text.get_fontsize() for text in texts) >= 7
    assert not overlapping([text for text in texts if text.get_rotation() in (0, 90)])


def overlapping(texts: list[Text]) -> list[tuple[str, str]]:
    boxes = np.array([text.get_window_extent().extents for text in texts])
    left, low, right, high = boxes.T + np.array([[1], [1], [-1], [-1]])
    meet = (
        (left[:, None] < right)
        & (left < right[:, None])
        & (low[:, None] < high)
        & (low < high[:, None])
    )
    return [(texts[i].get_text(), texts[j].get_text()) for i, j in np.argwhere(np.triu(meet, 1))]


def test_overlapping_text_would_be_found():
    figure = Figure()
    texts = [figure.text(0.5, 0.5, "a word"), figure.text(0.52, 0.51, "another")]
    assert overlapping(texts) == [("a word", "another")]


@pytest.mark.parametrize("name", ["Hinton diagram of signs", "scores", "radar of five"])
def test_the_same_numbers_give_the_same_bytes(name: str):
    _, svg = drawn(name, LIGHT, "svg")
    assert draw(MAKERS[name], LIGHT, "svg") == svg
    assert drawn(name, DARK, "svg")[1] != svg


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_series_stand_out_from_the_ground_and_differ_without_colours(theme: Theme):
    ground = luminance(theme.ground)
    for colour in (*theme.series, theme.negative, theme.positive):
        bright, dark = sorted((luminance(colour), ground), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 3
    styles = series_styles(theme, 40)
    assert len({style.marker for style in styles[:5]}) == 5
    assert len({style.dash for style in styles[:5]}) == 5
    assert len(set(styles)) == 40


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_colours_of_magnitudes_keep_their_order_in_grey(theme: Theme):
    shades = np.array([luminance(c) for c in theme.colour_map(diverging=False)(np.arange(256))])
    away = np.abs(shades - luminance(theme.ground))
    assert (np.diff(away) > 0).all()
    middle = theme.colour_map(diverging=True)(0.5)
    np.testing.assert_allclose(luminance(middle), luminance(theme.ground), atol=0.01)


@given(colour=st.tuples(*[st.floats(0, 1)] * 3))
def test_text_on_any_colour_can_be_read(colour: tuple[float, float, float]):
    bright, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_a_run_too_short_for_a_mean_of_episodes_still_draws():
    table = pd.DataFrame({"steps": np.arange(5) * 50, "success": [0, 1, 0, 0, 1]})
    assert draw(lambda theme: learning_curves({"latents": table}, {}, theme), LIGHT)
