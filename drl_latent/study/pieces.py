"""Pieces of a study: each is one artefact, kept under the hash of all that determines it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from drl_latent.artifacts import digest, plain, write_json

RECORD = "record.json"
Kind = Literal[
    "collect", "pretrain", "score", "moves", "train", "evaluate", "transfer", "set_back", "film"
]


@dataclass(frozen=True)
class Piece:
    """One piece of work, and where its result goes.

    Args:
        kind: What is done, a key of `drl_latent.study.work.WORK`.
        label: What it is called where people see it; it changes no result, and no key.
        request: JSON-able arguments of the work.
        needs: What the work calls its inputs, to the piece that makes each.
        scene: Fingerprint of the scene of the environment: another scene is other work.
        threads: Threads that it runs on.
        memory: Gigabytes that it may need.
    """

    kind: Kind
    label: str
    request: Mapping[str, Any]
    needs: Mapping[str, Piece] = field(default_factory=dict)
    scene: str = ""
    threads: int = 1
    memory: float = 1.0

    @cached_property
    def key(self) -> str:
        """The hash of what determines the result: request, scene, and the keys of the inputs."""
        needs = {name: piece.key for name, piece in self.needs.items()}
        return digest([self.kind, plain(self.request), needs, self.scene, self.threads])

    @property
    def name(self) -> str:
        """What it is called in a log: kind and key."""
        return f"{self.kind}/{self.key}"

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Piece) and self.key == other.key


class Store:
    """The folder that the pieces of a study, or of several, are kept in.

    ``pieces`` holds artefacts: frames, weights, tables. ``kept`` holds what results are made of,
    which is small: a study whose ``kept`` is there needs no artefact, and goes on from it on
    another machine.

    Args:
        root: The folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def folder(self, piece: Piece) -> Path:
        """Where the artefact of a piece is."""
        return self.root / "pieces" / piece.kind / piece.key

    def beside(self, piece: Piece, suffix: str) -> Path:
        """Return a file beside that folder: ``lock``, ``log`` or ``error``."""
        return self.root / "pieces" / piece.kind / f"{piece.key}.{suffix}"

    def kept(self, piece: Piece) -> Path:
        """Where the results of a finished piece are, and its record."""
        return self.root / "kept" / piece.kind / piece.key

    def is_kept(self, piece: Piece) -> bool:
        """Whether a piece was finished, so that its results are there."""
        return (self.kept(piece) / RECORD).is_file()

    def is_finished(self, piece: Piece) -> bool:
        """Whether a piece was finished and its artefact is there, too, for others to use."""
        return self.is_kept(piece) and self.folder(piece).is_dir()

    def record(self, piece: Piece) -> dict[str, Any]:
        """Read what was noted when a piece was finished: seconds, time, host, commit."""
        data = json.loads((self.kept(piece) / RECORD).read_text(encoding="utf-8"))
        assert isinstance(data, dict)
        return data

    def finish(self, piece: Piece, results: Sequence[str], record: Mapping[str, Any]) -> None:
        """Keep files of the artefact, and note that the piece is finished.

        Args:
            piece: The piece.
            results: Patterns of the files in its folder.
            record: What is noted.
        """
        if self.is_kept(piece):
            return  # the artefact was made again, and what was kept of it is the same
        kept, folder = self.kept(piece), self.folder(piece)
        scratch = kept.with_name(f"{kept.name}.partial")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        for pattern in results:
            for path in folder.glob(pattern):
                shutil.copyfile(path, scratch / path.name)
        write_json(scratch / RECORD, dict(record))
        shutil.rmtree(kept, ignore_errors=True)
        os.replace(scratch, kept)

    def error(self, piece: Piece) -> str | None:
        """Return why the last attempt at a piece failed; None where none did."""
        path = self.beside(piece, "error")
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def missing(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return what has to be made for the results of some pieces, each after what it needs."""
        found: dict[str, Piece] = {}

        def make(piece: Piece) -> None:
            if not self.is_finished(piece) and piece.key not in found:
                for needed in piece.needs.values():
                    make(needed)
                found[piece.key] = piece

        for piece in pieces:
            if not self.is_kept(piece):
                make(piece)
        return list(found.values())
