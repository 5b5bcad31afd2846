from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gymnasium import spaces
from PIL import Image
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack, VecTransposeImage

from drl_latent.agents import train_agent
from drl_latent.agents.actions import action_table, discretized
from drl_latent.artifacts import ArtifactError
from drl_latent.data import collect
from drl_latent.envs import make_env, make_split, make_transfer_split
from drl_latent.evaluation import (
    LeakageError,
    RandomAgent,
    SB3Agent,
    check_leakage,
    default_parts,
    evaluate_generalization,
    evaluate_saved,
    evaluate_transfer,
    record_episodes,
    summarize,
    transfer_saved,
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
    seeds = [int(s) for s in table.query("agent == 'agent' and part == 'ood2'")["seed"][:2]]
    shown = [tmp_path / f"{i}.gif" for i in range(2)]
    for path, some in zip(shown, (seeds, seeds[::-1]), strict=True):
        record_episodes(
            agent, ENV, split, "ood2", path, seeds=some, size=64, env_kwargs={"factors": FACTORS}
        )
    first, second = (
        np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB")) for path in shown
    )
    # The same two episodes, the other way round.
    np.testing.assert_allclose(first[:, :64], second[:, 64:], atol=16)
    assert np.abs(first[:, :64].astype(int) - first[:, 64:]).max() > 16

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


def test_the_company_of_other_parts_changes_no_episode(split):
    kwargs = {"episodes": 3, "env_kwargs": {"factors": FACTORS}, "progress": False}
    whole = evaluate_generalization({"e": Expert()}, ENV, split, **kwargs)
    alone = evaluate_generalization({"e": Expert()}, ENV, split, parts={"ood2": "ood2"}, **kwargs)
    wanted = whole[whole["part"] == "ood2"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, wanted)


def test_axis_splits_are_evaluated_by_axis_too(space):
    hue, floor = FACTORS
    transfer = make_transfer_split("axis", space)
    assert list(default_parts(transfer)) == [
        "id", "ood1", "ood2", f"ood1/{hue}", f"ood1/{floor}", f"ood2/{hue}", f"ood2/{floor}",
    ]  # fmt: skip
    two_way = make_split("axis", space)
    assert default_parts(two_way) == {
        "id": "train", "ood": "test", f"ood/{hue}": f"test/{hue}", f"ood/{floor}": f"test/{floor}",
    }  # fmt: skip
    assert default_parts(make_split("correlated", space)) == {"id": "train", "ood": "test"}
    table = evaluate_generalization(
        {"expert": Expert()}, ENV, two_way, episodes=2, env_kwargs={"factors": FACTORS},
        progress=False,
    )  # fmt: skip
    trained = two_way.indices("train")
    for name, other in ((hue, floor), (floor, hue)):
        rows = table[table["part"] == f"ood/{name}"]
        assert len(rows) == 2
        for factor, is_new in ((name, True), (other, False)):
            known = space[factor].numbers[np.unique(trained[:, space.column(factor)])]
            assert (~np.isin(rows[f"factor/{factor}"].astype(np.float32), known) == is_new).all()


def test_parts_by_axis_of_a_saved_evaluation_are_checked_for_leakage(space, tmp_path: Path):
    split = make_split("axis", space)
    agent = train_agent(
        ENV, tmp_path / "agent", inputs="state", steps=32, n_envs=2, progress=False,
        settings={"n_steps": 16, "batch_size": 16},
        env_kwargs={"factors": FACTORS, "split": split, "partition": "train"},
    )  # fmt: skip
    table = evaluate_saved(agent, tmp_path / "eval", episodes=1, with_random=False, progress=False)
    seen = json.loads((tmp_path / "eval" / "manifest.json").read_text())["config"]["seen"]
    assert set(seen) == set(table["part"]) == set(default_parts(split))
    assert seen["ood/object_hue"]["seen_by_policy"] == 0
    with pytest.raises(LeakageError, match="in the policy's training"):
        check_leakage(split, "test/object_hue", encoder_data=None, policy_part="test/object_hue")


def pixel_model(cls=PPO, n_stack: int = 1, wrap=lambda env: env, **settings):
    venv = make_vec_env(lambda: wrap(make_env(ENV, factors=FACTORS)), 1)
    venv = VecTransposeImage(VecFrameStack(venv, n_stack) if n_stack > 1 else venv)
    model = cls("CnnPolicy", venv, device="cpu", seed=0, **settings)
    venv.close()
    return model


def test_plain_models_are_evaluated_like_our_agents(split):
    agents = {
        "ppo": SB3Agent(pixel_model()),
        "stacked": SB3Agent(pixel_model(n_stack=2), n_stack=2),
        "random": random_agent(),
    }
    table = evaluate_generalization(
        agents, ENV, split, parts={"id": "policy"}, episodes=3, n_envs=2,
        env_kwargs={"factors": FACTORS}, progress=False,
    )  # fmt: skip
    assert (table.groupby("agent").size() == 3).all()
    assert table["return"].notna().all()


def test_plain_models_remember_what_they_did_in_training():
    """The frames that a stack of frames is made of, in the wrapped environments of a training."""
    model, env = pixel_model(n_stack=2), make_env(ENV, factors=FACTORS)
    agent = SB3Agent(model, n_stack=2)
    frames = [env.reset(seed=1)[0], env.step(np.ones(2, np.float32))[0]]
    env.close()
    for given, before in zip(frames, [np.zeros_like(frames[0]), frames[0]], strict=True):
        stack = np.concatenate([before, given], axis=-1)
        wanted, _ = model.predict(stack.transpose(2, 0, 1), deterministic=True)
        np.testing.assert_allclose(agent.predict(given[None])[0], wanted, atol=1e-6)
    agent.reset()
    first = np.concatenate([np.zeros_like(frames[1]), frames[1]], axis=-1)
    wanted, _ = model.predict(first.transpose(2, 0, 1), deterministic=True)
    np.testing.assert_allclose(agent.predict(frames[1][None])[0], wanted, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["PPO", "DQN", "RecurrentPPO"])
def test_a_plain_policy_on_latents_acts_as_the_agent_that_it_is_from(
    algorithm: str, encoder, encoder_folder, tmp_path: Path
):
    few = {"n_steps": 16, "batch_size": 16} if algorithm != "DQN" else {"learning_starts": 8}
    agent = train_agent(
        ENV, tmp_path / "agent", encoder=encoder_folder, algorithm=algorithm, steps=32, n_envs=2,
        inputs="latents_and_proprioception", n_stack=2, progress=False,
        settings={**few, "policy_kwargs": {"net_arch": [16]}},
    )  # fmt: skip
    box = agent.action_space if algorithm == "DQN" else None
    plain = SB3Agent(agent.policy, "dict", encoder=encoder, n_stack=2, actions=box)
    env = make_env(ENV, observation="dict")
    shown = [env.reset(seed=0)[0], env.step(env.action_space.sample())[0]]
    env.close()
    for observation in shown:
        batch = {key: np.stack([value, value]) for key, value in observation.items()}
        np.testing.assert_array_equal(plain.predict(batch), agent.predict(batch))


def test_finite_actions_are_mapped_or_refused():
    model = pixel_model(DQN, wrap=discretized, buffer_size=1)
    with pytest.raises(ValueError, match=r"give actions=env\.action_space"):
        SB3Agent(model)
    box = random_agent().action_space
    agent = SB3Agent(model, actions=box)
    action = agent.predict(np.zeros((2, 64, 64, 3), np.uint8))
    assert (action == action_table(box)[:, None]).all(axis=-1).any(axis=0).all()
    with pytest.raises(ValueError, match="9 actions are not the combinations"):
        SB3Agent(model, actions=spaces.Box(-1, 1, (3,)))
    with pytest.raises(ValueError, match="leave actions out"):
        SB3Agent(pixel_model(), actions=spaces.Box(-2, 2, (2,)))


def test_an_agent_meets_another_task_zero_shot(encoder_folder, split, tmp_path: Path):
    agent = train_agent(
        ENV, tmp_path / "agent", encoder=encoder_folder, steps=32, n_envs=2, progress=False,
        settings={"n_steps": 16, "batch_size": 16},
        env_kwargs={"factors": FACTORS, "split": split, "partition": "policy"},
    )  # fmt: skip
    agents = {"agent": agent, "random": random_agent()}
    kwargs = {"episodes": 3, "n_envs": 2, "progress": False}
    table = evaluate_transfer(agents, "DrlLatent/Select-v0", **kwargs)
    assert table["part"].unique().tolist() == ["other/DrlLatent/Select-v0"]
    assert table.groupby("agent")["episode"].apply(list).tolist() == [[0, 1, 2]] * 2
    factors = ["seed", *(c for c in table if c.startswith("factor/"))]
    assert "factor/target_hue" in factors
    own, other = (table.loc[table["agent"] == name, factors] for name in agents)
    np.testing.assert_array_equal(own, other)
    # The same task, with other factors varying.
    varied = {"env_kwargs": {"factors": ["light"]}, "name": "light"}
    table = evaluate_transfer({"agent": agent}, ENV, **varied, **kwargs)
    assert table["part"].unique().tolist() == ["other/light"]
    assert [c for c in table if c.startswith("factor/")] == ["factor/light"]
    out, quiet = tmp_path / "out", {"progress": False}
    saved = transfer_saved(agent, "DrlLatent/Select-v0", out, episodes=2, **quiet)
    assert set(saved["agent"]) == {"agent", "random"}
    with pytest.raises(ArtifactError, match="episodes: 2 there, 3 asked"):
        transfer_saved(agent, "DrlLatent/Select-v0", out, episodes=3, **quiet)
    with pytest.raises(ValueError, match="acts in"):
        transfer_saved(agent, "factorize:HalfCheetah-v5", tmp_path / "no", progress=False)
    assert not list(tmp_path.glob("no*"))
    with pytest.raises(ValueError, match="the same image_size"):
        evaluate_transfer({"agent": agent}, ENV, env_kwargs={"image_size": 84}, **kwargs)
    narrow = RandomAgent(spaces.Box(-1, 1, (3,)))
    with pytest.raises(ValueError, match="'narrow' acts in"):
        evaluate_transfer({"narrow": narrow}, ENV, **kwargs)
    with pytest.raises(ValueError, match="must be 1 or more"):
        evaluate_transfer({"agent": agent}, ENV, episodes=0)
    with pytest.raises(ValueError, match="Did you mean 'DrlLatent/Push-v0'"):
        evaluate_transfer({"agent": agent}, "DrlLatent/Psh-v0", **kwargs)
