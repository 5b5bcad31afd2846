"""Interventions on the simulator: what is kept, what is drawn, and what is rendered."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from drl_latent import Encoder
from drl_latent.data import FrameDataset
from drl_latent.envs import make_env
from drl_latent.interventions.simulator_sampler import SimulatorSampler
from drl_latent.metrics import irs
from drl_latent.metrics.beta_vae_score import beta_vae
from drl_latent.metrics.factor_vae_score import factor_vae

ENV = "DrlLatent/Reach-v0"


def corner(frames):
    """The mean colour of the upper left corner, which shows the floor, and of the whole image."""
    return np.hstack([frames[:, :4, :4].mean(axis=(1, 2)), frames.mean(axis=(1, 2))]) / 255


@pytest.fixture(scope="module")
def sampler():
    with SimulatorSampler(corner, ENV) as made:
        yield made


def test_rows_of_a_group_share_one_value_exactly_and_no_other(sampler):
    for column in range(len(sampler.names)):
        values = sampler.values(column, 20, 30, np.random.default_rng(column))
        still = np.ptp(values, axis=1) == 0
        assert still[:, column].all()
        assert not np.delete(still, column, axis=1).any()
        assert len(np.unique(values[:, 0, column])) > 1


def test_codes_are_those_of_the_rendered_values(encoder: Encoder):
    env = make_env(ENV)
    given = SimulatorSampler(encoder, env, batch=7)
    codes = given.fixed(2, 3, 5, np.random.default_rng(0))
    values = given.values(2, 3, 5, np.random.default_rng(0))
    again = encoder(env.unwrapped.render_values(values.reshape(15, -1)))
    assert codes.dtype == np.float64
    np.testing.assert_allclose(codes, again.reshape(3, 5, -1), atol=1e-5)
    given.close()
    # It was not made by the sampler, so it is not closed by it.
    env.unwrapped.render_values(values[0])
    env.close()


def test_what_is_kept_is_seen_to_be_kept():
    with SimulatorSampler(corner, ENV, env_kwargs={"factors": ["floor_hue"]}) as few:
        kept, drawn = (
            few.fixed(column, 10, 10, np.random.default_rng(0))[..., :3].std(axis=1).mean()
            for column in (0, 1)
        )
    assert 10 * kept < 0.05 < drawn


def test_factors_that_do_not_vary_or_show_are_not_kept():
    with SimulatorSampler(corner, "DrlLatent/ArmReach-v0") as arm:
        space = arm._scene.factor_space
        assert "drive_gain" in space.names
        assert arm.names == tuple(f.name for f in space if f.kind != "dynamics")
        column = arm.names.index(space.names[-1])
        values = arm.values(column, 2, 5, np.random.default_rng(0))
        assert (np.ptp(values[..., -1], axis=1) == 0).all()
    with SimulatorSampler(corner, ENV, env_kwargs={"factors": ["floor_hue"]}) as few:
        assert few.names == ("floor_hue", "effector_x", "effector_y", "object_x", "object_y")


def test_values_are_of_the_part_of_the_split_and_combinations_are_free():
    how = {"factors": ["object_hue", "floor_hue"], "split": "composition", "partition": "train"}
    with SimulatorSampler(corner, ENV, env_kwargs=how) as part:
        split = part._scene.split
        grid = split.factor_space
        values = part.values(0, 300, 4, np.random.default_rng(0)).reshape(1200, -1)
        rows = grid.indices(values[:, [part.names.index(name) for name in grid.names]])
        held = split.indices("train")
        for column in range(2):
            assert set(rows[:, column]) <= set(held[:, column])
        inside = np.isin(grid.to_flat(rows), split.ids("train"))
        assert 0.5 < inside.mean() < 1


@pytest.mark.parametrize("score", [factor_vae, beta_vae, irs])
def test_metrics_intervene_with_it(score, sampler, frames: FrameDataset):
    few = {"interventions": 3, "batch": 5}
    if score is not irs:
        few = {"votes": 18, "test_votes": 18, "batch": 2}
    names = frames.factor_space.names
    z = corner(np.asarray(frames.frames))
    result = score(z, frames.factors, names=names, sampler=sampler, floor=False, **few)
    assert result.estimator == "SimulatorSampler"
    low, high = result.interval
    assert low <= result.score <= high
    assert result.matrix.shape == (6, len(names))


def test_data_with_other_factors_are_refused(sampler, frames: FrameDataset):
    z = corner(np.asarray(frames.frames))
    kept = [0, 1, 2]
    with pytest.raises(ValueError, match=r"The sampler varies .* expected the same factors"):
        irs(z, frames.factors[:, kept], names=[frames.factor_space.names[k] for k in kept],
            sampler=sampler, resamples=0, floor=False)  # fmt: skip


def test_wrong_environments_and_batches_are_refused():
    with pytest.raises(ValueError, match="batch is 0; expected 1 frame or more"):
        SimulatorSampler(corner, ENV, batch=0)
    env = gym.make("CartPole-v1")
    with pytest.raises(ValueError, match="has no factors of variation: CartPoleEnv"):
        SimulatorSampler(corner, env)
    env.close()
