"""A trained agent as an artefact: encoder, policy and what they expect, in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from stable_baselines3.common.policies import BasePolicy

from drl_latent.agents.algorithms import ALGORITHMS
from drl_latent.agents.latent_vec_env import encode_observations
from drl_latent.artifacts import ArtifactError, Stage, read_manifest
from drl_latent.checkpoint import Encoder

KIND = "agent"
Inputs = Literal["latents", "latents_and_proprioception", "state"]
ENV_OBSERVATION: dict[str, Literal["pixels", "dict", "state"]] = {
    "latents": "pixels",
    "latents_and_proprioception": "dict",
    "state": "state",
}
"""What the environment has to show to an agent of each kind of inputs."""

_WEIGHTS = "policy.safetensors"
_ENCODER = "encoder"


class LatentAgent:
    """A policy that acts on what the environment shows: pixels, or the true state.

    Args:
        policy: The trained policy, on latents (and vectors) or on the true state.
        encoder: The encoder of its images; None for a policy on the true state.
        config: ``algorithm``, ``inputs``, ``env``, ``env_kwargs`` and how it was trained.
    """

    def __init__(
        self, policy: BasePolicy, encoder: Encoder | None, config: Mapping[str, Any]
    ) -> None:
        self.policy, self.encoder, self.config = policy, encoder, dict(config)
        policy.set_training_mode(False)

    @property
    def inputs(self) -> Inputs:
        """What the policy acts on."""
        inputs: Inputs = self.config["inputs"]
        return inputs

    @property
    def observation(self) -> Literal["pixels", "dict", "state"]:
        """The ``observation`` that an environment for it is made with."""
        return ENV_OBSERVATION[self.inputs]

    def predict(self, observations: Any, deterministic: bool = True) -> NDArray[np.float32]:
        """Return the actions for observations.

        Args:
            observations: Of a batch or of one environment: uint8 [N, H, W, C] or [H, W, C]; a
                dict of ``"image"`` and ``"proprioception"``; or states, float [N, S] or [S].
            deterministic: Whether to take the mode of the policy rather than a sample.

        Returns:
            Float32 [N, A], or [A] for one observation.

        Raises:
            ValueError: The observations have another shape or type.
        """
        features, single = self._features(observations)
        actions, _ = self.policy.predict(features, deterministic=deterministic)
        return np.asarray(actions[0] if single else actions)

    def _features(self, observations: Any) -> tuple[NDArray[np.float32], bool]:
        if self.encoder is None:
            array = np.asarray(observations, dtype=np.float32)
            single = array.ndim == 1
            return (array[None] if single else array), single
        if self.inputs == "latents":
            frames = np.asarray(observations)
            single = frames.ndim == 3
            return self.encoder(frames[None] if single else frames), single
        if not isinstance(observations, Mapping) or "image" not in observations:
            raise ValueError(
                "This agent acts on a dict of 'image' and 'proprioception', got "
                f"{type(observations).__name__}."
            )
        single = np.ndim(observations["image"]) == 3
        batch = {k: np.asarray(v)[None] if single else v for k, v in observations.items()}
        vectors = tuple(k for k in batch if k != "image")
        return encode_observations(batch, self.encoder, "image", vectors), single

    def save(self, path: str | Path) -> Path:
        """Write the agent as a folder that `load` reads without pickle.

        Raises:
            ArtifactError: The folder holds another agent.
        """
        stage = Stage(path, KIND, self.config)
        return stage.out if stage.is_complete else self.save_in(stage)

    def save_in(self, stage: Stage) -> Path:
        """Write the agent as the result of `stage` and finish it."""
        weights = {k: v.cpu().contiguous() for k, v in self.policy.state_dict().items()}
        save_file(weights, stage.folder / _WEIGHTS)
        if self.encoder is not None:
            self.encoder.save(stage.folder / _ENCODER)
        shapes = {
            "features": list(self.policy.observation_space.shape or ()),
            "action_low": self.policy.action_space.low.tolist(),  # type: ignore[attr-defined]
            "action_high": self.policy.action_space.high.tolist(),  # type: ignore[attr-defined]
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
            sizes = config["spaces"]
            algorithm = ALGORITHMS[config["algorithm"]]
            observed = spaces.Box(-np.inf, np.inf, tuple(sizes["features"]), np.float32)
            action = spaces.Box(
                np.array(sizes["action_low"], np.float32),
                np.array(sizes["action_high"], np.float32),
            )
            policy = algorithm.make_policy(observed, action, config["settings"])
            policy.load_state_dict(load_file(folder / _WEIGHTS))
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise ArtifactError(f"{path} does not hold a usable agent: {error}") from error
        has_encoder = ENV_OBSERVATION[config["inputs"]] != "state"
        encoder = Encoder.load(folder / _ENCODER) if has_encoder else None
        return cls(policy, encoder, config)

    def __repr__(self) -> str:
        encoder = f" of {self.encoder!r}" if self.encoder else ""
        return f"LatentAgent({self.config['algorithm']} on {self.inputs}{encoder})"
