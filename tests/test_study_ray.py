"""Studies on a Ray cluster of several nodes, all on this machine."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from drl_latent.study import RayExecutor, StudyResults, ray_executor, run_study
from drl_latent.study.pieces import Store

HELPERS = runpy.run_path(str(Path(__file__).parent / "tiny_study.py"))
CHECK = HELPERS["CHECK"]


def test_without_ray_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'drl-latent\[ray\]'"):
        RayExecutor(Store(tmp_path))


@pytest.fixture(scope="module")
def cluster() -> Iterator[SimpleNamespace]:
    """A head that takes no work, and two nodes of one core."""
    pytest.importorskip("ray")
    made, nodes = CHECK["make_cluster"](2)
    yield SimpleNamespace(cluster=made, nodes=nodes, address=made.address)
    made.shutdown()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    """What the study finds in processes of this machine."""
    return StudyResults.load(HELPERS["undisturbed"](tmp_path_factory) / "results.parquet")


@pytest.mark.slow
def test_a_cluster_finds_what_one_machine_finds(
    cluster: Any, expected: StudyResults, tmp_path: Path
):
    import ray

    used: set[str] = set()

    def watch(progress: Any) -> None:
        assert sum(node["Alive"] for node in ray.nodes()) == 3
        used.update(str(n) for n, node in enumerate(cluster.nodes) if CHECK["_tasks"](node))

    options = {"address": cluster.address}
    found = run_study(CHECK["TINY"], tmp_path, executor="ray", options=options, watch=watch)
    CHECK["assert_same"](found, expected)
    assert used == {"0", "1"}
    assert not ray.is_initialized()


@pytest.mark.slow
def test_a_node_that_is_killed_changes_nothing(
    cluster: Any, expected: StudyResults, tmp_path: Path
):
    draw = np.random.default_rng(0)
    kills = CHECK["kill_nodes"](
        CHECK["TINY"], tmp_path / "study", 1, draw, cluster.cluster, cluster.nodes
    )
    assert len(kills) == 1
    CHECK["assert_same"](StudyResults.load(tmp_path / "study" / "results.parquet"), expected)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_on_the_same_cluster(
    cluster: Any, expected: StudyResults, tmp_path: Path
):
    """Its tasks may be at work for a moment longer: nothing is done twice, nothing is lost."""
    kill = CHECK["kill_driver"](
        CHECK["TINY"], tmp_path / "study", np.random.default_rng(0), cluster.cluster
    )
    assert kill.finished > 0
    CHECK["assert_same"](StudyResults.load(tmp_path / "study" / "results.parquet"), expected)


@pytest.mark.slow
def test_a_folder_that_not_all_nodes_see_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import ray

    monkeypatch.setattr(ray_executor, "_sees", lambda path: False)
    with pytest.raises(RuntimeError, match=r"These machines do not see .*Put the study's folder"):
        RayExecutor(Store(tmp_path), address=cluster.address)
    assert not ray.is_initialized()  # the cluster was left
    assert list(tmp_path.iterdir()) == []
