"""The trained encoder as an artefact: ``model.safetensors`` and ``config.json`` in a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from drl_latent.artifacts import ArtifactError, Stage, digest, read_manifest
from drl_latent.models import LatentModel, ModelConfig, to_unit_images

KIND = "encoder"
MANIFEST = "config.json"
WEIGHTS = "model.safetensors"
_BATCH = 512


class Encoder:
    """A frozen encoder from frames to latent codes, and the decoder that came with it.

    Calling it gives the mean of q(z|x). Its weights take no gradients and it stays in evaluation
    mode.

    Args:
        model: The model; it is switched to evaluation and its gradients are turned off.
        training: How it was trained: objective, data, steps, seed; kept in ``config.json``.
    """

    def __init__(self, model: LatentModel, training: Mapping[str, Any] | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self.training = dict(training or {})

    @property
    def config(self) -> ModelConfig:
        """The architecture."""
        return self.model.config

    @property
    def latent_dim(self) -> int:
        """Number of latent dimensions, D."""
        return self.config.latent_dim

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the frames it takes."""
        return self.config.image_shape

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def fingerprint(self) -> str:
        """A short hash of architecture and weights: equal for encoders that give equal codes."""
        state = self.model.state_dict()
        hashes = {k: _tensor_hash(v) for k, v in sorted(state.items())}
        return digest([dataclasses.asdict(self.config), hashes])

    @overload
    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]: ...
    @overload
    def __call__(self, frames: Tensor) -> Tensor: ...

    def __call__(self, frames: NDArray[np.uint8] | Tensor) -> NDArray[np.float32] | Tensor:
        """Encode frames, uint8 [N, H, W, C], to codes, float32 [N, D], of the same array library.

        Raises:
            ValueError: The frames have another shape or type.
        """
        self.check(tuple(frames.shape[1:]), str(frames.dtype).removeprefix("torch."), frames.ndim)
        array = frames if isinstance(frames, Tensor) else torch.from_numpy(_writable(frames))
        with torch.inference_mode():
            parts = [
                self.model.encode(to_unit_images(part.to(self.device)))[0]
                for part in array.split(_BATCH)
            ]
            codes = torch.cat(parts) if parts else torch.empty(0, self.latent_dim)
        return codes if isinstance(frames, Tensor) else codes.cpu().numpy()

    def decode(self, codes: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Decode codes, float [N, D], to images, uint8 [N, size, size, C]."""
        array = np.asarray(codes, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self.latent_dim:
            raise ValueError(
                f"Expected codes of shape [N, {self.latent_dim}], got {list(array.shape)}."
            )
        with torch.inference_mode():
            images = self.model.decode(torch.from_numpy(array).to(self.device))
        if self.training.get("objective", {}).get("likelihood") == "bernoulli":
            images = images.sigmoid()
        return (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def check(self, shape: tuple[int, ...], dtype: str, ndim: int = 4) -> None:
        """Raise ValueError unless frames of this shape [H, W, C] and type can be encoded."""
        if ndim != 4 or shape != self.image_shape or dtype != "uint8":
            wanted = ", ".join(map(str, self.image_shape))
            given = ", ".join(map(str, shape))
            raise ValueError(
                f"This encoder takes uint8 frames of shape [N, {wanted}] (channels last), got "
                f"{dtype} {'[N, ' + given + ']' if ndim == 4 else f'with {ndim} dimensions'}."
            )

    def save(self, path: str | Path) -> Path:
        """Write the encoder as a folder.

        Raises:
            ArtifactError: The folder holds another encoder.
        """
        stage = Stage(path, KIND, {"fingerprint": self.fingerprint}, MANIFEST)
        return stage.out if stage.is_complete else self.save_in(stage)

    def save_in(self, stage: Stage) -> Path:
        """Write the encoder as the result of `stage` and finish it."""
        weights = {k: v.contiguous() for k, v in self.model.state_dict().items()}
        save_file(weights, stage.folder / WEIGHTS)
        return stage.finish(
            {
                "model": dataclasses.asdict(self.config),
                "training": self.training,
                "fingerprint": self.fingerprint,
            }
        )

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> Encoder:
        """Read an encoder that `save` or `pretrain` wrote; no code from the folder is run.

        Raises:
            ArtifactError: The folder is absent, unfinished, damaged, changed or something else.
        """
        manifest = read_manifest(path, KIND, MANIFEST, verify=True)
        try:
            saved = manifest["config"]["model"]
            model = LatentModel(
                ModelConfig(**{**saved, "image_shape": tuple(saved["image_shape"])})
            )
            model.load_state_dict(load_file(Path(path) / WEIGHTS))
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise ArtifactError(f"{path} does not hold a usable encoder: {error}") from error
        return cls(model.to(device), manifest["config"]["training"])

    def __repr__(self) -> str:
        name = self.training.get("objective_name", "untrained")
        return f"Encoder({name}, {self.image_shape} -> {self.latent_dim}, {self.fingerprint})"


def _writable(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # torch warns when it wraps memory that it must not write, as that of a read-only memory map.
    return frames if frames.flags.writeable and min(frames.strides) >= 0 else frames.copy()


def _tensor_hash(tensor: Tensor) -> str:
    import hashlib

    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
