"""``drl-latent select``: which of several encoders to use, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Select:
    """Rank encoders that were trained with several seeds by how well these agree (UDR)."""

    encoders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of encoders: at least 2 that differ only in seed, 5 or more recommended."""
    data: Path
    """Folder of frames; their factors are not read."""
    out: Path | None = None
    """Folder to make, with the table in selection.parquet; the table is only printed if none."""
    samples: int = 2_000
    """Number of frames."""
    similarity: Literal["spearman", "lasso"] = "spearman"
    """How latents of two encoders are compared: rank correlation, or weights of a regression."""
    seed: int = 0
    """Seed of the draw of frames."""

    def run(self) -> int:
        """Rank, and print the table."""
        from drl_latent.selection import select_encoder

        table = select_encoder(
            self.encoders,
            self.data,
            out=self.out,
            samples=self.samples,
            similarity=self.similarity,
            seed=self.seed,
        )
        print_selection(table)
        return 0


def print_selection(selection: pd.DataFrame) -> None:
    """Print what `select_encoder` gave."""
    import pandas as pd
    from rich.markup import escape
    from rich.table import Table

    from drl_latent.progress import console

    table = Table(title="Selection", title_justify="left")
    table.add_column("encoder", overflow="fold")  # whole, because it is what the user goes on with
    table.add_column("objective")
    table.add_column("settings")
    for column in ("seed", "runs", "informative", "UDR"):
        table.add_column(column, justify="right")
    for _, row in selection.iterrows():
        table.add_row(
            escape(row["path"] or row["fingerprint"]),
            row["objective"],
            escape(row["settings"]),
            "" if pd.isna(row["seed"]) else str(row["seed"]),
            str(row["runs"]),
            str(row["informative"]),
            "" if pd.isna(row["udr"]) else f"{row['udr']:.3f}",
        )
    console.print(table)
    for note in selection["note"].unique():
        if note:
            console.print(f"{note[0].upper()}{note[1:]}.", markup=False)
