"""Figures of scores: what they hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from drl_latent.report.score_figures import probe_bars, score_bars, score_comparison, score_radar
from drl_latent.report.theme import LIGHT

NAN = np.nan
MINUS = "\N{MINUS SIGN}"
FACTORS = ["object_hue", "object_size", "floor_hue", "effector_x", "effector_y"]
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
PROBE = pd.DataFrame(
    {
        "factor": FACTORS,
        "part": ["accuracy", "accuracy", "accuracy", "r2", "r2"],
        "value": [0.97, 0.68, 1.0, 0.97, -0.1],
        "low": [0.96, 0.65, 1.0, 0.96, -0.15],
        "high": [0.98, 0.7, 1.0, 0.975, -0.05],
    }
)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def lines(figure: Figure, label: str) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if line.get_label() == label]


def test_scores_stand_in_the_order_of_the_table_with_their_intervals_and_numbers():
    figure = score_bars(SCORES, LIGHT)
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == list(SCORES["metric"])
    heights = list(axis.get_yticks())
    assert heights == sorted(heights, reverse=True)
    values = [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines(figure, "_value")]
    assert values == [*zip(SCORES["value"], heights, strict=True)]
    known = SCORES.dropna(subset=["low"])
    intervals = [tuple(line.get_xdata()) for line in lines(figure, "_interval")]
    assert intervals == [*zip(known["low"], known["high"], strict=True)]
    floors = [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines(figure, "_floor")]
    assert floors == [(0.041, heights[0]), (0.25, heights[1]), (0.7, heights[3])]
    assert {"0.072  [0.043, 0.104]", "0.300", "random code"} <= set(words(figure))
    assert axis.get_xlim() == (0, 1)


def test_random_codes_are_not_named_where_none_was_scored():
    assert "random code" not in words(score_bars(SCORES.assign(floor=NAN), LIGHT))
    bare = words(score_bars(SCORES.assign(low=NAN, high=None, floor=NAN), LIGHT))
    assert not any("95%" in text for text in bare)


def test_scores_beyond_the_scale_are_arrows_and_leave_the_others_in_place():
    figure = score_bars(ODD, LIGHT)
    low, high = figure.axes[0].get_xlim()
    assert (low, high) == (-0.5, 1)
    values = lines(figure, "_value")
    assert [line.get_xdata()[0] for line in values[:4]] == [0.4, 1, -0.13, -0.5]
    assert [line.get_marker() for line in values[:4]] == ["o", ">", "o", "<"]
    said = words(figure)
    assert {"27.3  [26, 28.9]", "no value"} <= set(said)
    assert f"{MINUS}7.000  [{MINUS}9.000, {MINUS}5.000]" in said


def test_scores_that_are_all_beyond_the_scale_get_a_scale_of_their_own():
    figure = score_bars(ODD.iloc[[1]], LIGHT)
    assert figure.axes[0].get_xlim() == (0, 28.9)
    (value,) = lines(figure, "_value")
    assert (value.get_xdata()[0], value.get_marker()) == (27.3, "o")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (SCORES.drop(columns=["floor", "low"]), r"lacks the columns \['low', 'floor'\]"),
        (SCORES.iloc[:0], "one row a metric, got 0"),
        (SCORES.iloc[[0, 0]], r"twice: \['MIG'\]"),
    ],
)
def test_tables_of_scores_that_lack_something_are_refused(table: pd.DataFrame, message: str):
    for make in (score_comparison, score_radar):
        with pytest.raises(ValueError, match=f"the table of 'b' .*{message}"):
            make({"a": SCORES, "b": table}, LIGHT)
    with pytest.raises(ValueError, match=message):
        score_bars(table, LIGHT)
    with pytest.raises(ValueError, match="got none"):
        score_comparison({}, LIGHT)


def test_a_comparison_puts_encoders_below_each_other_and_names_their_markers():
    other = SCORES.assign(value=[0.5, 0.6, 0.7, 0.8, 0.9]).iloc[[1, 0]]
    figure = score_comparison({"beta_vae": SCORES, "pca": other}, LIGHT)
    values = lines(figure, "_value")
    first, second = values[:5], values[5:]
    assert [line.get_xdata()[0] for line in second][:2] == [0.5, 0.6], "by metric, not by row"
    assert np.isnan([line.get_xdata()[0] for line in second][2:]).all()
    for above, below in zip(first, second, strict=True):
        assert above.get_ydata()[0] > below.get_ydata()[0]
    assert second[0].get_ydata()[0] > first[1].get_ydata()[0], "the next metric begins below"
    legend = figure.axes[0].get_legend()
    keys = {t.get_text(): h for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)}
    assert list(keys) == ["beta_vae", "pca", "random code"]
    for name, line in (("beta_vae", first[0]), ("pca", second[0])):
        assert keys[name].get_marker() == line.get_marker()
        assert keys[name].get_color() == line.get_color()
    assert first[0].get_marker() != second[0].get_marker()
    assert words(figure).count("no value") == 3


def test_a_radar_runs_clockwise_from_the_top_and_has_the_intervals_as_bands():
    figure = score_radar({"a": SCORES, "b": SCORES.assign(value=0.5).iloc[::-1]}, LIGHT)
    axis = figure.axes[0]
    assert (axis.get_theta_offset(), axis.get_theta_direction()) == (np.pi / 2, -1)
    (line,) = lines(figure, "a")
    np.testing.assert_allclose(line.get_ydata(), [0.072, 0.292, 0.3, 0.914, 1, 0.072])
    np.testing.assert_allclose(line.get_xdata(), np.linspace(0, 2 * np.pi, 6))
    band = axis.collections[0].get_paths()[0].vertices
    angles = np.linspace(0, 2 * np.pi, 6)[:5]
    ends = [(0.043, 0.104), (0.274, 0.312), (0.3, 0.3), (0.88, 0.95), (0.98, 1.0)]
    for angle, (low, high) in zip(angles, ends, strict=True):
        radii = band[np.isclose(band[:, 0], angle), 1]
        assert (radii.min(), radii.max()) == pytest.approx((low, high))
    assert [text.get_text().replace("\n", " ") for text in axis.texts] == list(SCORES["metric"])


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "1 to 5 encoders, got 0"),
        (dict.fromkeys("abcdef", SCORES), "1 to 5 encoders, got 6"),
        ({"a": SCORES.iloc[:2]}, "3 metrics or more"),
        ({"a": ODD}, r"fails badly'\] of 'a' are not in \[0, 1\]"),
        ({"a": SCORES, "b": SCORES.iloc[1:]}, r"The table of 'b' lacks \['MIG'\]"),
    ],
)
def test_radars_refuse_what_they_cannot_show(tables: Mapping[str, pd.DataFrame], message: str):
    with pytest.raises(ValueError, match=message):
        score_radar(tables, LIGHT)


def test_probes_tell_accuracies_from_r2_by_marker():
    figure = probe_bars(PROBE, LIGHT)
    values = lines(figure, "_value")
    markers = dict(zip(FACTORS, (line.get_marker() for line in values), strict=True))
    assert len(set(markers.values())) == 2
    assert markers["object_hue"] == markers["object_size"] != markers["effector_x"]
    assert [line.get_xdata()[0] for line in values] == list(PROBE["value"])
    assert {"R²", "accuracy", *FACTORS} <= set(words(figure))
    ends = [tuple(line.get_xdata()) for line in lines(figure, "_interval")]
    assert ends == [*zip(PROBE["low"], PROBE["high"], strict=True)]
