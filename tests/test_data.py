from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from drl_latent.artifacts import ArtifactError, Stage
from drl_latent.data import FrameDataset, collect, open_dataset
from drl_latent.data import collect as collect_module  # noqa: F401
from drl_latent.envs import make_env, make_split
from drl_latent.registry import UnknownNameError

ENV = "DrlLatent/Reach-v0"


def test_factor_frames_are_what_their_factors_render(frames: FrameDataset):
    assert frames.frames.shape == (200, 64, 64, 3)
    assert frames.frames.dtype == np.uint8
    assert frames.factors.shape == (200, len(frames.factor_space))
    env = make_env(ENV)
    again = env.unwrapped.render_values(frames.factors[:5])
    np.testing.assert_array_equal(again, frames.frames[:5])
    env.close()


def test_frames_are_memory_mapped(frames: FrameDataset):
    assert isinstance(frames.frames, np.memmap)
    assert not frames.frames.flags.writeable


def test_same_seed_same_frames_other_seed_others(frames: FrameDataset, tmp_path: Path):
    same = collect(ENV, tmp_path / "same", n=50, seed=0, progress=False)
    other = collect(ENV, tmp_path / "other", n=50, seed=1, progress=False)
    np.testing.assert_array_equal(same.factors, frames.factors[:50] * 0 + same.factors)
    assert (other.factors != same.factors).any()


def test_rollouts_have_actions_and_whole_episodes(tmp_path: Path):
    data = collect(ENV, tmp_path / "roll", n=130, seed=0, source="rollout", progress=False)
    assert data.actions is not None
    assert data.episode is not None
    assert data.actions.shape == (130, 2)
    lengths = np.unique(data.episode, return_counts=True)[1]
    assert (lengths[:-1] == 40).all()
    assert np.isin(np.diff(data.episode), [0, 40]).all()
    # Reset factors hold within an episode, the effector moves.
    names = data.factor_space.names
    first = data.factors[data.episode == data.episode[0]]
    assert (first[:, names.index("object_hue")] == first[0, names.index("object_hue")]).all()
    assert np.ptp(first[:, names.index("effector_x")]) > 0.05


def test_a_split_is_kept_to(tmp_path: Path):
    env = make_env(ENV)
    split = make_split("composition", env.unwrapped.factor_space, seed=2)
    env.close()
    for source in ("factors", "rollout"):
        data = collect(
            ENV, tmp_path / source, n=120, source=source, progress=False,
            env_kwargs={"split": split, "partition": "test"},
        )  # fmt: skip
        columns = [data.factor_space.column(name) for name in split.factor_space.names]
        rows = split.factor_space.indices(data.factors[:, columns])
        assert np.isin(split.factor_space.to_flat(rows), split.ids("test")).all()
        assert data.config["partition"] == "test"


def test_interrupted_collection_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import importlib

    module = importlib.import_module("drl_latent.data.collect")
    monkeypatch.setattr(module, "_CHUNK", 20)
    whole = collect(ENV, tmp_path / "whole", n=60, seed=5, progress=False)

    calls = 0
    real = module.write_json

    def dying(path: Path, data: object) -> None:
        nonlocal calls
        real(path, data)
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_json", dying)
    with pytest.raises(KeyboardInterrupt):
        collect(ENV, tmp_path / "parts", n=60, seed=5, progress=False)
    with pytest.raises(ArtifactError, match="not finished"):
        open_dataset(tmp_path / "parts")
    monkeypatch.setattr(module, "write_json", real)
    done = json.loads((tmp_path / "parts.partial" / "done.json").read_text())
    assert done == {"frames": 40}
    parts = collect(ENV, tmp_path / "parts", n=60, seed=5, progress=False)
    np.testing.assert_array_equal(parts.frames, whole.frames)
    assert not (tmp_path / "parts.partial").exists()


def test_finished_collection_is_found_again_and_others_refused(frames: FrameDataset):
    again = collect(ENV, frames.path, n=200, seed=0, progress=False)
    assert again.fingerprint == frames.fingerprint
    with pytest.raises(ArtifactError, match="seed: 0 there, 1 asked"):
        collect(ENV, frames.path, n=200, seed=1, progress=False)


def test_damage_is_refused_with_the_reason(frames: FrameDataset, tmp_path: Path):
    def copy(name: str) -> Path:
        return Path(shutil.copytree(frames.path, tmp_path / name))

    truncated = copy("truncated")
    content = (truncated / "frames.npy").read_bytes()
    (truncated / "frames.npy").write_bytes(content[:-100])
    with pytest.raises(ArtifactError, match="truncated or changed"):
        open_dataset(truncated)

    flipped = copy("flipped")
    (flipped / "frames.npy").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    open_dataset(flipped)
    with pytest.raises(ArtifactError, match="SHA-256"):
        open_dataset(flipped, verify=True)

    gone = copy("gone")
    (gone / "factors.npy").unlink()
    with pytest.raises(ArtifactError, match="missing"):
        open_dataset(gone)

    no_manifest = copy("no_manifest")
    (no_manifest / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"has no manifest\.json"):
        open_dataset(no_manifest)

    garbled = copy("garbled")
    (garbled / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match="is not a manifest"):
        open_dataset(garbled)

    newer = copy("newer")
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(ArtifactError, match="Upgrade"):
        open_dataset(newer)

    (newer / "manifest.json").write_text(json.dumps(manifest | {"kind": "drl_latent/agent"}))
    with pytest.raises(ArtifactError, match="a frames folder was expected"):
        open_dataset(newer)


def test_absent_folder_names_the_nearest(frames: FrameDataset):
    with pytest.raises(ArtifactError, match=r"Did you mean .*frames\?"):
        open_dataset(frames.path.with_name("frame"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": 0}, "must be 1 or more"),
        ({"source": "factor"}, "Did you mean 'factors'"),
        ({"env_kwargs": {"split": "composition", "partition": "tests"}}, "Did you mean 'test'"),
    ],
)
def test_wrong_requests_leave_nothing_behind(tmp_path: Path, arguments: dict, says: str):
    with pytest.raises(ValueError, match=says):
        collect(ENV, tmp_path / "out", **{"n": 10, "progress": False, **arguments})
    assert not list(tmp_path.iterdir())


def test_environments_without_factors_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="has no factors of variation"):
        collect("CartPole-v1", tmp_path / "out", n=10, progress=False)
    with pytest.raises(UnknownNameError):
        collect("DrlLatent/Nothing-v0", tmp_path / "out", n=10, progress=False)


def test_interrupted_work_of_another_request_is_refused(tmp_path: Path):
    Stage(tmp_path / "out", "frames", {"seed": 0})
    with pytest.raises(ArtifactError, match="holds interrupted work made with other settings"):
        Stage(tmp_path / "out", "frames", {"seed": 1})
