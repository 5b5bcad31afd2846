from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from drl_latent import Encoder
from drl_latent.agents import (
    ALGORITHMS,
    BASELINES,
    LatentAgent,
    VecLatent,
    train_agent,
    train_baseline,
)
from drl_latent.agents.algorithms import Algorithm
from drl_latent.agents.callbacks import Recorder
from drl_latent.artifacts import ArtifactError
from drl_latent.envs import make_env, make_transfer_split
from drl_latent.objectives import OBJECTIVES

ENV = "DrlLatent/Reach-v0"
FEW = {
    "learning_starts": 8,
    "batch_size": 8,
    "buffer_size": 60,
    "train_freq": 4,
    "gradient_steps": 2,
}
SHORT = {
    "PPO": {"n_steps": 16, "batch_size": 16, "n_epochs": 1},
    "A2C": {"n_steps": 8},
    "RecurrentPPO": {"n_steps": 16, "batch_size": 16, "n_epochs": 1},
}
WAYS = {
    "state": {"inputs": "state"},
    "state, at a falling rate": {"inputs": "state", "settings": {"learning_rate": "lin_0.01"}},
    "factors": {"inputs": "factors"},
    "latents": {"inputs": "latents"},
    "stacked latents": {"inputs": "latents_and_proprioception", "n_stack": 2},
    "finetuned": {
        "inputs": "latents",
        "mode": "finetune",
        "n_stack": 2,
        "extractor": {"encoder_learning_rate": 1e-4, "warmup_updates": 2},
    },
    "auxiliary": {
        "inputs": "latents_and_proprioception",
        "mode": "auxiliary",
        "objective": "vae",
        "objective_settings": {"batch_size": 8, "updates_per_step": 0.1},
    },
    "pixels": {"inputs": "pixels", "augmentation": "random_shift", "n_stack": 2},
    "pixels beside proprioception": {"inputs": "pixels_and_proprioception"},
}


def short(out: Path, algorithm: str = "PPO", encoder=None, **kwargs) -> LatentAgent:
    settings = {**SHORT.get(algorithm, FEW), "policy_kwargs": {"net_arch": [16]}}
    settings |= kwargs.pop("settings", {})
    defaults = {"steps": 64, "n_envs": 2, "inputs": "state", "progress": False}
    return train_agent(
        ENV,
        out,
        algorithm=algorithm,
        encoder=encoder,
        settings=settings,
        **{**defaults, **kwargs},
    )


def encodes(way: dict) -> bool:
    return way["inputs"].startswith("latents")


def weights(agent: LatentAgent) -> dict[str, torch.Tensor]:
    return agent.policy.state_dict()


def ways_and_algorithms():
    """Every algorithm in the main ways, and every way with one algorithm of each kind."""
    main = [(a, w) for a in ALGORITHMS for w in ("state", "latents", "finetuned")]
    more = [(a, w) for a in ("PPO", "SAC") for w in WAYS]
    return sorted({*main, *more})


@pytest.mark.parametrize(("algorithm", "name"), ways_and_algorithms())
def test_agents_train_save_and_load_to_the_same_actions(
    algorithm: str, name: str, encoder_folder: str, tmp_path: Path
):
    way = WAYS[name]
    encoder = encoder_folder if encodes(way) else None
    agent = short(tmp_path / "agent", algorithm, encoder, **way)
    env = make_env(ENV, observation=agent.observation)
    first, _ = env.reset(seed=0)
    second, *_ = env.step(env.action_space.sample())
    actions = [agent.predict(first), agent.predict(second)]
    assert env.action_space.contains(actions[0])
    again = LatentAgent.load(tmp_path / "agent")
    copy = LatentAgent.load(agent.save(tmp_path / "copy"))
    for other in (again, copy):
        np.testing.assert_array_equal(other.predict(first), actions[0])
        np.testing.assert_array_equal(other.predict(second), actions[1])
    agent.reset()
    if isinstance(first, dict):
        batch = {k: np.stack([v, v]) for k, v in first.items()}
    else:
        batch = np.stack([first, first])
    np.testing.assert_allclose(agent.predict(batch), np.stack([actions[0]] * 2), atol=1e-5)
    env.close()
    suffixes = {p.suffix for p in (tmp_path / "agent").rglob("*") if p.is_file()}
    assert not suffixes & {".zip", ".pkl", ".pt", ".npz"}


