"""Pieces on a Ray cluster: one that runs already, or one on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from drl_latent.study.executors import EXECUTORS, Executor, Outcome, last_line, uses_gpu, work_apart
from drl_latent.study.pieces import Piece, Store

_QUEUED = 1_000
"""Pieces that wait in Ray's queue at most; it decides which machine takes each."""


@EXECUTORS.register("ray")
class RayExecutor(Executor):
    """Each piece as a task of Ray, which asks for its cores and memory, and tries lost ones again.

    All machines have to see the folder of the study under the same path, on a shared disk; that is
    checked before any work. A task whose worker or machine is lost goes on, on another, from what
    it had written.

    Args:
        store: Where pieces are kept.
        address: Of a running cluster, such as ``"auto"`` or ``"ray://host:10001"``; one is started
            on this machine unless given.
        gpus: GPUs for each piece that can use one, a fraction to share one among several.
        retries: How often Ray begins a piece again whose machine was lost.
        init: Further keyword arguments of `ray.init`.

    Raises:
        ImportError: Ray is not installed.
        RuntimeError: A machine does not see the folder.
    """

    def __init__(
        self,
        store: Store,
        *,
        address: str | None = None,
        gpus: float = 0.0,
        retries: int = 3,
        init: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(Store(store.root.resolve()))
        try:
            import ray
        except ImportError as error:
            raise ImportError(
                "The executor 'ray' needs the package ray: pip install 'drl-latent[ray]'."
            ) from error
        self._ray, self._gpus, self._retries = ray, gpus, retries
        self._own = not ray.is_initialized()
        if self._own:
            options = {"log_to_driver": False, "include_dashboard": False} | (init or {})
            if address is not None:
                options = {"address": address, "log_to_driver": False} | (init or {})
            ray.init(**options)
        self._running: dict[Any, Piece] = {}
        try:
            self._check_shared()
        except BaseException:
            self.close()
            raise

    def has_room(self, piece: Piece) -> bool:
        """Whether the queue is not full; Ray begins a piece where and when there is room."""
        return len(self._running) < _QUEUED

    def begin(self, piece: Piece) -> None:
        """Give a piece to Ray."""
        # What asks for more than any machine has would wait for ever; it runs alone on the largest.
        remote = self._ray.remote(_work).options(
            name=f"{piece.kind}: {piece.label}",
            num_cpus=min(piece.threads, self._largest("CPU")),
            num_gpus=self._gpus if uses_gpu(piece) else 0,
            memory=int(min(piece.memory * 1e9, self._largest("memory"))),
            max_retries=self._retries,
        )
        self._running[remote.remote(str(self.store.root), piece)] = piece

    def _largest(self, resource: str) -> float:
        """Return the most of a resource that a machine of the cluster has."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        return float(max((node["Resources"].get(resource, 0.0) for node in nodes), default=0.0))

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what ended, after so many seconds at most."""
        if not self._running:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._outcome(reference) for reference in ready]

    def _outcome(self, reference: Any) -> Outcome:
        piece = self._running.pop(reference)
        try:
            reason = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Outcome(piece, "lost", last_line(str(error)))
        return Outcome(piece, "finished") if reason is None else Outcome(piece, "failed", reason)

    def close(self) -> None:
        """Cancel what is running, and leave the cluster, or end it if it was started here."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._own:
            self._ray.shutdown()

    def _check_shared(self) -> None:
        """Refuse machines that do not see the folder of the study.

        Raises:
            RuntimeError: There is one.
        """
        token = self.store.root / f".seen-{uuid4().hex}"
        token.parent.mkdir(parents=True, exist_ok=True)
        token.touch()
        try:
            nodes = [node for node in self._ray.nodes() if node["Alive"]]
            affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
            asked = [
                self._ray.remote(_sees)
                .options(num_cpus=0, scheduling_strategy=affinity(node["NodeID"], soft=False))
                .remote(str(token))
                for node in nodes
            ]
            seen = self._ray.get(asked)
        finally:
            token.unlink()
        blind = [n["NodeManagerHostname"] for n, sees in zip(nodes, seen, strict=True) if not sees]
        if blind:
            raise RuntimeError(
                f"These machines do not see {self.store.root}: {', '.join(blind)}. Put the study's "
                "folder on a disk that all machines of the cluster mount at the same path."
            )


def _work(root: str, piece: Piece) -> str | None:
    """Work on a piece; return None, or what the error was."""
    return work_apart(Store(root), piece)


def _sees(path: str) -> bool:
    return Path(path).exists()
