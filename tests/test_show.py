"""``drl-latent show``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drl_latent.cli import main
from drl_latent.envs import FactorEnv, ReachEnv
from drl_latent.evaluation.recording import save_film


def show(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main(["show", *map(str, arguments)])
    return stop.value.code


def test_writes_a_sheet_and_a_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert show("DrlLatent/Push-v0", "--out", tmp_path, "--episodes", 2, "--size", 64) == 0
    said = capsys.readouterr().out.split()
    assert said == [str(tmp_path / "Push-v0-factors.png"), str(tmp_path / "Push-v0-expert.gif")]
    with Image.open(said[0]) as sheet:
        assert min(sheet.size) > 400
        assert len(np.unique(np.asarray(sheet.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    with Image.open(said[1]) as film:
        assert film.size == (128, 68)
        assert film.n_frames > 20
        film.seek(0)
        first = np.asarray(film.convert("RGB")).astype(int)
        film.seek(film.n_frames - 1)
        last = np.asarray(film.convert("RGB")).astype(int)
    assert np.abs(first - last).max() > 50
    assert (last[-1, :, 1] > 150).all(), "the expert has succeeded in both"


def test_small_things_keep_their_colour_in_films(tmp_path: Path):
    slope = np.linspace(0, 120, 64, dtype=np.uint8)
    frame = np.stack(np.broadcast_arrays(slope, slope[:, None], 60), axis=2).astype(np.uint8)
    colours = ((255, 0, 0), (0, 255, 0), (40, 90, 255), (255, 0, 255), (255, 255, 0))
    for i, colour in enumerate(colours):
        frame[5:9, 10 * i : 10 * i + 4] = colour
    with Image.open(save_film([frame], tmp_path / "film.gif")) as film:
        shown = np.asarray(film.convert("RGB")).astype(int)
    assert np.abs(shown - frame).max() <= 12


def test_long_films_go_faster(tmp_path: Path):
    frames = [np.full((8, 8, 3), 20 * (i % 12), np.uint8) for i in range(400)]
    with Image.open(save_film(frames, tmp_path / "film.gif")) as film:
        assert film.n_frames == 134, "every third; those of the pause are one"


def test_an_environment_without_an_expert_gets_its_sheet_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ReachEnv, "expert_action", FactorEnv.expert_action)
    assert show("DrlLatent/Reach-v0", "--out", tmp_path, "--episodes", 1) == 0
    assert "No film: DrlLatent/Reach-v0 has no scripted expert" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["Reach-v0-factors.png"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["DrlLatent/Raech-v0"], "Did you mean 'DrlLatent/Reach-v0'"),
        (["DrlLatent/Reach-v0", "--episodes", "0"], "episodes must be 1 or more"),
    ],
)
def test_wrong_requests_say_what_to_do(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert show(*arguments, "--out", tmp_path / "new") == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
