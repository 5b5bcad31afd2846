from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from drl_latent import Encoder
from drl_latent.agents import ALGORITHMS, LatentAgent, train_agent
from drl_latent.artifacts import ArtifactError
from drl_latent.envs import make_env, make_transfer_split

ENV = "DrlLatent/Reach-v0"
SHORT = {
    "PPO": {"n_steps": 16, "batch_size": 16, "n_epochs": 1},
    "A2C": {"n_steps": 8},
    "SAC": {"learning_starts": 8, "batch_size": 8, "buffer_size": 200},
    "TD3": {"learning_starts": 8, "batch_size": 8, "buffer_size": 200},
}


def short(out: Path, algorithm: str = "PPO", **kwargs) -> LatentAgent:
    settings = {**SHORT[algorithm], "policy_kwargs": {"net_arch": [16]}}
    defaults = {"steps": 64, "n_envs": 2, "inputs": "state", "progress": False}
    return train_agent(ENV, out, algorithm=algorithm, settings=settings, **{**defaults, **kwargs})


def weights(agent: LatentAgent) -> dict[str, torch.Tensor]:
    return agent.policy.state_dict()


@pytest.mark.filterwarnings("ignore:This system does not have apparently enough memory")
@pytest.mark.parametrize("inputs", ["latents", "latents_and_proprioception", "state"])
@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_every_algorithm_trains_saves_and_loads_to_the_same_actions(
    algorithm: str, inputs: str, encoder_folder: str, tmp_path: Path
):
    agent = short(
        tmp_path / "agent",
        algorithm,
        inputs=inputs,
        encoder=None if inputs == "state" else encoder_folder,
    )
    env = make_env(ENV, observation=agent.observation)
    observation, _ = env.reset(seed=0)
    action = agent.predict(observation)
    assert action.shape == (2,)
    np.testing.assert_array_equal(LatentAgent.load(tmp_path / "agent").predict(observation), action)
    copy = LatentAgent.load(agent.save(tmp_path / "copy"))
    np.testing.assert_array_equal(copy.predict(observation), action)
    if isinstance(observation, dict):
        batch = {k: np.stack([v, v]) for k, v in observation.items()}
    else:
        batch = np.stack([observation, observation])
    assert agent.predict(batch).shape == (2, 2)
    env.close()
    suffixes = {p.suffix for p in (tmp_path / "agent").rglob("*") if p.is_file()}
    assert not suffixes & {".zip", ".pkl", ".pt", ".npz"}


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


@pytest.mark.parametrize("algorithm", ["PPO", "SAC"])
def test_interrupted_training_goes_on(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import drl_latent.agents.training as training

    real = training._Recorder._on_step

    def dying(self) -> bool:
        if self.num_timesteps >= 120:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(training._Recorder, "_on_step", dying)
    with pytest.raises(KeyboardInterrupt):
        short(tmp_path / "agent", algorithm, steps=192, checkpoint_every=32)
    assert (tmp_path / "agent.partial" / "training.safetensors").exists()
    with pytest.raises(ArtifactError, match="not finished"):
        LatentAgent.load(tmp_path / "agent")

    started: list[int] = []

    def noting(self) -> bool:
        started.append(self.num_timesteps)
        return real(self)

    monkeypatch.setattr(training._Recorder, "_on_step", noting)
    short(tmp_path / "agent", algorithm, steps=192, checkpoint_every=32)
    assert started[0] > 64
    assert started[-1] == 192
    episodes = pd.read_parquet(tmp_path / "agent" / "episodes.parquet")
    assert list(episodes.columns) == ["steps", "return", "success"]
    assert episodes["steps"].is_monotonic_increasing
    assert episodes["steps"].min() <= 80


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
        ({"encoder": "somewhere"}, "the true state takes none"),
        ({"inputs": "latents", "encoder": "/nowhere/enc"}, "There is no encoder folder"),
    ],
)
def test_wrong_requests_say_what_to_do(tmp_path: Path, kwargs: dict, says: str):
    with pytest.raises(ValueError, match=says):
        short(tmp_path / "agent", **kwargs)
    assert not list(tmp_path.iterdir())


def test_unknown_names_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="Choose from: A2C, PPO, SAC, TD3"):
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
