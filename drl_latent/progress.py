"""Progress of long work: a live bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[..., None]
console = Console()

_SECONDS_BETWEEN_LINES = 15.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}:{rest:02d}"


@contextmanager
def track(title: str, total: int, unit: str, done: int = 0, show: bool = True) -> Iterator[Advance]:
    """Show how far some work is.

    Args:
        title: What is being done.
        total: Amount of work, in units.
        unit: Name of a unit, in the plural, e.g. ``"images"``.
        done: Units that were done before, in an interrupted run.
        show: False for silence.

    Yields:
        ``advance(n, note="")``, to call when `n` more units are done; `note` is shown beside.
    """
    start, count, said = time.monotonic(), done, time.monotonic()

    def speed() -> float:
        return (count - done) / max(time.monotonic() - start, 1e-9)

    if not show:
        yield lambda n=1, note="": None
        return
    if console.is_terminal:
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total, completed=done, speed="", note="")

            def advance(n: int = 1, note: str = "") -> None:
                nonlocal count
                count += n
                fields = {"speed": f"{speed():,.0f} {unit}/s"} | ({"note": note} if note else {})
                bar.update(task, completed=count, **fields)  # type: ignore[arg-type]

            yield advance
        return

    def print_line(note: str) -> None:
        left = _clock((total - count) / max(speed(), 1e-9))
        noted = f", {note}" if note else ""
        console.print(
            f"  {title}: {count:,} of {total:,} {unit}, {speed():,.0f}/s, {left} left{noted}",
            highlight=False,
            soft_wrap=True,
        )

    last_note = ""

    def advance_quietly(n: int = 1, note: str = "") -> None:
        nonlocal count, said, last_note
        count += n
        last_note = note or last_note
        if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print_line(last_note)

    yield advance_quietly
    console.print(
        f"  {title}: {count:,} {unit} in {_clock(time.monotonic() - start)} "
        f"({speed():,.0f}/s) {last_note}",
        highlight=False,
        soft_wrap=True,
    )
