from __future__ import annotations

import functools
import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from drl_latent.artifacts import ArtifactError, Stage, write_json
from drl_latent.data import FrameDataset, collect, open_dataset, writing
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


def test_same_seed_same_frames_other_seed_others(tmp_path: Path):
    same = collect(ENV, tmp_path / "same", n=50, seed=0, progress=False)
    other = collect(ENV, tmp_path / "other", n=50, seed=1, progress=False)
    again = collect(ENV, tmp_path / "again", n=50, seed=0, progress=False)
    np.testing.assert_array_equal(same.factors, again.factors)
    np.testing.assert_array_equal(same.frames, again.frames)
    assert (other.factors != same.factors).any()


def test_rollouts_have_actions_and_whole_episodes(tmp_path: Path):
    data = collect(ENV, tmp_path / "roll", n=130, seed=0, source="rollout", progress=False)
    assert data.actions is not None
    assert data.episode is not None
    assert data.actions.shape == (130, 2)
    # 40 steps, and the frame that the last one leads to.
    starts, lengths = np.unique(data.episode, return_counts=True)
    np.testing.assert_array_equal(starts, [0, 41, 82, 123])
    np.testing.assert_array_equal(lengths, [41, 41, 41, 7])
    # Reset factors hold within an episode, the effector moves.
    names = data.factor_space.names
    first = data.factors[data.episode == data.episode[0]]
    assert (first[:, names.index("object_hue")] == first[0, names.index("object_hue")]).all()
    assert np.ptp(first[:, names.index("effector_x")]) > 0.05


def test_rollouts_are_the_transitions_of_the_environment(tmp_path: Path):
    data = collect(ENV, tmp_path / "roll", n=60, seed=0, source="rollout", progress=False)
    assert data.actions is not None
    last = [40, 59]
    assert (np.flatnonzero(np.isnan(data.rewards)) == last).all()
    assert (np.flatnonzero(np.isnan(data.actions).any(axis=1)) == last).all()
    assert not data.terminated.any()
    assert (np.flatnonzero(data.truncated) == [39, 58]).all()
    env = make_env(ENV)
    rng = np.random.default_rng([0, 0])
    observation, info = env.reset(seed=int(rng.integers(2**31)))
    for row in range(41):
        np.testing.assert_array_equal(data.frames[row], observation)
        np.testing.assert_array_equal(data.factors[row], info["factors"])
        if row < 40:
            observation, reward, terminated, truncated, info = env.step(data.actions[row])
            assert data.rewards[row] == np.float32(reward)
            assert (data.terminated[row], data.truncated[row]) == (terminated, truncated)
    env.close()


@pytest.mark.parametrize("n", [42, 83, 1_001])
def test_no_episode_is_a_single_frame(n: int, tmp_path: Path):
    data = collect(ENV, tmp_path / "roll", n=n, source="rollout", progress=False)
    starts, lengths = np.unique(data.episode, return_counts=True)
    assert lengths.min() > 1
    assert lengths.sum() == n
    ends = starts + lengths - 1
    np.testing.assert_array_equal(np.flatnonzero(data.truncated), ends - 1)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(data.rewards)), ends)


def test_a_split_is_kept_to(tmp_path: Path):
    env = make_env(ENV)
    split = make_split("composition", env.unwrapped.factor_space, seed=2)
    env.close()
    for source in ("factors", "pairs", "rollout"):
        data = collect(
            ENV, tmp_path / source, n=120, source=source, progress=False,
            env_kwargs={"split": split, "partition": "test"},
        )  # fmt: skip
        columns = [data.factor_space.column(name) for name in split.factor_space.names]
        rows = split.factor_space.indices(data.factors[:, columns])
        assert np.isin(split.factor_space.to_flat(rows), split.ids("test")).all()
        assert data.config["partition"] == "test"


@pytest.mark.parametrize("source", ["factors", "pairs", "rollout"])
def test_interrupted_collection_goes_on(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importlib.import_module("drl_latent.data.collect"), "_CHUNK", 20)
    call = functools.partial(collect, ENV, n=60, seed=5, source=source, progress=False)
    whole = call(tmp_path / "whole")

    calls = 0

    def dying(path: Path, data: object) -> None:
        nonlocal calls
        write_json(path, data)
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write_json", dying)
    with pytest.raises(KeyboardInterrupt):
        call(tmp_path / "parts")
    monkeypatch.setattr(writing, "write_json", write_json)
    with pytest.raises(ArtifactError, match="not finished"):
        open_dataset(tmp_path / "parts")
    done = json.loads((tmp_path / "parts.partial" / "done.json").read_text())
    assert done == {"frames": 40}
    parts = call(tmp_path / "parts")
    np.testing.assert_array_equal(parts.frames, whole.frames)
    np.testing.assert_array_equal(parts.factors, whole.factors)
    if source == "rollout":
        np.testing.assert_array_equal(parts.rewards, whole.rewards)
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
        ({"k": 2}, 'k=2 is a setting of source="pairs"'),
        ({"source": "pairs", "n": 9}, "must be even"),
        ({"source": "pairs", "k": 0}, 'must be 1 to 9 or "random", got 0'),
        ({"source": "pairs", "k": 10}, "must be 1 to 9"),
        ({"source": "pairs", "k": "some"}, "got 'some'"),
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
