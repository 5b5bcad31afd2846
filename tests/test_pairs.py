"""Pairs of frames: what differs in them, and what is drawn."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

from drl_latent.artifacts import ArtifactError
from drl_latent.data import FrameDataset, collect
from drl_latent.data.pairs import PairSampler
from drl_latent.envs import ENVIRONMENTS, Split, make_env
from drl_latent.registry import UnknownNameError

ENV = "DrlLatent/Reach-v0"


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


def test_rows_of_pairs(pairs: FrameDataset, rollouts: FrameDataset, frames: FrameDataset):
    assert pairs.pair_kind == "pairs"
    np.testing.assert_array_equal(pairs.pairs(), np.arange(200).reshape(100, 2))
    assert pairs.pairs("pairs").dtype == np.int64
    with pytest.raises(ValueError, match=r"source='pairs'\. Collect with source=\"rollout\""):
        pairs.pairs("consecutive")

    assert rollouts.pair_kind == "consecutive"
    rows = rollouts.pairs("consecutive")
    assert rows.shape == (195, 2)
    assert (np.diff(rows, axis=1) == 1).all()
    assert (rollouts.episode[rows[:, 0]] == rollouts.episode[rows[:, 1]]).all()
    assert not np.isnan(rollouts.actions[rows[:, 0]]).any()
    np.testing.assert_array_equal(rollouts.pairs("pairs"), rows)
    kinds = [f.kind for f in rollouts.factor_space]
    assert not rollouts.changed("consecutive")[:, [kind != "state" for kind in kinds]].any()

    assert frames.pair_kind is None
    with pytest.raises(ValueError, match='source="pairs" or source="rollout"'):
        frames.pairs()
    with pytest.raises(UnknownNameError, match="Did you mean 'pairs'"):
        frames.pairs("pair")  # type: ignore[arg-type]
    alone = dataclasses.replace(rollouts, episode=np.arange(len(rollouts)))
    with pytest.raises(ValueError, match="no two frames of one episode"):
        alone.pairs()


def test_k_is_part_of_the_request(pairs: FrameDataset):
    with pytest.raises(ArtifactError, match="k: 1 there, 2 asked"):
        collect(ENV, pairs.path, n=200, seed=0, source="pairs", k=2, progress=False)
