"""How an agent's training went, as the tables in its folder."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from drl_latent.agents.callbacks import EPISODE_COLUMNS

EPISODES = "episodes.parquet"
EVALUATIONS = "evaluations.parquet"


@dataclass(frozen=True)
class History:
    """How the training went: tables of ``steps`` so far, ``return`` and ``success``.

    Args:
        episodes: One row an episode of training; None where that is unknown.
        evaluations: One row an evaluation, with means; None where there were none.
    """

    episodes: pd.DataFrame | None = None
    evaluations: pd.DataFrame | None = None

    @classmethod
    def read(cls, folder: Path, files: Container[str]) -> History:
        """Read the tables of an agent's folder, those that are among its verified `files`.

        Raises:
            ValueError: A table is none, or lacks a column.
        """
        return cls(*(_read(folder / n) if n in files else None for n in (EPISODES, EVALUATIONS)))

    def write(self, folder: Path) -> None:
        """Write the tables that there are."""
        for name, table in ((EPISODES, self.episodes), (EVALUATIONS, self.evaluations)):
            if table is not None:
                table.to_parquet(folder / name)


def _read(file: Path) -> pd.DataFrame:
    table = pd.read_parquet(file)
    if missing := [name for name in EPISODE_COLUMNS if name not in table]:
        raise ValueError(f"{file.name} has no column {', '.join(missing)}")
    return table
