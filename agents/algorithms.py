"""The Stable-Baselines3 algorithms that agents are trained with, and their settings here."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv

from drl_latent.agents.augmentation import shift_targets
from drl_latent.agents.image_buffer import FrameReplayBuffer
from drl_latent.agents.perception import Perception
from drl_latent.agents.policies import latent_policy
from drl_latent.registry import Registry, UnknownNameError

# A million transitions, the usual size, would take 13 GB of images.
_IMAGES_IN_BUFFER = 100_000
_SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")


@dataclass(frozen=True)
class Algorithm:
    """An algorithm and its settings here.

    Args:
        source: Module and name of the class, ``"module:name"``.
        settings: Keyword arguments of the class that differ from its defaults.
        policy_kwargs: Keyword arguments of its policy.
    """

    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    policy_kwargs: Mapping[str, Any] = field(default_factory=lambda: {"net_arch": [256, 256]})

    @cached_property
    def cls(self) -> type[BaseAlgorithm]:
        """The class.

        Raises:
            ImportError: It is in a package that is not installed.
        """
        module, name = self.source.split(":")
        try:
            found: type[BaseAlgorithm] = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise ImportError(
                f"{name} is in sb3-contrib, which is not installed: pip install "
                "'drl-latent[contrib]'."
            ) from error
        return found

    @property
    def needs_discrete_actions(self) -> bool:
        """Whether it chooses among a finite number of actions."""
        return self.source.endswith("DQN")

    def merged(self, overrides: Mapping[str, Any], perception: Perception) -> dict[str, Any]:
        """Return all settings, those that suit what is seen among them, with `overrides`.

        What Stable-Baselines3 takes schedules for may be text, as in rl_zoo3: ``"lin_0.001"``
        falls from 0.001 to 0 over the training.

        Raises:
            UnknownNameError: The class has no such argument.
            ValueError: Such a text is no schedule.
        """
        known = set(inspect.signature(self.cls.__init__).parameters) - {"self", "policy", "env"}
        for name in overrides:
            if name not in known:
                raise UnknownNameError(f"setting of {self.cls.__name__}", name, known)
            if name in _SCHEDULED:
                _schedule(overrides[name])
        own = dict(self.settings)
        if perception.acts_on_images and issubclass(self.cls, OffPolicyAlgorithm):
            own["buffer_size"] = _IMAGES_IN_BUFFER
        policy_kwargs = {**self.policy_kwargs, **overrides.get("policy_kwargs", {})}
        return {**own, **overrides, "policy_kwargs": policy_kwargs}

    def make(
        self,
        venv: VecEnv,
        settings: Mapping[str, Any],
        seed: int,
        perception: Perception,
        encoder: str | None = None,
        device: str = "cpu",
    ) -> BaseAlgorithm:
        """Return a new agent on `venv`, whose observations `perception` has wrapped.

        Args:
            venv: The environments.
            settings: What `merged` returned.
            seed: Seed of weights and exploration.
            perception: What the policy acts on.
            encoder: Folder of an encoder that is trained.
            device: Where it learns.
        """
        # A copy: A2C adds its optimiser to the policy's settings in place.
        own = copy.deepcopy(dict(settings))
        own["policy_kwargs"] |= perception.extractor_kwargs(encoder)
        own |= {name: _schedule(own[name]) for name in _SCHEDULED if name in own}
        is_seen = perception.acts_on_images or perception.encodes
        if is_seen and issubclass(self.cls, OffPolicyAlgorithm):
            # Of frames and of their latents alike: each is stored once.
            own["replay_buffer_class"] = FrameReplayBuffer
            own["replay_buffer_kwargs"] = {"n_stack": perception.n_stack}
        policy = self._policy_class(perception, venv.observation_space)
        model = self.cls(policy, venv, seed=seed, device=device, **own)
        if perception.augmentation == "random_shift":
            shift_targets(model)
        return model

    def make_policy(
        self,
        observed: spaces.Space[Any],
        action: spaces.Space[Any],
        settings: Mapping[str, Any],
        perception: Perception,
        encoder: str | None = None,
    ) -> BasePolicy:
        """Return a policy of the same architecture as that of `make`, with fresh weights."""
        use_sde = {"use_sde": True} if settings.get("use_sde") else {}
        return self._policy_class(perception, observed)(
            observed,
            action,
            BasePolicy._dummy_schedule,
            **settings["policy_kwargs"],
            **perception.extractor_kwargs(encoder),
            **use_sde,
        )

    def _policy_class(
        self, perception: Perception, observed: spaces.Space[Any]
    ) -> type[BasePolicy]:
        # CrossQ has no policy of its own for images; ours is one for all.
        if perception.encodes and perception.acts_on_images:
            return latent_policy(self.cls)
        kind = "Mlp"
        if perception.acts_on_images:
            kind = "MultiInput" if isinstance(observed, spaces.Dict) else "Cnn"
        aliases = self.cls.policy_aliases
        name = next(
            (n for n in (f"{kind}Policy", f"{kind}LstmPolicy") if n in aliases), "MlpPolicy"
        )
        return aliases[name]


def _schedule(value: Any) -> Any:
    """Return a setting, or the schedule that a text says: share of the training left to value."""
    if not isinstance(value, str):
        return value
    kind, _, start = value.partition("_")
    try:
        if kind == "lin":
            return functools.partial(operator.mul, float(start))
    except ValueError:
        pass
    raise ValueError(
        f'{value!r} is no schedule: give a number, or "lin_" and the number that is to fall to 0, '
        'such as "lin_0.001".'
    )


ALGORITHMS: Registry[Algorithm] = Registry("algorithm")
"""Name, e.g. ``"PPO"``, to algorithm."""

# As many updates as steps, however many environments run: what the papers and one environment do.
_OFF_POLICY = {"gamma": 0.95, "learning_starts": 1_000, "gradient_steps": -1}
_Q_LEARNING = {**_OFF_POLICY, "target_update_interval": 500, "exploration_fraction": 0.2}
_PPO = {
    "n_steps": 256,
    "batch_size": 256,
    "n_epochs": 10,
    "learning_rate": 1e-3,
    "gamma": 0.95,
    "gae_lambda": 0.95,
}
_PPO_POLICY = {"net_arch": [256, 256], "log_std_init": -0.5}

ALGORITHMS["PPO"] = Algorithm("stable_baselines3:PPO", _PPO, _PPO_POLICY)
ALGORITHMS["A2C"] = Algorithm("stable_baselines3:A2C", {"n_steps": 32, "gamma": 0.95})
ALGORITHMS["DQN"] = Algorithm("stable_baselines3:DQN", _Q_LEARNING)
ALGORITHMS["SAC"] = Algorithm("stable_baselines3:SAC", _OFF_POLICY)
ALGORITHMS["TD3"] = Algorithm("stable_baselines3:TD3", _OFF_POLICY)
# One critic: that is what DDPG sets, where TD3, whose policy it uses, has two.
ALGORITHMS["DDPG"] = Algorithm(
    "stable_baselines3:DDPG", _OFF_POLICY, {"net_arch": [256, 256], "n_critics": 1}
)
ALGORITHMS["TQC"] = Algorithm("sb3_contrib:TQC", _OFF_POLICY)
ALGORITHMS["CrossQ"] = Algorithm("sb3_contrib:CrossQ", _OFF_POLICY)
ALGORITHMS["QRDQN"] = Algorithm("sb3_contrib:QRDQN", _Q_LEARNING)
ALGORITHMS["RecurrentPPO"] = Algorithm("sb3_contrib:RecurrentPPO", _PPO, _PPO_POLICY)
