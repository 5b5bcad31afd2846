from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import shutil
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from drl_latent.artifacts import ArtifactError, Stage, write_json
from drl_latent.data import FrameDataset, collect, open_dataset, writing
from drl_latent.data.pairs import PairSampler
from drl_latent.data.stacking import StackedFrames
from drl_latent.envs import ENVIRONMENTS, Split, make_env, make_split
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


# --- Pairs -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rollout(tmp_path_factory: pytest.TempPathFactory) -> FrameDataset:
    out = tmp_path_factory.mktemp("data") / "rollout"
    return collect(ENV, out, n=100, seed=0, source="rollout", progress=False)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> FrameDataset:
    out = tmp_path_factory.mktemp("data") / "pairs"
    return collect(ENV, out, n=40, seed=0, source="pairs", progress=False)


@pytest.mark.parametrize("env_id", [*ENVIRONMENTS, "factorize:Reacher-v5"])
@pytest.mark.parametrize("k", [1, 3, "random"])
def test_pairs_differ_in_exactly_k_factors_and_show_them(env_id: str, k: int | str, tmp_path: Path):
    data = collect(env_id, tmp_path / "pairs", n=40, source="pairs", k=k, progress=False)
    counts = data.changed().sum(axis=1)
    seen = [f.kind != "dynamics" and f.size > 1 for f in data.factor_space]
    if k == "random":
        assert counts.min() >= 1
        assert counts.max() < sum(seen)
        assert len(np.unique(counts)) > 2
    else:
        assert (counts == k).all()
    assert not data.changed()[:, ~np.array(seen)].any()
    assert np.ptp(data.factors, axis=0).all()
    env = make_env(env_id)
    np.testing.assert_array_equal(env.unwrapped.render_values(data.factors), data.frames)
    env.close()


@pytest.mark.parametrize("env_id", list(ENVIRONMENTS))
def test_the_scene_takes_the_values_of_pairs_as_they_are(env_id: str):
    env = make_env(env_id).unwrapped
    space = env.factor_space
    for row in PairSampler(env, 2).draw(20, np.random.default_rng(0)).reshape(40, -1):
        env._set_factors(
            {f.name: e.get(v, v) for f, e, v in zip(space, env._exact, row.tolist(), strict=True)}
        )
        np.testing.assert_array_equal(env.factor_values, row)
    env.close()


def test_which_factors_change_is_uniform():
    env = make_env(ENV).unwrapped
    change = np.diff(PairSampler(env, 2).draw(9_000, np.random.default_rng(0)), axis=1)[:, 0] != 0
    share = change.mean(axis=0)
    np.testing.assert_allclose(share, 2 / 9, atol=0.02)
    both = (change.T @ change.astype(int))[np.triu_indices(9, 1)]
    np.testing.assert_allclose(both / 9_000, 1 / 36, atol=0.01)
    env.close()


def test_each_of_a_pair_is_distributed_as_single_frames_are():
    env = make_env(ENV).unwrapped
    drawn = PairSampler(env, "random").draw(6_000, np.random.default_rng(0))
    for side in (0, 1):
        levels = env.factor_space.indices(drawn[:, side])
        for column, factor in enumerate(env.factor_space):
            share = np.bincount(levels[:, column], minlength=factor.size) / len(levels)
            np.testing.assert_allclose(share, 1 / factor.size, atol=0.03)
    env.close()


@pytest.mark.parametrize("kind", ["composition", "random", "correlated"])
@pytest.mark.parametrize("k", [1, 4, "random"])
def test_pairs_stay_in_the_part_of_the_split(kind: str, k: int | str):
    env = make_env(ENV, split=kind, partition="test").unwrapped
    drawn = PairSampler(env, k).draw(300, np.random.default_rng(0))
    split = env.split
    assert split is not None
    columns = [env.factor_space.column(name) for name in split.factor_space.names]
    rows = split.factor_space.indices(drawn.reshape(600, -1)[:, columns])
    assert np.isin(split.factor_space.to_flat(rows), split.ids("test")).all()
    counts = (drawn[:, 0] != drawn[:, 1]).sum(axis=1)
    assert (counts == k).all() if k != "random" else (counts >= 1).all()
    env.close()


