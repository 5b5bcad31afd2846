"""Where pieces are worked on: the one shape that executors have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from drl_latent.registry import Registry
from drl_latent.study.pieces import Piece, Store


@dataclass(frozen=True)
class Outcome:
    """How the work on a piece ended.

    Args:
        piece: The piece.
        status: ``"finished"``; ``"failed"``, the work raised an error and would again; or
            ``"lost"``, its process or machine went away.
        message: What was said, in one line.
    """

    piece: Piece
    status: Literal["finished", "failed", "lost"]
    message: str = ""


class Executor(ABC):
    """Works on pieces, several at a time.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @abstractmethod
    def has_room(self, piece: Piece) -> bool:
        """Whether a piece can be begun beside what is running."""

    @abstractmethod
    def begin(self, piece: Piece) -> None:
        """Begin work on a piece."""

    @abstractmethod
    def wait(self, seconds: float) -> list[Outcome]:
        """Return what ended, after so many seconds at most."""

    @abstractmethod
    def close(self) -> None:
        """End what is running; it goes on from where it was when it is begun again."""


EXECUTORS: Registry[type[Executor]] = Registry("executor")
"""Name to executor: ``"local"``, ``"ray"``."""


def uses_gpu(piece: Piece) -> bool:
    """Whether a piece trains a network on images; all else gains nothing from a GPU."""
    if piece.kind != "train":
        return piece.kind == "pretrain"
    inputs, mode = piece.request.get("inputs", ""), piece.request.get("mode")
    return bool(inputs.startswith("pixels") or (inputs.startswith("latents") and mode != "frozen"))


def last_line(text: str) -> str:
    """Return the last line of an error's report, which says what it was."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason was given"


def work_apart(store: Store, piece: Piece) -> str | None:
    """Work on a piece in another process than the one that runs the study.

    Returns:
        None when it is finished; otherwise what the error said, whose whole report is beside it.
    """
    # Imported here: whoever hands work out need not load what does it.
    from drl_latent.study.work import do

    try:
        do(store, piece)
    except Exception:
        return last_line(store.error(piece) or "")
    return None
