"""Does a study survive being killed: a worker, the whole of it, a machine of its cluster?

    python scripts/check_kills.py
    python scripts/check_kills.py --workers 2 --wholes 2 --nodes 1 --seed 1

A small study is run undisturbed, and then in other folders, with SIGKILL at random points: of a
process that works on a piece, which the run survives by itself; of the run, alone or with all its
processes, after which it is begun again; of a worker node of a Ray cluster, alone or with its
processes, in whose place a new one comes; and of a run on a cluster, whose tasks are not killed,
after which it is begun again. After each, no file of a finished piece may have changed,
and no finished piece may have been begun again; at the end the results have to be those of the
undisturbed run. It runs on Linux, where processes are found in /proc.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import tyro

from drl_latent.artifacts import write_json
from drl_latent.manifest import sha256
from drl_latent.study import (
    Budgets,
    EncoderRecipe,
    Progress,
    Study,
    StudyResults,
    Task,
    run_study,
)
from drl_latent.study.pieces import Kind

TINY = Study(
    question="Does it come through?",
    tasks=(
        Task(
            factors=("object_hue", "floor_hue"),
            agent={
                "n_envs": 2,
                "checkpoint_every": 128,
                "settings": {"n_steps": 64, "batch_size": 64},
            },
            transfer=("DrlLatent/Select-v0",),
        ),
    ),
    encoders=(EncoderRecipe("beta_vae", latents=2),),
    encoder_seeds=(0,),
    metrics=("mig",),
    budgets=Budgets(
        frames=64,
        pretrain_steps=8,
        score_frames=200,
        agent_steps=256,
        episodes=3,
        set_back_episodes=2,
    ),
)
"""The smallest study with a piece of each kind: 15 of a second or two each."""
TABLES = ("episodes", "scores", "curves", "moves", "set_back")

_RUN = (
    "import json, sys; from drl_latent.study import Study, run_study; "
    "run_study(Study.load(sys.argv[1]), sys.argv[2], executor=sys.argv[3], "
    "options=json.loads(sys.argv[4]))"
)
_PATIENCE = 600.0
"""Seconds after which a run that does not go on is given up."""


@dataclass(frozen=True)
class Args:
    """How often what is killed."""

    workers: int = 9
    """Processes that work on a piece."""
    wholes: int = 7
    """Whole runs."""
    nodes: int = 4
    """Nodes of a Ray cluster."""
    drivers: int = 2
    """Runs on a Ray cluster."""
    seed: int = 0
    """Of when, and of which process."""
    out: Path = Path("runs/kills")
    """Folder of the runs, emptied first."""


@dataclass(frozen=True)
class Kill:
    """What was killed, and when.

    Args:
        what: What it was.
        finished: Pieces that were finished then.
        running: Kinds of the pieces that were worked on.
        gone: Seconds until no process that it had was left; NaN where that was not looked at.
    """

    what: str
    finished: int
    running: str
    gone: float = float("nan")


class Watched:
    """The folder of a study in which no finished piece may change, or be made again.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, tuple[int, int, str]] = {}
        self._kept: dict[str, int] = {}

    def events(self) -> list[dict[str, Any]]:
        """Return the lines of the study's log of events."""
        path = self.folder / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def kept(self) -> list[str]:
        """Return the names of the finished pieces: kind and key."""
        records = self.folder.glob("kept/*/*/record.json")
        names = (f"{r.parts[-3]}/{r.parts[-2]}" for r in records)
        return sorted(name for name in names if not name.endswith(".partial"))

    def running(self, since: int = 0) -> list[str]:
        """Return kinds of the pieces that were begun, after some events, and did not end."""
        last = {row["piece"]: row["event"] for row in self.events()[since:]}
        return [name.partition("/")[0] for name, event in last.items() if event == "begun"]

    def look(self) -> None:
        """Compare finished pieces with what they were when they were looked at before.

        Raises:
            AssertionError: One is gone, has changed, or was begun again.
        """
        now = {}
        for name in self.kept():
            for top in ("kept", "pieces"):
                for path in (self.folder / top / name).rglob("*"):
                    if path.is_file():
                        about = path.stat()
                        key = path.relative_to(self.folder).as_posix()
                        now[key] = (about.st_mtime_ns, about.st_ino, sha256(path))
        for key, before in self._files.items():
            assert key in now, f"{key} of a finished piece is gone"
            assert now[key] == before, f"{key} of a finished piece has changed"
        events = self.events()
        for name, since in self._kept.items():
            again = [e for e in events[since:] if e["piece"] == name and e["event"] == "begun"]
            assert not again, f"{name} was finished and begun again"
        ends = collections.Counter(e["piece"] for e in events if e["event"] == "finished")
        assert not [name for name, times in ends.items() if times > 1], ends
        for name in self.kept():
            self._kept.setdefault(name, len(events))
        self._files |= now


def assert_same(found: StudyResults, expected: StudyResults) -> None:
    """Raise AssertionError unless two runs of a study found the same."""
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name))
    assert found.pictures == expected.pictures
    assert list(found.pieces["key"]) == list(expected.pieces["key"])


