"""Small real things that many tests need, made once a session."""

from __future__ import annotations

from collections.abc import Callable
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
