from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drl_latent.artifacts import ArtifactError
from drl_latent.cli.data_commands import ImportData
from drl_latent.data import FrameDataset, image_sources, import_images, open_dataset
from drl_latent.envs.factor_space import FactorSpace

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (7, 16, 16), dtype=np.uint8)


def make(source: Path, **settings: object) -> FrameDataset:
    return import_images(source, source.parent / "out", progress=False, **settings)


def save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_csv(path: Path, *rows: Sequence[object]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven images: b/0.png to b/5.png, and a.png, which comes first."""
    for i, image in enumerate(COLOUR[1:]):
        save(image, tmp_path / "images" / "b" / f"{i}.png")
    save(COLOUR[0], tmp_path / "images" / "a.PNG")
    (tmp_path / "images" / "notes.txt").write_text("no image")
    (tmp_path / "images" / "._a.png").write_bytes(b"no image either")
    return tmp_path / "images"


# --- Sources ---------------------------------------------------------------------------------


def test_a_folder_is_read_in_order_of_paths(folder: Path):
    data = make(folder)
    np.testing.assert_array_equal(data.frames, COLOUR)
    assert isinstance(data.frames, np.memmap)
    assert data.config["source"] == "images"
    assert data.pair_kind is None


def test_without_labels_there_are_no_factors(folder: Path):
    data = make(folder)
    assert data.factors.shape == (7, 0)
    assert data.factors.dtype == np.float32
    assert len(data.factor_space) == 0
    with pytest.raises(ValueError, match="source='images'"):
        data.pairs()


def test_an_empty_factor_space_works():
    space = FactorSpace(())
    nothing = np.empty((3, 0))
    assert space.indices(nothing).shape == space.values(space.indices(nothing)).shape == (3, 0)
    assert space.sample_values(3, np.random.default_rng(0)).shape == (3, 0)
    assert FactorSpace.from_dict(space.to_dict()) == space


def test_grey_images_keep_one_channel_and_coloured_ones_three(tmp_path: Path):
    for i, image in enumerate(GREY):
        save(image, tmp_path / "grey" / f"{i}.png")
    data = import_images(tmp_path / "grey", tmp_path / "one", progress=False)
    np.testing.assert_array_equal(data.frames, GREY[..., None])
    save(COLOUR[0], tmp_path / "grey" / "9.png")
    data = import_images(tmp_path / "grey", tmp_path / "three", progress=False)
    assert data.image_shape == (16, 16, 3)
    np.testing.assert_array_equal(data.frames[:7], np.repeat(GREY[..., None], 3, axis=3))
    np.testing.assert_array_equal(data.frames[7], COLOUR[0])


def test_alpha_is_dropped_and_palettes_are_looked_up(tmp_path: Path):
    alpha = np.dstack([COLOUR[0], np.full((16, 16), 7, np.uint8)])
    save(alpha, tmp_path / "images" / "0.png")
    flat = np.zeros((16, 16, 3), np.uint8)
    flat[:8] = (10, 20, 30)
    palette = Image.fromarray(flat).quantize(4)
    palette.save(tmp_path / "images" / "1.png", transparency=b"\x05\x06")
    data = make(tmp_path / "images")
    np.testing.assert_array_equal(data.frames[0], COLOUR[0])
    np.testing.assert_array_equal(data.frames[1], flat)


@pytest.mark.parametrize("zip_it", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", ["images", "frames", "imgs"])
def test_the_array_called_images_is_taken(zip_it, name: str, tmp_path: Path):
    others = {"other": np.zeros(3), "objects": np.array([{"a": 1}], dtype=object)}
    zip_it(tmp_path / "a.npz", **{name: COLOUR}, **others)
    np.testing.assert_array_equal(make(tmp_path / "a.npz").frames, COLOUR)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (COLOUR, COLOUR),
        (GREY, GREY[..., None]),
        (np.dstack([COLOUR[0], GREY[0]])[None], COLOUR[:1]),
        (GREY % 2, (GREY % 2 * 255)[..., None]),
        (GREY % 2 == 1, (GREY % 2 * 255)[..., None]),
        (COLOUR / 255, COLOUR),
        ((COLOUR / 255).astype(np.float32), COLOUR),
    ],
)
def test_arrays_of_every_kind(suffix: str, given: np.ndarray, expected: np.ndarray, tmp_path: Path):
    path = tmp_path / f"a.{suffix}"
    np.save(path, given) if suffix == "npy" else np.savez_compressed(path, given)
    np.testing.assert_array_equal(make(path).frames, expected)


@pytest.mark.parametrize("suffix", ["npy", "npz", "folder"])
def test_it_is_read_in_pieces(
    suffix: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(image_sources, "_CHUNK_BYTES", 2 * COLOUR[0].nbytes)
    path = folder if suffix == "folder" else tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, COLOUR)
    elif suffix == "npz":
        np.savez_compressed(path, COLOUR)
    with image_sources.open_images(path, None) as images:
        assert images.chunk <= 2
    np.testing.assert_array_equal(make(path).frames, COLOUR)


def test_the_middle_square_is_resized(tmp_path: Path):
    # Left and right margins of white, which must not be seen.
    wide = np.full((3, 20, 40, 3), 255, np.uint8)
    wide[:, :, 10:30] = (200, 100, 50)
    np.save(tmp_path / "wide.npy", wide)
    data = make(tmp_path / "wide.npy", image_size=8)
    assert data.frames.shape == (3, 8, 8, 3)
    assert (data.frames == (200, 100, 50)).all()
    for i, size in enumerate([(20, 40), (30, 30), (50, 20)]):
        save(np.full(size, 9 * i, np.uint8), tmp_path / "sizes" / f"{i}.png")
    data = import_images(tmp_path / "sizes", tmp_path / "b", image_size=16, progress=False)
    assert data.frames.shape == (3, 16, 16, 1)
    assert (data.frames == np.array([0, 9, 18])[:, None, None, None]).all()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (COLOUR[:, :10], r"16x10 pixels, but they have to be square.*give image_size"),
        (COLOUR.transpose(0, 3, 1, 2), r"channels first.*transpose\(0, 2, 3, 1\)"),
        (COLOUR[0, 0], r"got shape \[16, 3\]"),
        (np.zeros((2, 16, 16, 2), np.uint8), "1, 3 or 4 channels"),
        (COLOUR[:0], r"got shape \[0, 16, 16, 3\]"),
        (COLOUR.astype(np.int64), "uint8, or floats from 0 to 1, got int64"),
        (COLOUR.astype(np.float32), "floats from 0 to 255"),
        (COLOUR / 127.5 - 1, "floats from -1 to 1"),
        (np.full((2, 16, 16), np.nan), "floats from nan to nan"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array: np.ndarray, says: str, tmp_path: Path):
    np.savez(tmp_path / "a.npz", array)
    with pytest.raises(ValueError, match=says):
        make(tmp_path / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_other_sources_are_refused(tmp_path: Path, folder: Path):
    np.savez(tmp_path / "two.npz", a=COLOUR, b=COLOUR)
    with pytest.raises(ValueError, match=r"holds the arrays \['a', 'b'\]; name the one with"):
        make(tmp_path / "two.npz")
    np.savez(tmp_path / "objects.npz", np.array([{}, {}], dtype=object))
    with pytest.raises(ValueError, match="Python objects, which are not read"):
        make(tmp_path / "objects.npz")
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):
        make(tmp_path / "objects.npy")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(ValueError, match=r"is not an \.npz"):
        make(tmp_path / "text.npz")
    with pytest.raises(ValueError, match="is nothing"):
        make(tmp_path / "absent")
    with pytest.raises(ValueError, match="is a file of another kind"):
        make(folder / "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="hold no image file"):
        make(tmp_path / "empty")
    save(COLOUR[0, :5], folder / "z.png")
    with pytest.raises(ValueError, match=r"16x16 \(a\.PNG\), 16x5 \(z\.png\) pixels.*image_size"):
        make(folder)
    with pytest.raises(ValueError, match="image_size must be 1 or more, got 0"):
        make(folder, image_size=0)
    save(GREY[0].astype(np.uint16), folder / "z.png")
    with pytest.raises(ValueError, match=r"z\.png has pixels of mode 'I;16'"):
        make(folder)
    (folder / "z.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"z\.png cannot be read as an image"):
        make(folder)
    assert not list(tmp_path.glob("out*"))


def test_a_broken_image_leaves_nothing_behind(folder: Path):
    content = (folder / "b" / "4.png").read_bytes()
    (folder / "b" / "4.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"4\.png cannot be read as an image"):
        make(folder)
    assert not list(folder.parent.glob("out*"))
    (folder / "b" / "4.png").write_bytes(content)
    np.testing.assert_array_equal(make(folder).frames, COLOUR)


def test_the_same_images_are_found_again_and_changed_ones_noticed(folder: Path):
    first = make(folder)
    again = make(folder.rename(folder.with_name("moved")))
    assert again.fingerprint == first.fingerprint
    save(COLOUR[0] // 2, folder.with_name("moved") / "a.PNG")
    with pytest.raises(ArtifactError, match=r"content: .* there, .* asked"):
        make(folder.with_name("moved"))
    open_dataset(first.path, verify=True)


def test_an_interrupted_import_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(image_sources, "_CHUNK_BYTES", 2 * COLOUR[0].nbytes)
    reads = []

    def dying(self: object, start: int, stop: int) -> np.ndarray:
        reads.append(start)
        if start == 4:
            raise KeyboardInterrupt
        return real(self, start, stop)

    real = image_sources._Folder.read
    monkeypatch.setattr(image_sources._Folder, "read", dying)
    with pytest.raises(KeyboardInterrupt):
        make(folder)
    monkeypatch.setattr(image_sources._Folder, "read", real)
    done = json.loads((folder.parent / "out.partial" / "done.json").read_text())
    assert done == {"frames": 4}
    np.testing.assert_array_equal(make(folder).frames, COLOUR)


# --- Labels ----------------------------------------------------------------------------------


def test_columns_become_factors(tmp_path: Path):
    np.save(tmp_path / "a.npy", GREY)
    shapes = ["cube", "ball", "cube", "cube", "ball", "cone", "cube"]
    sizes = ["2", "1", "2", "0.5", "1", "1", "2"]
    rows = [("shape", "size"), *zip(shapes, sizes, strict=True)]
    data = make(tmp_path / "a.npy", labels=write_csv(tmp_path / "labels.csv", *rows))
    shape, size = data.factor_space
    assert (shape.name, shape.kind, shape.values) == (
        "shape", "appearance", ("ball", "cone", "cube"),
    )  # fmt: skip
    assert size.values == (0.5, 1.0, 2.0)
    assert data.factors.dtype == np.float32
    np.testing.assert_array_equal(data.factors[:, 0], [2, 0, 2, 2, 0, 1, 2])
    np.testing.assert_array_equal(data.factors[:, 1], [2, 1, 2, 0.5, 1, 1, 2])


def test_many_numbers_are_a_range(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros((21, 8, 8), np.uint8))
    rows = [("few", "many"), *((i % 20, i / 10 - 1) for i in range(21))]
    data = make(tmp_path / "a.npy", labels=write_csv(tmp_path / "labels.csv", *rows))
    few, many = data.factor_space
    assert few.values == tuple(map(float, range(20)))
    assert (many.low, many.high, many.bins) == (-1.0, 1.0, 20)
    np.testing.assert_allclose(data.factors[:, 1], np.linspace(-1, 1, 21), atol=1e-6)


@pytest.mark.parametrize("name", ["file", "Filename", "path"])
def test_rows_are_matched_to_files(name: str, folder: Path, tmp_path: Path):
    files = ["a.PNG", *(f"b/{i}.png" for i in range(6))]
    rows = [(i, file) for i, file in enumerate(files)][::-1]
    rows[1] = (rows[1][0], "./" + rows[1][1].replace("/", "\\"))
    labels = write_csv(tmp_path / "labels.csv", ("number", name), *rows)
    data = make(folder, labels=labels)
    assert data.factor_space.names == ("number",)
    np.testing.assert_array_equal(data.factors[:, 0], np.arange(7))


def test_rows_without_files_are_in_order(folder: Path, tmp_path: Path):
    labels = write_csv(tmp_path / "labels.csv", ("number",), *([i] for i in range(7)))
    np.testing.assert_array_equal(make(folder, labels=labels).factors[:, 0], np.arange(7))


@pytest.mark.parametrize("name", ["factors", "labels", "latents_values"])
def test_labels_in_an_npz(name: str, tmp_path: Path):
    values = np.stack([np.arange(7) % 3, np.arange(7)], axis=1)
    np.savez(tmp_path / "a.npz", imgs=GREY, **{name: values})
    data = make(tmp_path / "a.npz")
    assert data.factor_space.names == ("factor_0", "factor_1")
    assert data.factor_space["factor_0"].values == (0.0, 1.0, 2.0)
    np.testing.assert_array_equal(data.factors, values)
    # A table comes first.
    labels = write_csv(tmp_path / "labels.csv", ("mine",), *([i] for i in range(7)))
    data = import_images(tmp_path / "a.npz", tmp_path / "b", labels=labels, progress=False)
    assert data.factor_space.names == ("mine",)


def test_labels_of_another_shape_in_an_npz_are_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", imgs=GREY, factors=np.zeros((6, 2)))
    with pytest.raises(ValueError, match=r"shape \[7, K\], a row for each image, got float64"):
        make(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", imgs=GREY, labels=np.array([[np.nan]] * 7))
    with pytest.raises(ValueError, match="'factor_0' has no value in row 0"):
        make(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", imgs=GREY, labels=np.array(list("abcabca")))
    assert make(tmp_path / "a.npz").factor_space["factor_0"].values == ("a", "b", "c")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "is empty"),
        ([("n",), *[[i] for i in range(6)]], "has 6 rows of labels for 7 images"),
        ([("n", ""), *[[i, 0] for i in range(7)]], "must name each column, once"),
        ([("n", "n"), *[[i, 0] for i in range(7)]], "must name each column, once"),
        ([("file",), *[[i] for i in range(7)]], "no column of labels"),
        ([("n", "m"), *[[i, i] for i in range(6)], [1]], "row 6 .* has 1 cells"),
        ([("n", "m"), *[[i, i] for i in range(6)], ["", 1]], "'n' has no value in row 6"),
        ([("n",), *[[i] for i in range(6)], ["nan"]], "'n' has no value in row 6"),
        ([("n", "m"), *[["a", i] for i in range(6)], ["", 1]], "'n' has no value in row 6"),
        ([("n", "file"), *[[i, f"b/{i}.png"] for i in range(6)]], r"has no row for: a\.PNG"),
        ([("n", "file"), *[[i, f"c/{i}.png"] for i in range(7)]],
         r"names files that are not there: c/0\.png, c/1\.png.* and 2 more"),
        ([("n", "file"), [0, "a.PNG"], *[[i, f"b/{i % 6}.png"] for i in range(7)]],
         r"more than one row for: b/0\.png"),
    ],
)  # fmt: skip
def test_wrong_labels_leave_nothing_behind(rows: list, says: str, folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=says):
        make(folder, labels=write_csv(tmp_path / "labels.csv", *rows))
    assert not list(tmp_path.glob("out*"))


def test_changed_labels_are_noticed(folder: Path, tmp_path: Path):
    labels = write_csv(tmp_path / "labels.csv", ("n",), *([i] for i in range(7)))
    make(folder, labels=labels)
    write_csv(labels, ("n",), *([i + 1] for i in range(7)))
    with pytest.raises(ArtifactError, match=r"labels: .* there, .* asked"):
        make(folder, labels=labels)


def test_the_command_imports(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert ImportData(str(folder), out, image_size=8).run() == 0
    assert "7 frames (8, 8, 3), 0 factors" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--key is for data sets of Minari"):
        ImportData(str(folder), out, key="pixels").run()
    with pytest.raises(ValueError, match="--image-size is for images"):
        ImportData("minari:x-v0", out, image_size=8).run()
