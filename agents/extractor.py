"""A pretrained encoder as the features extractor of a Stable-Baselines3 policy."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from drl_latent.artifacts import read_manifest
from drl_latent.checkpoint import KIND, MANIFEST, Encoder
from drl_latent.registry import UnknownNameError
from drl_latent.sharing.hub import locate

Mode = Literal["frozen"]

_loaded: weakref.WeakValueDictionary[tuple[str, str], Encoder] = weakref.WeakValueDictionary()


class LatentExtractor(BaseFeaturesExtractor):
    """Encodes the images of an observation, and passes its vectors on.

    The encoder is deliberately not a submodule: Stable-Baselines3 applies orthogonal
    initialisation to every layer that it finds in the extractor of PPO and A2C, trained or not,
    switches the mode of its modules while training, and saves each of the extractors that SAC
    makes. Here all copies share one encoder, which nothing of that reaches.

    Args:
        observation_space: A Box of images, uint8 or float in ``[0, 1]``, channels first or last;
            or a Dict of such images and of vectors. Every image goes through the encoder.
        encoder: Folder of the encoder, or its name on the hub. It is read anew when the policy is
            loaded.
        mode: ``"frozen"``: the encoder's weights stay what they are.
        fingerprint: If given, the `Encoder.fingerprint` that the folder must hold.

    Raises:
        ArtifactError: The folder holds no usable encoder.
        ValueError: The observations do not fit the encoder, or its fingerprint is another.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        encoder: str | Path,
        mode: Mode = "frozen",
        fingerprint: str | None = None,
    ) -> None:
        if mode not in get_args(Mode):
            raise UnknownNameError("mode of the extractor", mode, get_args(Mode))
        if not isinstance(encoder, (str, Path)):
            raise ValueError(
                "LatentExtractor takes the folder of an encoder, so that a saved agent can name "
                f"it, got {type(encoder).__name__}; save it first: encoder.save(path)."
            )
        loaded = _load_shared(encoder)
        if fingerprint is not None and loaded.fingerprint != fingerprint:
            raise ValueError(
                f"The encoder at {encoder} has fingerprint {loaded.fingerprint}, but the agent was "
                f"made with {fingerprint}: it is another encoder. Give the folder of that one."
            )
        parts = (
            dict(observation_space.spaces)
            if isinstance(observation_space, spaces.Dict)
            else {"": observation_space}
        )
        layouts: dict[str, str] = {}
        features = 0
        for key, space in parts.items():
            layouts[key] = _layout(key, space, loaded)
            features += (
                int(np.prod(space.shape or (1,))) if layouts[key] == "vector" else loaded.latent_dim
            )
        if all(layout == "vector" for layout in layouts.values()):
            raise ValueError(f"There is no image in the observation space {observation_space}.")
        super().__init__(observation_space, features)
        self.encoder, self.mode, self.path = loaded, mode, str(encoder)
        self._layouts = layouts

    def forward(self, observations: Tensor | dict[str, Tensor]) -> Tensor:
        """Return features, float [N, features_dim], of a batch that the policy has preprocessed."""
        parts = observations if isinstance(observations, dict) else {"": observations}
        features = []
        for key, layout in self._layouts.items():
            values = parts[key]
            if layout == "vector":
                features.append(values.flatten(1).float())
                continue
            images = values.permute(0, 3, 1, 2) if layout == "last" else values
            features.append(self._encode(images.float()))
        return torch.cat(features, dim=1)

    def _encode(self, images: Tensor) -> Tensor:
        if images.numel() and float(images.max()) > 1.0 + 1e-4:
            raise ValueError(
                "LatentExtractor got images above 1: keep normalize_images=True in policy_kwargs, "
                "so that the policy scales uint8 images to [0, 1]."
            )
        if self.encoder.device != images.device:
            self.encoder.model.to(images.device)
        # Not inference mode: its tensors cannot enter the graph of the layers that follow.
        with torch.no_grad():
            return self.encoder.model.encode(images)

    def extra_repr(self) -> str:
        """Say where the weights come from and whether they change."""
        return (
            f"{self.encoder!r} from {self.path}, pretrained, {self.mode}, {self.features_dim} out"
        )


def _load_shared(path: str | Path) -> Encoder:
    """Load an encoder, or return the one that is loaded from the same files already."""
    folder = locate(path).resolve()
    manifest = read_manifest(folder, KIND, MANIFEST)
    key = (str(folder), str(manifest["files"]))
    encoder = _loaded.get(key)
    if encoder is None:
        encoder = _loaded[key] = Encoder.load(folder)
    return encoder


def _layout(key: str, space: spaces.Space, encoder: Encoder) -> str:
    """Return ``"vector"``, or ``"first"`` or ``"last"`` for an image with channels there."""
    name = f"observation {key!r}" if key else "the observation"
    if not isinstance(space, spaces.Box):
        raise ValueError(f"LatentExtractor needs Box observations; {name} is {space}.")
    if len(space.shape) <= 1:
        return "vector"
    height, width, channels = encoder.image_shape
    layouts = {(height, width, channels): "last", (channels, height, width): "first"}
    if space.shape not in layouts:
        raise ValueError(
            f"The encoder takes images of shape {encoder.image_shape} (or channels first), but "
            f"{name} has {space.shape}. Pretrain at the environment's image_size, or resize."
        )
    is_unit = space.dtype.kind == "f" and space.low.min() >= 0 and space.high.max() <= 1
    if space.dtype != np.uint8 and not is_unit:
        raise ValueError(
            f"Images must be uint8, or float in [0, 1]; {name} is {space.dtype} in "
            f"[{space.low.min():g}, {space.high.max():g}]."
        )
    return layouts[space.shape]
