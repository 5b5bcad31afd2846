"""Heat maps and Hinton diagrams: what they hold."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from drl_latent.report.matrices import hinton_diagram, matrix_heat_map
from drl_latent.report.theme import DARK, LIGHT, Theme

NAN = np.nan
MINUS = "\N{MINUS SIGN}"
GENERATOR = np.random.default_rng(0)
FACTORS = ["object_hue", "object_size", "floor_hue", "effector_x", "effector_y"]
LATENTS = [f"z{d}" for d in range(6)]
SHARES = GENERATOR.dirichlet(np.full(6, 0.3), 5).T


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def boxes(figure: Figure, label: str) -> list[tuple[float, float, float, float]]:
    """Row and column of the middles of the rectangles of a collection, their heights and widths."""
    (collection,) = (c for c in figure.axes[0].collections if c.get_label() == label)
    corners = [(path.vertices.min(0), path.vertices.max(0)) for path in collection.get_paths()]
    return [(*((low + high) / 2)[::-1], *(high - low)[::-1]) for low, high in corners]


def hatched(figure: Figure) -> set[tuple[float, float]]:
    """Row and column of the cells that are hatched."""
    return {(row, column) for row, column, _, _ in boxes(figure, "_no value")}


def test_a_heat_map_holds_the_matrix_under_its_names():
    figure = matrix_heat_map(SHARES, LATENTS, FACTORS, "Shares", LIGHT, label="share")
    axis = figure.axes[0]
    (mesh,) = (c for c in axis.collections if isinstance(c, QuadMesh))
    np.testing.assert_array_equal(mesh.get_array(), SHARES)
    assert mesh.get_clim() == (0, 1)
    assert [text.get_text() for text in axis.get_xticklabels()] == FACTORS
    assert [text.get_text() for text in axis.get_yticklabels()] == LATENTS
    top, bottom = axis.transData.transform([(0, 0), (0, 5)])[:, 1]
    assert top > bottom, "the first row is at the top"
    cells = {text.get_position(): text.get_text() for text in axis.texts}
    assert cells == {(c, r): f"{v:.2f}" for (r, c), v in np.ndenumerate(SHARES)}
    assert "share" in words(figure)
    assert not hatched(figure)


def test_cells_without_a_value_are_hatched_and_explained():
    for make in (matrix_heat_map, hinton_diagram):
        figure = make([[0.2, NAN], [NAN, 0.4]], ["a", "b"], ["c", "d"], "", LIGHT)
        assert hatched(figure) == {(0, 1), (1, 0)}
        assert "no value" in words(figure)
        assert "nan" not in " ".join(words(figure))


def test_wide_heat_maps_write_no_values_but_mark_negative_cells():
    names = [f"factor_{i}" for i in range(16)]
    wide = np.linspace(-1, 1, 16)[None]
    plain = matrix_heat_map(abs(wide), ["z0"], names, "", LIGHT)
    assert not plain.axes[0].texts
    signed = matrix_heat_map(wide, ["z0"], names, "", LIGHT, diverging=True)
    (marks,) = (c for c in signed.axes[0].collections if c.get_label() == "_negative")
    assert marks.get_offsets().tolist() == [[column, 0] for column in range(8)]
    narrow = matrix_heat_map(wide[:, 1:], ["z0"], names[1:], "", LIGHT, diverging=True)
    assert len(narrow.axes[0].texts) == 15


@pytest.mark.parametrize(
    ("limits", "diverging", "expected", "extend"),
    [
        ((0, 1), False, (0, 1), "max"),
        (None, False, (0, 4), "neither"),
        (None, True, (-4, 4), "neither"),
        ((0, 1), True, (-1, 1), "max"),
        ((-8, 2), True, (-8, 8), "neither"),
    ],
)
def test_colours_reach_from_limit_to_limit(limits, diverging, expected, extend):
    figure = matrix_heat_map(
        [[0.5, 4.0]], ["a"], ["b", "c"], "", LIGHT, limits=limits, diverging=diverging
    )
    (mesh,) = (c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    assert mesh.get_clim() == expected
    bar = figure.axes[0].child_axes[0]
    assert bar._colorbar.extend == extend


@pytest.mark.parametrize("make", [matrix_heat_map, hinton_diagram])
def test_matrices_that_do_not_fit_their_names_are_refused(make):
    with pytest.raises(ValueError, match=r"shape \(2, 2\), 1 names of rows and 2 of columns"):
        make(np.eye(2), ["a"], ["b", "c"], "", LIGHT)
    with pytest.raises(ValueError, match="a name for each, 1 or more"):
        make(np.zeros((0, 2)), [], ["b", "c"], "", LIGHT)
    with pytest.raises(ValueError, match="infinite"):
        make([[np.inf]], ["a"], ["b"], "", LIGHT)


def test_heat_maps_refuse_signs_that_their_colours_would_hide():
    with pytest.raises(ValueError, match=r"down to -0.3\); pass diverging=True"):
        matrix_heat_map([[-0.3]], ["a"], ["b"], "", LIGHT)
    with pytest.raises(ValueError, match="low below high"):
        matrix_heat_map([[0.3]], ["a"], ["b"], "", LIGHT, limits=(1, 0))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_areas_of_a_hinton_diagram_are_proportional_to_magnitudes(theme: Theme):
    matrix = np.array([[0.8, -0.2, 0.0], [NAN, 0.05, -0.6]])
    figure = hinton_diagram(matrix, ["a", "b"], ["c", "d", "e"], "", theme)
    filled, outlined = boxes(figure, "_positive"), boxes(figure, "_negative")
    assert {square[:2] for square in filled} == {(0, 0), (1, 1)}
    assert {square[:2] for square in outlined} == {(0, 1), (1, 2)}, "none for 0, none for NaN"
    areas = {(row, column): h * w for row, column, h, w in filled + outlined}
    for (row, column), area in areas.items():
        assert area / areas[0, 0] == pytest.approx(abs(matrix[int(row), int(column)]) / 0.8)
    assert areas[0, 0] < 1, "squares do not touch"
    faces = {c.get_label(): c.get_facecolor()[0] for c in figure.axes[0].collections[1:]}
    np.testing.assert_allclose(faces["_positive"][:3], to_rgb(theme.positive))
    np.testing.assert_allclose(faces["_negative"][:3], to_rgb(theme.ground))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (0.8, ["0.80, the largest", "0.20, a quarter", "outlined: negative"]),
        (
            -0.8,
            [
                "\N{MINUS SIGN}0.80, the largest",
                "\N{MINUS SIGN}0.20, a quarter",
                "filled: positive",
            ],
        ),
    ],
)
def test_the_legend_of_a_hinton_diagram_says_what_the_largest_square_is(entry, expected):
    figure = hinton_diagram([[entry, -entry / 2]], ["a"], ["b", "c"], "", LIGHT, label="weight")
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == expected
    assert legend.get_title().get_text() == "weight"
    largest, quarter = legend.legend_handles[:2]
    (*_, width), *_ = boxes(figure, "_positive" if entry > 0 else "_negative")
    side = width / 2 * figure.axes[0].get_position().width * figure.get_size_inches()[0] * 72
    assert largest.get_markersize() == pytest.approx(side), "as large as in the matrix"
    assert quarter.get_markersize() == pytest.approx(side / 2)
