"""How far a study is, read from its folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from drl_latent.study.pieces import Piece, Store

State = Literal["finished", "running", "failed", "begun", "waiting"]
STATES: tuple[State, ...] = ("finished", "running", "failed", "begun", "waiting")


def study_status(store: Store, pieces: Sequence[Piece]) -> pd.DataFrame:
    """Return the state of each piece.

    Args:
        store: Where the pieces are.
        pieces: The pieces, of `pieces_of`.

    Returns:
        One row a piece: ``kind``, ``label``, ``state``, ``seconds``, ``message``, ``key``. A piece
        that was begun is neither worked on nor finished: it goes on from where it was.
    """
    rows = []
    for piece in pieces:
        state = _state(store, piece)
        done = store.record(piece) if state == "finished" else {}
        message = (store.error(piece) or "").strip().splitlines()[-1:] if state == "failed" else []
        rows.append(
            {
                "kind": piece.kind,
                "label": piece.label,
                "state": state,
                "seconds": done.get("seconds"),
                "message": message[0] if message else "",
                "key": piece.key,
            }
        )
    return pd.DataFrame(rows)


def _state(store: Store, piece: Piece) -> State:
    if store.is_kept(piece):
        return "finished"
    lock = store.beside(piece, "lock")
    if lock.exists() and _is_held(lock):
        return "running"
    if store.error(piece) is not None:
        return "failed"
    folder = store.folder(piece)
    partial = folder.with_name(f"{folder.name}.partial")
    return "begun" if partial.exists() or folder.exists() else "waiting"


def _is_held(lock: os.PathLike[str]) -> bool:
    """Whether a living process holds a lock."""
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
