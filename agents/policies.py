"""Policies whose critic trains the encoder, and whose actor only looks through it.

Stable-Baselines3 has these choices for a features extractor: the actor and the critic of PPO train
one together, those of SAC and TD3 have one each, and where they share it, the actor trains it. An
encoder that is trained by an actor's loss forgets more than it learns (Yarats et al. 2021,
"Improving Sample Efficiency in Model-Free Reinforcement Learning from Images", section 5.2), and
three of them cost three times the computation. Here the critic's loss alone trains one.

The classes are found by name when an agent is loaded, so that nothing but its zip and its encoder
is needed. Those of sb3-contrib are in `drl_latent.agents.contrib_policies`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BaseModel, BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy
from torch import Tensor, nn
from torch.optim import Optimizer

from drl_latent.agents.encoder_updates import separate_encoder, watch_steps
from drl_latent.agents.extractor import LatentExtractor
from drl_latent.registry import UnknownNameError


class FeaturesView(BaseFeaturesExtractor):
    """Another network's extractor, seen from one that neither trains nor saves it.

    Args:
        extractor: The extractor, which does not become a submodule.
        trains: Whether gradients pass to it.
    """

    def __init__(self, extractor: BaseFeaturesExtractor, trains: bool = False) -> None:
        super().__init__(extractor._observation_space, extractor.features_dim)
        # In a tuple, where torch does not find it.
        self._seen = (extractor,)
        self._trains = trains

    def forward(self, observations: PyTorchObs) -> Tensor:
        """Return the extractor's features."""
        with torch.set_grad_enabled(self._trains and torch.is_grad_enabled()):
            features: Tensor = self._seen[0](observations)
        return features


class LatentPolicy(BasePolicy):
    """What the policies have in common: an encoder that the critic's optimiser trains.

    Its keyword arguments are those of the algorithm's own policy. The features extractor is a
    `LatentExtractor`, whose arguments are in ``features_extractor_kwargs``. Its weights and those
    of its targets start as pretrained.

    Raises:
        ValueError: The arguments name another extractor, or no encoder, or leave it to
            Stable-Baselines3 whose loss trains it.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        features_extractor_class: type[BaseFeaturesExtractor] = LatentExtractor,
        features_extractor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not issubclass(features_extractor_class, LatentExtractor):
            raise ValueError(
                f"{type(self).__name__} has a LatentExtractor, got "
                f"{features_extractor_class.__name__}; leave features_extractor_class out."
            )
        if "encoder" not in (features_extractor_kwargs or {}):
            raise ValueError(
                f"{type(self).__name__} needs an encoder: policy_kwargs="
                '{"features_extractor_kwargs": {"encoder": "runs/enc", "mode": "finetune"}}.'
            )
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            features_extractor_class=features_extractor_class,
            features_extractor_kwargs=features_extractor_kwargs,
            **kwargs,
        )
        # A policy that is loaded without its algorithm has a rate of zero, and takes no steps.
        if self.latent_extractor.is_trained and lr_schedule is not BasePolicy._dummy_schedule:
            separate_encoder(self._encoders_optimizer, self.latent_extractor)
            watch_steps(self._encoders_optimizer, self.latent_extractor)

    @property
    @abstractmethod
    def latent_extractor(self) -> LatentExtractor:
        """The extractor that the critic's loss trains, or the frozen one."""

    @property
    def _encoders_optimizer(self) -> Optimizer:
        return self.optimizer

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """Return a new extractor."""
        settings = {**self.features_extractor_kwargs, "critic_only": True}
        return self.features_extractor_class(self.observation_space, **settings)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.latent_extractor.is_trained:
            watch_steps(self._encoders_optimizer, self.latent_extractor)


