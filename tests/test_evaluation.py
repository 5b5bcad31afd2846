from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drl_latent.agents import train_agent
from drl_latent.data import collect
from drl_latent.envs import make_env, make_split, make_transfer_split
from drl_latent.evaluation import (
    LeakageError,
    RandomAgent,
    check_leakage,
    evaluate_generalization,
    evaluate_saved,
    record_episodes,
    summarize,
)

ENV = "DrlLatent/Reach-v0"
FACTORS = ["object_hue", "floor_hue"]


@pytest.fixture(scope="module")
def space():
    env = make_env(ENV, factors=FACTORS)
    yield env.unwrapped.factor_space
    env.close()


@pytest.fixture(scope="module")
def split(space):
    return make_transfer_split("composition", space, seed=0)


class Expert:
    """Solves Reach from true state."""

    observation = "state"

    def reset(self) -> None:
        pass

    def predict(self, observations: np.ndarray) -> np.ndarray:
        return np.clip((observations[:, 4:] - observations[:, :2]) * 10, -1, 1)


def random_agent(seed: int = 0) -> RandomAgent:
    env = make_env(ENV)
    env.close()
    return RandomAgent(env.action_space, seed)


def test_one_row_an_episode_inside_its_part(split, space):
    table = evaluate_generalization(
        {"expert": Expert(), "random": random_agent()},
        ENV,
        split,
        episodes=10,
        n_envs=4,
        env_kwargs={"factors": FACTORS},
        progress=False,
    )
    assert len(table) == 2 * 3 * 10
    assert (table.groupby(["agent", "part"])["episode"].max() == 9).all()
    assert (table["length"] == 40).all()
    columns = [f"factor/{name}" for name in split.factor_space.names]
    for label, part in (("id", "policy"), ("ood1", "ood1"), ("ood2", "ood2")):
        rows = table.loc[table["part"] == label, columns].to_numpy(np.float32)
        ids = split.factor_space.to_flat(split.factor_space.indices(rows))
        assert np.isin(ids, split.ids(part)).all()
    success = table.groupby("agent")["success"].mean()
    assert success["expert"] >= 0.95
    assert success["random"] <= 0.2


def test_agents_meet_the_same_episodes_and_runs_repeat(split):
    kwargs = {"episodes": 6, "env_kwargs": {"factors": FACTORS}, "progress": False}
    both = evaluate_generalization(
        {"expert": Expert(), "random": random_agent()}, ENV, split, n_envs=4, **kwargs
    )
    same = ["part", "episode", "seed", *(c for c in both if c.startswith("factor/"))]
    expert, other = (both[both["agent"] == name][same] for name in ("expert", "random"))
    pd.testing.assert_frame_equal(expert.reset_index(drop=True), other.reset_index(drop=True))
    # Neither the company of other agents nor the number of environments changes a result.
    alone = evaluate_generalization({"expert": Expert()}, ENV, split, n_envs=2, **kwargs)
    pd.testing.assert_frame_equal(alone, both[both["agent"] == "expert"])


def test_two_way_split_has_train_and_test(space):
    split = make_split("composition", space)
    table = evaluate_generalization(
        {"expert": Expert()}, ENV, split, episodes=2, env_kwargs={"factors": FACTORS},
        progress=False,
    )  # fmt: skip
    assert list(table["part"].unique()) == ["id", "ood"]


def test_wrong_requests_say_what_to_do(split):
    with pytest.raises(ValueError, match="must be 1 or more"):
        evaluate_generalization({"e": Expert()}, ENV, split, episodes=0)
    with pytest.raises(ValueError, match="Did you mean 'ood1'"):
        evaluate_generalization({"e": Expert()}, ENV, split, parts={"a": "odd1"})
    with pytest.raises(ValueError, match="The split is over"):
        evaluate_generalization({"e": Expert()}, ENV, split, progress=False)