def _two_combinations(env_id: str, ids: list[int]) -> Split:
    env = make_env(env_id, factors=["object_hue", "object_shape"])
    space = env.unwrapped.factor_space.reset
    env.close()
    rest = np.setdiff1d(np.arange(space.size), ids)
    return Split("made by hand", space, {"train": rest, "test": np.array(ids)})


def test_factors_that_a_part_holds_are_not_counted():
    # The first two combinations: one hue, two shapes.
    split = _two_combinations(ENV, [0, 1])
    kwargs = {"factors": ["object_hue", "object_shape"], "split": split, "partition": "test"}
    env = make_env(ENV, **kwargs).unwrapped
    sampler = PairSampler(env, 1)
    assert len(sampler.columns) == 5
    drawn = sampler.draw(200, np.random.default_rng(0))
    changed = (drawn[:, 0] != drawn[:, 1]).mean(axis=0)
    assert changed[0] == 0
    np.testing.assert_allclose(changed[1:], 1 / 5, atol=0.12)
    with pytest.raises(ValueError, match='must be 1 to 5 or "random", got 6'):
        PairSampler(env, 6)
    env.close()


def test_changes_that_a_part_does_not_have_are_drawn_again_or_refused(tmp_path: Path):
    # Two combinations that differ in both factors: neither can change alone.
    split = _two_combinations(ENV, [0, 4])
    kwargs = {"factors": ["object_hue", "object_shape"], "split": split, "partition": "test"}
    env = make_env(ENV, **kwargs).unwrapped
    drawn = PairSampler(env, 1).draw(50, np.random.default_rng(0))
    changed = (drawn[:, 0] != drawn[:, 1]).any(axis=0)
    assert changed.tolist() == [False, False, True, True, True, True]
    env.close()
    # Both together can.
    data = collect(
        ENV, tmp_path / "six", n=4, source="pairs", k=6, env_kwargs=kwargs, progress=False
    )
    assert data.changed().all()


def test_impossible_pairs_leave_nothing_behind(tmp_path: Path):
    env_id = "factorize:InvertedPendulum-v5"
    factors = ["cart_hue", "light_intensity"]
    base = make_env(env_id, factors=factors)
    space = base.unwrapped.factor_space
    base.close()
    assert space.cardinalities.tolist() == [5, 4]
    split = Split("by hand", space, {"train": np.arange(6, 20), "test": np.array([0, 5])})
    apart = {"factors": factors, "split": split, "partition": "test"}
    call = functools.partial(collect, env_id, tmp_path / "out", n=4, source="pairs", progress=False)
    with pytest.raises(ValueError, match="Found no two combinations of part 'test'"):
        call(env_kwargs=apart)
    with pytest.raises(ValueError, match=r"none of the factors \['gravity'\]"):
        call(env_kwargs={"factors": ["gravity"]})
    assert not list(tmp_path.iterdir())


def test_rows_of_pairs(pairs: FrameDataset, rollout: FrameDataset, frames: FrameDataset):
    assert pairs.pair_kind == "pairs"
    np.testing.assert_array_equal(pairs.pairs(), np.arange(40).reshape(20, 2))
    assert pairs.pairs("pairs").dtype == np.int64
    with pytest.raises(ValueError, match=r"source='pairs'\. Collect with source=\"rollout\""):
        pairs.pairs("consecutive")

    assert rollout.pair_kind == "consecutive"
    rows = rollout.pairs("consecutive")
    assert rows.shape == (97, 2)
    assert (np.diff(rows, axis=1) == 1).all()
    assert (rollout.episode[rows[:, 0]] == rollout.episode[rows[:, 1]]).all()
    assert not np.isnan(rollout.actions[rows[:, 0]]).any()
    np.testing.assert_array_equal(rollout.pairs("pairs"), rows)
    kinds = [f.kind for f in rollout.factor_space]
    assert not rollout.changed("consecutive")[:, [kind != "state" for kind in kinds]].any()

    assert frames.pair_kind is None
    with pytest.raises(ValueError, match='source="pairs" or source="rollout"'):
        frames.pairs()
    with pytest.raises(UnknownNameError, match="Did you mean 'pairs'"):
        frames.pairs("pair")  # type: ignore[arg-type]
    alone = dataclasses.replace(rollout, episode=np.arange(100))
    with pytest.raises(ValueError, match="no two frames of one episode"):
        alone.pairs()