class OnPolicyLatents(LatentPolicy):
    """Of PPO and its like: one pass of the encoder, of which the actor's features are detached."""

    pi_features_extractor: BaseFeaturesExtractor
    vf_features_extractor: BaseFeaturesExtractor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_shared(kwargs)
        super().__init__(*args, **{**kwargs, "share_features_extractor": False})

    @property
    def latent_extractor(self) -> LatentExtractor:
        """The extractor of the values' network."""
        assert isinstance(self.features_extractor, LatentExtractor)
        return self.features_extractor

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """Return the one extractor that there is."""
        existing: BaseFeaturesExtractor | None = self.features_extractor
        return super().make_features_extractor() if existing is None else existing

    def _build(self, lr_schedule: Schedule) -> None:
        self.pi_features_extractor = FeaturesView(self.features_extractor)
        self.vf_features_extractor = FeaturesView(self.features_extractor, trains=True)
        super()._build(lr_schedule)  # type: ignore[misc]

    def extract_features(  # type: ignore[override]
        self, obs: PyTorchObs, features_extractor: BaseFeaturesExtractor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return features for the actor and for the values, or those of the extractor given."""
        if features_extractor is not None:
            return BaseModel.extract_features(self, obs, features_extractor)
        features = BaseModel.extract_features(self, obs, self.features_extractor)
        return features.detach(), features


class ActorCriticLatents(LatentPolicy):
    """Of SAC, TD3 and their like: the critic's extractor, through which the actor looks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_shared(kwargs)
        super().__init__(*args, **kwargs)

    @property
    def latent_extractor(self) -> LatentExtractor:
        """The critic's extractor."""
        extractor = self.critic.features_extractor  # type: ignore[union-attr]
        assert isinstance(extractor, LatentExtractor)
        return extractor

    @property
    def _encoders_optimizer(self) -> Optimizer:
        optimizer = self.critic.optimizer  # type: ignore[union-attr]
        assert isinstance(optimizer, Optimizer)
        return optimizer

    def _build(self, lr_schedule: Schedule) -> None:
        # Actors are made before the critics, targets after the networks that they follow.
        self._awaiting_critic: list[BaseFeaturesExtractor] = []
        super()._build(lr_schedule)  # type: ignore[misc]
        del self._awaiting_critic

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        """Return an actor that looks through the extractor of the critic that is made for it."""
        extractor = self.make_features_extractor()
        self._awaiting_critic.append(extractor)
        return super().make_actor(FeaturesView(extractor))  # type: ignore[misc]

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        """Return a critic with an extractor of its own, which its actor looks through."""
        waiting = self._awaiting_critic
        extractor = waiting.pop(0) if waiting else self.make_features_extractor()
        critic = super().make_critic(extractor)  # type: ignore[misc]
        critic.register_forward_pre_hook(_choose_gradients, with_kwargs=True)
        return critic


class ValueLatents(LatentPolicy):
    """Of DQN and its like, where all there is is a critic."""

    network = "q_net"
    """Name of the network that is trained."""

    @property
    def latent_extractor(self) -> LatentExtractor:
        """The extractor of the network that is trained."""
        extractor = getattr(self, self.network).features_extractor
        assert isinstance(extractor, LatentExtractor)
        return extractor


class LatentActorCriticPolicy(OnPolicyLatents, ActorCriticPolicy):
    """For PPO and A2C."""


class LatentSACPolicy(ActorCriticLatents, SACPolicy):
    """For SAC."""


class LatentTD3Policy(ActorCriticLatents, TD3Policy):
    """For TD3 and DDPG."""


class LatentDQNPolicy(ValueLatents, DQNPolicy):
    """For DQN."""


_POLICIES: dict[str, type[LatentPolicy]] = {
    "PPO": LatentActorCriticPolicy,
    "A2C": LatentActorCriticPolicy,
    "SAC": LatentSACPolicy,
    "TD3": LatentTD3Policy,
    "DDPG": LatentTD3Policy,
    "DQN": LatentDQNPolicy,
}
_CONTRIB_POLICIES = {
    "TQC": "LatentTQCPolicy",
    "CrossQ": "LatentCrossQPolicy",
    "RecurrentPPO": "LatentRecurrentActorCriticPolicy",
    "QRDQN": "LatentQRDQNPolicy",
}


def latent_policy(algorithm: type[BaseAlgorithm] | str) -> type[LatentPolicy]:
    """Return the policy of an algorithm, for images and for Dict observations, with an encoder.

    ::

        SAC(latent_policy(SAC), env, policy_kwargs={"features_extractor_kwargs": {
            "encoder": "runs/enc", "mode": "finetune", "encoder_learning_rate": 1e-5}})

    Args:
        algorithm: The class or its name: PPO, A2C, SAC, TD3, DDPG or DQN of Stable-Baselines3; or
            TQC, CrossQ, RecurrentPPO or QRDQN of sb3-contrib. Of a subclass, that of its parent.

    Raises:
        UnknownNameError: There is no policy for it.
        ImportError: It needs sb3-contrib, which is not installed.
    """
    names = [algorithm] if isinstance(algorithm, str) else [c.__name__ for c in algorithm.__mro__]
    for name in names:
        if name in _POLICIES:
            return _POLICIES[name]
        if name in _CONTRIB_POLICIES:
            return _contrib_policy(name)
    raise UnknownNameError("algorithm of latent_policy", names[0], [*_POLICIES, *_CONTRIB_POLICIES])


def learned_extractor(model: BaseAlgorithm | BasePolicy) -> LatentExtractor:
    """Return the extractor whose encoder an agent trains; ``.encoder.save(path)`` keeps that.

    Raises:
        ValueError: The agent trains no encoder.
    """
    policy = model.policy if isinstance(model, BaseAlgorithm) else model
    if isinstance(policy, LatentPolicy) and policy.latent_extractor.is_trained:
        return policy.latent_extractor
    raise ValueError(
        f"This {type(policy).__name__} trains no encoder. Make the agent with the policy of "
        'latent_policy(SAC), or of its algorithm, and mode="finetune" or "auxiliary".'
    )


def _contrib_policy(name: str) -> type[LatentPolicy]:
    try:
        from drl_latent.agents import contrib_policies
    except ImportError as error:
        raise ImportError(
            f"{name} is in sb3-contrib, which is not installed: pip install 'drl-latent[contrib]'."
        ) from error
    policy: type[LatentPolicy] = getattr(contrib_policies, _CONTRIB_POLICIES[name])
    return policy


def _refuse_shared(kwargs: dict[str, Any]) -> None:
    if kwargs.get("share_features_extractor"):
        raise ValueError(
            "share_features_extractor=True would have the actor train the encoder. Leave it out: "
            "actor and critic share one encoder here, which the critic trains."
        )


def _choose_gradients(critic: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Before a critic is called: no gradients for its encoder from the loss of the actor.

    That is the one whose actions need gradients. ``share_features_extractor`` is what the critics
    of Stable-Baselines3 look at to compute features without gradients. They would switch them on
    otherwise, also where the caller has switched them off.
    """
    *_, actions = (*args, *kwargs.values())
    is_actors_loss = actions.requires_grad
    critic.share_features_extractor = is_actors_loss or not torch.is_grad_enabled()  # type: ignore[assignment]
