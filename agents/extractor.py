"""A pretrained encoder as the features extractor of a Stable-Baselines3 policy."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from drl_latent.agents.extractor_settings import Mode, Output, check_mode, check_output
from drl_latent.agents.layouts import ImageLayout, observation_layouts
from drl_latent.agents.whitening import read_whitening
from drl_latent.artifacts import ArtifactError, read_manifest
from drl_latent.checkpoint import KIND, MANIFEST, WEIGHTS, Encoder

_loaded: weakref.WeakValueDictionary[tuple[str, str], Encoder] = weakref.WeakValueDictionary()


class LatentExtractor(BaseFeaturesExtractor):
    """Encodes the images of an observation, and passes its vectors on.

    A frozen encoder is deliberately not a submodule: Stable-Baselines3 applies orthogonal
    initialisation to every layer that it finds in the extractor of PPO and A2C, trained or not,
    switches the mode of its modules while training, and saves each of the extractors that SAC
    makes. Here all copies share one encoder, which nothing of that reaches.

    An encoder that is trained is a submodule, and each extractor has a copy of its own: targets
    follow it as Stable-Baselines3 has them follow, and it is saved with the agent. It is never
    initialised anew, and stays in evaluation mode: what the agent saw when it acted is what its
    losses see, without dropout, and with the running statistics of pretraining.

    Args:
        observation_space: A Box of images, uint8 or float in ``[0, 1]``, channels first or last;
            or a Dict of such images and of vectors. Every image goes through the encoder. Where
            frames are stacked along the channels, as by ``VecFrameStack``, each is encoded on its
            own, and their codes follow each other, the oldest first.
        encoder: Folder of the encoder, or its name on the hub. It is read anew when the policy is
            loaded.
        mode: ``"frozen"``: the encoder's weights stay what they are. ``"finetune"``: the critic's
            loss trains it, not the actor's. ``"auxiliary"``: so does, besides, the loss that it
            was pretrained with; its decoder is kept for that. The latter two need a policy of
            `drl_latent.agents.latent_policy`.
        fingerprint: If given, the `Encoder.fingerprint` that the folder must hold.
        output: ``"mean"``: the code that the encoder gives of a frame, which is the mean of q(z|x)
            where there is one. ``"sample"``: a draw from q(z|x) in the losses (the policy's
            training mode; noise of torch's generator, which the algorithm's ``seed`` seeds), and
            the mean wherever the agent acts, so that ``predict(deterministic=True)`` is; targets
            see the mean as well. With it, the ratio of probabilities in PPO's loss compares a draw
            with the mean. ``"quantised"``: the code of an encoder whose latents have levels, and
            an error for others.
        whiten: Mean and standard deviation by which each latent is standardised, as
            `drl_latent.agents.whitening.measure_whitening` returns them. They are not learned.
        encoder_learning_rate: Of an encoder that is trained. By default that of the agent where it
            begins with random weights, and a tenth of it where it is pretrained: at all of it what
            the policy has learned is shaken. If the agent's follows a schedule, it falls with it:
            this is the rate at the start.
        warmup_updates: Number of steps of the critic's optimiser during which its loss does not
            reach the encoder.
        critic_only: Whether the policy sees to it that only the critic's loss reaches the encoder,
            at its own rate. `latent_policy` does, and says so; no one else need.

    Raises:
        ArtifactError: The folder holds no usable encoder.
        ValueError: The observations or settings do not fit the encoder, its fingerprint is
            another, or the policy cannot train it.
    """

    encoder_fingerprint: Tensor
    updates: Tensor
    """int64: the steps of the critic's optimiser so far; only where the encoder is trained."""
    _shift: Tensor
    _scale: Tensor

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        encoder: str | Path,
        mode: Mode = "frozen",
        fingerprint: str | None = None,
        output: Output = "mean",
        whiten: Mapping[str, Any] | None = None,
        encoder_learning_rate: float | None = None,
        warmup_updates: int = 0,
        critic_only: bool = False,
    ) -> None:
        check_mode(mode, encoder_learning_rate, warmup_updates, critic_only)
        loaded = _load_shared(encoder, fingerprint)
        check_output(output, loaded)
        layouts = observation_layouts(observation_space, loaded)
        features = sum(
            layout.stack * loaded.latent_dim if isinstance(layout, ImageLayout) else layout.size
            for layout in layouts.values()
        )
        super().__init__(observation_space, features)
        self.mode, self.output, self.path = mode, output, str(encoder)
        self.encoder_learning_rate, self.warmup_updates = encoder_learning_rate, warmup_updates
        self._layouts = layouts
        self.start = loaded.fingerprint
        self.register_buffer(
            "encoder_fingerprint", torch.tensor(list(self.start.encode()), dtype=torch.uint8)
        )
        self._whitens = whiten is not None
        if whiten is not None:
            shift, scale = read_whitening(whiten, loaded)
            self.register_buffer("_shift", shift, persistent=False)
            self.register_buffer("_scale", scale, persistent=False)
        self.encoder = loaded
        if self.is_trained:
            self.encoder = _trainable_copy(loaded, with_decoder=mode == "auxiliary")
            self.network = self.encoder.model
            self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @property
    def is_trained(self) -> bool:
        """Whether the encoder's weights change as the agent learns."""
        return self.mode != "frozen"

    @property
    def is_warming_up(self) -> bool:
        """Whether the critic's loss does not reach an encoder yet that it is to train."""
        return self.warmup_updates > 0 and int(self.updates) < self.warmup_updates

    def trained_parameters(self) -> list[nn.Parameter]:
        """Return what the critic's optimiser trains: the encoder without its decoder."""
        model = self.encoder.model
        return [*model.encoder.parameters(), *model.bottleneck.parameters()]

    def forward(self, observations: Tensor | dict[str, Tensor]) -> Tensor:
        """Return features, float [N, features_dim], of a batch that the policy has preprocessed."""
        parts = observations if isinstance(observations, dict) else {"": observations}
        frames = [
            layout.frames(parts[key].float())
            for key, layout in self._layouts.items()
            if isinstance(layout, ImageLayout)
        ]
        # One batch: a pass for each image would cost several small ones.
        codes = self._encode(frames[0] if len(frames) == 1 else torch.cat(frames))
        of_each_image = iter(codes.split([len(part) for part in frames]))
        features = [
            next(of_each_image).reshape(len(parts[key]), -1)
            if isinstance(layout, ImageLayout)
            else parts[key].flatten(1).float()
            for key, layout in self._layouts.items()
        ]
        return torch.cat(features, dim=1)

    def _encode(self, frames: Tensor) -> Tensor:
        """Return codes [M, D] of unit frames [M, C, H, W]."""
        if frames.numel() and float(frames.max()) > 1.0 + 1e-4:
            raise ValueError(
                "LatentExtractor got images above 1: keep normalize_images=True in policy_kwargs, "
                "so that the policy scales uint8 images to [0, 1]."
            )
        if self.encoder.device != frames.device:
            self.encoder.model.to(frames.device)
        # Not inference mode: its tensors cannot enter the graph of the layers that follow.
        learns = torch.is_grad_enabled() and self.is_trained and not self.is_warming_up
        with torch.set_grad_enabled(learns):
            codes = self._codes(frames)
            return (codes - self._shift) / self._scale if self._whitens else codes

    def _codes(self, frames: Tensor) -> Tensor:
        model = self.encoder.model
        if self.output == "sample" and self.training:
            mean, log_variance = model.posterior(frames)
            return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return model.encode(frames)

    def apply(self, fn: Callable[[nn.Module], None]) -> Self:
        """Apply `fn` to this module and not to the encoder, which no one may initialise anew."""
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the mode of this module; the encoder stays in evaluation mode."""
        super().train(mode)
        self.encoder.model.eval()
        return self

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        saved = state_dict.get(f"{prefix}encoder_fingerprint")
        if saved is not None and not torch.equal(saved.cpu(), self.encoder_fingerprint.cpu()):
            # Not raised here: SAC.load would take a ValueError for an old file, and hide it.
            error_msgs.append(
                f"The agent was saved with the encoder {bytes(saved.tolist()).decode()}, but "
                f"{self.path} holds {self.start}: it was replaced since. Put the first one back, "
                "or give its folder in policy_kwargs, by custom_objects of load."
            )
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )

    def extra_repr(self) -> str:
        """Say where the weights come from and whether they change."""
        origin = "random weights"
        if self.encoder.is_pretrained:
            origin = f"pretrained by {self.encoder.training['objective_name']}"
        state = "frozen"
        if self.is_trained:
            state = f"trainable ({self.mode}, {int(self.updates)} updates so far)"
        return (
            f"{origin}, {state}, from {Path(self.path) / WEIGHTS} with fingerprint {self.start}, "
            f"{self.encoder.image_shape} -> {self.encoder.latent_dim}, output {self.output}, "
            f"{'whitened, ' if self._whitens else ''}{self.features_dim} features"
        )


def _load_shared(path: str | Path, fingerprint: str | None) -> Encoder:
    """Load an encoder, or return the one that is loaded from the same files already."""
    if not isinstance(path, (str, Path)):
        raise ValueError(
            "LatentExtractor takes the folder of an encoder, so that a saved agent can name "
            f"it, got {type(path).__name__}; save it first: encoder.save(path)."
        )
    try:
        folder = Encoder.locate(path).resolve()
        manifest = read_manifest(folder, KIND, MANIFEST)
        key = (str(folder), str(manifest["files"]))
        encoder = _loaded.get(key)
        if encoder is None:
            encoder = _loaded[key] = Encoder.load(folder)
    except ArtifactError as error:
        raise ArtifactError(
            f"{error} A saved agent names its encoder and reads it anew: if it lies elsewhere now, "
            "give its folder in policy_kwargs, by custom_objects of load."
        ) from error
    if fingerprint is not None and encoder.fingerprint != fingerprint:
        raise ValueError(
            f"The encoder at {path} has fingerprint {encoder.fingerprint}, but the agent was "
            f"made with {fingerprint}: it is another encoder. Give the folder of that one."
        )
    return encoder


def _trainable_copy(encoder: Encoder, with_decoder: bool) -> Encoder:
    """Return a copy whose weights take gradients and whose record says that it was trained on."""
    training = {**encoder.training, "trained_on_from": encoder.fingerprint}
    own = Encoder(copy.deepcopy(encoder.model), training, encoder.made_with)
    own.model.requires_grad_(True)
    # Else unused parameters would get moments and, in the optimiser, decay.
    own.model.decoder.requires_grad_(with_decoder)
    own.model.likelihood.requires_grad_(with_decoder)
    return own
