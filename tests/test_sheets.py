"""Traversals as one image and as a film."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drl_latent.interventions.sheets import save_gif, traversal_grid
from drl_latent.interventions.traversal import Traversal

SIDE = 8
"""Height and width of a decoded image here."""


def grey(anchor: int, latent: int, step: int) -> int:
    return 100 * anchor + 30 * latent + 5 * step


def flat(channels: int = 3, anchors: int = 2, steps: int = 4) -> Traversal:
    """Three latents, of which 2 moves most and 0 least; each image is of one grey."""
    images = np.empty((anchors, 3, steps, SIDE, SIDE, channels), np.uint8)
    for a, d, i in np.ndindex(images.shape[:3]):
        images[a, d, i] = grey(a, d, i)
    values = np.tile(np.linspace(-1, 1, steps, dtype=np.float32), (3, 1))
    change = np.array([0.0, 0.1, 0.2], np.float32)
    return Traversal(images, values, change, np.zeros((anchors, 3), np.float32))


def tiles_of(image: NDArray[np.uint8], side: int) -> list[list[int]]:
    """Return the greys of the squares of one grey in an image, row by row, text left out."""
    ink = (image != 255).all(axis=2)
    # Text is never as wide as a tile; rows of tiles begin below the labels.
    rows = np.flatnonzero(ink.sum(1) >= 3 * side)
    found = []
    for y in rows[np.r_[True, np.diff(rows) > 1]]:
        line, greys, x = image[y + side // 2], [], 0
        while x < len(line):
            run = line[x : x + side, 0]
            if len(run) == side and (run == run[0]).all() and run[0] != 255:
                greys.append(int(run[0]))
                x += side
            else:
                x += 1
        found.append(greys)
    return found


def test_a_grid_has_a_row_a_latent_by_change_and_a_block_an_anchor():
    grid = traversal_grid(flat(), scale=2)
    expected = [[grey(a, d, i) for a in range(2) for i in range(4)] for d in (2, 1, 0)]
    assert tiles_of(grid, 2 * SIDE) == expected


def test_small_images_are_enlarged_to_tiles_of_64_pixels_by_repeating_pixels():
    one = flat(anchors=1)
    one.images[0, 2, 0] = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3))
    grid = traversal_grid(one)
    left = grid.shape[1] - 4 * 64 - 3
    np.testing.assert_array_equal(grid[:64:8, left : left + 64 : 8], one.images[0, 2, 0])
    np.testing.assert_array_equal(grid[7:64:8, left + 7 : left + 64 : 8], one.images[0, 2, 0])
    assert grid.shape[0] == 3 * 64 + 2


def test_most_keeps_the_latents_that_move_most():
    few = traversal_grid(flat(), scale=1, most=2)
    assert [row[0] for row in tiles_of(few, SIDE)] == [grey(0, 2, 0), grey(0, 1, 0)]


def test_rows_are_labelled_with_their_latent():
    first, second = (traversal_grid(flat(), scale=2, most=n) for n in (1, 3))
    margin = first[: 2 * SIDE, :12]
    assert (margin < 128).any()
    # The label of another latent is another picture.
    assert (second[2 * SIDE + 1 : 4 * SIDE + 1, :12] != margin).any()


@pytest.mark.parametrize("channels", [1, 3, 9])
def test_grey_frames_and_the_newest_of_stacked_ones_are_shown(channels: int):
    shown = flat(channels)
    shown.images[..., : max(0, channels - 3)] = 77
    np.testing.assert_array_equal(traversal_grid(shown), traversal_grid(flat(3)))


def test_a_film_shows_all_latents_moving_forth_and_back_without_end(tmp_path: Path):
    path = save_gif(flat(), tmp_path / "moving.gif", scale=4, milliseconds=50)
    with Image.open(path) as film:
        assert film.n_frames == 6
        assert film.info["loop"] == 0
        frames = []
        for i in range(6):
            film.seek(i)
            assert film.info["duration"] == 50
            frames.append(np.asarray(film.convert("RGB")))
    for frame, step in zip(frames, (0, 1, 2, 3, 2, 1), strict=True):
        expected = [[grey(a, d, step) for d in (2, 1, 0)] for a in range(2)]
        assert tiles_of(frame, 4 * SIDE) == expected
        assert (frame[:8] < 128).any()  # the labels


def test_a_film_replaces_an_old_one_whole_and_leaves_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "moving.gif"
    path.write_bytes(b"old")
    save_gif(flat(), str(path))
    assert path.read_bytes()[:3] == b"GIF"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refused_film_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "moving.gif"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="milliseconds must be 20 or more, got 5"):
        save_gif(flat(), path, milliseconds=5)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(("setting", "message"), [("scale", "scale"), ("most", "most")])
def test_sizes_below_one_are_refused(setting: str, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=f"{message} must be 1 or more"):
        traversal_grid(flat(), **{setting: 0})
    with pytest.raises(ValueError, match=f"{message} must be 1 or more"):
        save_gif(flat(), tmp_path / "moving.gif", **{setting: 0})