def kill_local(
    study: Study, folder: Path, whats: Iterable[str], draw: np.random.Generator
) -> list[Kill]:
    """Run a study to its end on this machine with kills on the way.

    Args:
        study: The study.
        folder: Its folder.
        whats: What to kill, one after the other: ``"worker"``, ``"server"``, the process that
            workers are forked from, or ``"whole"``.
        draw: Of when, and which.

    Returns:
        The kills that came before the study was finished.

    Raises:
        AssertionError: A finished piece changed or was begun again; processes were left.
    """
    watched = Watched(folder)
    kills: list[Kill] = []
    run, since = begin(study, folder), 0
    try:
        for what in whats:
            victims = _wait_for_victims(what, run, watched, draw)
            if not victims:
                break
            processes = _descendants(run.pid)
            kill = Kill(what, len(watched.kept()), ", ".join(watched.running(since)))
            if what == "whole":
                alone, began = draw.random() < 0.7, time.monotonic()
                (os.kill if alone else os.killpg)(run.pid, signal.SIGKILL)
                run.wait()
                _wait_until(lambda pids=processes: not pids.keys() & _parents().keys(), 30)
                what = "run alone" if alone else "run and all its processes"
                kill = dataclasses.replace(kill, what=what, gone=time.monotonic() - began)
                watched.look()
                run, since = begin(study, folder), len(watched.events())
            else:
                _kill(int(draw.choice(victims)))
            kills.append(kill)
            watched.look()
        _end_well(run, folder)
    finally:
        _end_at_once(run)
    watched.look()
    return kills


