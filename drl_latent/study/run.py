"""Run a study: whatever is not there yet, in an order that allows it, resumably."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drl_latent.artifacts import write_json
from drl_latent.study.config import Study
from drl_latent.study.executors import EXECUTORS, Executor, Outcome
from drl_latent.study.gather import gather
from drl_latent.study.graph import build_graph, pieces_of
from drl_latent.study.pieces import Piece, Store
from drl_latent.study.results import RESULTS, STUDY, StudyResults

EVENTS = "events.jsonl"
_RETRIES = 3
"""How often a piece is begun again whose process or machine went away."""
_TICK = 0.5


class StudyError(RuntimeError):
    """Pieces of a study failed; the others are finished."""


@dataclass
class Progress:
    """How far the run of a study is.

    Args:
        pieces: All pieces, each after those that it needs.
        left: Those that have to be made, each after those that it needs.
        running: Those that are worked on, and since when, `time.monotonic`.
        failed: Those that raised an error or were lost too often, and what was said.
        losses: How often a piece's process or machine went away.
    """

    pieces: Sequence[Piece]
    left: list[Piece]
    running: dict[Piece, float] = field(default_factory=dict)
    failed: dict[Piece, str] = field(default_factory=dict)
    losses: dict[Piece, int] = field(default_factory=dict)

    def ready(self) -> list[Piece]:
        """Return the pieces that can be begun; those of the first seeds come first."""
        left = set(self.left)
        return [
            p
            for p in self.left
            if p not in self.running and p not in self.failed and left.isdisjoint(p.needs.values())
        ]


def run_study(
    study: Study,
    out: str | Path,
    *,
    executor: str = "local",
    options: Mapping[str, Any] | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> StudyResults:
    """Do what is not done yet of a study, and return all that it found.

    Each finished piece is kept in `out` under the hash of its inputs and is never made again, also
    for another study in the same folder: one with more seeds, say. An interrupted call goes on
    where it was, and so do frames, encoders and agents that were in the making. Weights and frames
    may be deleted (``pieces``) when the results that were made from them are there (``kept``).

    Args:
        study: The study.
        out: Its folder: ``study.json``, ``pieces``, ``kept``, ``events.jsonl``, and
            ``results.parquet`` at the end.
        executor: Where the work is done, a name in `EXECUTORS`: ``"local"``, processes of this
            machine; ``"ray"``, a cluster.
        options: Keyword arguments of the executor, such as ``cores``.
        watch: Called every half second with how far it is.

    Returns:
        What was found; also as ``results.parquet`` in the folder.

    Raises:
        StudyError: A piece failed, after all that does not need it was done; or another run works
            in the same folder.
        UnknownNameError: There is no such executor.
    """
    store = Store(out)
    kind = EXECUTORS[executor]
    with _alone(store.root):
        write_json(store.root / STUDY, study.to_dict())
        cells = build_graph(study)
        pieces = pieces_of(cells)
        progress = Progress(pieces, store.missing(pieces))
        if progress.left:
            worker = kind(store, **(options or {}))
            try:
                _work_through(progress, worker, watch or (lambda _: None))
            finally:
                worker.close()
        if progress.failed:
            raise StudyError(_complaint(store, progress))
        # As it is read back, so that nobody meets columns of two types.
        return StudyResults.load(gather(study, store, cells).save(store.root / RESULTS))


def open_study(out: str | Path) -> Study:
    """Read the study that was last run in a folder.

    Raises:
        ValueError: There is none.
    """
    path = Path(out) / STUDY
    if not path.is_file():
        raise ValueError(
            f"{out} is not the folder of a study: it has no {STUDY}. Begin one with `drl-latent "
            "study run`."
        )
    return Study.load(path)


def _work_through(
    progress: Progress, executor: Executor, watch: Callable[[Progress], None]
) -> None:
    """Begin what can be begun and take in what ended, until nothing is left to begin."""
    log = executor.store.root / EVENTS
    while progress.running or progress.ready():
        for piece in progress.ready():
            if executor.has_room(piece):
                _note(log, "begun", piece)
                executor.begin(piece)
                progress.running[piece] = time.monotonic()
        watch(progress)
        for outcome in executor.wait(_TICK):
            _take_in(progress, outcome)
            _note(log, outcome.status, outcome.piece, outcome.message)
    watch(progress)


def _take_in(progress: Progress, outcome: Outcome) -> None:
    piece = outcome.piece
    del progress.running[piece]
    if outcome.status == "finished":
        progress.left.remove(piece)
        return
    losses = progress.losses[piece] = progress.losses.get(piece, 0) + 1
    if outcome.status == "failed" or losses > _RETRIES:
        progress.failed[piece] = outcome.message


def _note(log: Path, event: str, piece: Piece, message: str = "") -> None:
    """Add a line to the log of events."""
    row = {"time": time.time(), "event": event, "piece": piece.name, "label": piece.label}
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row | ({"message": message} if message else {})) + "\n")


def _complaint(store: Store, progress: Progress) -> str:
    """Say which pieces failed, why, and what to do."""
    said = []
    for piece, message in progress.failed.items():
        # What was lost may have left a log at most.
        report = store.beside(piece, "error" if store.error(piece) else "log")
        said.append(f"{piece.kind} of {piece.label}: {message} ({report})")
    left = len(progress.left)
    return (
        f"{len(progress.failed)} pieces failed, so that {left} of {len(progress.pieces)} are not "
        f"there: {'; '.join(said[:3])}{'; ...' if len(said) > 3 else ''}. Mend the cause and run "
        "the same command: it does only what is missing."
    )


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the folder, so that no other run works in it.

    Raises:
        StudyError: Another does.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / "run.lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(
                f"Another run works in {root}. Wait for it, or end it; its finished pieces stay."
            ) from None
        yield
    finally:
        os.close(descriptor)
