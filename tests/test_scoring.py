"""Scores of images that came from elsewhere: they train and score like any environment's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drl_latent.data import FrameDataset, import_images
from drl_latent.models import ModelConfig
from drl_latent.pretrain import Optimization, pretrain
from drl_latent.scoring import score_encoder

SMALL = ModelConfig(encoder_width=8, decoder_width=16)


@pytest.fixture
def archive(frames: FrameDataset, tmp_path: Path) -> Path:
    """An archive of images, and beside it a table of two of their factors."""
    np.savez(tmp_path / "mine.npz", images=frames.frames)
    columns = [frames.factor_space.names.index(name) for name in ("object_hue", "object_x")]
    labels = pd.DataFrame(frames.factors[:, columns], columns=["hue", "x"])
    labels.to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.npz"


def test_own_images_train_and_score(archive: Path, tmp_path: Path):
    data = import_images(
        archive, tmp_path / "data", labels=archive.with_suffix(".csv"), progress=False
    )
    encoder = pretrain(
        data, "vae", out=tmp_path / "e", steps=3, model=SMALL,
        optimization=Optimization(batch_size=8), progress=False,
    )  # fmt: skip
    table = score_encoder(
        encoder, data, tmp_path / "scores", metrics=("mig", "linear_probe"), n_jobs=1
    )
    assert set(table["metric"]) == {"mig", "linear_probe"}
    assert {"hue", "x"} <= set(table["factor"])


def test_images_without_labels_train_but_cannot_be_scored(archive: Path, tmp_path: Path):
    data = import_images(archive, tmp_path / "data", progress=False)
    encoder = pretrain(
        data, "vae", out=tmp_path / "e", steps=3, model=SMALL,
        optimization=Optimization(batch_size=8), progress=False,
    )  # fmt: skip
    with pytest.raises(ValueError, match="has no factors to score against"):
        score_encoder(encoder, data, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    assert not (tmp_path / "scores.partial").exists()
