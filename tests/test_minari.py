from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from drl_latent.artifacts import ArtifactError
from drl_latent.cli.data_commands import ExportData, ImportData
from drl_latent.data import FrameDataset, collect, export_minari, import_minari
from drl_latent.registry import UnknownNameError

minari = pytest.importorskip("minari")
pytest.importorskip("h5py")

ENV = "DrlLatent/Reach-v0"
ARRAYS = ("frames", "factors", "actions", "episode", "rewards", "terminated", "truncated")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for data sets of Minari."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture(scope="module")
def rollout(tmp_path_factory: pytest.TempPathFactory) -> FrameDataset:
    out = tmp_path_factory.mktemp("data") / "rollout"
    return collect(
        ENV, out, n=100, source="rollout", progress=False,
        env_kwargs={"split": "composition", "partition": "train", "image_size": 64},
    )  # fmt: skip


def assert_same(first: FrameDataset, second: FrameDataset) -> None:
    for name in ARRAYS:
        one, other = getattr(first, name), getattr(second, name)
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)
    assert first.factor_space == second.factor_space


def test_there_and_back_is_the_same(rollout: FrameDataset, tmp_path: Path):
    made = export_minari(rollout, "reach/random-v0", author="me", description="Random actions.")
    assert made.total_episodes == 3
    assert made.total_steps == 97
    assert made.storage.metadata["author"] == {"me"}
    back = import_minari("reach/random-v0", tmp_path / "back", progress=False)
    assert_same(rollout, back)
    assert isinstance(back.frames, np.memmap)
    for name in ("env", "env_kwargs", "split", "partition"):
        assert back.config[name] == rollout.config[name]
    assert back.config["source"] == "minari"
    np.testing.assert_array_equal(back.pairs("consecutive"), rollout.pairs("consecutive"))
    np.testing.assert_array_equal(back.stacked(3).frames[:], rollout.stacked(3).frames[:])
    # And once more.
    export_minari(back, "again-v1")
    assert_same(rollout, import_minari("again-v1", tmp_path / "again", progress=False))


def test_the_environment_can_be_recovered(rollout: FrameDataset):
    made = export_minari(rollout, "reach-v0")
    env = minari.load_dataset("reach-v0").recover_environment()
    assert env.unwrapped.split.kind == "composition"
    assert env.action_space == made.action_space
    assert made.observation_space.contains(env.reset(seed=0)[0])
    env.close()


def test_adapted_environments_that_end_episodes_go_there_and_back(tmp_path: Path):
    data = collect(
        "factorize:InvertedPendulum-v5", tmp_path / "roll", n=60, source="rollout", progress=False,
        env_kwargs={"factors": ["cart_hue", "gravity"]},
    )  # fmt: skip
    assert data.terminated is not None
    assert data.terminated.any()
    export_minari(data, "pendulum-v0")
    assert_same(data, import_minari("pendulum-v0", tmp_path / "back", progress=False))


def test_it_is_read_from_an_object_a_folder_and_an_id(
    rollout: FrameDataset, store: Path, tmp_path: Path
):
    made = export_minari(rollout, "reach/random-v0")
    folder = store / "reach" / "random-v0"
    for number, given in enumerate([made, folder, folder / "data", "reach/random-v0"]):
        assert_same(rollout, import_minari(given, tmp_path / f"{number}", progress=False))


def test_some_of_the_episodes(rollout: FrameDataset, tmp_path: Path):
    made = export_minari(rollout, "reach-v0")
    some = made.filter_episodes(lambda episode: episode.id != 1)
    data = import_minari(some, tmp_path / "some", progress=False)
    kept = np.r_[0:41, 82:100]
    np.testing.assert_array_equal(data.frames, rollout.frames[kept])
    assert data.episode is not None
    np.testing.assert_array_equal(np.unique(data.episode), [0, 41])
    with pytest.raises(ArtifactError, match=r"episodes: .* there, .* asked"):
        import_minari(made, tmp_path / "some", progress=False)


