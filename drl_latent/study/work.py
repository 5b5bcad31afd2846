"""What the work of each kind of piece is: from a request and its inputs to an artefact."""

from __future__ import annotations

import fcntl
import os
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from drl_latent.agents import LatentAgent, train_agent
from drl_latent.agents.history import EPISODES as TRAINED
from drl_latent.artifacts import Stage, provenance
from drl_latent.checkpoint import Encoder
from drl_latent.data import collect, open_dataset
from drl_latent.envs import make_env
from drl_latent.evaluation import (
    Agent,
    RandomAgent,
    evaluate_generalization,
    evaluate_saved,
    evaluate_transfer,
    latent_moves,
    record_episodes,
    set_back,
)
from drl_latent.evaluation.saved import EPISODES
from drl_latent.evaluation.saved import KIND as EVALUATION
from drl_latent.models import ModelConfig
from drl_latent.pretrain import pretrain
from drl_latent.registry import Registry
from drl_latent.scoring import TABLE as SCORES
from drl_latent.scoring import TRAVERSALS, score_encoder
from drl_latent.study.graph import split_of
from drl_latent.study.pieces import Kind, Piece, Store

TABLE = "table.parquet"
FILMED = ("success", "failure", "best", "worst")
"""What is filmed: an episode that succeeded, and one that failed; of tasks that do not say what
success is, those of the highest and of the lowest return."""
"""Name of a film to the outcome of its episodes."""
_FILMED_EPISODES = 3
_FILM_SIZE = 96

RESULTS: Mapping[Kind, tuple[str, ...]] = {
    "collect": (),
    "pretrain": (),
    "score": (SCORES, TRAVERSALS),
    "moves": (TABLE,),
    "train": (TRAINED,),
    "evaluate": (EPISODES,),
    "transfer": (TABLE,),
    "set_back": (TABLE,),
    "film": ("*.gif",),
}
"""Kind of piece to the files of its artefact that the results of a study are made of."""
Work = Callable[[Path, Mapping[str, Any], Mapping[str, Path], int], None]
WORK: Registry[Work] = Registry("kind of work")
"""Kind of piece to its work, which gets the folder to make, the request, the folders of the inputs,
and the number of threads. It makes the folder whole or not at all, and goes on where it was
interrupted."""


