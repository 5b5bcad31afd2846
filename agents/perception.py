"""What an agent acts on: from the environment's observations to the input of its policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from stable_baselines3.common.torch_layers import CombinedExtractor, NatureCNN
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack

from drl_latent.agents.augmentation import ShiftedCNN
from drl_latent.agents.extractor import LatentExtractor, Mode
from drl_latent.agents.latent_vec_env import VecLatent
from drl_latent.checkpoint import Encoder
from drl_latent.envs import Observation
from drl_latent.registry import UnknownNameError

Inputs = Literal[
    "latents",
    "latents_and_proprioception",
    "pixels",
    "pixels_and_proprioception",
    "factors",
    "state",
]
Augmentation = Literal["none", "random_shift"]
ENV_OBSERVATION: dict[Inputs, Observation] = {
    "latents": "pixels",
    "latents_and_proprioception": "dict",
    "pixels": "pixels",
    "pixels_and_proprioception": "dict",
    "factors": "factors",
    "state": "state",
}
"""What the environment has to show to an agent of each kind of inputs."""


@dataclass(frozen=True)
class Perception:
    """What a policy acts on.

    Args:
        inputs: ``"latents"`` of the encoder, alone or beside what the robot knows of itself;
            ``"pixels"``, from which the policy learns its own features (Stable-Baselines3's
            NatureCNN); the true ``"factors"`` that vary, scaled to [-1, 1]; or the true
            ``"state"``.
        mode: Of latents: ``"frozen"``, each frame is encoded once and buffers hold latents;
            ``"finetune"`` or ``"auxiliary"``, buffers hold frames and the encoder is trained, see
            `LatentExtractor`.
        n_stack: The policy sees what was there in the last `n_stack` steps, oldest first.
        augmentation: Of pixels: ``"random_shift"`` moves each image that is learned from by up to
            4 pixels (DrQ, Kostrikov et al. 2021).
        extractor: Further keyword arguments of the `LatentExtractor` of an encoder that is
            trained, such as ``encoder_learning_rate``.

    Raises:
        UnknownNameError: A name is unknown.
        ValueError: Settings do not go together.
    """

    inputs: Inputs = "latents"
    mode: Mode = "frozen"
    n_stack: int = 1
    augmentation: Augmentation = "none"
    extractor: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, given, choices in (
            ("inputs", self.inputs, get_args(Inputs)),
            ("mode of the extractor", self.mode, get_args(Mode)),
            ("augmentation", self.augmentation, get_args(Augmentation)),
        ):
            if given not in choices:
                raise UnknownNameError(what, given, choices)
        if self.n_stack < 1:
            raise ValueError(f"n_stack must be 1 or more, got {self.n_stack}.")
        if self.mode != "frozen" and not self.encodes:
            raise ValueError(
                f"mode={self.mode!r} trains an encoder, which inputs={self.inputs!r} has none of; "
                "use inputs='latents'."
            )
        if self.extractor and self.mode == "frozen":
            raise ValueError(
                f"extractor={dict(self.extractor)} is for an encoder that is trained; "
                "mode='frozen' has no such settings."
            )
        if self.augmentation != "none" and self.inputs != "pixels":
            raise ValueError(
                f"augmentation={self.augmentation!r} is for inputs='pixels', got {self.inputs!r}."
            )

    @property
    def observation(self) -> Observation:
        """The ``observation`` that an environment is made with."""
        return ENV_OBSERVATION[self.inputs]

    @property
    def encodes(self) -> bool:
        """Whether there is an encoder."""
        return self.inputs.startswith("latents")

    @property
    def acts_on_images(self) -> bool:
        """Whether the policy itself takes images: its encoder, if any, is trained."""
        return self.inputs.startswith("pixels") or (self.encodes and self.mode != "frozen")

    def check_encoder(self, encoder: object | None) -> None:
        """Raise ValueError unless there is an encoder where one is needed, and only there."""
        if (encoder is not None) != self.encodes:
            raise ValueError(
                f"inputs={self.inputs!r} with encoder={encoder!r}: latents need an encoder, and "
                "the others, such as the true state, take none."
            )

    def wrap(self, venv: VecEnv, encoder: Encoder | None) -> VecEnv:
        """Return environments whose observations are the policy's inputs."""
        if self.encodes and self.mode == "frozen":
            assert encoder is not None
            return VecLatent(venv, encoder, n_stack=self.n_stack)
        return VecFrameStack(venv, self.n_stack) if self.n_stack > 1 else venv

    def extractor_kwargs(self, encoder: str | None) -> Mapping[str, Any]:
        """Return the policy's keyword arguments for its features extractor.

        Args:
            encoder: The folder of the encoder.
        """
        if not self.acts_on_images:
            return {}
        if self.encodes:
            kwargs = {"encoder": encoder, "mode": self.mode, **self.extractor}
            return {
                "features_extractor_class": LatentExtractor,
                "features_extractor_kwargs": kwargs,
            }
        if self.observation == "dict":
            return {"features_extractor_class": CombinedExtractor}
        shifts = self.augmentation == "random_shift"
        return {"features_extractor_class": ShiftedCNN if shifts else NatureCNN}
