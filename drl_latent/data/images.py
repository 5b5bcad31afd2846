"""Images that were taken elsewhere, with or without labels, as a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drl_latent.artifacts import Stage, sha256
from drl_latent.data.dataset import KIND, FrameDataset, open_dataset
from drl_latent.data.image_sources import ImageSource, find_label_array, open_images
from drl_latent.data.labels import Labels, label_columns, read_labels
from drl_latent.data.writing import Chunk, even_bounds, fill
from drl_latent.envs.factor_space import FactorSpace


def import_images(
    source: str | Path,
    out: str | Path,
    *,
    labels: str | Path | None = None,
    image_size: int | None = None,
    progress: bool = True,
) -> FrameDataset:
    """Copy your own images into a data set folder; go on where an interrupted call stopped.

    Args:
        source: A folder of image files, searched with the folders in it and sorted by relative
            path; an ``.npz`` with one array of images, or several of which one is called
            ``images``, ``frames`` or ``imgs``; or an ``.npy``. Arrays are [N, H, W] or
            [N, H, W, C], uint8 or floats from 0 to 1; where nothing is above 1, 1 becomes 255.
            Grey images keep one channel, unless there are coloured ones among them; alpha is left
            out.
        out: The folder to make.
        labels: A CSV with a header. Each column becomes a factor: strings a list, numbers a list
            of up to 20 values or else a range of 20 bins. A column ``file``, ``filename`` or
            ``path`` names the image file by its relative path; without it, rows are in the order
            of the images. Unless given, an ``.npz`` is searched for ``factors``, ``labels`` or
            ``latents_values``, [N, K].
        image_size: Crop each image to its middle square and resize it to this height and width;
            needed where images are not square, or differ in size.
        progress: Whether to show progress.

    Returns:
        The data set, opened. Without labels it has no factors.

    Raises:
        ValueError: The images or the labels are not as above, or do not fit each other.
        ArtifactError: `out` holds something made from other images, or with other settings.
    """
    source = Path(source)
    with open_images(source, image_size) as images:
        n = images.shape[0]
        space, factors = _find_labels(source, labels, images)
        request = {
            "source": "images",
            "n": n,
            "content": images.content(),
            "labels": None if labels is None else sha256(Path(labels)),
            "image_size": image_size,
        }
        stage = Stage(out, KIND, request)
        if stage.is_complete:
            return open_dataset(out)

        def write(chunk: Chunk, start: int) -> None:
            stop = start + len(chunk["frames"])
            chunk["frames"][:] = images.read(start, stop)
            chunk["factors"][:] = factors[start:stop]

        columns = {"frames": (np.uint8, images.shape[1:]), "factors": (np.float32, (len(space),))}
        bounds = even_bounds(n, images.chunk)
        try:
            fill(stage.folder, columns, bounds, write, title="Importing", progress=progress)
        except ValueError:
            # An image that cannot be read now will not be later: there is nothing to go on with.
            stage.discard()
            raise
        stage.finish({**request, "factor_space": space.to_dict()})
    return open_dataset(out)


def _find_labels(source: Path, labels: str | Path | None, images: ImageSource) -> Labels:
    n = images.shape[0]
    if labels is not None:
        return read_labels(labels, n, images.files)
    name = find_label_array(source)
    if name is None:
        return FactorSpace(()), np.empty((n, 0), np.float32)
    with np.load(source, allow_pickle=False) as arrays:
        return label_columns(arrays[name], n, f"{name!r} of {source}")
