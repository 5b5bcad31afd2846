"""From the finished pieces of a study to its tables."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from drl_latent.agents.history import EPISODES as TRAINED
from drl_latent.artifacts import provenance
from drl_latent.evaluation.saved import EPISODES
from drl_latent.interventions import Traversal, traversal_grid
from drl_latent.scoring import TABLE as SCORES
from drl_latent.scoring import TRAVERSALS
from drl_latent.study.config import Study
from drl_latent.study.graph import Cell, pieces_of
from drl_latent.study.pieces import Store
from drl_latent.study.results import COLUMNS, StudyResults
from drl_latent.study.work import FILMED, TABLE

_BINS = 40
"""Stretches that the steps of a training are cut into."""


def gather(study: Study, store: Store, cells: Sequence[Cell]) -> StudyResults:
    """Return the tables and pictures of the pieces of a study that are finished.

    Args:
        study: The study.
        store: Where its pieces are.
        cells: Its cells, of `build_graph`.
    """
    done = [cell for cell in cells if store.is_kept(cell.piece)]

    def table(name: str, readers: Mapping[str, Any]) -> pd.DataFrame:
        parts = [
            readers[cell.piece.kind](store.kept(cell.piece), cell.piece.request).assign(
                **cell.about
            )
            for cell in done
            if cell.piece.kind in readers
        ]
        if not parts:
            return pd.DataFrame(columns=list(COLUMNS[name]))
        whole = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
        first = [c for c in COLUMNS[name] if c in whole]
        return whole[first + [c for c in whole if c not in first]]

    episodes = table("episodes", {"evaluate": _episodes, "transfer": _transfers})
    for name in ("encoder_seed", "agent_seed"):
        # Seeds of agents without an encoder are missing, which plain integers cannot be.
        episodes[name] = episodes[name].astype("Int64")
    if episodes["success"].isna().any():
        # Beside those of tasks that do not say what success is.
        episodes["success"] = episodes["success"].astype(float)
    return StudyResults(
        study=study.to_dict(),
        episodes=episodes,
        scores=table("scores", {"score": _scores}),
        curves=table("curves", {"train": _curve}),
        moves=table("moves", {"moves": _table}),
        set_back=table("set_back", {"set_back": _table}),
        pieces=_pieces(store, done),
        pictures=dict(_pictures(store, done)),
        provenance=provenance(),
    )


def _table(folder: Path, request: Mapping[str, Any]) -> pd.DataFrame:
    return pd.read_parquet(folder / TABLE)


def _episodes(folder: Path, request: Mapping[str, Any]) -> pd.DataFrame:
    return pd.read_parquet(folder / EPISODES).drop(columns="agent")


def _transfers(folder: Path, request: Mapping[str, Any]) -> pd.DataFrame:
    return _table(folder, request).drop(columns="agent")


def _scores(folder: Path, request: Mapping[str, Any]) -> pd.DataFrame:
    """Return the parts of each metric over all factors; the first is its score."""
    table = pd.read_parquet(folder / SCORES)
    table = table[table["factor"] == ""]
    is_score = ~table["metric"].duplicated()
    metric = table["metric"].where(is_score, table["metric"] + "." + table["part"])
    return table.assign(metric=metric)[["metric", "value", "low", "high", "floor", "n"]]


def _curve(folder: Path, request: Mapping[str, Any]) -> pd.DataFrame:
    """Return means over stretches of training, at the end of each."""
    episodes = pd.read_parquet(folder / TRAINED)
    if not len(episodes):
        return pd.DataFrame(columns=["steps", "return", "success", "episodes"])
    width = max(1.0, request["steps"] / _BINS)
    stretch = np.ceil(episodes["steps"] / width).astype(int)
    groups = episodes.groupby(stretch)
    table = groups[["return", "success"]].mean()
    table["episodes"] = groups.size()
    table["steps"] = np.rint(table.index.to_numpy() * width).astype(int)
    return table.reset_index(drop=True)


def _pieces(store: Store, done: Sequence[Cell]) -> pd.DataFrame:
    finished = [p for p in pieces_of(list(done)) if store.is_kept(p)]
    rows = [{"key": p.key, "kind": p.kind, **store.record(p)} for p in finished]
    return pd.DataFrame(rows, columns=list(COLUMNS["pieces"]))


def _pictures(store: Store, done: Sequence[Cell]) -> Iterator[tuple[str, bytes]]:
    """Traversals of the first encoder of each kind, and the films."""
    seen: set[str] = set()
    for cell in done:
        folder, place = store.kept(cell.piece), _place(cell.about)
        if cell.piece.kind == "score":
            name = f"traversals/{place}/{cell.about['encoder']}.png"
            if name not in seen:
                seen.add(name)
                yield name, _traversal_picture(folder / TRAVERSALS)
        if cell.piece.kind == "film":
            for what in FILMED:
                path = folder / f"{what}.gif"
                name = f"films/{place}/{cell.about['agent']}/{what}.gif"
                if path.is_file() and name not in seen:
                    seen.add(name)
                    yield name, path.read_bytes()


def _place(about: Mapping[str, Any]) -> str:
    return f"{about['env'].replace('/', '-')}/{about['split']}"


def _traversal_picture(path: Path) -> bytes:
    with np.load(path) as saved:
        # The code of the frame that was traversed is not kept, nor drawn.
        unknown = np.full((1, len(saved["change"])), np.nan, np.float32)
        images = saved["images"][None]
        traversal = Traversal(images, saved["values"], saved["change"], anchors=unknown)
    buffer = io.BytesIO()
    Image.fromarray(traversal_grid(traversal, scale=1)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
