"""Collects the sections of a study's report: words, tables and figures, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from drl_latent.report.study_tables import ReportTable
from drl_latent.report.theme import DARK, LIGHT, Theme, data_uri, draw


@dataclass
class StudySection:
    """A part of the page: blocks of words, tables and figures."""

    name: str
    title: str
    blocks: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Grid:
    """A heat map as a table of the page.

    Args:
        title: What it is of.
        columns: C names.
        rows: A name each, and of C cells how dark it is, in [0, 1], its value in figures, and how
            many that is of; None where there is nothing.
    """

    title: str
    columns: list[str]
    rows: list[tuple[str, list[tuple[float, str, int] | None]]]


class StudyPage:
    """The page while it is put together."""

    def __init__(self) -> None:
        self.sections: list[StudySection] = []
        self.tables: list[ReportTable] = []
        self.drawings: dict[str, bytes] = {}
        """File name to figure, an SVG on light or on dark."""

    def section(self, name: str, title: str, *text: str) -> None:
        """Begin a section."""
        self.sections.append(StudySection(name, title))
        for words in text:
            self.say(words)

    def say(self, words: str) -> None:
        """Add a paragraph."""
        self._add({"kind": "text", "words": words, "missing": False})

    def missing(self, words: str) -> None:
        """Say why something is not there."""
        self._add({"kind": "text", "words": words, "missing": True})

    def heading(self, words: str) -> None:
        """Add a heading below the section's."""
        self._add({"kind": "heading", "words": words})

    def table(self, table: ReportTable, *, folded: bool = False) -> None:
        """Add a table; a folded one is shown when the reader asks for it."""
        self.tables.append(table)
        self._add(
            {
                "kind": "table",
                "name": table.name,
                "caption": table.caption,
                "head": list(table.words.columns),
                "rows": table.words.to_numpy().tolist(),
                "numeric": table.numeric,
                "folded": folded,
            }
        )

    def file(self, table: ReportTable) -> None:
        """Add a table that is too long for the page, to the files alone."""
        self.tables.append(table)

    def grids(self, name: str, caption: str, grids: Sequence[Grid]) -> None:
        """Add heat maps that are tables, shown when the reader asks for them.

        Args:
            name: Their name in the page.
            caption: What they show.
            grids: The heat maps.
        """
        self._add({"kind": "grids", "name": name, "caption": caption, "grids": grids})

    def figure(self, name: str, make: Callable[[Theme], Figure], alt: str, caption: str) -> None:
        """Add a figure, on light and on dark.

        Args:
            name: Its name in the page, and of its files; no other figure has it.
            make: Draws it.
            alt: What it shows, for those who cannot see it.
            caption: What was drawn, of how many, and what its intervals are.
        """
        light, dark = draw(make, LIGHT), draw(make, DARK)
        self.drawings |= {f"{name}.svg": light, f"{name}-dark.svg": dark}
        picture = {"light": data_uri(light, "svg"), "dark": data_uri(dark, "svg"), "alt": alt}
        self._add_figure({"name": name, "pictures": [picture], "caption": caption}, films=False)

    def pictures(
        self,
        name: str,
        pictures: Sequence[tuple[bytes, str, str, str]],
        caption: str,
        *,
        films: bool = False,
    ) -> None:
        """Add pictures that the study made, side by side.

        Args:
            name: Its name in the page.
            pictures: Of each its content, kind ("png" or "gif"), alternative text, and the words
                below it.
            caption: What stands below them all.
            films: They are small and move.
        """
        found = [
            {"light": data_uri(content, kind), "alt": alt, "words": words}
            for content, kind, alt, words in pictures
        ]
        figure = {"name": name, "pictures": found, "caption": caption, "pixels": films}
        self._add_figure(figure, films=films)

    def _add(self, block: dict[str, Any]) -> None:
        self.sections[-1].blocks.append(block)

    def _add_figure(self, figure: dict[str, Any], *, films: bool) -> None:
        blocks = self.sections[-1].blocks
        if not blocks or blocks[-1]["kind"] != "figures" or blocks[-1]["films"] != films:
            self._add({"kind": "figures", "figures": [], "films": films})
        blocks[-1]["figures"].append(figure)
