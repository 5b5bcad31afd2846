"""The choice among saved encoders."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from drl_latent import Encoder
from drl_latent.artifacts import ArtifactError
from drl_latent.cli.select_command import Select
from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.selection import encode_informative, read_selection, select_encoder


class FakeEncoder:
    """An encoder of the colour of the first pixel, by a matrix; 0 columns are at the prior."""

    has_posterior = True
    config = ModelConfig()

    def __init__(self, matrix, seed, beta=1.0, objective="beta_vae"):
        self.matrix = np.asarray(matrix, dtype=np.float32)
        self.fingerprint = f"{objective}-{beta}-{seed}"
        self.training = {
            "objective_name": objective,
            "objective": {"beta": beta},
            "optimization": {"steps": 100, "seed": seed, "log_every": 10 + seed},
            "data": {"n": 10, "fingerprint": "frames"},
        }

    def check(self, shape, dtype):
        Encoder(LatentModel(ModelConfig(image_shape=(4, 4, 3), decoded_size=4))).check(shape, dtype)

    def __call__(self, frames):
        return (frames[:, 0, 0].astype(np.float32) / 128 - 1) @ self.matrix

    def posterior(self, frames):
        dead = ~self.matrix.any(axis=0)
        return self(frames), np.tile(np.where(dead, 0, -4.0).astype("f4"), (len(frames), 1))


class FakeDeterministicEncoder(FakeEncoder):
    has_posterior = False

    def posterior(self, frames):
        raise ValueError("This bottleneck has no posterior.")


@pytest.fixture(scope="module")
def colours(frames: FrameDataset) -> FrameDataset:
    """300 frames of random colours."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 4, 4, 3), dtype=np.uint8)
    factors = np.zeros((300, len(frames.factor_space)), dtype=np.float32)
    return FrameDataset(pixels, factors, frames.factor_space, {"of": "colours"}, Path("colours"))


def aligned(seed):
    """A matrix of 5 latents: the 3 colours in some order, and two dead ones."""
    order = np.random.default_rng(seed).permutation(5)
    return np.eye(3, 5)[:, order]


def test_ranks_settings_whose_seeds_agree_first(colours: FrameDataset):
    rotations = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 3, 3)))[0]
    bad = [FakeEncoder(rotations[seed], seed, beta=1.0) for seed in range(5)]
    good = [FakeEncoder(aligned(seed), seed, beta=8.0) for seed in range(5)]
    table = select_encoder([*bad, *good], colours, samples=200)
    assert list(table["settings"]) == ["beta=8.0"] * 5 + ["beta=1.0"] * 5
    assert list(table["informative"]) == [3] * 10
    assert list(table["group"]) == [1] * 5 + [0] * 5
    assert set(table["runs"]) == {5}
    assert set(table["note"]) == {""}
    assert table["udr"].is_monotonic_decreasing
    assert list(table["rank"]) == sorted(table["rank"])
    assert table["udr"][4] > table["udr"][5] + 0.2
    assert set(table["seed"][:5]) == set(range(5))


def test_ties_share_a_rank_and_lone_runs_have_none(colours: FrameDataset):
    pair = [FakeEncoder(np.eye(3), seed) for seed in range(2)]
    lone = FakeEncoder(np.eye(3), 0, objective="factor_vae")
    table = select_encoder([lone, *pair], colours)
    assert table["rank"].tolist()[:2] == [1, 1]
    assert table["objective"][2] == "factor_vae"
    assert pd.isna(table["udr"][2])
    assert pd.isna(table["rank"][2])
    assert "at least 2" in table["note"][2]
    assert table["note"][0] == "2 runs: 5 or more are recommended"


def test_any_setting_but_the_seed_parts_runs(colours: FrameDataset):
    runs = [FakeEncoder(np.eye(3), seed) for seed in range(5)]
    runs[1].training["optimization"]["steps"] = 50
    runs[2].training["data"]["fingerprint"] = "others"
    runs[3].config = ModelConfig(encoder_width=8)
    runs[4].training["objective"]["beta"] = 2.0
    assert set(select_encoder(runs, colours)["runs"]) == {1}


def test_latents_at_the_prior_are_not_informative(colours: FrameDataset):
    codes, informative = encode_informative(FakeEncoder(aligned(0), 0), colours.frames)
    assert codes.shape == (300, 5)
    np.testing.assert_array_equal(informative, aligned(0).any(axis=0))


