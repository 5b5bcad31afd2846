"""Tables of a study's report: what the page shows, and each as CSV and LaTeX beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drl_latent.artifacts import write_bytes

FOLDER = "tables"
_DIGITS = 3
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class ReportTable:
    """A table of the report.

    Args:
        name: Its file names, without suffix.
        caption: What it holds, how many, and what its intervals are.
        numbers: What the CSV holds, at full precision.
        words: What the page and the LaTeX show, text in all cells; `numbers` in words unless given.
    """

    name: str
    caption: str
    numbers: pd.DataFrame
    words: pd.DataFrame

    @property
    def numeric(self) -> list[bool]:
        """Whether each column of `words` holds figures."""
        return [
            all(map(_is_figures, self.words[column])) and bool(len(self.words))
            for column in self.words
        ]


def report_table(
    name: str, caption: str, numbers: pd.DataFrame, words: pd.DataFrame | None = None
) -> ReportTable:
    """Return a table of the report, in words as `in_words` puts it unless they are given."""
    shown = in_words(numbers) if words is None else words.astype(str)
    return ReportTable(name, caption, numbers.reset_index(drop=True), shown.reset_index(drop=True))


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its cells as text: 3 decimals, nothing for NaN, names without `_`."""
    words = table.map(_cell)
    words.columns = [str(column).replace("_", " ") for column in words.columns]
    return words


def with_interval(
    table: pd.DataFrame, value: str, low: str, high: str, digits: int = 2
) -> pd.Series:
    """Return "value [low, high]" for each row; the value alone where there is no interval."""
    rows = table[[value, low, high]].astype(float).to_numpy()
    words = [number_words(v, least, most, digits) for v, least, most in rows]
    return pd.Series(words, index=table.index)


def number_words(value: float, low: float, high: float, digits: int = 2) -> str:
    """Return a number and its interval in figures, or that there is none."""
    if not np.isfinite(value):
        return "no value"
    interval = ""
    if np.isfinite([low, high]).all():
        interval = f" [{_figures(low, digits)}, {_figures(high, digits)}]"
    return _figures(value, digits) + interval


def p_words(p: float) -> str:
    """Return a p-value in figures."""
    return "<0.001" if p < 0.001 else number_words(p, np.nan, np.nan, 3)


def write_tables(tables: Sequence[ReportTable], folder: Path) -> list[Path]:
    """Write ``<name>.csv`` and ``<name>.tex`` of each table and return the files.

    Raises:
        ValueError: Two tables have one name.
    """
    names = [table.name for table in tables]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Tables must have names of their own, got {twice} twice.")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for table in tables:
        csv = table.numbers.to_csv(index=False, lineterminator="\n")
        for suffix, content in ((".csv", csv), (".tex", _latex(table))):
            path = folder / f"{table.name}{suffix}"
            write_bytes(path, content.encode())
            paths.append(path)
    return paths


def slug(*words: str) -> str:
    """Return words as a part of a file name: lower case, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def _latex(table: ReportTable) -> str:
    # LaTeX takes a hyphen in text; the sign of a negative number is set in mathematics.
    words = table.words.map(_escape)
    words.columns = [_escape(column) for column in words.columns]
    formats = "".join("r" if numeric else "l" for numeric in table.numeric)
    text: str = words.to_latex(
        index=False,
        escape=False,
        column_format=formats,
        caption=_escape(table.caption),
        label=f"tab:{table.name}",
        position="t",
    )
    return text


def _escape(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        _MINUS: "$-$", "≤": r"$\leq$", "²": "$^2$",
    }  # fmt: skip
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)


def _cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        number = float(value)
        if not np.isfinite(number):
            return ""
        return _figures(number, 0 if number.is_integer() and abs(number) >= 1 else _DIGITS)
    return "" if value is None else str(value)


def _figures(value: float, digits: int) -> str:
    words = f"{value:.{digits}f}"
    # What rounds to nothing has no sign.
    return words.replace("-", _MINUS if float(words) else "")


def _is_figures(words: str) -> bool:
    return not words or words == "no value" or words.lstrip(_MINUS + "-<[").strip()[:1].isdigit()
