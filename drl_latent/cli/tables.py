"""Tables in the terminal."""

from __future__ import annotations

import pandas as pd
from rich.table import Table

from drl_latent.evaluation import summarize
from drl_latent.progress import console


def print_scores(scores: pd.DataFrame) -> None:
    """Print what `score_encoder` gave: each metric's score, and what probes read of each factor."""
    heads = scores[scores["factor"] == ""].drop_duplicates("metric")
    table = Table("metric", title="Scores", title_justify="left")
    for column in ("score", "95% interval", "random code"):
        table.add_column(column, justify="right")
    for _, row in heads.iterrows():
        # DCI's first part is not called as the metric is.
        name = row["metric"] if row["part"] == row["metric"] else f"{row['metric']} {row['part']}"
        name = row["metric"] if ":" in row["metric"] else name
        floor = f"{row['floor']:.3f}" if pd.notna(row["floor"]) else ""
        table.add_row(name, f"{row['value']:.3f}", _interval(row), floor)
    console.print(table)
    probes = scores[scores["part"].isin(["r2", "accuracy"]) & (scores["factor"] != "")]
    if probes.empty:
        return
    table = Table("probe", "factor", "part", title="Factors", title_justify="left")
    for column in ("value", "95% interval"):
        table.add_column(column, justify="right")
    for _, row in probes.iterrows():
        table.add_row(
            row["metric"], row["factor"], row["part"], f"{row['value']:.3f}", _interval(row)
        )
    console.print(table)


def _interval(row: pd.Series) -> str:
    return f"{row['low']:.3f} to {row['high']:.3f}" if pd.notna(row["low"]) else ""


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
