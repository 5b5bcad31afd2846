"""Contact sheets: one row of frames a factor, its values across."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.factor_scene import FactorScene

_MOST_FRAMES = 8


@dataclass(frozen=True)
class FactorSheet:
    """Frames that change one factor at a time.

    Args:
        names: Name of the factor of each row.
        images: One uint8 [n, H, W, 3] a row.
        captions: The values of each row.
    """

    names: tuple[str, ...]
    images: tuple[NDArray[np.uint8], ...]
    captions: tuple[tuple[str, ...], ...]


def factor_sheet(env: FactorScene) -> FactorSheet:
    """Render each factor of an environment through its levels, the others at their defaults.

    Ranges are shown at up to 8 of their levels.
    """
    space = env.factor_space
    images, captions = [], []
    for k, factor in enumerate(space):
        shown = np.unique(np.linspace(0, factor.size - 1, _MOST_FRAMES).round().astype(int))
        rows = np.tile(space.defaults, (len(shown), 1))
        rows[:, k] = shown
        images.append(env.render_factors(rows))
        levels = [factor.levels[i] for i in shown]
        captions.append(tuple(v if isinstance(v, str) else f"{v:.2g}" for v in levels))
    return FactorSheet(space.names, tuple(images), tuple(captions))