def do(store: Store, piece: Piece) -> None:
    """Do the work of a piece, unless it is finished, and note that it is.

    Whoever else works on it is waited for: its lock is let go when that process ends.

    Raises:
        Exception: Whatever the work raises; it is written beside the piece, too.
    """
    store.folder(piece).parent.mkdir(parents=True, exist_ok=True)
    with _locked(store.beside(piece, "lock")):
        if store.is_finished(piece):
            return
        store.beside(piece, "error").unlink(missing_ok=True)
        begin, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        torch.set_num_threads(piece.threads)
        needs = {name: store.folder(needed) for name, needed in piece.needs.items()}
        try:
            with threadpool_limits(piece.threads):
                WORK[piece.kind](store.folder(piece), piece.request, needs, piece.threads)
        except Exception:
            store.beside(piece, "error").write_text(traceback.format_exc(), encoding="utf-8")
            raise
        store.finish(
            piece,
            RESULTS[piece.kind],
            {
                "label": piece.label,
                "seconds": round(time.monotonic() - begin, 1),
                "started": started,
                "host": platform.node(),
                "commit": provenance()["commit"],
            },
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file; the system lets go of it when the process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@WORK.register("collect")
def _collect(
    out: Path, request: Mapping[str, Any], needs: Mapping[str, Path], threads: int
) -> None:
    settings = dict(request)
    collect(settings.pop("env"), out, **settings, progress=False)


@WORK.register("pretrain")
def _pretrain(
    out: Path, request: Mapping[str, Any], needs: Mapping[str, Path], threads: int
) -> None:
    pretrain(
        open_dataset(needs["data"]),
        request["objective"],
        out=out,
        steps=request["steps"],
        seed=request["seed"],
        model=ModelConfig(**request["model"]),
        progress=False,
        **request["settings"],
    )


@WORK.register("score")
def _score(out: Path, request: Mapping[str, Any], needs: Mapping[str, Path], threads: int) -> None:
    score_encoder(
        needs["encoder"],
        needs["data"],
        out,
        metrics=request["metrics"],
        samples=request["samples"],
        split=split_of(request),
        seed=request["seed"],
        n_jobs=threads,
    )


@WORK.register("moves")
def _moves(out: Path, request: Mapping[str, Any], needs: Mapping[str, Path], threads: int) -> None:
    encoder = Encoder.load(needs["encoder"])
    kwargs = dict(request["env_kwargs"])
    table = latent_moves(encoder, request["env"], seed=request["seed"], env_kwargs=kwargs)
    _save_table(out, "moves", request, table)


@WORK.register("train")
def _train(out: Path, request: Mapping[str, Any], needs: Mapping[str, Path], threads: int) -> None:
    settings = dict(request)
    train_agent(settings.pop("env"), out, encoder=needs.get("encoder"), progress=False, **settings)


@WORK.register("evaluate")
def _evaluate(
    out: Path, request: Mapping[str, Any], needs: Mapping[str, Path], threads: int
) -> None:
    if not request.get("random"):
        agent = LatentAgent.load(needs["agent"])
        evaluate_saved(agent, out, with_random=False, progress=False, **request)
        return
    stage = Stage(out, EVALUATION, request)
    if stage.is_complete:
        return
    evaluate_generalization(
        {"agent": _random_agent(request)},
        request["env"],
        split_of(request),
        episodes=request["episodes"],
        seed=request["seed"],
        env_kwargs=request["env_kwargs"],
        progress=False,
    ).to_parquet(stage.folder / EPISODES)
    stage.finish({})


@WORK.register("transfer")
def _transfer(
    out: Path, request: Mapping[str, Any], needs: Mapping[str, Path], threads: int
) -> None:
    agent: Agent
    agent = LatentAgent.load(needs["agent"]) if needs else _random_agent(request)
    settings = dict(request)
    table = evaluate_transfer({"agent": agent}, settings.pop("env"), progress=False, **settings)
    _save_table(out, "transfer", request, table)


@WORK.register("set_back")
def _set_back(
    out: Path, request: Mapping[str, Any], needs: Mapping[str, Path], threads: int
) -> None:
    agent = LatentAgent.load(needs["agent"])
    env_id, kwargs = _place_of(agent)
    split = split_of(kwargs)
    own = {k: v for k, v in kwargs.items() if k not in ("split", "partition")}
    moves = pd.read_parquet(needs["moves"] / TABLE)
    table = set_back(agent, env_id, split, moves, env_kwargs=own, progress=False, **request)
    _save_table(out, "set_back", request, table)


@WORK.register("film")
def _film(out: Path, request: Mapping[str, Any], needs: Mapping[str, Path], threads: int) -> None:
    stage = Stage(out, "films", request)
    if stage.is_complete:
        return
    agent = LatentAgent.load(needs["agent"])
    env_id, kwargs = _place_of(agent)
    split = split_of(kwargs)
    own = {k: v for k, v in kwargs.items() if k not in ("split", "partition")}
    episodes = pd.read_parquet(needs["episodes"] / EPISODES)
    # From where the agent has not been, if there is such an episode.
    episodes = episodes.sort_values("part", ascending=False, kind="stable")
    filmed = {}
    for name, some in _to_film(episodes).items():
        if len(some):
            part = some["part"].iloc[0]
            seeds = some[some["part"] == part]["seed"].head(_FILMED_EPISODES)
            record_episodes(
                agent,
                env_id,
                split,
                {"id": "policy"}.get(part, part),
                stage.folder / f"{name}.gif",
                seeds=[int(seed) for seed in seeds],
                size=_FILM_SIZE,
                env_kwargs=own,
            )
            filmed[name] = part
    stage.finish({"parts": filmed})


def _to_film(episodes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the episodes of each of `FILMED` that there can be, those to show first."""
    success, failure, best, worst = FILMED
    if episodes["success"].notna().all():
        won = episodes["success"].astype(bool)
        return {success: episodes[won], failure: episodes[~won]}
    furthest = episodes[episodes["part"] == episodes["part"].iloc[0]]
    ordered = furthest.sort_values("return", kind="stable")
    return {best: ordered[::-1], worst: ordered}


def _random_agent(request: Mapping[str, Any]) -> RandomAgent:
    env = make_env(request["env"], **request["env_kwargs"])
    env.close()
    return RandomAgent(env.action_space, request["seed"])  # type: ignore[arg-type]


def _place_of(agent: LatentAgent) -> tuple[str, dict[str, Any]]:
    """Return the environment that an agent was trained in, and its keyword arguments."""
    return agent.config["env"], dict(agent.config["env_kwargs"])


def _save_table(out: Path, kind: str, request: Mapping[str, Any], table: pd.DataFrame) -> None:
    stage = Stage(out, kind, request)
    if not stage.is_complete:
        table.to_parquet(stage.folder / TABLE)
        stage.finish({})
