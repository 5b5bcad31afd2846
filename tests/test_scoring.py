"""Scores of images that came from elsewhere: they train and score like any environment's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drl_latent import Encoder
from drl_latent.data import FrameDataset, import_images
from drl_latent.envs import make_split, make_transfer_split
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


def test_probes_are_scored_in_and_out_of_distribution(
    encoder: Encoder, frames: FrameDataset, tmp_path: Path
):
    split = make_transfer_split("composition", frames.factor_space, seed=0)
    table = score_encoder(
        encoder, frames, tmp_path / "s", metrics=["mig"], split=split, resamples=5, n_jobs=1
    )
    probes = table[(table["metric"] != "mig") & (table["factor"] == "")].drop_duplicates("metric")
    assert probes["metric"].tolist() == [f"linear_probe:{part}" for part in ("id", "ood1", "ood2")]
    # All from one predictor: it is fitted on the same rows, and tested on those of the part alone.
    assert probes["n"].nunique() == 1
    assert probes["n"].iloc[0] + probes["n_test"].sum() == len(frames)


def test_splits_that_do_not_fit_are_refused_and_leave_nothing(
    encoder: Encoder, frames: FrameDataset, tmp_path: Path
):
    fewer = frames.factor_space.select(["object_hue", "floor_hue"])
    for split, message in (
        (make_split("random", fewer), "The split is over"),
        (make_split("correlated", frames.factor_space), "in no part"),
    ):
        with pytest.raises(ValueError, match=message):
            score_encoder(encoder, frames, tmp_path / "s", split=split)
    assert not list(tmp_path.iterdir())


def test_episodes_of_rollouts_are_never_torn_apart(
    encoder: Encoder, rollouts: FrameDataset, tmp_path: Path
):
    """Frames of an episode are alike: fitted on some, a probe knows the others."""
    table = score_encoder(
        encoder, rollouts, tmp_path / "s", metrics=["linear_probe"], resamples=0, n_jobs=1
    )
    sizes = np.unique(rollouts.episode, return_counts=True)[1]
    held_out = table["n_test"].iloc[0]
    assert held_out in {int(sum(c)) for c in _sums(sizes.tolist())}


def _sums(sizes: list[int]) -> list[list[int]]:
    """Every choice of some of the sizes."""
    chosen: list[list[int]] = [[]]
    for size in sizes:
        chosen += [[*some, size] for some in chosen]
    return chosen
