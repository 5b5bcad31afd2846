"""``drl-latent study``: run a grid of encoders and agents, see how far it is, export it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from drl_latent.cli.commands import parse_settings

if TYPE_CHECKING:
    from rich.table import Table

    from drl_latent.study import Progress, Study

_SHOWN_STATES = ("finished", "running", "failed", "waiting")
_LISTED = 8
"""Running pieces that are listed at most."""


@dataclass(frozen=True)
class _Where:
    executor: Literal["local", "ray"] = "local"
    """Processes of this machine, or a Ray cluster."""
    options: tuple[str, ...] = ()
    """Settings of the executor: cores=4 memory=16 gpus=0.5 of local; address=auto of ray."""


@dataclass(frozen=True)
class Run(_Where):
    """Run a study; go on with it where it was interrupted."""

    study: tyro.conf.Positional[str] = "smoke"
    """One of the library, smoke, reach or push, or a JSON file of settings of Study."""
    out: Path = Path("runs/study")
    """Folder of the study."""

    def run(self) -> int:
        """Run, and write the report."""
        from drl_latent.study.config import Study
        from drl_latent.study.library import STUDIES

        is_file = self.study.endswith(".json")
        study = Study.load(self.study) if is_file else STUDIES[self.study]
        return _run(study, self.out, self)


@dataclass(frozen=True)
class Resume(_Where):
    """Go on with the study that was last run in a folder."""

    out: tyro.conf.Positional[Path] = Path("runs/study")
    """Folder of the study."""

    def run(self) -> int:
        """Go on, and write the report."""
        from drl_latent.study import open_study

        return _run(open_study(self.out), self.out, self)


@dataclass(frozen=True)
class Status:
    """Show how far a study is: its pieces by kind, and those that run or failed."""

    out: tyro.conf.Positional[Path] = Path("runs/study")
    """Folder of the study."""

    def run(self) -> int:
        """Print the table."""
        from drl_latent.progress import console
        from drl_latent.study import open_study
        from drl_latent.study.graph import build_graph, pieces_of
        from drl_latent.study.pieces import Store
        from drl_latent.study.status import STATES, study_status

        table = study_status(Store(self.out), pieces_of(build_graph(open_study(self.out))))
        counts = {
            str(kind): {str(state): int((own["state"] == state).sum()) for state in STATES}
            for kind, own in table.groupby("kind", sort=False)
        }
        console.print(_count_table(counts))
        for _, row in table[table["state"].isin(["running", "failed"])].iterrows():
            said = f": {row['message']}" if row["message"] else ""
            console.print(f"{row['state']}  {row['kind']}  {row['label']}{said}", highlight=False)
        return 0


@dataclass(frozen=True)
class Export:
    """Write what a study has found so far: results.parquet, report.html, CSV and LaTeX."""

    out: tyro.conf.Positional[Path] = Path("runs/study")
    """Folder of the study, or its results.parquet."""
    to: Path | None = None
    """Folder to write into; that of the study unless given."""

    def run(self) -> int:
        """Gather, and write."""
        from drl_latent.report import write_study_report
        from drl_latent.study import open_study
        from drl_latent.study.gather import gather
        from drl_latent.study.graph import build_graph
        from drl_latent.study.pieces import Store
        from drl_latent.study.results import RESULTS, StudyResults

        if self.out.suffix == ".parquet":
            results = StudyResults.load(self.out)
            print(write_study_report(results, self.to or self.out.parent))
            return 0
        study = open_study(self.out)
        folder = self.to or self.out
        results = gather(study, Store(self.out), build_graph(study))
        print(results.save(folder / RESULTS))
        print(write_study_report(results, folder))
        return 0


@dataclass(frozen=True)
class StudyCommand:
    """Compare encoders and agents over splits and seeds: run, status, resume, export."""

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Run, tyro.conf.subcommand("run")]
        | Annotated[Status, tyro.conf.subcommand("status")]
        | Annotated[Resume, tyro.conf.subcommand("resume")]
        | Annotated[Export, tyro.conf.subcommand("export")]
    ]

    def run(self) -> int:
        """Run the chosen one."""
        return self.command.run()


def _run(study: Study, out: Path, where: _Where) -> int:
    from drl_latent.report import write_study_report
    from drl_latent.study import run_study

    options: dict[str, Any] = parse_settings(where.options)
    with _Display() as display:
        results = run_study(
            study, out, executor=where.executor, options=options, watch=display.show
        )
    print(write_study_report(results, out))
    return 0


class _Display:
    """How far a study is: a live table in a terminal, a line now and then elsewhere."""

    _SECONDS_BETWEEN_LINES = 30.0

    def __enter__(self) -> _Display:
        from rich.live import Live

        from drl_latent.progress import console

        self._console, self._said, self._shown = console, 0.0, ""
        self._live = Live(console=console, refresh_per_second=2) if console.is_terminal else None
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show it, if it is time to."""
        if self._live is not None:
            self._live.update(progress_table(progress))
            return
        done = len(progress.pieces) - len(progress.left)
        failed = f", {len(progress.failed)} failed" if progress.failed else ""
        running = "; ".join(f"{p.kind} {p.label}" for p in progress.running)
        line = f"  {done} of {len(progress.pieces)} pieces{failed}; {running or 'nothing runs'}"
        now = time.monotonic()
        if line != self._shown and (now - self._said > self._SECONDS_BETWEEN_LINES or not running):
            self._said, self._shown = now, line
            self._console.print(line, highlight=False, soft_wrap=True)


def progress_table(progress: Progress) -> Table:
    """Return counts of pieces by kind, above those that are worked on."""
    left = set(progress.left)
    counts: dict[str, dict[str, int]] = {}
    for piece in progress.pieces:
        state = "waiting" if piece in left else "finished"
        state = "failed" if piece in progress.failed else state
        state = "running" if piece in progress.running else state
        own = counts.setdefault(piece.kind, dict.fromkeys(_SHOWN_STATES, 0))
        own[state] += 1
    table = _count_table(counts)
    now = time.monotonic()
    for piece, begun in list(progress.running.items())[:_LISTED]:
        minutes, seconds = divmod(int(now - begun), 60)
        table.add_row(f"[dim]{piece.kind}", f"[dim]{piece.label}, {minutes}:{seconds:02d}")
    return table


def _count_table(counts: dict[str, dict[str, int]]) -> Table:
    """Return a row a kind of piece: how many are finished, and what the others are."""
    from rich.table import Table

    table = Table("pieces", "", box=None, title="Study", title_justify="left", pad_edge=False)
    for kind, own in counts.items():
        total = sum(own.values())
        others = ", ".join(f"{n} {s}" for s, n in own.items() if n and s != "finished")
        bar = "━" * round(24 * own["finished"] / total) if total else ""
        shown = f"[green]{bar:<24}[/] {own['finished']:>4} of {total}"
        table.add_row(kind, f"{shown}  {others}" if others else shown)
    return table
