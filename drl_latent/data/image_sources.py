"""Images as they lie on a disk, a folder or an array, read piece by piece as uint8."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image

from drl_latent.artifacts import digest, sha256

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_GREY = ("1", "L", "LA")
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
_IMAGE_NAMES = ("images", "frames", "imgs")
LABEL_NAMES = ("factors", "labels", "latents_values")
"""What an ``.npz`` calls its images, and its labels."""
_CHUNK_BYTES = 2**26


class ImageSource(Protocol):
    """Images in order, all of one shape when they are read."""

    shape: tuple[int, int, int, int]
    """Number, height, width and channels (1 or 3) of the images as they are read."""
    chunk: int
    """How many to read at a time."""

    @property
    def files(self) -> tuple[str, ...] | None:
        """Their relative paths; None for an array."""

    def content(self) -> str:
        """Return a hash of all there is."""

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return some of the images, uint8 [n, H, W, C]."""


@contextmanager
def open_images(source: Path, image_size: int | None) -> Iterator[ImageSource]:
    """Open a folder, an ``.npz`` or an ``.npy`` of images.

    Raises:
        ValueError: It holds no images that can be read as they are; the message says why.
    """
    if source.is_dir():
        yield _Folder(source, image_size)
    elif source.suffix == ".npy" and source.is_file():
        array = np.load(source, mmap_mode="r", allow_pickle=False)
        yield _Array(source, str(source), array, image_size)
    elif source.suffix == ".npz" and source.is_file():
        name = _find_images(source)
        with zipfile.ZipFile(source) as archive, archive.open(f"{name}.npy") as file:
            where = f"{name!r} of {source}"
            yield _Array(source, where, _ZippedArray(file, where), image_size)
    else:
        found = "a file of another kind" if source.exists() else "nothing"
        raise ValueError(f"Images come from a folder, an .npz or an .npy; at {source} is {found}.")


class _Folder:
    def __init__(self, folder: Path, image_size: int | None) -> None:
        self._paths = sorted(
            (
                path
                for path in folder.rglob("*")
                if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
            ),
            key=lambda path: path.relative_to(folder).as_posix(),
        )
        if not self._paths:
            raise ValueError(
                f"{folder} and the folders in it hold no image file ({', '.join(_SUFFIXES)})."
            )
        self.files = tuple(path.relative_to(folder).as_posix() for path in self._paths)
        sizes: dict[tuple[int, int], str] = {}
        modes: dict[str, str] = {}
        for path, name in zip(self._paths, self.files, strict=True):
            with _open_image(path) as image:
                sizes.setdefault(image.size, name)
                modes.setdefault(image.mode, name)
        for mode, name in modes.items():
            if mode not in _GREY + _COLOUR:
                raise ValueError(
                    f"{name} has pixels of mode {mode!r}; convert it to 8 bits a channel."
                )
        self._mode = "L" if set(modes) <= set(_GREY) else "RGB"
        sizes_seen = {f"{w}x{h} ({name})": (h, w) for (w, h), name in sizes.items()}
        height, width = _check_sizes(str(folder), sizes_seen, image_size)
        channels = len(self._mode)
        self._size = image_size
        self.shape = (len(self._paths), height, width, channels)
        self.chunk = _chunk(max(w * h for w, h in sizes) * channels)

    def content(self) -> str:
        return digest([[n, sha256(p)] for n, p in zip(self.files, self._paths, strict=True)])

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        images = np.empty((stop - start, *self.shape[1:]), np.uint8)
        for path, row in zip(self._paths[start:stop], images, strict=True):
            with _open_image(path) as image:
                try:
                    # What is seen through a transparent pixel is not for us to say.
                    see_through = "transparency" in image.info
                    pixels = (image.convert("RGBA") if see_through else image).convert(self._mode)
                except (OSError, SyntaxError) as error:
                    raise ValueError(f"{path} cannot be read as an image: {error}.") from error
            array = np.asarray(pixels).reshape(pixels.height, pixels.width, -1)
            row[:] = _fit(array, self._size)
        return images


