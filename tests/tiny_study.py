"""The smallest study, run undisturbed, once for all tests that look at what comes of it."""

from __future__ import annotations

import collections
import fcntl
import json
import os
import runpy
from pathlib import Path

import pytest

from drl_latent.study import Study, run_study
from drl_latent.study.graph import build_graph, pieces_of
from drl_latent.study.pieces import Piece

CHECK = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "check_kills.py"))
TINY: Study = CHECK["TINY"]
TABLES = CHECK["TABLES"]
KINDS = {
    "collect": 2, "pretrain": 1, "score": 1, "moves": 1, "train": 2, "evaluate": 3, "set_back": 1,
    "film": 2, "transfer": 2,
}  # fmt: skip


def undisturbed(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the study, which nobody may change; processes that test share it."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "undisturbed"
    with (base / "undisturbed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "results.parquet").exists():
            run_study(TINY, folder, options={"cores": 2})
    return folder


def pieces(study: Study) -> list[Piece]:
    return pieces_of(build_graph(study))


def keys(study: Study) -> set[str]:
    return {piece.key for piece in pieces(study)}


def kinds(found: list[Piece]) -> dict[str, int]:
    return dict(collections.Counter(piece.kind for piece in found))


def begun(folder: Path) -> list[str]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [row["piece"] for row in map(json.loads, lines) if row["event"] == "begun"]
