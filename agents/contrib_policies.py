"""The policies of `drl_latent.agents.latent_policy` for algorithms of sb3-contrib."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.crossq.policies import CrossQPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from sb3_contrib.tqc.policies import TQCPolicy

from drl_latent.agents.policies import ActorCriticLatents, OnPolicyLatents, ValueLatents


class LatentTQCPolicy(ActorCriticLatents, TQCPolicy):
    """For TQC."""


class LatentCrossQPolicy(ActorCriticLatents, CrossQPolicy):
    """For CrossQ, whose update joins observations and cannot do that with a Dict.

    Raises:
        ValueError: Observations are a Dict.
    """

    def __init__(self, observation_space: spaces.Space[Any], *args: Any, **kwargs: Any) -> None:
        if isinstance(observation_space, spaces.Dict):
            raise ValueError(
                "CrossQ takes no Dict observations. Give images alone, join them by VecLatent, or "
                "use SAC or TQC."
            )
        super().__init__(observation_space, *args, **kwargs)


class LatentRecurrentActorCriticPolicy(OnPolicyLatents, RecurrentActorCriticPolicy):
    """For RecurrentPPO.

    Raises:
        ValueError: The LSTM is shared, so that the critic's loss reaches no encoder.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("shared_lstm"):
            raise ValueError(
                "With shared_lstm=True the actor's loss trains all that the critic sees. Leave it "
                "out: the encoder is to be trained by the critic."
            )
        super().__init__(*args, **kwargs)


class LatentQRDQNPolicy(ValueLatents, QRDQNPolicy):
    """For QRDQN."""

    network = "quantile_net"
