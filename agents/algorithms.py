"""The Stable-Baselines3 algorithms that agents are trained with, and their settings here."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gymnasium import spaces
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv

from drl_latent.registry import Registry, UnknownNameError


@dataclass(frozen=True)
class Algorithm:
    """An algorithm and its tuned settings.

    Args:
        cls: The Stable-Baselines3 class.
        settings: Keyword arguments of the class that differ from its defaults.
        policy_kwargs: Keyword arguments of its policy.
    """

    cls: type[BaseAlgorithm]
    settings: Mapping[str, Any] = field(default_factory=dict)
    policy_kwargs: Mapping[str, Any] = field(default_factory=lambda: {"net_arch": [256, 256]})

    def merged(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with `overrides` in them.

        Raises:
            UnknownNameError: The class has no such argument.
        """
        known = set(inspect.signature(self.cls.__init__).parameters) - {"self", "policy", "env"}
        for name in overrides:
            if name not in known:
                raise UnknownNameError(f"setting of {self.cls.__name__}", name, known)
        policy_kwargs = {**self.policy_kwargs, **overrides.get("policy_kwargs", {})}
        return {**self.settings, **overrides, "policy_kwargs": policy_kwargs}

    def make(self, venv: VecEnv, settings: Mapping[str, Any], seed: int) -> BaseAlgorithm:
        """Return a new agent on `venv`."""
        # A copy: A2C adds its optimiser to the policy's settings in place.
        own = copy.deepcopy(dict(settings))
        return self.cls("MlpPolicy", venv, seed=seed, device="cpu", **own)

    def make_policy(
        self, observed: spaces.Box, action: spaces.Box, settings: Mapping[str, Any]
    ) -> BasePolicy:
        """Return a policy of the same architecture as `make` gives, with fresh weights."""
        policy_cls = self.cls.policy_aliases["MlpPolicy"]
        use_sde = {"use_sde": True} if settings.get("use_sde") else {}
        return policy_cls(
            observed,
            action,
            lambda _: 0.0,
            **settings["policy_kwargs"],
            **use_sde,
        )


ALGORITHMS: Registry[Algorithm] = Registry("algorithm")
"""Name, e.g. ``"PPO"``, to algorithm."""

ALGORITHMS["PPO"] = Algorithm(
    PPO,
    {
        "n_steps": 256,
        "batch_size": 256,
        "n_epochs": 10,
        "learning_rate": 1e-3,
        "gamma": 0.95,
        "gae_lambda": 0.95,
    },
    {"net_arch": [256, 256], "log_std_init": -0.5},
)
ALGORITHMS["A2C"] = Algorithm(A2C, {"n_steps": 32, "gamma": 0.95})
ALGORITHMS["SAC"] = Algorithm(SAC, {"gamma": 0.95, "learning_starts": 1_000})
ALGORITHMS["TD3"] = Algorithm(TD3, {"gamma": 0.95, "learning_starts": 1_000})