def test_an_agent_with_memory_tells_when_episodes_are_mixed_up(encoder_folder, tmp_path):
    agent = short(tmp_path / "agent", encoder=encoder_folder, inputs="latents", n_stack=2)
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    agent.predict(frames)
    with pytest.raises(ValueError, match="call reset"):
        agent.predict(frames[:2])
    agent.reset()
    agent.predict(frames[:2])


def test_stacks_of_an_agent_are_those_that_it_was_trained_on(encoder, encoder_folder, tmp_path):
    """The same policy on the environments of its training, and through `predict`."""
    agent = short(
        tmp_path / "agent", encoder=encoder_folder, inputs="latents_and_proprioception", n_stack=3
    )
    venv = make_vec_env(lambda: make_env(ENV, observation="dict"), 2, seed=3)
    plain = make_vec_env(lambda: make_env(ENV, observation="dict"), 2, seed=3)
    stacked = VecLatent(venv, encoder, n_stack=3)
    inputs, seen = stacked.reset(), plain.reset()
    for _ in range(4):
        actions, _ = agent.policy.predict(inputs, deterministic=True)
        np.testing.assert_array_equal(agent.predict(seen), actions)
        inputs, *_ = stacked.step(actions)
        seen, *_ = plain.step(actions)
    venv.close()
    plain.close()


def test_actions_are_bit_identical_in_a_fresh_process(encoder_folder: str, tmp_path: Path):
    agent = short(tmp_path / "agent", inputs="latents", encoder=encoder_folder)
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    script = (
        "import sys, numpy as np; from drl_latent.agents import LatentAgent;"
        "np.save(sys.argv[3], LatentAgent.load(sys.argv[1]).predict(np.load(sys.argv[2])))"
    )
    paths = [str(tmp_path / name) for name in ("agent", "frames.npy", "actions.npy")]
    subprocess.run([sys.executable, "-c", script, *paths], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "actions.npy"), agent.predict(frames))


def test_the_agent_carries_the_encoder_it_was_trained_on(
    encoder: Encoder, encoder_folder: str, tmp_path: Path
):
    agent = short(tmp_path / "agent", inputs="latents", encoder=encoder_folder)
    assert agent.encoder is not None
    assert agent.encoder.fingerprint == encoder.fingerprint == agent.config["encoder"]


def test_same_seed_same_policy(tmp_path: Path):
    first, second, other = (
        weights(short(tmp_path / name, seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


def interrupt(step: int, run: Callable[[], object]) -> None:
    real = Recorder._on_step

    def dying(self) -> bool:
        if self.num_timesteps >= step:
            raise KeyboardInterrupt
        return real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "_on_step", dying)
        with pytest.raises(KeyboardInterrupt):
            run()


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        *[(a, "state") for a in ALGORITHMS],
        *[("SAC", w) for w in ("stacked latents", "finetuned", "auxiliary", "pixels")],
        *[("PPO", w) for w in ("latents", "auxiliary")],
        *[(a, "state, at a falling rate") for a in ("PPO", "SAC")],
    ],
)
def test_an_interrupted_run_ends_with_the_weights_of_an_undisturbed_one(
    algorithm: str, name: str, encoder_folder: str, tmp_path: Path
):
    way = WAYS[name]
    encoder = encoder_folder if encodes(way) else None

    def run(folder: str) -> LatentAgent:
        return short(
            tmp_path / folder,
            algorithm,
            encoder,
            **way,
            steps=160,
            checkpoint_every=48,
            evaluate_every=64,
            evaluation_episodes=2,
        )

    undisturbed = run("whole")
    for step in (70, 120):
        interrupt(step, lambda: run("parts"))
        assert (tmp_path / "parts.partial" / "training.safetensors").exists()
        with pytest.raises(ArtifactError, match="not finished"):
            LatentAgent.load(tmp_path / "parts")
    resumed = run("parts")
    for key, value in weights(undisturbed).items():
        assert torch.equal(value, weights(resumed)[key]), key
    for table in ("episodes.parquet", "evaluations.parquet"):
        pd.testing.assert_frame_equal(
            *(pd.read_parquet(tmp_path / folder / table) for folder in ("whole", "parts"))
        )
    left = {path.name for path in (tmp_path / "parts").iterdir()}
    assert not {name for name in left if name.startswith(("training", "replay", "objective"))}


