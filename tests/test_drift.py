"""An encoder that loses its factors while an agent trains it is noticed."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from drl_latent import Encoder
from drl_latent.agents.drift import DriftCallback, DriftWarning
from drl_latent.agents.extractor import LatentExtractor
from drl_latent.agents.policies import latent_policy, learned_extractor
from drl_latent.data import FrameDataset
from drl_latent.envs import FactorSpace, make_env
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.registry import UnknownNameError

FAST = ("linear_probe",)


class Scramble(BaseCallback):
    """Replaces the encoder's weights by noise at a step."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def _on_step(self) -> bool:
        if self.num_timesteps == self.at:
            generator = torch.Generator().manual_seed(0)
            with torch.no_grad():
                for parameter in learned_extractor(self.model).encoder.model.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 1e-4)
        return True


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LatentModel(ModelConfig(encoder_width=8, decoder_width=8))
    return str(Encoder(model).save(tmp_path_factory.mktemp("encoders") / "small"))


def agent(encoder: str, mode: str, algorithm: type[BaseAlgorithm] = PPO) -> BaseAlgorithm:
    settings: dict[str, Any] = {"n_steps": 8, "batch_size": 8, "n_epochs": 1}
    if algorithm is SAC:
        settings = {"learning_starts": 100, "buffer_size": 40}
    kwargs = {"features_extractor_kwargs": {"encoder": encoder, "mode": mode}, "net_arch": [8]}
    env = make_env("DrlLatent/Reach-v0")
    model = algorithm(
        latent_policy(algorithm), env, policy_kwargs=kwargs, seed=0, device="cpu", **settings
    )
    model.set_logger(configure(None, []))
    return model


@pytest.mark.filterwarnings("ignore:This system does not have apparently enough memory")
@pytest.mark.parametrize("algorithm", [PPO, SAC], ids=lambda cls: cls.__name__)
def test_scrambled_weights_stop_training(algorithm, small: str, frames: FrameDataset):
    model = agent(small, "finetune", algorithm)
    drift = DriftCallback(frames, every=10, metrics=FAST, action="stop")
    with pytest.warns(DriftWarning, match=r"linear_probe fell from .* Training stops"):
        model.learn(64, [Scramble(at=15), drift])
    assert model.num_timesteps == 20
    history = drift.history
    assert list(history.columns) == ["steps", "metric", "score", "change"]
    assert list(history.steps) == [0, 10, 20]
    assert history.change.iloc[0] == 0
    assert history.change.iloc[1] > -0.1
    assert history.change.iloc[2] < -0.1
    np.testing.assert_allclose(history.change, history.score - history.score.iloc[0])


def test_a_warning_lets_training_go_on(small: str, frames: FrameDataset):
    model = agent(small, "finetune")
    drift = DriftCallback(frames, every=16, metrics=FAST)
    with pytest.warns(DriftWarning) as caught:
        model.learn(24, [Scramble(at=4), drift])
    said = [str(warning.message) for warning in caught]
    assert [text.split(" the encoder")[0] for text in said] == ["After 16 steps", "After 24 steps"]
    assert "Training stops" not in said[0]
    assert model.num_timesteps == 24
    assert list(drift.history.steps) == [0, 16, 24], "and once more at the end"
    assert model.logger.name_to_value["drift/linear_probe"] == drift.history.score.iloc[-1]
    assert model.logger.name_to_value["drift/linear_probe_change"] < -0.1


@pytest.mark.parametrize("policy", ["latent_policy", "CnnPolicy"])
def test_a_frozen_encoder_does_not_drift(policy: str, small: str, frames: FrameDataset):
    model = agent(small, "frozen")
    if policy == "CnnPolicy":
        kwargs = {
            "features_extractor_class": LatentExtractor,
            "features_extractor_kwargs": {"encoder": small},
        }
        env = make_env("DrlLatent/Reach-v0")
        model = PPO("CnnPolicy", env, n_steps=8, batch_size=8, policy_kwargs=kwargs, device="cpu")
    drift = DriftCallback(frames, every=8, metrics=("mig", *FAST), drop=0.0, action="stop")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.learn(16, drift)
    assert model.num_timesteps == 16
    assert len(drift.history) == 6
    assert not drift.history.change.any()


def test_looking_leaves_the_encoder_trainable(small: str, frames: FrameDataset):
    model = agent(small, "auxiliary")
    live = learned_extractor(model).encoder.model
    before = {k: v.clone() for k, v in live.encoder.state_dict().items()}
    model.learn(16, DriftCallback(frames, every=8, metrics=FAST, drop=1.0))
    assert all(p.requires_grad for p in live.parameters())
    assert any(not torch.equal(before[k], v) for k, v in live.encoder.state_dict().items())


def test_it_goes_on_from_an_earlier_history(small: str, frames: FrameDataset):
    earlier = pd.DataFrame(
        [(0, "linear_probe", 1.5, 0.0)], columns=["steps", "metric", "score", "change"]
    )
    drift = DriftCallback(frames, every=8, metrics=FAST)
    drift.restore(earlier)
    with pytest.warns(DriftWarning, match=r"fell from 1\.500"):
        agent(small, "finetune").learn(8, drift)
    assert list(drift.history.steps) == [0, 8]


def test_wrong_requests_say_what_to_do(small: str, frames: FrameDataset, tmp_path: Path):
    with pytest.raises(UnknownNameError, match="Did you mean 'mig'"):
        DriftCallback(frames, 10, metrics=["migg"])
    with pytest.raises(UnknownNameError, match="Did you mean 'stop'"):
        DriftCallback(frames, 10, action="stp")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be 1 or more, got 0"):
        DriftCallback(frames, 0)
    with pytest.raises(ValueError, match="must be 0 or more, got -1"):
        DriftCallback(frames, 10, drop=-1)
    bare = dataclasses.replace(
        frames, factors=np.empty((len(frames), 0), np.float32), factor_space=FactorSpace(())
    )
    with pytest.raises(ValueError, match="has no factors to score against"):
        DriftCallback(bare, 10)
    plain = PPO("CnnPolicy", make_env("DrlLatent/Reach-v0"), n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match="has no LatentExtractor"):
        plain.learn(8, DriftCallback(frames, 10, metrics=FAST))
    large = agent(small, "finetune")
    other = dataclasses.replace(frames, frames=np.asarray(frames.frames)[:, ::2, ::2])
    with pytest.raises(ValueError, match="takes uint8 frames of shape"):
        large.learn(8, DriftCallback(other, 10, metrics=FAST))