def begin(
    study: Study, folder: Path, executor: str = "local", options: Mapping[str, Any] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that runs a study, on two cores of this machine unless told otherwise.

    Its settings and its output are beside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder.with_name(f"{folder.name}.json")
    write_json(config, study.to_dict())
    arguments = [str(config), str(folder), executor, json.dumps(options or {"cores": 2})]
    with folder.with_name(f"{folder.name}.log").open("ab") as log:
        command = [sys.executable, "-c", _RUN, *arguments]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _end_well(run: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for a run that has to come to its end."""
    code = run.wait(_PATIENCE)
    log = folder.with_name(f"{folder.name}.log").read_text()
    assert code == 0, f"the run ended with code {code}: {log[-3000:]}"


def _end_at_once(run: subprocess.Popen[bytes]) -> None:
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()


@dataclass
class _NodeKiller:
    """Kills nodes of a cluster while a study runs; called by the run every half second.

    Args:
        cluster: The cluster, whose worker nodes are `nodes`.
        nodes: Nodes that can be killed.
        watched: The study's folder.
        left: How many to kill.
        draw: Of when, and which.
    """

    cluster: Any
    nodes: list[Any]
    watched: Watched
    left: int
    draw: np.random.Generator
    kills: list[Kill] = field(default_factory=list)
    _after: int = 0
    _at: float = 0.0

    def __post_init__(self) -> None:
        self._after = int(self.draw.integers(1, 3))

    def __call__(self, progress: Progress) -> None:
        """Kill a node if it is time for one and one is at work."""
        self.watched.look()
        ended = len(progress.pieces) - len(progress.left)
        if not self.left or ended < self._after:
            return
        self._at = self._at or time.monotonic() + self.draw.uniform(0, 2)
        busy = [node for node in self.nodes if _tasks(node)]
        if time.monotonic() < self._at or not busy:
            return
        node = busy[int(self.draw.integers(len(busy)))]
        workers = list(_descendants(_raylet(node)))
        alone = self.draw.random() < 0.5
        running = ", ".join(_tasks(node))
        self.cluster.remove_node(node, allow_graceful=False)
        if not alone:
            for pid in workers:
                _kill(pid)
        self.nodes.remove(node)
        self.nodes.append(add_node(self.cluster))
        name = "node's raylet" if alone else "node, with its workers"
        self.kills.append(Kill(name, len(self.watched.kept()), running))
        self.left -= 1
        self._after, self._at = ended + int(self.draw.integers(1, 4)), 0.0


def make_cluster(nodes: int = 2) -> tuple[Any, list[Any]]:
    """Start a Ray cluster on this machine: a head that takes no work, and nodes of one core."""
    from ray.cluster_utils import Cluster

    # A node that is gone is missed after some seconds, not after half a minute.
    settings = {"health_check_period_ms": 1_000, "health_check_failure_threshold": 5}
    head = {
        "num_cpus": 0,
        "include_dashboard": False,
        "object_store_memory": 100_000_000,
        "_system_config": settings,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    return cluster, [add_node(cluster) for _ in range(nodes)]


def add_node(cluster: Any) -> Any:
    """Add a node of one core to a cluster."""
    return cluster.add_node(num_cpus=1, memory=4 * 10**9, object_store_memory=100_000_000)


def kill_nodes(
    study: Study, folder: Path, number: int, draw: np.random.Generator, cluster: Any, nodes: Any
) -> list[Kill]:
    """Run a study to its end on a Ray cluster whose nodes are killed on the way.

    Args:
        study: The study.
        folder: Its folder.
        number: Nodes to kill.
        draw: Of when, and which.
        cluster: The cluster, of `make_cluster`.
        nodes: Its worker nodes; changed in place.

    Returns:
        The kills that came before the study was finished.

    Raises:
        AssertionError: A finished piece changed or was begun again.
    """
    killer = _NodeKiller(cluster, nodes, Watched(folder), number, draw)
    options = {"address": cluster.address}
    run_study(study, folder, executor="ray", options=options, watch=killer)
    killer.watched.look()
    return killer.kills


def kill_driver(study: Study, folder: Path, draw: np.random.Generator, cluster: Any) -> Kill:
    """Run a study to its end on a Ray cluster; the run is killed on the way, its tasks are not.

    Args:
        study: The study.
        folder: Its folder.
        draw: Of when.
        cluster: The cluster, of `make_cluster`.

    Returns:
        The kill.

    Raises:
        AssertionError: A finished piece changed or was begun again.
    """
    watched = Watched(folder)
    where = ("ray", {"address": cluster.address})
    run = begin(study, folder, *where)
    try:
        finished = int(draw.integers(1, 5))
        _wait_until(lambda: run.poll() is not None or len(watched.kept()) >= finished, _PATIENCE)
        time.sleep(draw.uniform(0, 1.5))
        assert run.poll() is None, "the study was finished before it could be killed"
        running = ", ".join(task for node in cluster.worker_nodes for task in _tasks(node))
        kill = Kill("run on a cluster", len(watched.kept()), running)
        watched.look()
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        run = begin(study, folder, *where)
        _end_well(run, folder)
    finally:
        _end_at_once(run)
    watched.look()
    return kill


def _wait_for_victims(
    what: str, run: subprocess.Popen[bytes], watched: Watched, draw: np.random.Generator
) -> list[int]:
    """Wait for one to three further events, and a moment; return what can be killed then.

    Empty if the run ended before.
    """
    target = len(watched.events()) + int(draw.integers(1, 4))
    _wait_until(lambda: run.poll() is not None or len(watched.events()) >= target, _PATIENCE)
    time.sleep(draw.uniform(0, 1.5))
    while run.poll() is None:
        processes = _descendants(run.pid)
        servers = [pid for pid in processes if "multiprocessing.forkserver" in _command(pid)]
        servers = [pid for pid in servers if processes[pid] == run.pid]
        workers = [pid for pid, parent in processes.items() if parent in servers]
        if victims := {"worker": workers, "server": servers, "whole": [run.pid]}[what]:
            return victims
        time.sleep(0.05)
    return []


def _wait_until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited for {seconds:g} s in vain"
        time.sleep(0.05)


def _parents() -> dict[int, int]:
    """Return process -> the one that started it, of all that are alive."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has ended meanwhile
            continue
        if state not in "ZX":
            found[int(path.parent.name)] = int(parent)
    return found


def _descendants(pid: int) -> dict[int, int]:
    """Return process -> the one that started it, of those that came of a process."""
    parents, found = _parents(), {pid}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return {p: parents[p] for p in found - {pid} if p in parents}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def _tasks(node: Any) -> list[str]:
    """Return the kinds of the pieces that a Ray node works on, as its processes are titled."""
    titles = [_command(pid) for pid in _descendants(_raylet(node))]
    kinds = [title.removeprefix("ray::").partition(":")[0] for title in titles]
    return [kind for kind in kinds if kind in get_args(Kind)]


def main(args: Args) -> None:
    """Kill, and print a table of what was killed."""
    shutil.rmtree(args.out, ignore_errors=True)
    draw = np.random.default_rng(args.seed)
    began = time.monotonic()
    undisturbed = run_study(TINY, args.out / "undisturbed", options={"cores": 2})
    print(f"undisturbed: {len(undisturbed.pieces)} pieces, {time.monotonic() - began:.0f} s")
    kills: list[Kill] = []
    left = list(draw.permutation(["worker"] * args.workers + ["whole"] * args.wholes))
    number = 0

    def check(folder: Path, done: list[Kill]) -> None:
        assert_same(StudyResults.load(folder / "results.parquet"), expected)
        kills.extend(done)
        print(f"{folder.name}: {len(done)} kills, same results, {time.monotonic() - began:.0f} s")

    expected = StudyResults.load(args.out / "undisturbed" / "results.parquet")
    while left:
        number += 1
        folder = args.out / f"local-{number}"
        done = kill_local(TINY, folder, left, draw)
        left = left[len(done) :]
        check(folder, done)
    cluster, nodes = make_cluster() if args.nodes + args.drivers else (None, [])
    local = len(kills)
    try:
        while (missing := local + args.nodes - len(kills)) > 0:
            number += 1
            folder = args.out / f"ray-{number}"
            check(folder, kill_nodes(TINY, folder, missing, draw, cluster, nodes))
        for _ in range(args.drivers):
            number += 1
            folder = args.out / f"ray-{number}"
            check(folder, [kill_driver(TINY, folder, draw, cluster)])
    finally:
        if cluster is not None:
            cluster.shutdown()
    print(pd.DataFrame([vars(kill) for kill in kills]).round(1).to_string())


if __name__ == "__main__":
    main(tyro.cli(Args))
