"""A trained agent as an artefact: encoder, policy and what they expect, in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from stable_baselines3.common.policies import BasePolicy

from drl_latent.agents.actions import action_table
from drl_latent.agents.algorithms import ALGORITHMS
from drl_latent.agents.batching import count_rows, with_batch_axis
from drl_latent.agents.history import EPISODES, EVALUATIONS, History
from drl_latent.agents.latent_vec_env import encode_observations, image_and_vectors
from drl_latent.agents.memory import Stack
from drl_latent.agents.observation_spaces import space_from_json, space_to_json
from drl_latent.agents.perception import Perception
from drl_latent.artifacts import ArtifactError, Stage, digest, plain, provenance, read_manifest
from drl_latent.checkpoint import MANIFEST as ENCODER_MANIFEST
from drl_latent.checkpoint import Encoder, weight_hashes
from drl_latent.envs import Observation
from drl_latent.manifest import unusable
from drl_latent.sharing.hub import HubMixin

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

    from drl_latent.sharing.agent_facts import Evaluation

KIND = "agent"
MANIFEST = "manifest.json"
ENCODER = "encoder"
"""Folder of the encoder in that of the agent: as it was pretrained, also where it is trained on."""
_WEIGHTS = "policy.safetensors"


class LatentAgent(HubMixin):
    """A policy that acts on what the environment shows: pixels, factors, or the true state.

    Args:
        policy: The trained policy.
        encoder: The encoder that its inputs, or its features extractor, started from; None where
            there is none.
        config: ``algorithm``, ``perception``, ``env``, ``env_kwargs``, ``settings`` and how it was
            trained.
        observed: What the environment shows, one step of it.
        acted: What the environment is told.
        history: How its training went.
        made_with: Versions, platform and commit that it was trained with; those of now unless
            given. Copies keep it.
    """

    KIND = KIND
    MANIFEST = MANIFEST
    FETCHED = (
        MANIFEST,
        _WEIGHTS,
        EPISODES,
        EVALUATIONS,
        *(f"{ENCODER}/{pattern}" for pattern in Encoder.FETCHED),
    )
    SHOWN = ("evaluation", "license")

    def __init__(
        self,
        policy: BasePolicy,
        encoder: Encoder | None,
        config: Mapping[str, Any],
        observed: spaces.Space[Any],
        acted: spaces.Box,
        history: History | None = None,
        made_with: Mapping[str, Any] | None = None,
    ) -> None:
        self.policy, self.encoder, self.config = policy, encoder, dict(config)
        self.history, self.made_with = history or History(), dict(made_with or provenance())
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

    @property
    def fingerprint(self) -> str:
        """A short hash of all that its actions depend on."""
        return digest(
            [
                self.config["algorithm"],
                plain(vars(self.perception)),
                self._shapes(),
                None if self.encoder is None else self.encoder.fingerprint,
                weight_hashes(self.policy),
            ]
        )

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
        batch, is_single = with_batch_axis(observations, self.observation_space)
        inputs = self._stack.push(self._encoded(batch))
        starts = np.full(count_rows(batch), self._begins)
        actions, self._recurrent = self.policy.predict(
            inputs, self._recurrent, starts, deterministic=deterministic
        )
        self._begins = False
        if self._table is not None:
            actions = self._table[actions]
        return np.asarray(actions[0] if is_single else actions)

    def _encoded(self, batch: Any) -> Any:
        if self.encoder is None or self.perception.acts_on_images:
            return batch
        keys = image_and_vectors(self.observation_space, self.encoder)
        return encode_observations(batch, self.encoder, *keys)

    def generate_model_card(
        self,
        *_: Any,
        evaluation: Evaluation | None = None,
        license: str | None = None,
        repo_id: str | None = None,
    ) -> ModelCard:
        """Return what `save` writes as ``README.md``; the arguments are those of `save`."""
        # Imported here because a card draws on all stages, and most agents are only loaded.
        from drl_latent.sharing.agent_card import agent_card

        return agent_card(self, evaluation=evaluation, license=license, repo_id=repo_id)

    def document(self, folder: Path, card: ModelCard) -> None:
        """Write the model card and its figure into a finished folder."""
        from drl_latent.sharing.agent_card import draw_training

        draw_training(self, folder)
        super().document(folder, card)

    def save(
        self,
        path: str | Path,
        *,
        evaluation: Evaluation | None = None,
        license: str | None = None,
        repo_id: str | None = None,
    ) -> Path:
        """Write the agent as a folder that `load` reads without pickle, with a model card.

        A folder that holds this agent already is kept; its card is written anew where there is
        none, or something to say in it is given.

        Args:
            path: The folder.
            evaluation: What the card shows of other combinations of factors: the folder that
                `drl_latent.evaluation.evaluate_saved` wrote, or a table of
                `drl_latent.evaluation.evaluate_generalization`.
            license: Identifier of the weights' licence for the card, e.g. ``"apache-2.0"``.
            repo_id: Where it is on the hub, for the card.

        Raises:
            ArtifactError: The folder holds something else, or the evaluation is of another agent.
            ValueError: The table of the evaluation lacks a column, or has several agents.
        """
        return self._save(path, {"evaluation": evaluation, "license": license, "repo_id": repo_id})

    def save_in(self, stage: Stage, card: ModelCard | None = None) -> Path:
        """Write the agent as the result of `stage`, finish it, and add the model card."""
        device = self.policy.device
        save_model(self.policy.cpu(), str(stage.folder / _WEIGHTS))
        self.policy.to(device)
        if self.encoder is not None:
            self.encoder.save(stage.folder / ENCODER)
        self.history.write(stage.folder)
        made = {"spaces": self._shapes(), "made_with": self.made_with}
        out = stage.finish(self.config | made)
        # Last: whatever is wrong with its documentation, the agent is safe.
        self.document(out, card or self.generate_model_card())
        return out

    def _shapes(self) -> dict[str, Any]:
        """Return the spaces of the environment and of the policy, as JSON-able data."""
        return {
            "environment": space_to_json(self.observation_space),
            "environment_action": space_to_json(self.action_space),
            "policy": space_to_json(self.policy.observation_space),
            "policy_action": space_to_json(self.policy.action_space),
        }

    @classmethod
    def read(cls, folder: Path, device: str | torch.device = "cpu") -> LatentAgent:
        """Read a folder as `load` does; never from the hub."""
        manifest = read_manifest(folder, KIND, MANIFEST, verify=True)
        config, files = manifest["config"], manifest["files"]
        made_with = config.pop("made_with", manifest["provenance"])
        try:
            shapes = {k: space_from_json(v) for k, v in config["spaces"].items()}
            acted = shapes["environment_action"]
            if not isinstance(acted, spaces.Box):
                raise TypeError(f"its environment takes actions of {acted}")
            perception = Perception(**config["perception"])
            needed = [_WEIGHTS, *([f"{ENCODER}/{ENCODER_MANIFEST}"] if perception.encodes else [])]
            if absent := [name for name in needed if name not in files]:
                raise ValueError(f"its manifest lists no {' or '.join(absent)} to verify")
            encoder = Encoder.read(folder / ENCODER, device) if perception.encodes else None
            with torch.random.fork_rng():
                policy = ALGORITHMS[config["algorithm"]].make_policy(
                    shapes["policy"],
                    shapes["policy_action"],
                    config["settings"],
                    perception,
                    str(folder / ENCODER),
                )
            load_model(policy, folder / _WEIGHTS)
            history = History.read(folder, files)
        except ArtifactError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise unusable(folder, KIND, error) from error
        policy.to(device)
        return cls(policy, encoder, config, shapes["environment"], acted, history, made_with)

    def __repr__(self) -> str:
        seen = self.perception
        trained = "" if seen.mode == "frozen" else f", {seen.mode}"
        encoder = f" of {self.encoder!r}{trained}" if self.encoder else ""
        return f"LatentAgent({self.config['algorithm']} on {seen.inputs}{encoder})"
