"""Traversals of latents from one anchor or several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from drl_latent.report.figures import image_sheet
from drl_latent.report.theme import Theme

_WIDTH = 7.0
_CELLS = (0.33, 0.72)
"""Narrowest and widest image, inches; the narrowest is as wide as a caption."""


def traversal_sheet(
    images: NDArray[np.uint8],
    labels: Sequence[str],
    theme: Theme,
    captions: Sequence[Sequence[str]] | None = None,
    *,
    anchors: Sequence[str] | None = None,
) -> Figure:
    """Return a row a latent, with the traversals from several anchors side by side.

    What a latent does in one frame but not in the next can be seen along its row. Three anchors
    with 7 steps fit the width of a page; more make the sheet wider, not its images smaller.

    Args:
        images: uint8 [A, D, steps, H, W, C], latents in the order in which they are to stand.
        labels: D names of latents.
        theme: Colours.
        captions: [D][steps] words under the images of a row, such as the value of the latent; the
            same for each anchor.
        anchors: A headings; ``frame 1`` and so on by default, and none for a single anchor.

    Raises:
        ValueError: Shapes, labels, captions and anchors do not fit.
    """
    if images.ndim != 6 or not images.size or images.shape[1] != len(labels):
        raise ValueError(
            "images must be [A, D, steps, H, W, C], none of them 0, with D labels; got shape "
            f"{images.shape} and {len(labels)} labels."
        )
    count, _, steps = images.shape[:3]
    if anchors is None:
        anchors = [f"frame {a + 1}" for a in range(count)] if count > 1 else []
    elif len(anchors) != count:
        raise ValueError(f"anchors must have {count} headings, got {len(anchors)}.")
    if captions is not None and [len(row) for row in captions] != [steps] * len(labels):
        raise ValueError(f"captions must be [{len(labels)}][{steps}], a word for each image.")
    rows = [[*images[:, d].reshape(-1, *images.shape[3:])] for d in range(len(labels))]
    return image_sheet(
        rows,
        labels,
        theme,
        captions and [[*row] * count for row in captions],
        cell=float(np.clip(_WIDTH / (count * steps), *_CELLS)),
        groups={a * steps: words for a, words in enumerate(anchors)},
    )