def test_summary_agrees_with_hand_computed_intervals():
    episodes = pd.DataFrame(
        {
            "agent": "a",
            "part": "id",
            "success": [True] * 8 + [False] * 2,
            "return": np.arange(10.0),
        }
    )
    row = summarize(episodes).iloc[0]
    assert row["success"] == 0.8
    # Wilson for 8 of 10 at z = 1.96: centre 0.717, half-width 0.227.
    assert row["success_low"] == pytest.approx(0.490, abs=1e-3)
    assert row["success_high"] == pytest.approx(0.943, abs=1e-3)
    # Student with 9 degrees of freedom: 2.262 * 3.0277 / sqrt(10) = 2.166.
    assert row["return_low"] == pytest.approx(4.5 - 2.166, abs=1e-3)


def test_leakage_is_found(split, space, tmp_path: Path):
    def data(partition: str, cut=split) -> dict:
        out = tmp_path / f"{partition}-{cut.seed}"
        kwargs = {"factors": FACTORS, "split": cut, "partition": partition}
        return collect(ENV, out, n=5, env_kwargs=kwargs, progress=False).config

    clean = data("encoder")
    found = {
        part: check_leakage(split, part, encoder_data=clean, policy_part="policy")
        for part in ("policy", "ood1", "ood2")
    }
    assert found["ood1"]["seen_by_policy"] == 0
    assert found["ood1"]["seen_by_encoder"] == len(split.ids("ood1"))
    assert found["ood2"] == {
        "combinations": len(split.ids("ood2")),
        "seen_by_encoder": 0,
        "seen_by_policy": 0,
    }
    with pytest.raises(LeakageError, match="in the encoder's training"):
        check_leakage(split, "ood2", encoder_data=data("ood2"), policy_part="policy")
    other = make_transfer_split("composition", space, seed=9)
    with pytest.raises(LeakageError, match="in the encoder's training"):
        check_leakage(split, "ood2", encoder_data=data("encoder", other), policy_part="policy")
    with pytest.raises(LeakageError, match="in the policy's training"):
        check_leakage(split, "ood1", encoder_data=clean, policy_part="encoder")
    everything = collect(
        ENV, tmp_path / "all", n=5, env_kwargs={"factors": FACTORS}, progress=False
    )
    with pytest.raises(LeakageError, match="in the encoder's training"):
        check_leakage(split, "ood2", encoder_data=everything.config, policy_part="policy")
    wider = collect(ENV, tmp_path / "wider", n=5, progress=False)
    with pytest.raises(LeakageError, match="cannot be compared"):
        check_leakage(split, "ood2", encoder_data=wider.config, policy_part="policy")


def test_saved_agent_is_evaluated_beside_random_and_found_again(split, tmp_path: Path):
    agent = train_agent(
        ENV, tmp_path / "agent", inputs="state", steps=64, n_envs=2, progress=False,
        settings={"n_steps": 16, "batch_size": 16},
        env_kwargs={"factors": FACTORS, "split": split, "partition": "policy"},
    )  # fmt: skip
    table = evaluate_saved(agent, tmp_path / "eval", episodes=3, progress=False)
    assert set(table["agent"]) == {"agent", "random"}
    again = evaluate_saved(agent, tmp_path / "eval", episodes=3, progress=False)
    pd.testing.assert_frame_equal(table, again)
    film = record_episodes(
        agent, ENV, split, "ood2", tmp_path / "film.gif", episodes=2, size=64,
        env_kwargs={"factors": FACTORS},
    )  # fmt: skip
    assert film.read_bytes()[:6] == b"GIF89a"

    aimless = train_agent(
        ENV, tmp_path / "aimless", inputs="state", steps=32, n_envs=2, progress=False,
        settings={"n_steps": 16, "batch_size": 16},
    )  # fmt: skip
    with pytest.raises(ValueError, match="trained without a split"):
        evaluate_saved(aimless, tmp_path / "no", episodes=3, progress=False)
    # It was trained on everything, and on more factors than this split is over.
    with pytest.raises(LeakageError, match="cannot be compared"):
        evaluate_saved(aimless, tmp_path / "no", split=split, episodes=3, progress=False)
    other = make_transfer_split("composition", split.factor_space, seed=9)
    with pytest.raises(LeakageError, match="in the policy's training"):
        evaluate_saved(agent, tmp_path / "no", split=other, episodes=3, progress=False)