def test_k_is_part_of_the_request(pairs: FrameDataset):
    with pytest.raises(ArtifactError, match="k: 1 there, 2 asked"):
        collect(ENV, pairs.path, n=40, seed=0, source="pairs", k=2, progress=False)


# --- Stacks ----------------------------------------------------------------------------------


class Replay(gym.Env):
    """Shows the frames of a data set again, episode by episode."""

    def __init__(self, data: FrameDataset) -> None:
        self.data, self.row = data, -1
        self.observation_space = gym.spaces.Box(0, 255, data.image_shape, np.uint8)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        self.row = (self.row + 1) % len(self.data)
        return np.array(self.data.frames[self.row]), {}

    def step(self, action: int):
        self.row += 1
        last = self.row + 1 == len(self.data)
        over = last or self.data.episode[self.row + 1] != self.data.episode[self.row]
        return np.array(self.data.frames[self.row]), 0.0, bool(over), False, {}


def test_stacks_are_what_an_agent_sees(rollout: FrameDataset):
    stacked = rollout.stacked(3)
    venv = VecFrameStack(DummyVecEnv([lambda: Replay(rollout)]), 3)
    shown = [venv.reset()[0]]
    while len(shown) < len(rollout):
        observation, _, over, infos = venv.step(np.array([0]))
        if over[0]:
            shown.append(infos[0]["terminal_observation"])
        if len(shown) < len(rollout):
            shown.append(observation[0])
    np.testing.assert_array_equal(stacked.frames[:], np.stack(shown))


def test_stacks_read_like_an_array(rollout: FrameDataset):
    stacked = rollout.stacked(4)
    frames = stacked.frames
    assert isinstance(frames, StackedFrames)
    assert len(stacked) == len(frames) == len(rollout)
    assert stacked.image_shape == (64, 64, 12)
    assert frames.shape == (100, 64, 64, 12)
    assert frames.dtype == np.uint8
    whole = frames[:]
    assert isinstance(whole, np.ndarray)
    rows = np.array([0, 1, 40, 41, 42, 99])
    np.testing.assert_array_equal(frames[rows], whole[rows])
    np.testing.assert_array_equal(frames[5], whole[5])
    np.testing.assert_array_equal(frames[-1], whole[99])
    np.testing.assert_array_equal(frames[10:50:7], whole[10:50:7])
    assert frames[np.array([], dtype=np.int64)].shape == (0, 64, 64, 12)
    with pytest.raises(IndexError):
        frames[100]
    # The newest frame is last; before an episode's first there is nothing.
    np.testing.assert_array_equal(whole[..., 9:], rollout.frames)
    assert not whole[41, ..., :9].any()
    np.testing.assert_array_equal(whole[42, ..., 6:9], rollout.frames[41])
    assert not whole[42, ..., :6].any()


def test_stacked_data_sets_keep_the_rest(rollout: FrameDataset, frames: FrameDataset):
    stacked = rollout.stacked(2)
    np.testing.assert_array_equal(stacked.factors, rollout.factors)
    np.testing.assert_array_equal(stacked.pairs("consecutive"), rollout.pairs("consecutive"))
    assert stacked.fingerprint != rollout.fingerprint != rollout.stacked(3).fingerprint
    assert rollout.stacked(1) is rollout
    with pytest.raises(ValueError, match="1 frame or more, got 0"):
        rollout.stacked(0)
    with pytest.raises(ValueError, match="stacked already"):
        stacked.stacked(2)
    with pytest.raises(ValueError, match='Collect with source="rollout"'):
        frames.stacked(2)