def test_an_interrupted_import_goes_on(
    rollout: FrameDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = export_minari(rollout, "reach-v0")
    real = minari.MinariDataset.__getitem__

    def dying(self: Any, index: int) -> Any:
        if index == 2:
            raise KeyboardInterrupt
        return real(self, index)

    monkeypatch.setattr(minari.MinariDataset, "__getitem__", dying)
    with pytest.raises(KeyboardInterrupt):
        import_minari(made, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    read = []
    monkeypatch.setattr(
        minari.MinariDataset, "__getitem__", lambda self, i: read.append(i) or real(self, i)
    )
    assert_same(rollout, import_minari(made, tmp_path / "out", progress=False))
    assert 1 not in read


# --- Data sets of others ---------------------------------------------------------------------


def make_dataset(observations: Any, space: spaces.Space, actions: np.ndarray, **more: Any) -> Any:
    """A data set of one episode of three steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return minari.create_dataset_from_buffers(
            "other-v0",
            [
                minari.data_collector.EpisodeBuffer(
                    observations=observations,
                    actions=actions,
                    rewards=[0.1, 0.2, 0.3],
                    terminations=[False, False, True],
                    truncations=[False, False, False],
                    infos=more.pop("infos", None),
                )
            ],
            observation_space=space,
            action_space=more.pop("action_space", spaces.Box(-1, 1, (2,), np.float64)),
            jpeg_encoding=False,
        )


RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (4, 40, 40, 3), dtype=np.uint8)
IMAGE = spaces.Box(0, 255, (40, 40, 3), np.uint8)
ACTIONS = RNG.uniform(-1, 1, (3, 2))


def test_what_others_made_is_read_exactly(tmp_path: Path):
    data = import_minari(make_dataset(IMAGES, IMAGE, ACTIONS), tmp_path / "out", progress=False)
    np.testing.assert_array_equal(data.frames, IMAGES)
    assert data.factors.shape == (4, 0)
    assert data.actions is not None
    assert data.actions.dtype == np.float64
    np.testing.assert_array_equal(data.actions[:3], ACTIONS)
    assert np.isnan(data.actions[3]).all()
    np.testing.assert_array_equal(data.rewards, [0.1, 0.2, 0.3, np.nan])
    assert data.rewards.dtype == np.float64
    assert data.terminated.tolist() == [False, False, True, False]
    assert data.episode.tolist() == [0, 0, 0, 0]
    # Without an environment it can be written again all the same.
    export_minari(data, "mine-v0")
    again = import_minari("mine-v0", tmp_path / "again", progress=False)
    assert_same(data, again)


def test_the_image_of_dictionary_observations(tmp_path: Path):
    space = spaces.Dict({"pixels": IMAGE, "speed": spaces.Box(-1, 1, (3,), np.float64)})
    made = make_dataset({"pixels": IMAGES, "speed": np.zeros((4, 3))}, space, ACTIONS)
    np.testing.assert_array_equal(
        import_minari(made, tmp_path / "out", progress=False).frames, IMAGES
    )
    with pytest.raises(ValueError, match="called 'speed'; found \\[\\]"):
        import_minari(made, tmp_path / "speed", key="speed", progress=False)


def test_of_two_images_one_is_named(tmp_path: Path):
    space = spaces.Dict({"left": IMAGE, "right": IMAGE})
    made = make_dataset({"left": IMAGES, "right": 255 - IMAGES}, space, ACTIONS)
    with pytest.raises(ValueError, match=r"found \['left', 'right'\].*with key"):
        import_minari(made, tmp_path / "out", progress=False)
    data = import_minari(made, tmp_path / "out", key="right", progress=False)
    np.testing.assert_array_equal(data.frames, 255 - IMAGES)


def test_grey_images_and_numbered_actions(tmp_path: Path):
    space = spaces.Box(0, 255, (40, 40), np.uint8)
    made = make_dataset(IMAGES[..., 0], space, np.array([3, 0, 1]), action_space=spaces.Discrete(4))
    data = import_minari(made, tmp_path / "out", progress=False)
    np.testing.assert_array_equal(data.frames, IMAGES[..., :1])
    np.testing.assert_array_equal(data.actions[:3, 0], [3, 0, 1])


def test_factors_that_others_noted(tmp_path: Path):
    factors = np.array([[0, 1.5], [0, 1.5], [0, 2.5], [1, 2.5]], np.float32)
    made = make_dataset(IMAGES, IMAGE, ACTIONS, infos={"factors": factors})
    data = import_minari(made, tmp_path / "out", progress=False)
    np.testing.assert_array_equal(data.factors, factors)
    assert data.factor_space.names == ("factor_0", "factor_1")
    assert data.factor_space["factor_1"].values == (1.5, 2.5)


def test_observations_that_are_no_images_are_refused(tmp_path: Path):
    made = make_dataset(np.zeros((4, 3)), spaces.Box(-1, 1, (3,), np.float64), ACTIONS)
    with pytest.raises(ValueError, match="should have one image"):
        import_minari(made, tmp_path / "out", progress=False)
    with pytest.raises(ValueError, match="have no entries, so no 'pixels'"):
        import_minari(made, tmp_path / "out", key="pixels", progress=False)
    assert not (tmp_path / "out.partial").exists()


def test_actions_that_are_no_vectors_are_refused(tmp_path: Path):
    space = spaces.Dict({"go": spaces.Box(-1, 1, (2,), np.float64)})
    made = make_dataset(IMAGES, IMAGE, {"go": ACTIONS}, action_space=space)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="should be vectors or numbers"):
        import_minari(made, tmp_path / "out", progress=False)


# --- Refusals --------------------------------------------------------------------------------


def test_absent_data_sets_are_refused_with_those_that_are_there(
    rollout: FrameDataset, tmp_path: Path
):
    export_minari(rollout, "reach/random-v0")
    with pytest.raises(ValueError, match=r"'reach/expert-v0' on this machine.*reach/random-v0"):
        import_minari("reach/expert-v0", tmp_path / "out", progress=False)


def test_exports_that_cannot_be_leave_nothing_behind(
    rollout: FrameDataset, frames: FrameDataset, store: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(ValueError, match=r'lacks .*source="rollout"'):
        export_minari(frames, "reach-v0")
    with pytest.raises(ValueError, match="is stacked"):
        export_minari(rollout.stacked(2), "reach-v0")
    for name in ("reach", "a b-v0", "reach-vx"):
        with pytest.raises(ValueError, match="An id of Minari is"):
            export_minari(rollout, name)
    with pytest.raises(UnknownNameError, match="Did you mean 'author'"):
        export_minari(rollout, "reach-v0", autor="me")
    assert not store.exists() or not list(store.iterdir())

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        storage = minari.dataset._storages.hdf5_storage.HDF5Storage
        patch.setattr(storage, "update_episodes", full)
        with pytest.raises(OSError, match="No space left"):
            export_minari(rollout, "reach-v0")
    assert not list(store.iterdir())
    export_minari(rollout, "reach-v0")
    with pytest.raises(ValueError, match="is there already"):
        export_minari(rollout, "reach-v0")
    assert len(minari.load_dataset("reach-v0")) == 3


def test_a_single_frame_is_no_episode(tmp_path: Path):
    data = collect(ENV, tmp_path / "one", n=1, source="rollout", progress=False)
    with pytest.raises(ValueError, match=r"episode at row 0 .* is a single frame"):
        export_minari(data, "one-v0")


@pytest.mark.parametrize("package", ["minari", "h5py"])
def test_without_minari_it_is_said_what_to_install(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'pip install "drl-latent\[minari\]"'):
        import_minari("reach-v0", tmp_path / "out")


def test_the_commands_export_and_import(
    rollout: FrameDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert ExportData(rollout.path, "reach-v0", author="me").run() == 0
    assert "reach-v0: 3 episodes, 97 steps" in capsys.readouterr().out
    assert ImportData("minari:reach-v0", tmp_path / "out").run() == 0
    assert "FrameDataset(100 frames" in capsys.readouterr().out