@pytest.mark.parametrize("algorithm", ["PPO", "SAC"])
def test_a_learning_rate_falls_to_nothing_over_the_training(algorithm: str, tmp_path: Path):
    class Rates(BaseCallback):
        def _on_step(self) -> bool:
            rate = self.model.lr_schedule(self.model._current_progress_remaining)
            rates[self.num_timesteps] = rate
            return True

    rates: dict[int, float] = {}
    falling = {"settings": {"learning_rate": "lin_0.01"}}
    short(tmp_path / "agent", algorithm, callbacks=[Rates()], **falling, checkpoint_every=32)
    assert max(rates.values()) == pytest.approx(0.01, rel=0.1)
    assert list(rates.values()) == sorted(rates.values(), reverse=True)
    assert rates[64] <= 0.006  # of the last rollout, which began halfway or later


@pytest.mark.parametrize("text", ["lin_fast", "cos_0.1", "0.001"])
def test_texts_that_are_no_schedule_are_refused(text: str, tmp_path: Path):
    with pytest.raises(ValueError, match=f"'{text}' is no schedule"):
        short(tmp_path / "agent", settings={"learning_rate": text})


@pytest.mark.parametrize(
    ("success", "said"),
    [(1.0, "success 0.50 of the last 2"), (np.nan, "return 3.0 of the last 2")],
)
def test_progress_tells_success_or_else_return(success: float, said: str):
    told: list[str] = []
    recorder = Recorder([[8, 2.0, 0.0]], lambda n, note: told.append(note))
    recorder.model = SimpleNamespace(get_env=lambda: SimpleNamespace(num_envs=1))
    recorder.num_timesteps = 16
    recorder.locals = {"infos": [{"episode": {"r": 4.0}, "is_success": success}, {}]}
    recorder._on_step()
    assert told == [said]


def test_evaluations_are_of_the_same_episodes(tmp_path: Path):
    settings = {"learning_rate": 0.0}
    train_agent(
        ENV,
        tmp_path / "agent",
        inputs="state",
        steps=96,
        n_envs=2,
        settings={**SHORT["PPO"], **settings},
        evaluate_every=32,
        evaluation_episodes=3,
        progress=False,
    )
    table = pd.read_parquet(tmp_path / "agent" / "evaluations.parquet")
    assert list(table["steps"]) == [32, 64, 96]
    assert table["return"].nunique() == 1


QUICK_BASELINES = ("nature_cnn", "sac_ae", "beta_vae", "true_factors")


@pytest.mark.parametrize(
    "name",
    [
        *QUICK_BASELINES,
        *(pytest.param(n, marks=pytest.mark.slow) for n in BASELINES if n not in QUICK_BASELINES),
    ],
)
def test_baselines_are_made_from_nothing(name: str, tmp_path: Path):
    def run() -> LatentAgent:
        return train_baseline(
            name,
            ENV,
            tmp_path / name,
            frames=128,
            pretrain_steps=2,
            algorithm="SAC",
            settings={**FEW, "policy_kwargs": {"net_arch": [16]}},
            steps=32,
            n_envs=2,
            env_kwargs={"split": "composition", "partition": "train"},
            encoder_partition="train",
            progress=False,
        )

    agent = run()
    made = {p.name for p in (tmp_path / name).iterdir()}
    needs_encoder = BASELINES[name].pretraining is not None
    assert made == ({"frames", "encoder", "agent"} if needs_encoder else {"agent"})
    again = run()
    assert again.config == agent.config