class _Array:
    files = None

    def __init__(self, path: Path, where: str, array: Any, image_size: int | None) -> None:
        self._path, self._where, self._array, self._size = path, where, array, image_size
        shape = tuple(array.shape) if len(array.shape) != 3 else (*array.shape, 1)
        if len(shape) == 4 and shape[3] > 4 and shape[1] in (1, 3, 4):
            raise ValueError(
                f"{where} has shape {list(array.shape)}, channels first; give it as "
                "[N, H, W, C]: array.transpose(0, 2, 3, 1)."
            )
        if len(shape) != 4 or shape[3] not in (1, 3, 4) or not all(shape):
            raise ValueError(
                f"{where} should be images [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels, got "
                f"shape {list(array.shape)}."
            )
        n, height, width, channels = shape
        sizes = {f"{width}x{height}": (height, width)}
        height, width = _check_sizes(where, sizes, image_size)
        # A fourth channel is alpha.
        self.shape = (n, height, width, min(channels, 3))
        self.chunk = _chunk(int(np.prod(shape[1:])) * max(array.dtype.itemsize, 4))
        self._scale = self._find_scale()

    def content(self) -> str:
        return digest([self._path.suffix, sha256(self._path)])

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        raw = np.asarray(self._array[start:stop])
        if self._scale != 1:
            raw = np.rint(raw.astype(np.float32) * self._scale)
        images = raw.astype(np.uint8, copy=False)
        images = images.reshape(*raw.shape[:3], -1)[..., : self.shape[3]]
        if self._size is None:
            return images
        return np.stack([_fit(image, self._size) for image in images])

    def _find_scale(self) -> int:
        """Return what turns the numbers into 0 to 255, after a look at all of them."""
        kind, n = self._array.dtype.kind, self.shape[0]
        if kind == "b":
            return 255
        if self._array.dtype != np.uint8 and kind != "f":
            raise ValueError(
                f"{self._where} should be uint8, or floats from 0 to 1, got {self._array.dtype}."
            )
        low, high = np.inf, -np.inf
        for start in range(0, n, self.chunk):
            part = np.asarray(self._array[start : min(start + self.chunk, n)])
            # Unlike Python's, these pass on a NaN.
            low, high = np.minimum(low, part.min()), np.maximum(high, part.max())
        if kind == "f" and not (low >= 0 and high <= 1):
            raise ValueError(
                f"{self._where} holds floats from {low:g} to {high:g}; give floats from 0 to 1, or "
                "convert to uint8."
            )
        return 255 if kind == "f" or high <= 1 else 1


class _ZippedArray:
    """An array in an ``.npz``, read in order without unpacking all of it."""

    def __init__(self, file: Any, where: str) -> None:
        self._file = file
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        version = npy.read_magic(file)
        if version not in readers:
            raise ValueError(f"{where} has the unknown npy version {version}.")
        self.shape, is_fortran, self.dtype = readers[version](file)
        if self.dtype.hasobject:
            raise ValueError(f"{where} holds Python objects, which are not read: save numbers.")
        if is_fortran and len(self.shape) > 1:
            raise ValueError(f"{where} is in Fortran order; save np.ascontiguousarray of it.")
        self._start = file.tell()

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(self.shape[0])
        size = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        self._file.seek(self._start + start * size)
        data = self._file.read((stop - start) * size)
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])


def find_label_array(source: Path) -> str | None:
    """Return which array of an ``.npz`` holds its labels; None if none does, or it is no such."""
    if source.suffix != ".npz":
        return None
    names = _array_names(source)
    return next((name for name in LABEL_NAMES if name in names), None)


def _find_images(source: Path) -> str:
    names = _array_names(source)
    for name in _IMAGE_NAMES:
        if name in names:
            return name
    others = [name for name in names if name not in LABEL_NAMES]
    if len(others) != 1:
        raise ValueError(
            f"{source} holds the arrays {names}; name the one with images {_IMAGE_NAMES[0]!r}, "
            f"{_IMAGE_NAMES[1]!r} or {_IMAGE_NAMES[2]!r}."
        )
    return others[0]


def _array_names(source: Path) -> list[str]:
    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{source} is not an .npz: {error}.") from error
    return [name.removesuffix(".npy") for name in names if name.endswith(".npy")]


def _open_image(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as an image: {error}.") from error


def _check_sizes(
    where: str, sizes: dict[str, tuple[int, int]], image_size: int | None
) -> tuple[int, int]:
    """Return the height and width that images will have; `sizes` maps what to say to a size."""
    if image_size is not None:
        if image_size < 1:
            raise ValueError(f"image_size must be 1 or more, got {image_size}.")
        return image_size, image_size
    (height, width), *others = sizes.values()
    if others or height != width:
        shown = ", ".join([*sizes][:5]) + (", ..." if len(sizes) > 5 else "")
        raise ValueError(
            f"{where} has images of {shown} pixels, but they have to be square and of one size; "
            "give image_size to crop them to the middle square and resize them."
        )
    return height, width


def _fit(image: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    """Crop an image [H, W, C] to its middle square and resize it."""
    height, width, channels = image.shape
    if size is None or (height, width) == (size, size):
        return image
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    picture = Image.fromarray(square[..., 0] if channels == 1 else square)
    resized = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(size, size, channels)


def _chunk(image_bytes: int) -> int:
    return max(1, min(1_000, _CHUNK_BYTES // image_bytes))
