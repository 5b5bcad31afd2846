"""A learning objective that is trained beside an agent, on the frames that the agent has seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from torch import nn

from drl_latent.agents.layouts import ImageLayout, observation_layouts
from drl_latent.agents.policies import learned_extractor
from drl_latent.agents.replayed_frames import ReplayedFrames, of_replay, of_rollout
from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset
from drl_latent.envs import FactorSpace
from drl_latent.models import LatentModel
from drl_latent.objectives import OBJECTIVES
from drl_latent.objectives.base import Batch, Objective
from drl_latent.optimization import Optimization
from drl_latent.pretraining.batches import check_batch_size
from drl_latent.pretraining.steps import make_optimizer, take_step
from drl_latent.registry import UnknownNameError
from drl_latent.training_state import load_training_state, save_training_state

_RATE, _PRETRAINED_RATE = 1e-3, 1e-4
"""Learning rates of an encoder that begins with random weights, and of a pretrained one."""


class JointObjective(BaseCallback):
    """Trains an encoder by an objective's loss, in turn with the agent that trains it by its own.

    Between two rollouts, after the agent's updates, the encoder, its decoder and whatever else the
    objective has take steps on frames that are drawn from the replay buffer, or from the last
    rollout of an on-policy agent: as SAC-AE does with its autoencoder (Yarats et al. 2021,
    "Improving Sample Efficiency in Model-Free Reinforcement Learning from Images"). Objectives that
    learn from pairs get frames that follow each other within an episode; how many factors differ
    between them is not known. Of stacks that the encoder does not take whole, it sees the newest
    frame. Its means since the last time are logged as ``auxiliary/...``.

    ::

        model = SAC(latent_policy(SAC), env, policy_kwargs={"features_extractor_kwargs": {
            "encoder": "runs/enc", "mode": "auxiliary"}})
        model.learn(100_000, JointObjective("rae"))

    With other callbacks that write checkpoints, put it before them.

    Args:
        objective: A name in `drl_latent.objectives.OBJECTIVES`, or an `Objective`. Of the one that
            the encoder was pretrained by, the settings are those it was pretrained with, less
            `settings`; of another one, the defaults and the encoder's likelihood.
        updates_per_step: Steps of training for each environment step, over all environments. By
            default one for each of the agent's own updates: of an off-policy agent its gradient
            steps, of PPO its minibatches.
        batch_size: Frames a step; a pair is two frames.
        learning_rate: Of Adam, after a warm-up over 200 steps. By default 0.001 for an encoder that
            begins with random weights, and 0.0001 for a pretrained one: at 0.001 it changes under
            the policy faster than that can follow.
        seed: Of the frames that are drawn, sampled codes, and the objective's further networks.
        settings: Settings of the objective, such as ``beta=8.0``.

    Raises:
        UnknownNameError: There is no such objective or setting.
        ValueError: The objective takes no steps, or a number is out of range.
    """

    def __init__(
        self,
        objective: str | Objective = "vae",
        *,
        updates_per_step: float | None = None,
        batch_size: int = 128,
        learning_rate: float | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.cls = OBJECTIVES[objective] if isinstance(objective, str) else type(objective)
        self._given = objective if isinstance(objective, Objective) else None
        known = [field.name for field in dataclasses.fields(self.cls)]
        for name in settings:
            if self._given is not None:
                raise ValueError(
                    f"Settings {sorted(settings)} were given beside an objective object."
                )
            if name not in known:
                raise UnknownNameError(f"setting of {objective}", name, known)
        if not self.cls.trains:
            raise ValueError(
                f"The objective {self.name!r} takes no steps of training, so there is nothing to "
                "train beside an agent; take another one, such as 'vae' or 'rae'."
            )
        if updates_per_step is not None and not updates_per_step > 0:
            raise ValueError(f"updates_per_step must be above 0, got {updates_per_step}.")
        check_batch_size(batch_size, self.cls.pair_kind, self.cls.same_episode)
        self._learning_rate = learning_rate
        self.plan = Optimization(
            batch_size=batch_size,
            learning_rate=_RATE if learning_rate is None else learning_rate,
            schedule="constant",
            seed=seed,
        )
        self._settings, self.updates_per_step = settings, updates_per_step
        self.step = 0
        """Number of steps of training that were taken."""
        self.objective = self._given
        """The objective that is trained; once the agent is known, where a name was given."""
        self._trained: LatentModel | None = None
        self._rollout: ReplayedFrames | None = None

    @property
    def name(self) -> str:
        """The objective's name."""
        found = (name for name, cls in OBJECTIVES.items() if cls is self.cls)
        return next(found, self.cls.__name__)

    def _init_callback(self) -> None:
        extractor = learned_extractor(self.model)
        if extractor.mode != "auxiliary":
            raise ValueError(
                f"JointObjective trains an encoder and its decoder, but the agent's extractor is "
                f"{extractor.mode!r}: give it mode='auxiliary' in features_extractor_kwargs."
            )
        model = extractor.encoder.model
        if model is self._trained:
            return
        layouts = observation_layouts(self.model.observation_space, extractor.encoder)
        self._rate = self.updates_per_step or _own_updates_per_step(self.model)
        self.objective = objective = self._objective_for(extractor.encoder)
        rate = self._learning_rate
        if rate is None:
            rate = _PRETRAINED_RATE if extractor.encoder.is_pretrained else _RATE
        device = next(model.parameters()).device
        nothing = FrameDataset(
            np.empty((0, *model.config.image_shape), np.uint8),
            np.empty((0, 0), np.float32),
            FactorSpace(()),
            {},
            Path("the replay buffer"),
        )
        with torch.random.fork_rng():
            torch.manual_seed(self.plan.seed)
            networks = objective.networks(model.config, nothing).to(device).train()
        self.plan = dataclasses.replace(self.plan, device=str(device), learning_rate=rate)
        self._generator = torch.Generator(device).manual_seed(self.plan.seed)
        objective.prepare(model, nothing, self._generator)
        self._images = {k: v for k, v in layouts.items() if isinstance(v, ImageLayout)}
        self._networks = networks
        self._players = objective.players(model, networks)
        self._optimizers = {name: make_optimizer(p) for name, p in self._players.items()}
        self._trained, self.step = model, 0

    def _objective_for(self, encoder: Encoder) -> Objective:
        """Return the objective, of which the encoder has to be a possible architecture."""
        config = encoder.config
        settings = {"likelihood": config.likelihood}
        if encoder.training.get("objective_name") == self.name:
            settings |= encoder.training.get("objective", {})
        objective = self._given or self.cls(**{**settings, **self._settings})
        wanted = objective.architecture(config)
        # The mean of a Gaussian does for a code without noise.
        has_code = wanted.bottleneck == "point" and config.bottleneck == "gaussian"
        if has_code:
            wanted = dataclasses.replace(wanted, bottleneck="gaussian")
        if wanted != config:
            other = {
                field.name: (getattr(config, field.name), getattr(wanted, field.name))
                for field in dataclasses.fields(config)
                if getattr(config, field.name) != getattr(wanted, field.name)
            }
            listed = "; ".join(
                f"{name} {has!r}, not {needs!r}" for name, (has, needs) in other.items()
            )
            raise ValueError(
                f"The objective {self.name!r} cannot train this encoder, which has {listed}. "
                f"Start from an encoder of that objective: pretrain(data, {self.name!r}, ...), for "
                "1 step if it should be trained beside the agent alone."
            )
        return objective

    @property
    def steps(self) -> int:
        """Number of steps of training in the whole run of the agent."""
        return max(1, self._due(self.model._total_timesteps))

    def _due(self, timesteps: int) -> int:
        learning = max(0, timesteps - getattr(self.model, "learning_starts", 0))
        # A whole number may have come out a little lower.
        return int(self._rate * learning + 1e-6)

    def _on_rollout_end(self) -> None:
        if isinstance(self.model, OnPolicyAlgorithm):
            self._rollout = of_rollout(self.model.rollout_buffer)

    def _on_rollout_start(self) -> None:
        # Not before the agent's own updates: PPO compares actions with what their probability was
        # when they were taken, by an encoder that is still the same.
        self._catch_up()

    def _on_training_end(self) -> None:
        self._catch_up()

    def _on_step(self) -> bool:
        return True

    def _catch_up(self) -> None:
        due = self._due(self.model.num_timesteps) - self.step
        frames = self._rollout
        if due > 0 and isinstance(self.model, OffPolicyAlgorithm):
            assert isinstance(self.model.replay_buffer, ReplayBuffer)
            frames = of_replay(self.model.replay_buffer)
        if due > 0 and frames is not None:
            self.train(frames, due)
        self._rollout = None

    def train(self, frames: ReplayedFrames, n: int) -> None:
        """Take `n` steps on frames of the agent.

        Raises:
            FloatingPointError: A loss or its gradient is not finite.
        """
        model = self._trained
        assert model is not None
        for _ in range(n):
            batch = self._batch(frames)
            for name, player in self._players.items():
                terms = take_step(name, player, self._optimizers[name], batch, self.plan)
                label = "auxiliary" if len(self._players) == 1 else f"auxiliary/{name}"
                for term, value in (terms or {}).items():
                    self.logger.record_mean(f"{label}/{term}", value.item())
            self.step += 1
        self.logger.record("auxiliary/steps", self.step)
        # The agent's optimisers hold these weights too, and should only see its own gradients.
        model.zero_grad(set_to_none=True)

    def _batch(self, frames: ReplayedFrames) -> Batch:
        # Several cameras take turns.
        key = list(self._images)[self.step % len(self._images)]
        rng = np.random.default_rng([self.plan.seed, self.step])
        in_pairs, same = self.cls.pair_kind is not None, self.cls.same_episode
        stored = frames.draw(self.plan.batch_size, key, rng, in_pairs, same)
        device = self.plan.torch_device
        unit = torch.from_numpy(stored).to(device).float()
        if stored.dtype == np.uint8:
            unit /= 255
        stack = self._images[key].stack
        newest = self._images[key].frames(unit)[stack - 1 :: stack]
        return Batch(
            newest.contiguous(memory_format=torch.channels_last),
            self.step,
            self.steps,
            frames.ends.size,
            self._generator,
            torch.zeros(len(newest), 0, device=device),
        )

    def _modules(self) -> dict[str, nn.Module]:
        if self._trained is None:
            raise ValueError(
                "There is no state before the callback knows its agent: call "
                "init_callback(model) first."
            )
        return {"model": self._trained, "networks": self._networks}

    def save_state(self, path: Path) -> None:
        """Write all that training needs to go on: a file beside the agent's own.

        Raises:
            ValueError: The callback has no agent yet.
        """
        counters = {"step": self.step}
        save_training_state(path, self._modules(), self._optimizers, self._generator, counters)

    def load_state(self, path: Path) -> None:
        """Put back what `save_state` wrote, after ``init_callback(model)`` with the agent's model.

        Raises:
            ValueError: The callback has no agent yet.
        """
        modules = self._modules()
        counters = load_training_state(path, modules, self._optimizers, self._generator)
        self.step = counters["step"]


def _own_updates_per_step(model: BaseAlgorithm) -> float:
    """Return how many updates an agent makes for each environment step.

    Raises:
        ValueError: That depends on how long episodes are, or is zero.
    """
    if isinstance(model, OnPolicyAlgorithm):
        steps = model.n_steps * model.n_envs
        minibatches = -(-steps // getattr(model, "batch_size", steps))
        return float(getattr(model, "n_epochs", 1) * minibatches / steps)
    assert isinstance(model, OffPolicyAlgorithm)
    if model.gradient_steps < 0:
        return 1.0
    frequency = model.train_freq
    if frequency.unit != TrainFrequencyUnit.STEP or not model.gradient_steps:  # type: ignore[union-attr]
        raise ValueError(
            f"gradient_steps={model.gradient_steps} with train_freq={frequency} does not say how "
            "many updates there are a step; give updates_per_step."
        )
    return model.gradient_steps / (frequency.frequency * model.n_envs)  # type: ignore[union-attr]
