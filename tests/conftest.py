"""Small real things that many tests need, made once a session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, collect
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.pretraining import Batches
from drl_latent.pretraining.batches import FramesAndFactors


@pytest.fixture
def interrupt_at() -> Callable[[int, Callable[[], Any]], None]:
    """Run something that pretrains, and interrupt it before a step."""

    def interrupt(step: int, run: Callable[[], Any]) -> None:
        real = Batches.__call__

        def dying(self: Batches, now: int) -> FramesAndFactors:
            if now == step:
                raise KeyboardInterrupt
            return real(self, now)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Batches, "__call__", dying)
            with pytest.raises(KeyboardInterrupt):
                run()

    return interrupt


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> FrameDataset:
    """200 frames of Reach with all factors varying."""
    out = tmp_path_factory.mktemp("data") / "frames"
    return collect("DrlLatent/Reach-v0", out, n=200, seed=0, progress=False)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> FrameDataset:
    """100 pairs of frames of Reach that differ in one factor."""
    out = tmp_path_factory.mktemp("data") / "pairs"
    return collect("DrlLatent/Reach-v0", out, n=200, seed=0, source="pairs", progress=False)


@pytest.fixture(scope="session")
def rollouts(tmp_path_factory: pytest.TempPathFactory) -> FrameDataset:
    """200 frames along episodes of Reach."""
    out = tmp_path_factory.mktemp("data") / "rollouts"
    return collect("DrlLatent/Reach-v0", out, n=200, seed=0, source="rollout", progress=False)


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """An untrained encoder for 64x64 frames."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Encoder(LatentModel(ModelConfig()))


@pytest.fixture(scope="session")
def encoder_folder(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The untrained encoder, saved."""
    return str(encoder.save(tmp_path_factory.mktemp("encoders") / "encoder"))


class FakeHub:
    """The calls that leave this machine, with repositories as folders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[dict[str, Any]] = []
        self.fails: Exception | None = None

    def _call(self, **arguments: Any) -> None:
        self.calls.append(arguments)
        if self.fails is not None:
            raise self.fails

    def create_repo(self, repo_id: str, **options: Any) -> SimpleNamespace:
        self._call(create=repo_id, **options)
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)
        (self.root / repo_id / ".gitattributes").write_text("*.safetensors filter=lfs")
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self, repo_id: str, folder_path: Path, **options: Any) -> str:
        self._call(upload=repo_id, **options)
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
        return f"https://huggingface.co/{repo_id}/commit/1"

    def snapshot_download(self, repo_id: str, allow_patterns: list[str], **options: Any) -> str:
        self._call(download=repo_id, **options)
        snapshot = self.root / "cache" / repo_id
        shutil.rmtree(snapshot, ignore_errors=True)
        for file in (self.root / repo_id).rglob("*"):
            name = file.relative_to(self.root / repo_id).as_posix()
            if file.is_file() and any(fnmatch(name, pattern) for pattern in allow_patterns):
                # Like the cache of the hub: links to files that lie elsewhere.
                (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                (snapshot / name).symlink_to(file)
        return str(snapshot)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """A hub, and an empty working directory."""
    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", lambda **_: fake)
    monkeypatch.setattr("drl_latent.sharing.hub.snapshot_download", fake.snapshot_download)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return fake