def test_baselines_can_have_proprioception_beside(tmp_path: Path):
    agent = train_baseline(
        "nature_cnn",
        ENV,
        tmp_path / "cnn",
        proprioception=True,
        settings={**SHORT["PPO"], "policy_kwargs": {"net_arch": [16]}},
        steps=32,
        n_envs=2,
        progress=False,
    )
    assert agent.perception.inputs == "pixels_and_proprioception"


def test_every_objective_is_a_baseline():
    assert set(OBJECTIVES) <= set(BASELINES)


@pytest.mark.parametrize(
    ("arguments", "device"),
    [
        ({"inputs": "pixels"}, "cuda"),
        ({"inputs": "state"}, "cpu"),
        ({"inputs": "pixels", "device": "cpu"}, "cpu"),
        ({"mode": "frozen"}, "cpu"),
        ({"mode": "finetune"}, "cuda"),
    ],
)
def test_what_learns_from_images_learns_on_a_gpu_where_there_is_one(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict, device: str
):
    def make(*arguments: object) -> None:
        raise RuntimeError(f"on {arguments[-1]}")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(Algorithm, "make", make)
    own = {} if "inputs" in arguments else {"encoder": encoder}
    with pytest.raises(RuntimeError, match=f"^on {device}$"):
        train_agent("DrlLatent/Reach-v0", tmp_path / "agent", progress=False, **arguments, **own)


def test_training_stays_in_its_partition(tmp_path: Path):
    env = make_env(ENV)
    split = make_transfer_split("composition", env.unwrapped.factor_space, seed=0)
    env.close()
    agent = short(tmp_path / "agent", env_kwargs={"split": split, "partition": "policy"})
    assert agent.config["env_kwargs"]["partition"] == "policy"
    again = short(tmp_path / "agent", env_kwargs={"split": split, "partition": "policy"})
    assert again.config == agent.config


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"inputs": "latent"}, "Did you mean 'latents'"),
        ({"inputs": "latents"}, "latents need an encoder"),
        ({"encoder": "somewhere"}, "the true state, take none"),
        ({"mode": "finetune"}, "trains an encoder"),
        ({"inputs": "latents", "augmentation": "random_shift"}, "is for inputs='pixels'"),
        ({"objective": "vae"}, 'in mode="auxiliary"'),
        ({"n_stack": 0}, "n_stack must be 1 or more"),
        ({"inputs": "latents", "encoder": "/nowhere/enc"}, "There is no encoder folder"),
    ],
)
def test_wrong_requests_say_what_to_do(tmp_path: Path, kwargs: dict, says: str):
    with pytest.raises(ValueError, match=says):
        short(tmp_path / "agent", **kwargs)
    assert not list(tmp_path.iterdir())


def test_unknown_names_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="Did you mean 'PPO'"):
        train_agent(ENV, tmp_path / "a", inputs="state", algorithm="PP0")
    with pytest.raises(ValueError, match="Did you mean 'learning_rate'"):
        train_agent(ENV, tmp_path / "a", inputs="state", settings={"learning_rat": 1})
    with pytest.raises(ValueError, match="Did you mean 'DrlLatent/Reach-v0'"):
        train_agent("DrlLatent/Reach-v1", tmp_path / "a", inputs="state")


def test_wrong_observations_are_refused(encoder_folder: str, tmp_path: Path):
    agent = short(tmp_path / "agent", inputs="latents", encoder=encoder_folder)
    with pytest.raises(ValueError, match="uint8 frames"):
        agent.predict(np.zeros((1, 32, 32, 3), np.uint8))
    both = short(tmp_path / "both", inputs="latents_and_proprioception", encoder=encoder_folder)
    with pytest.raises(ValueError, match="'image' and 'proprioception'"):
        both.predict(np.zeros((1, 64, 64, 3), np.uint8))


def test_damaged_agents_are_refused(tmp_path: Path):
    short(tmp_path / "agent")
    policy = tmp_path / "agent" / "policy.safetensors"
    policy.write_bytes(policy.read_bytes()[:-8])
    with pytest.raises(ArtifactError, match="truncated or changed"):
        LatentAgent.load(tmp_path / "agent")
