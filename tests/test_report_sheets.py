"""Sheets of images, success and learning curves: what they hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from drl_latent.report.figures import image_sheet, learning_curves, success_by_part
from drl_latent.report.theme import LIGHT
from drl_latent.report.traversal_sheet import traversal_sheet

GENERATOR = np.random.default_rng(0)
LATENTS = [f"z{d}" for d in range(6)]
IMAGES = GENERATOR.integers(0, 256, (3, 4, 5, 8, 8, 3), dtype=np.uint8)
CAPTIONS = [[f"{v:.1f}" for v in np.linspace(-2, 2, 5)]] * 4
AGENTS = {f"agent{i}": f"PPO number {i}" for i in range(6)}


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


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


def places(figure: Figure) -> dict[tuple[float, float], np.ndarray]:
    """Left and top of the images of a sheet, inches, to their pixels."""
    images = figure.axes[0].images
    return {(image.get_extent()[0], image.get_extent()[3]): image.get_array() for image in images}


def test_a_traversal_sheet_has_a_row_a_latent_and_a_gap_between_anchors():
    figure = traversal_sheet(IMAGES, LATENTS[:4], LIGHT, CAPTIONS)
    shown = places(figure)
    across = sorted({left for left, _ in shown})
    down = sorted({top for _, top in shown})
    assert (len(across), len(down)) == (15, 4)
    for (left, top), pixels in shown.items():
        anchor, step = divmod(across.index(left), 5)
        np.testing.assert_array_equal(pixels, IMAGES[anchor, down.index(top), step])
    steps = np.diff(across)
    assert {c + 1 for c in np.flatnonzero(steps > 1.2 * steps.min())} == {5, 10}
    drawn = words(figure)
    assert {"frame 1", "frame 2", "frame 3", *LATENTS[:4]} <= set(drawn)
    assert drawn.count("-2.0") == 3 * 4, "captions stand under each anchor"
    alone = words(traversal_sheet(IMAGES[:1], LATENTS[:4], LIGHT))
    assert alone == LATENTS[:4]
    assert "left" in words(traversal_sheet(IMAGES[:1], LATENTS[:4], LIGHT, anchors=["left"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": IMAGES[0]}, r"\[A, D, steps, H, W, C\]"),
        ({"labels": LATENTS}, "6 labels"),
        ({"captions": CAPTIONS[:3]}, r"\[4\]\[5\]"),
        ({"anchors": ["one"]}, "3 headings, got 1"),
    ],
)
def test_traversal_sheets_refuse_what_does_not_fit(change, message):
    given = {"images": IMAGES, "labels": LATENTS[:4], "theme": LIGHT, "captions": CAPTIONS}
    with pytest.raises(ValueError, match=message):
        traversal_sheet(**{**given, **change})


def test_sheets_show_the_newest_frame_of_a_stack_and_grey_images_in_grey():
    stack = GENERATOR.integers(0, 256, (4, 4, 9), dtype=np.uint8)
    grey = np.full((4, 4, 1), 100, np.uint8)
    figure = image_sheet([[stack, grey]], ["a"], LIGHT)
    first, second = figure.axes[0].images
    np.testing.assert_array_equal(first.get_array(), stack[..., 6:])
    assert second.to_rgba(second.get_array())[0, 0, :3] == pytest.approx([100 / 255] * 3, abs=0.01)


def test_sheets_refuse_labels_and_captions_that_do_not_fit():
    with pytest.raises(ValueError, match="1 rows and 2 labels"):
        image_sheet([[*IMAGES[0, 0]]], ["a", "b"], LIGHT)
    with pytest.raises(ValueError, match="an image or more"):
        image_sheet([[]], ["a"], LIGHT)
    with pytest.raises(ValueError, match="captions must have the same rows"):
        image_sheet([[*IMAGES[0, 0]]], ["a"], LIGHT, [["too", "few"]])


def test_success_of_more_agents_than_colours_is_drawn_for_each():
    figure = success_by_part(summary(6), AGENTS, LIGHT)
    drawn = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(drawn) == list(AGENTS.values())
    for a, line in enumerate(drawn.values()):
        np.testing.assert_allclose(line.get_ydata(), 0.9 - 0.1 * a)
    assert len({(line.get_marker(), line.get_color()) for line in drawn.values()}) == 6
    spread = [line.get_xdata()[0] for line in drawn.values()]
    assert spread == sorted(spread)
    assert spread[-1] - spread[0] < 1, "agents of a part stay with it"


def test_learning_curves_are_means_of_the_last_100_episodes_and_differ_without_colours():
    figure = learning_curves(episodes(3), AGENTS, LIGHT)
    curves = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(curves) == list(AGENTS.values())[:3]
    assert curves["PPO number 0"].get_ydata()[-1] == pytest.approx(0.5)
    assert curves["PPO number 0"].get_xdata()[-1] == pytest.approx(299 * 0.05)
    assert len({line.get_marker() for line in curves.values()}) == 3
    assert len({line.get_linestyle() for line in curves.values()}) == 3
