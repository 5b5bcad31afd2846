"""Arrays written chunk by chunk into a stage, so that an interrupted call goes on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike, NDArray

from drl_latent.artifacts import write_json
from drl_latent.progress import track

Chunk = dict[str, NDArray[Any]]
"""Array name to the rows of it that are to be filled, in place."""


def even_bounds(n: int, size: int) -> list[int]:
    """Return where chunks of `size` rows begin, and at the end `n`.

    One row that is left over joins the chunk before: alone it could be no step of an episode.
    """
    return [*range(0, max(n - 1, 1), size), n]


def fill(
    folder: Path,
    columns: Mapping[str, tuple[DTypeLike, tuple[int, ...]]],
    bounds: Sequence[int],
    write: Callable[[Chunk, int], None],
    *,
    title: str,
    progress: bool,
) -> None:
    """Fill ``<name>.npy`` files of as many rows as the last of `bounds` says.

    Args:
        folder: Where the files go; what was done is noted there until all is.
        columns: Array name to the dtype and the shape of a row.
        bounds: Row at which each chunk begins, from 0, and the number of rows at the end.
        write: Called with the rows of a chunk, and the row it begins at. What it writes depends
            on nothing else, so that chunks can be made alone.
        title: What is being done, for the progress bar.
        progress: Whether to show progress.
    """
    counter = folder / "done.json"
    done = json.loads(counter.read_text())["frames"] if counter.exists() else 0
    mode: Literal["r+", "w+"] = "r+" if done else "w+"
    n = bounds[-1]
    arrays = {
        name: open_memmap(folder / f"{name}.npy", mode=mode, dtype=dtype, shape=(n, *shape))
        for name, (dtype, shape) in columns.items()
    }
    with track(title, n, "frames", done, progress) as advance:
        for start, stop in itertools.pairwise(bounds):
            if stop <= done:
                continue
            write({name: array[start:stop] for name, array in arrays.items()}, start)
            for array in arrays.values():
                array.flush()
            write_json(counter, {"frames": stop})
            advance(stop - start)
    counter.unlink()
