"""A model of Stable-Baselines3 as an agent that can be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from drl_latent.envs import Observation

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy

    from drl_latent.checkpoint import Encoder


class SB3Agent:
    """A model of Stable-Baselines3, with deterministic actions and the memory that it may have.

    For models that were trained outside of `train_agent`, such as ``PPO("CnnPolicy", env)``. A
    model that saw normalised observations (``VecNormalize``) has to get them so, and cannot be
    evaluated this way.

    Args:
        model: The model, or its policy.
        observation: What the environment shows it: ``"pixels"``, ``"dict"``, ``"factors"`` or
            ``"state"``.
        encoder: The encoder of a model that was trained on ``VecLatent(venv, encoder)``, without
            ``mean`` and ``std``.
        n_stack: How many last steps it sees, as with ``VecFrameStack`` or in `VecLatent`.
        actions: The environment's own action space, for a model that chooses among a finite
            number of actions: the combinations of equally many values of each dimension, as
            `drl_latent.agents.actions.discretized` makes them.

    Raises:
        ValueError: The model's actions are neither those of a Box nor can be mapped to `actions`.
    """

    def __init__(
        self,
        model: BaseAlgorithm | BasePolicy,
        observation: Observation = "pixels",
        *,
        encoder: Encoder | None = None,
        n_stack: int = 1,
        actions: spaces.Box | None = None,
    ) -> None:
        # Imported here since agents, by way of their model cards, build on this package.
        from drl_latent.agents.memory import Stack

        self.model, self.observation, self.encoder = model, observation, encoder
        self._table = _action_table(model.action_space, actions)
        self.action_space = model.action_space if actions is None else actions
        self._stack = Stack(n_stack)
        self._state: tuple[NDArray[Any], ...] | None = None
        self._begins = True

    def reset(self) -> None:
        """Forget the steps before, where episodes begin."""
        self._stack.reset()
        self._state, self._begins = None, True

    def predict(self, observations: Any) -> NDArray[np.float32]:
        """Return actions, float32 [N, A], for the observations of N environments.

        Raises:
            ValueError: The model takes others.
        """
        is_dict = isinstance(observations, Mapping)
        rows = len(next(iter(observations.values())) if is_dict else observations)
        inputs = self._stack.push(self._encoded(observations))
        starts = np.full(rows, self._begins)
        chosen, self._state = self.model.predict(inputs, self._state, starts, deterministic=True)
        self._begins = False
        actions = chosen if self._table is None else self._table[chosen]
        return np.asarray(actions, dtype=np.float32)

    def _encoded(self, observations: Any) -> Any:
        if self.encoder is None:
            return observations
        from drl_latent.agents.latent_vec_env import encode_observations

        if not isinstance(observations, Mapping):
            return encode_observations(observations, self.encoder, None, ())
        # In the order of a Dict space, which is that of its keys.
        keys = sorted(observations)
        images = tuple(key for key in keys if observations[key].ndim == 4)
        vectors = tuple(key for key in keys if observations[key].ndim == 2)
        return encode_observations(observations, self.encoder, images, vectors)


def _action_table(
    chosen: spaces.Space[Any], actions: spaces.Box | None
) -> NDArray[np.float32] | None:
    """Return the action that each number stands for, float32 [n, A]; None for those of a Box."""
    if isinstance(chosen, spaces.Box):
        if actions is not None and actions != chosen:
            raise ValueError(
                f"The model acts in {chosen}, and actions is {actions}; leave actions out, it is "
                "for models with a finite number of actions."
            )
        return None
    if not isinstance(chosen, spaces.Discrete):
        raise ValueError(f"A model must act in a Box or a Discrete space, got {chosen}.")
    if actions is None:
        raise ValueError(
            f"The model chooses among {chosen.n} actions, and the environments take a Box: give "
            "actions=env.action_space, where the model was trained on "
            "drl_latent.agents.actions.discretized(env)."
        )
    from drl_latent.agents.actions import action_table

    size = int(np.prod(actions.shape))
    bins = round(int(chosen.n) ** (1 / size))
    if bins**size != chosen.n:
        raise ValueError(
            f"{chosen.n} actions are not the combinations of equally many values of each of "
            f"{size} dimensions, such as {bins}**{size} = {bins**size}. Wrap the model in an agent "
            "of your own that returns actions of the Box."
        )
    return action_table(actions, bins)