def test_codes_without_posterior_count_by_their_spread(colours: FrameDataset):
    matrix = np.diag([1, 0.5, 0.01])
    informative = encode_informative(FakeDeterministicEncoder(matrix, 0), colours.frames)[1]
    assert list(informative) == [True, True, False]
    dead = encode_informative(FakeDeterministicEncoder(np.zeros((3, 2)), 0), colours.frames)[1]
    assert list(dead) == [False, False]
    table = select_encoder([FakeDeterministicEncoder(matrix, i) for i in range(2)], colours)
    assert list(table["informative"]) == [2, 2]


def test_collapsed_runs_are_last_and_noted(colours: FrameDataset):
    runs = [FakeEncoder(np.zeros((3, 2)), 9), *(FakeEncoder(np.eye(3), i) for i in range(4))]
    table = select_encoder(runs, colours)
    assert table["udr"][4] == 0
    assert table["note"][4] == "no latent is informative"
    assert table["seed"][4] == 9


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three untrained encoders that differ only in seed, and one with fewer latents."""
    root = tmp_path_factory.mktemp("seeds")
    made = []
    with torch.random.fork_rng():
        for i, latent_dim in enumerate((10, 10, 10, 3)):
            torch.manual_seed(i)
            training = {
                "objective_name": "beta_vae",
                "objective": {"beta": 4.0},
                "optimization": {"steps": 1, "seed": i},
                "data": {"fingerprint": "none"},
            }
            model = LatentModel(ModelConfig(latent_dim=latent_dim))
            with torch.no_grad():
                # Untrained codes hardly leave the prior's mean: without this none is informative.
                for parameter in model.bottleneck.parameters():
                    parameter.mul_(30)
            made.append(Encoder(model, training).save(root / f"run_{i}"))
    return made


def test_saved_encoders_are_ranked_and_the_table_is_kept(
    folders: list[Path], frames: FrameDataset, tmp_path: Path
):
    out = tmp_path / "selection"
    table = select_encoder(folders, frames.path, out=out, samples=100)
    assert set(table["path"]) == set(map(str, folders))
    assert sorted(table["runs"]) == [1, 3, 3, 3]
    assert table["udr"][:3].between(0, 1, inclusive="right").all()
    assert table["path"][3] == str(folders[3])
    pd.testing.assert_frame_equal(table, read_selection(out))
    written = (out / "selection.parquet").stat().st_mtime_ns
    pd.testing.assert_frame_equal(select_encoder(folders, frames, out=out, samples=100), table)
    assert (out / "selection.parquet").stat().st_mtime_ns == written
    with pytest.raises(ArtifactError, match="other settings"):
        select_encoder(folders, frames, out=out, samples=101)
    # Without a folder, and from encoders in another order: the same.
    loaded = [Encoder.load(folder) for folder in reversed(folders)]
    again = select_encoder(loaded, frames, samples=100)
    assert list(again["path"]) == [""] * 4
    columns = ["fingerprint", "udr", "rank", "informative"]
    pd.testing.assert_frame_equal(again[columns], table[columns])


def test_frames_are_drawn_by_seed(folders: list[Path], frames: FrameDataset):
    first, same, other = (
        select_encoder(folders[:3], frames, samples=50, seed=seed).set_index("path")["udr"]
        for seed in (0, 0, 1)
    )
    pd.testing.assert_series_equal(first, same)
    assert not first.equals(other.reindex(first.index))


def test_wrong_encoders_are_refused(folders: list[Path], frames: FrameDataset, tmp_path: Path):
    out = tmp_path / "selection"
    for given_, arguments, says in [
        (folders[:1], {}, "at least 2"),
        ([folders[0], folders[1], folders[0]], {}, f"same encoder as {re.escape(str(folders[0]))}"),
        (folders, {"samples": 3}, "3 samples"),
        (folders, {"similarity": "pearson"}, "Unknown similarity"),
        ([folders[0], tmp_path], {}, "not a encoder folder"),
    ]:
        with pytest.raises(ValueError, match=says):
            select_encoder(given_, frames, out=out, **arguments)
    small = Encoder(LatentModel(ModelConfig(image_shape=(32, 32, 3))))
    with pytest.raises(ValueError, match="encoder 1: This encoder takes"):
        select_encoder([folders[0], small], frames, out=out)
    assert not list(tmp_path.iterdir())


def test_command_prints_best_first_and_saves(
    folders: list[Path],
    frames: FrameDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(folders[0].parent)
    names = tuple(Path(folder.name) for folder in folders)
    out = tmp_path / "selection"
    assert Select(names, data=frames.path, out=out, samples=100).run() == 0
    printed = capsys.readouterr().out
    order = re.findall(r"run_\d", printed)
    assert order == list(read_selection(out)["path"])
    assert "5 or more" in printed
    assert Select(names, data=frames.path, similarity="lasso", samples=100).run() == 0
    assert "run_3" in capsys.readouterr().out
