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
    """Print success by agent and part, from a table of episodes; return where there is none."""
    summary = summarize(episodes)
    measures = ["success", "return"] if summary["success"].notna().any() else ["return"]
    table = Table("agent", "part", title=measures[0].capitalize(), title_justify="left")
    for column in ("episodes", measures[0], "95% interval", *measures[1:]):
        table.add_column(column, justify="right")
    for _, row in summary.iterrows():
        digits = 2 if measures[0] == "success" else 1
        value, low, high = (row[f"{measures[0]}{end}"] for end in ("", "_low", "_high"))
        table.add_row(
            row["agent"],
            row["part"],
            str(row["episodes"]),
            f"{value:.{digits}f}",
            f"{low:.{digits}f} to {high:.{digits}f}" if pd.notna(low) else "",
            *(f"{row[measure]:.1f}" for measure in measures[1:]),
        )
    console.print(table)
