"""Pieces in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from drl_latent.study.executors import (
    EXECUTORS,
    Executor,
    Outcome,
    last_line,
    uses_gpu,
    work_apart,
)
from drl_latent.study.pieces import Piece, Store

_FORK_SERVER = ["drl_latent.study.work", "torch._dynamo"]
"""What each process has imported already when it starts, which takes seconds; the second is what
torch imports when it makes its first optimiser."""

_REFUSED = 3
"""Exit code of a process whose work raised an error."""

_PATIENCE = 20.0
"""Seconds in which a process must start; a killed server takes some of them to be gone."""


@EXECUTORS.register("local")
class LocalExecutor(Executor):
    """Each piece in a process of its own, as many as cores and memory allow.

    Args:
        store: Where pieces are kept.
        cores: Cores to use; those that this process may use unless given.
        memory: Gigabytes to use; what is free now unless given. A piece that needs more than that
            runs alone.
        gpus: GPUs for each piece that can use one, a fraction to share one among several. With 0,
            and on a machine without GPUs, all pieces run on cores alone.

    Raises:
        ValueError: There are no cores or memory, or `gpus` is not in [0, 1].
    """

    def __init__(
        self,
        store: Store,
        *,
        cores: int | None = None,
        memory: float | None = None,
        gpus: float = 0.25,
    ) -> None:
        super().__init__(store)
        self._cores = _usable_cores() if cores is None else cores
        self._memory = _free_memory() if memory is None else memory
        if self._cores < 1 or self._memory <= 0:
            raise ValueError(
                f"cores and memory must be positive, got {self._cores} and {self._memory}."
            )
        if not 0 <= gpus <= 1:
            raise ValueError(f"gpus, for each piece, must be in [0, 1], got {gpus}.")
        shares = int(1 / gpus) if gpus else 0
        self._shares = {name: shares for name in _visible_gpus()} if shares else {}
        self._gpu_of: dict[Piece, str] = {}
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_FORK_SERVER)
        self._running: dict[Piece, Any] = {}
        self._lost: list[Piece] = []

    def has_room(self, piece: Piece) -> bool:
        """Whether there are cores and memory for a piece."""
        if not self._running:
            return True
        cores = piece.threads + sum(p.threads for p in self._running)
        memory = piece.memory + sum(p.memory for p in self._running)
        return cores <= self._cores and memory <= self._memory and self._free_gpu(piece) is not None

    def _free_gpu(self, piece: Piece) -> str | None:
        """Return the GPU that a piece can use: ``""`` for none; None while all are taken."""
        if not self._shares or not uses_gpu(piece):
            return ""
        taken = Counter(self._gpu_of.values())
        name = min(self._shares, key=lambda name: taken[name])
        return name if taken[name] < self._shares[name] else None

    def begin(self, piece: Piece) -> None:
        """Start a process for a piece."""
        gpu = self._free_gpu(piece)
        assert gpu is not None, "begun without room"
        process = self._started(piece, gpu)
        if process is None:
            self._lost.append(piece)
            return
        self._running[piece] = process
        if gpu:
            self._gpu_of[piece] = gpu

    def _started(self, piece: Piece, gpu: str) -> Any:
        """Return a process that works on a piece; None where none could be started.

        The server that processes are forked from may have been killed. It answers no more while
        the system takes it apart; another one is made by the first start after that.
        """
        arguments, end = (str(self.store.root), piece, gpu), time.monotonic() + _PATIENCE
        while True:
            process = self._context.Process(
                target=_work, args=arguments, name=piece.name, daemon=True
            )
            try:
                process.start()
            except (EOFError, ConnectionError):
                if time.monotonic() > end:
                    return None
                time.sleep(0.1)
            else:
                return process

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what ended, after so many seconds at most."""
        lost = [Outcome(piece, "lost", "its process could not be started") for piece in self._lost]
        self._lost.clear()
        wait([process.sentinel for process in self._running.values()], 0 if lost else seconds)
        ended = {p: process for p, process in self._running.items() if not process.is_alive()}
        outcomes = lost
        for piece, process in ended.items():
            process.join()
            del self._running[piece]
            self._gpu_of.pop(piece, None)
            outcomes.append(_outcome(self.store, piece, process.exitcode))
        return outcomes

    def close(self) -> None:
        """End all processes."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.join()
        self._running.clear()
        self._gpu_of.clear()


def _outcome(store: Store, piece: Piece, code: int) -> Outcome:
    if store.is_finished(piece):
        return Outcome(piece, "finished")
    reason = store.error(piece)
    if code == _REFUSED and reason is not None:
        return Outcome(piece, "failed", last_line(reason))
    return Outcome(piece, "lost", f"its process ended with code {code}")


def _work(root: str, piece: Piece, gpu: str) -> None:
    """Work on a piece, in a process of its own that writes to a log beside the piece."""
    _end_with_parent()
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # nothing in this process has looked for GPUs yet
    store = Store(root)
    log = store.beside(piece, "log")
    log.parent.mkdir(parents=True, exist_ok=True)
    _write_to(log)
    if work_apart(store, piece) is not None:
        sys.exit(_REFUSED)


def _write_to(log: Path) -> None:
    """Send what this process says to a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _end_with_parent() -> None:
    """End this process when the run, or the server that it was forked from, is gone.

    Whichever way they went. The server takes seconds to end when the run is killed; the run itself
    is known to be gone at once.
    """
    server, run = os.getppid(), multiprocessing.parent_process()
    assert run is not None

    def watch() -> None:
        while os.getppid() == server and run.is_alive():
            run.join(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process may use, as CUDA wants them."""
    count, allowed = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(i) for i in range(count)] if allowed is None else allowed.split(",")[:count]


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_memory() -> float:
    """Return the gigabytes of memory that are free."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / 1e9
