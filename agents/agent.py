"""A trained agent as an artefact: encoder, policy and what they expect, in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from stable_baselines3.common.policies import BasePolicy

from drl_latent.agents.actions import action_table
from drl_latent.agents.algorithms import ALGORITHMS
from drl_latent.agents.latent_vec_env import encode_observations, image_and_vectors
from drl_latent.agents.memory import Stack
from drl_latent.agents.observation_spaces import space_from_json, space_to_json
from drl_latent.agents.perception import Perception
from drl_latent.artifacts import ArtifactError, Stage, read_manifest
from drl_latent.checkpoint import Encoder
from drl_latent.envs import Observation

KIND = "agent"
ENCODER = "encoder"
"""Folder of the encoder in that of the agent: as it was pretrained, also where it is trained on."""
_WEIGHTS = "policy.safetensors"


class LatentAgent:
    """A policy that acts on what the environment shows: pixels, factors, or the true state.

    Args:
        policy: The trained policy.
        encoder: The encoder that its inputs, or its features extractor, started from; None where
            there is none.
        config: ``algorithm``, ``perception``, ``env``, ``env_kwargs``, ``settings`` and how it was
            trained.
        observed: What the environment shows, one step of it.
        acted: What the environment is told.
    """

    def __init__(
        self,
        policy: BasePolicy,
        encoder: Encoder | None,
        config: Mapping[str, Any],
        observed: spaces.Space[Any],
        acted: spaces.Box,
    ) -> None:
        self.policy, self.encoder, self.config = policy, encoder, dict(config)
        self.observation_space, self.action_space = observed, acted
        self.perception = Perception(**self.config["perception"])
        self._stack = Stack(self.perception.n_stack)
        self._recurrent: tuple[NDArray[Any], ...] | None = None
        self._begins = True
        is_discrete = isinstance(policy.action_space, spaces.Discrete)
        self._table = action_table(acted) if is_discrete else None
        policy.set_training_mode(False)

    @property
    def observation(self) -> Observation:
        """The ``observation`` that an environment for it is made with."""
        return self.perception.observation

    def reset(self) -> None:
        """Forget the steps before, where episodes begin; needed with stacks and LSTMs only."""
        self._stack.reset()
        self._recurrent, self._begins = None, True

    def predict(self, observations: Any, deterministic: bool = True) -> NDArray[np.float32]:
        """Return the actions for observations.

        An agent with `n_stack` above 1, or with an LSTM, remembers the observations since `reset`:
        give it each step of an episode, of the same environments in the same order.

        Args:
            observations: Of a batch or of one environment, as the environment shows them: uint8
                [N, H, W, C] or [H, W, C]; a dict of ``"image"`` and ``"proprioception"``; or
                factors or states, float [N, S] or [S].
            deterministic: Whether to take the mode of the policy rather than a sample.

        Returns:
            Float32 [N, A], or [A] for one observation.

        Raises:
            ValueError: The observations have another shape or type.
        """
        batch, is_single = self._batch(observations)
        inputs = self._stack.push(self._encoded(batch))
        starts = np.full(_rows(batch), self._begins)
        actions, self._recurrent = self.policy.predict(
            inputs, self._recurrent, starts, deterministic=deterministic
        )
        self._begins = False
        if self._table is not None:
            actions = self._table[actions]
        return np.asarray(actions[0] if is_single else actions)

    def _batch(self, observations: Any) -> tuple[Any, bool]:
        """Return observations with a batch axis, checked, and whether there was none."""
        space = self.observation_space
        if not isinstance(space, spaces.Dict):
            array, is_single = _with_batch_axis(observations, space, "observations")
            return array, is_single
        if not isinstance(observations, Mapping) or set(observations) != set(space.spaces):
            wanted = " and ".join(repr(key) for key in space.spaces)
            given = sorted(observations) if isinstance(observations, Mapping) else None
            raise ValueError(
                f"This agent acts on a dict of {wanted}, got "
                f"{given or type(observations).__name__}."
            )
        parts = {k: _with_batch_axis(observations[k], space[k], repr(k)) for k in space.spaces}
        return {k: part for k, (part, _) in parts.items()}, all(one for _, one in parts.values())

    def _encoded(self, batch: Any) -> Any:
        if self.encoder is None or self.perception.acts_on_images:
            return batch
        keys = image_and_vectors(self.observation_space, self.encoder)
        return encode_observations(batch, self.encoder, *keys)

    def save(self, path: str | Path) -> Path:
        """Write the agent as a folder that `load` reads without pickle.

        Raises:
            ArtifactError: The folder holds another agent.
        """
        stage = Stage(path, KIND, self.config)
        return stage.out if stage.is_complete else self.save_in(stage)

    def save_in(self, stage: Stage) -> Path:
        """Write the agent as the result of `stage` and finish it."""
        save_model(self.policy.cpu(), str(stage.folder / _WEIGHTS))
        if self.encoder is not None:
            self.encoder.save(stage.folder / ENCODER)
        shapes = {
            "environment": space_to_json(self.observation_space),
            "environment_action": space_to_json(self.action_space),
            "policy": space_to_json(self.policy.observation_space),
            "policy_action": space_to_json(self.policy.action_space),
        }
        return stage.finish(self.config | {"spaces": shapes})

    @classmethod
    def load(cls, path: str | Path) -> LatentAgent:
        """Read an agent that `save` or `train_agent` wrote; no code from the folder is run.

        Raises:
            ArtifactError: The folder is absent, unfinished, damaged, changed or something else.
        """
        folder = Path(path)
        config = read_manifest(folder, KIND, verify=True)["config"]
        try:
            shapes = {k: space_from_json(v) for k, v in config["spaces"].items()}
            perception = Perception(**config["perception"])
            encoder = Encoder.load(folder / ENCODER) if perception.encodes else None
            with torch.random.fork_rng():
                policy = ALGORITHMS[config["algorithm"]].make_policy(
                    shapes["policy"],
                    shapes["policy_action"],
                    config["settings"],
                    perception,
                    str(folder / ENCODER),
                )
            load_model(policy, folder / _WEIGHTS)
        except ArtifactError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise ArtifactError(f"{path} does not hold a usable agent: {error}") from error
        acted = shapes["environment_action"]
        assert isinstance(acted, spaces.Box)
        return cls(policy, encoder, config, shapes["environment"], acted)

    def __repr__(self) -> str:
        seen = self.perception
        trained = "" if seen.mode == "frozen" else f", {seen.mode}"
        encoder = f" of {self.encoder!r}{trained}" if self.encoder else ""
        return f"LatentAgent({self.config['algorithm']} on {seen.inputs}{encoder})"


def _rows(batch: Any) -> int:
    return len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch)


def _with_batch_axis(values: Any, space: spaces.Space[Any], name: str) -> tuple[NDArray[Any], bool]:
    """Return values [N, ...] as the space has them, and whether they were of one environment.

    Raises:
        ValueError: They have another shape, or images another type.
    """
    assert isinstance(space, spaces.Box)
    array = np.asarray(values)
    is_image = space.dtype == np.uint8
    if not is_image:
        array = array.astype(np.float32)
    is_single = array.ndim == len(space.shape)
    batch = array[None] if is_single else array
    if batch.shape[1:] != space.shape or batch.dtype != space.dtype:
        kind = "uint8 frames" if is_image else "numbers"
        wanted = ", ".join(map(str, space.shape))
        raise ValueError(
            f"This agent acts on {kind} of shape [N, {wanted}]; {name} are {array.dtype} of shape "
            f"{list(array.shape)}."
        )
    return batch, is_single
