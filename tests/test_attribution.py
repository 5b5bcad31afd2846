"""Losses by factor and value, and latents that are set back, where the answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest, ttest_1samp, ttest_ind

from drl_latent import Encoder
from drl_latent.agents import LatentAgent, train_agent
from drl_latent.envs import make_env, make_split
from drl_latent.evaluation import (
    evaluate_generalization,
    factor_success,
    latent_moves,
    pair_success,
    set_back,
    with_latent_set,
)
from drl_latent.evaluation.episode_intervals import newcombe, student, welch, wilson
from drl_latent.evaluation.latent_attribution import training_means
from drl_latent.evaluation.latent_moves import most_moved

ENV = "DrlLatent/Reach-v0"
FACTORS = ["object_hue", "floor_hue"]


def episodes(part: str, cells: dict[tuple[float, float], tuple[int, int]], **columns):
    """Make episodes from (hue, size) -> (successes, episodes)."""
    rows = [
        {"part": part, "factor/hue": hue, "factor/size": size, "success": i < wins}
        for (hue, size), (wins, n) in cells.items()
        for i in range(n)
    ]
    return pd.DataFrame(rows).assign(**{"agent": "a", **columns})


@pytest.fixture
def table() -> pd.DataFrame:
    inside = episodes("id", {(0, 1): (9, 10), (0, 2): (7, 10), (1, 1): (10, 10)})
    outside = episodes("ood", {(1, 2): (4, 10), (2, 1): (0, 5)})
    return pd.concat([inside, outside], ignore_index=True)


def test_losses_by_value_are_those_computed_by_hand(table):
    found = factor_success(table).set_index(["part", "factor", "value"])
    row = found.loc[("ood", "hue", 1)]
    assert (row["episodes"], row["success"]) == (10, 0.4)
    # In distribution 26 of 30 succeed, and 10 of 10 at this hue.
    assert row["loss"] == pytest.approx(26 / 30 - 0.4)
    assert row["loss_at_value"] == pytest.approx(0.6)
    assert row["loss_low"] < row["loss"] < row["loss_high"]
    # A value that training never had can be compared with the whole only.
    new = found.loc[("ood", "hue", 2)]
    assert new["loss"] == pytest.approx(26 / 30)
    assert np.isnan(new["loss_at_value"])
    assert (new["success_low"], new["success"]) == (0, 0)
    base = found.loc[("id", "hue", 0)]
    assert base["success"] == 0.8
    assert base["loss"] == pytest.approx(26 / 30 - 0.8)
    assert np.isnan(base["loss_low"])
    assert found.groupby(["part", "factor"])["episodes"].sum().to_dict() == {
        ("id", "hue"): 30, ("id", "size"): 30, ("ood", "hue"): 15, ("ood", "size"): 15,
    }  # fmt: skip


def test_agents_and_tasks_are_told_apart_and_seeds_on_request(table):
    both = pd.concat([table.assign(agent_seed=0), table.assign(agent_seed=1, success=True)])
    pooled = factor_success(both)
    assert set(pooled["agent"]) == {"a"}
    assert "agent_seed" not in pooled
    by_seed = factor_success(both, by=["agent", "agent_seed"])
    assert (by_seed.loc[by_seed["agent_seed"] == 1, "success"] == 1).all()
    assert by_seed["episodes"].sum() == pooled["episodes"].sum()
    # A seed that is unknown, as that of an encoder where there is none, is a group too.
    unknown = factor_success(both.assign(encoder_seed=np.nan), by=["encoder_seed"])
    assert unknown["episodes"].sum() == pooled["episodes"].sum()
    assert unknown["loss"].notna().all()
    whole = factor_success(both, by=[])
    np.testing.assert_allclose(whole["loss"], pooled["loss"])


def test_factors_that_a_task_does_not_have_count_in_no_row(table):
    other = episodes("id", {(0, 1): (1, 2)}, agent="b", **{"factor/size": np.nan})
    found = factor_success(pd.concat([table, other]))
    assert set(found.loc[found["agent"] == "b", "factor"]) == {"hue"}
    pairs = pair_success(pd.concat([table, other]))
    assert set(pairs["agent"]) == {"a"}


def test_pairs_of_factors_are_the_cells_of_a_heat_map(table):
    found = pair_success(table)
    cells = found.set_index(["part", "value_a", "value_b"])
    assert set(found["factor_a"]) == {"hue"}
    assert set(found["factor_b"]) == {"size"}
    assert len(cells) == 5
    assert cells.loc[("ood", 1, 2), ["episodes", "success"]].tolist() == [10, 0.4]
    assert pair_success(table, factors=["hue"]).empty
    with pytest.raises(ValueError, match="Did you mean 'hue'"):
        pair_success(table, factors=["hues", "size"])


def test_no_factors_give_no_rows_and_unknown_names_are_errors(table):
    without = table[["agent", "part", "success"]]
    assert factor_success(without).empty
    with pytest.raises(ValueError, match="Unknown part of the episodes 'in'"):
        factor_success(table, baseline="in")
    with pytest.raises(ValueError, match="Did you mean 'agent'"):
        factor_success(table, by=["agents"])


def test_an_agent_without_episodes_to_compare_with_has_no_loss(table):
    other = episodes("other/x", {(0, 1): (1, 2)}, agent="b")
    found = factor_success(pd.concat([table, other]))
    rows = found[found["agent"] == "b"]
    assert len(rows) == 2
    assert rows[["loss", "loss_low", "loss_at_value"]].isna().all(axis=None)


def test_intervals_are_those_of_the_papers():
    for wins, n in ((0, 5), (3, 10), (7, 7), (48, 80)):
        known = binomtest(wins, n).proportion_ci(0.9, method="wilson")
        low, high = wilson(wins, n, 0.9)
        assert (float(low), float(high)) == pytest.approx((known.low, known.high))
    # Newcombe 1998, table II, example (a), method 10.
    low, high = newcombe(56, 70, 48, 80)
    assert (float(low), float(high)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    low, high = newcombe(10, 10, 0, 20)
    assert float(high) == pytest.approx(1.0)


def test_of_returns_the_means_are_compared(table):
    rng = np.random.default_rng(0)
    returns = table.assign(success=np.nan, **{"return": rng.normal(5 * table["factor/hue"], 2)})
    found = factor_success(returns, "return", confidence=0.9).set_index(["part", "factor", "value"])
    row = found.loc[("ood", "hue", 1)]
    is_own = (returns["part"] == "ood") & (returns["factor/hue"] == 1)
    own, base = returns["return"][is_own], returns["return"][returns["part"] == "id"]
    assert row["return"] == pytest.approx(own.mean())
    known = ttest_1samp(own, 0).confidence_interval(0.9)
    assert (row["return_low"], row["return_high"]) == pytest.approx((known.low, known.high))
    assert row["loss"] == pytest.approx(base.mean() - own.mean())
    known = ttest_ind(base, own, equal_var=False).confidence_interval(0.9)
    assert (row["loss_low"], row["loss_high"]) == pytest.approx((known.low, known.high))
    pairs = pair_success(returns, "return").set_index(["part", "value_a", "value_b"])
    assert pairs.loc[("ood", 1, 2), "return"] == pytest.approx(own.mean())
    assert factor_success(returns).empty, "nobody says what success is"
    with pytest.raises(ValueError, match="Did you mean 'return'"):
        pair_success(returns, "returns")


def test_means_of_one_episode_have_no_interval_and_equal_ones_no_width():
    low, high = student(3.0, 1, np.nan, 0.95)
    assert np.isnan([low, high]).all()
    assert welch((6.0, 3, 0.0), (5.0, 5, 0.0)) == (1.0, 1.0)
    assert np.isnan(welch((6.0, 3, 0.0), (5.0, 1, np.nan))).all()


class Pixels:
    """The red of a corner, of the floor; a constant; and the mean of the image."""

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        corner = frames[:, 1, 1, 0].astype(np.float32)
        return np.stack([corner, np.full_like(corner, 3), frames.mean(axis=(1, 2, 3))], axis=1)


def test_a_latent_that_is_a_factor_of_two_values_moves_by_two_deviations():
    space = make_env(ENV, factors=FACTORS).unwrapped.factor_space
    two = make_split("predicate", space, train={"floor_hue": [0.0, 0.4]})
    moves = latent_moves(
        Pixels(), ENV, n=60, env_kwargs={"factors": FACTORS, "split": two, "partition": "train"}
    )
    table = moves.pivot(index="factor", columns="latent", values="move")
    assert table.loc["floor_hue", 0] == pytest.approx(2, abs=0.05)
    assert table.loc["object_hue", 0] < 0.1
    assert (table[1] == 0).all()
    assert most_moved(moves)["floor_hue"] == 0
    assert (moves.groupby("factor")["pairs"].first() > 10).all()


def test_a_factor_that_shows_in_no_image_has_a_row_without_a_number():
    kwargs = {"factors": ["object_hue", "object_mass"]}
    moves = latent_moves(Pixels(), "DrlLatent/Push-v0", n=5, env_kwargs=kwargs)
    rows = moves[moves["factor"] == "object_mass"]
    assert rows["move"].isna().all()
    assert (rows["pairs"] == 0).all()
    assert "object_mass" not in most_moved(moves)
    with pytest.raises(ValueError, match="1 or more"):
        latent_moves(Pixels(), "DrlLatent/Push-v0", n=0)


@pytest.fixture(scope="module")
def space():
    env = make_env(ENV, factors=FACTORS)
    env.close()
    return env.unwrapped.factor_space


@pytest.fixture(scope="module")
def agent(encoder_folder: str, tmp_path_factory: pytest.TempPathFactory) -> LatentAgent:
    return train_agent(
        ENV, tmp_path_factory.mktemp("agents") / "agent", encoder=encoder_folder, steps=32,
        n_envs=2, progress=False, env_kwargs={"factors": FACTORS},
        settings={"n_steps": 16, "batch_size": 16, "policy_kwargs": {"net_arch": [16]}},
    )  # fmt: skip


def test_a_latent_that_is_set_is_all_that_the_policy_sees_otherwise(agent, encoder: Encoder):
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    changed = with_latent_set(agent, 3, 5.0)
    codes = encoder(frames)
    before = agent.predict(frames)
    codes[:, 3] = 5.0
    wanted, _ = agent.policy.predict(codes, deterministic=True)
    np.testing.assert_allclose(changed.predict(frames), wanted, atol=1e-6)
    np.testing.assert_array_equal(agent.predict(frames), before)
    assert changed.fingerprint != agent.fingerprint
    tensor = changed.encoder(torch.from_numpy(frames))
    assert (tensor[:, 3] == 5).all()
    with pytest.raises(ValueError, match="latent must be 0 to 9"):
        with_latent_set(agent, 10, 0.0)


def test_setting_back_matters_only_where_the_policy_uses_the_latent(agent, space):
    split = make_split("axis", space)
    names = space.names
    moves = pd.DataFrame(
        [(f, d, 2.0 if d == k else 0.5) for k, f in enumerate(names) for d in range(10)],
        columns=["factor", "latent", "move"],
    )
    # The first layers of policy and value see nothing of latent 1, that of the floor's hue.
    with torch.no_grad():
        for net in (agent.policy.mlp_extractor.policy_net, agent.policy.mlp_extractor.value_net):
            net[0].weight[:, 1] = 0
            net[0].weight[:, 0] = 30
    kwargs = {"episodes": 2, "env_kwargs": {"factors": FACTORS}, "progress": False}
    found = set_back(agent, ENV, split, moves, frames=50, **kwargs).set_index(["part", "factor"])
    hue, floor = FACTORS
    # The parts by axis are run with the latent of their own factor only.
    assert set(found.index) == {
        ("ood", hue), ("ood", floor), (f"ood/{hue}", hue), (f"ood/{floor}", floor),
    }  # fmt: skip
    same = found.loc[[("ood", floor), (f"ood/{floor}", floor)]]
    np.testing.assert_array_equal(same["return"], same["return_set_back"])
    np.testing.assert_array_equal(same["success"], same["success_set_back"])
    assert (same[["gained", "lost"]] == 0).all(axis=None)
    other = found.loc[("ood", hue)]
    assert other["latent"] == 0
    assert other["return"] != other["return_set_back"]
    # As it is, it runs on the episodes of the evaluation.
    table = evaluate_generalization({"agent": agent}, ENV, split, **kwargs)
    rows = table[table["part"] == "ood"]
    assert other["return"] == pytest.approx(rows["return"].mean())
    assert other["success"] == rows["success"].mean()
    gain = other["success_set_back"] - other["success"]
    assert (other["gained"] - other["lost"]) / 2 == pytest.approx(gain)


def test_a_factor_that_moves_no_latent_is_said_to(agent, space):
    split = make_split("composition", space)
    moves = pd.DataFrame({"factor": list(space.names), "latent": 0, "move": 0.0})
    found = set_back(
        agent, ENV, split, moves, factors=["object_hue"], episodes=1, frames=5,
        env_kwargs={"factors": FACTORS}, progress=False,
    )  # fmt: skip
    assert found["latent"].tolist() == [-1]
    assert found["success_set_back"].isna().all()
    assert found["success"].notna().all()


def test_means_are_those_of_the_part_that_is_trained_on(space):
    two = make_split("predicate", space, train={"floor_hue": [0.0]})
    kwargs = {"env_kwargs": {"factors": FACTORS}, "n": 20}
    mean = training_means(Pixels(), ENV, two, **kwargs)
    env = make_env(ENV, factors=FACTORS)
    env.reset(seed=0, options={"factors": {"floor_hue": 0}})
    frame = env.unwrapped.render_values(env.unwrapped.factor_values[None])
    env.close()
    np.testing.assert_allclose(mean[:2], Pixels()(frame)[0, :2], atol=8)


def test_only_agents_on_frozen_latents_have_one_to_set_back(
    encoder_folder: str, space, tmp_path: Path
):
    short = {"steps": 32, "n_envs": 2, "progress": False}
    short["settings"] = {"n_steps": 16, "batch_size": 16, "policy_kwargs": {"net_arch": [16]}}
    state = train_agent(ENV, tmp_path / "state", inputs="state", **short)
    with pytest.raises(ValueError, match="inputs='state'"):
        with_latent_set(state, 0, 0.0)
    tuned = train_agent(ENV, tmp_path / "t", encoder=encoder_folder, mode="finetune", **short)
    split = make_split("composition", space)
    moves = pd.DataFrame({"factor": list(space.names), "latent": 0, "move": 1.0})
    with pytest.raises(ValueError, match="mode='finetune'"):
        set_back(tuned, ENV, split, moves)
    with pytest.raises(TypeError, match="got str"):
        with_latent_set("agent", 0, 0.0)
    with pytest.raises(ValueError, match="Did you mean 'object_hue'"):
        set_back(state_free(encoder_folder, tmp_path), ENV, split, moves, factors=["object_hu"])


def state_free(encoder_folder: str, tmp_path: Path) -> LatentAgent:
    return train_agent(
        ENV, tmp_path / "frozen", encoder=encoder_folder, steps=32, n_envs=2, progress=False,
        settings={"n_steps": 16, "batch_size": 16},
    )  # fmt: skip
