"""Tables in the terminal."""

from __future__ import annotations

import pandas as pd
from rich.table import Table

from drl_latent.evaluation import summarize
from drl_latent.progress import console


def print_scores(scores: pd.DataFrame) -> None:
    """Print what `score_encoder` gave."""
    table = Table("metric", "part", "factor", title="Scores", title_justify="left")
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    for _, row in scores.iterrows():
        interval = f"{row['low']:.3f} to {row['high']:.3f}" if pd.notna(row["low"]) else ""
        table.add_row(row["metric"], row["part"], row["factor"], f"{row['value']:.3f}", interval)
    console.print(table)


def print_success(episodes: pd.DataFrame) -> None:
    """Print success by agent and part, from a table of episodes."""
    table = Table("agent", "part", title="Success", title_justify="left")
    for column in ("episodes", "success", "95% interval", "return"):
        table.add_column(column, justify="right")
    for _, row in summarize(episodes).iterrows():
        table.add_row(
            row["agent"],
            row["part"],
            str(row["episodes"]),
            f"{row['success']:.2f}",
            f"{row['success_low']:.2f} to {row['success_high']:.2f}",
            f"{row['return']:.1f}",
        )
    console.print(table)
