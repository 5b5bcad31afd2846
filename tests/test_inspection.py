"""The folder of interventions on one encoder, and its figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drl_latent import Encoder
from drl_latent.artifacts import ArtifactError
from drl_latent.cli import main
from drl_latent.data import FrameDataset, collect, import_images
from drl_latent.inspection import inspect_encoder, read_inspection
from drl_latent.report import draw_inspection

QUICK = {"samples": 60, "pairs": 3, "reader_steps": 3, "anchors": 2}


@pytest.fixture(scope="module")
def inspected(encoder: Encoder, frames: FrameDataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("inspected") / "i"
    inspect_encoder(encoder, frames, out, **QUICK)
    return out


def test_an_inspection_says_what_moves_what(
    inspected: Path, encoder: Encoder, frames: FrameDataset
):
    found = read_inspection(inspected)
    d, names = encoder.latent_dim, list(frames.factor_space.names)
    assert found["purity"]["names"] == names
    assert np.shape(found["purity"]["matrix"]) == (d, len(names))
    assert found["responses"]["names"] == names
    assert np.shape(found["responses"]["matrix"]) == (len(names), d)
    assert set(found["reader"]) == set(names)
    assert "influence" not in found


def test_every_part_is_drawn_on_light_and_on_dark(inspected: Path):
    drawn = {path.name for path in draw_inspection(inspected)}
    names = {"traversals.png", "edits.png", "purity.svg", "responses.svg", "purity-hinton.svg"}
    assert names <= drawn
    assert {name.replace(".", "-dark.") for name in names} <= drawn
    assert all((inspected / "figures" / name).stat().st_size for name in drawn)
    read_inspection(inspected)


def test_the_same_request_finds_what_is_there(
    inspected: Path, encoder: Encoder, frames: FrameDataset
):
    made = (inspected / "manifest.json").stat().st_mtime_ns
    assert inspect_encoder(encoder, frames, inspected, **QUICK) == read_inspection(inspected)
    assert (inspected / "manifest.json").stat().st_mtime_ns == made
    with pytest.raises(ArtifactError, match="other settings"):
        inspect_encoder(encoder, frames, inspected, **(QUICK | {"seed": 1}))


def test_actions_are_followed_in_rollouts_of_enough_episodes(encoder: Encoder, tmp_path: Path):
    data = collect(
        "DrlLatent/Reach-v0", tmp_path / "data", n=640, seed=0, source="rollout", progress=False,
        env_kwargs={"factors": ["object_hue"]},
    )  # fmt: skip
    assert len(np.unique(data.episode)) >= 15
    found = inspect_encoder(encoder, data, tmp_path / "i", **QUICK)
    assert np.shape(found["influence"]["matrix"])[0] == data.actions.shape[1]
    assert tmp_path / "i" / "figures" / "influence.svg" in draw_inspection(tmp_path / "i")


def test_frames_without_labels_are_refused_and_leave_nothing(
    encoder: Encoder, frames: FrameDataset, tmp_path: Path
):
    np.savez(tmp_path / "mine.npz", images=frames.frames)
    data = import_images(tmp_path / "mine.npz", tmp_path / "data", progress=False)
    with pytest.raises(ValueError, match="no factors to read"):
        inspect_encoder(encoder, data, tmp_path / "i")
    assert not list(tmp_path.glob("i*"))


def test_the_command_prints_a_line_a_latent_and_a_line_a_factor(
    encoder_folder: str, pairs: FrameDataset, tmp_path: Path, capsys
):
    arguments = ["inspect", encoder_folder, "--data", str(pairs.path), "--out", str(tmp_path / "i")]
    more = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()]
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, *more])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "Knob purity" in shown
    assert all(name in shown for name in (*pairs.factor_space.names, "z0", "z9"))
    assert (tmp_path / "i" / "figures" / "purity.svg").is_file()
