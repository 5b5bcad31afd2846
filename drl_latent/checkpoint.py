"""The trained encoder as an artefact: a folder of weights, manifest and model card."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from drl_latent.artifacts import ArtifactError, Stage, digest, provenance, read_manifest
from drl_latent.manifest import unusable
from drl_latent.models import LatentModel, ModelConfig, to_unit_images
from drl_latent.sharing.hub import HubMixin

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

    from drl_latent.sharing.card_facts import Scores

KIND = "encoder"
MANIFEST = "config.json"
WEIGHTS = "model.safetensors"
_BATCH = 512


class Encoder(HubMixin):
    """A frozen encoder from frames to latent codes, and the decoder that came with it.

    Calling it gives the code of each frame: for a VAE, the mean of q(z|x). Its weights take no
    gradients and it stays in evaluation mode.

    Args:
        model: The model; it is switched to evaluation and its gradients are turned off.
        training: How it was trained: objective, data, steps, seed; kept in ``config.json``.
        made_with: Versions, platform and commit that it was trained with; those of now unless
            given. Copies keep it.
    """

    KIND = KIND
    MANIFEST = MANIFEST
    FETCHED = (MANIFEST, WEIGHTS)
    SHOWN = ("scores", "license")

    def __init__(
        self,
        model: LatentModel,
        training: Mapping[str, Any] | None = None,
        made_with: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.training = dict(training or {})
        self.made_with = dict(made_with or provenance())

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
    def factor_names(self) -> tuple[str, ...]:
        """Names of the factors of the frames it was trained on; none where that is unknown."""
        space = self.training.get("data", {}).get("factor_space", {})
        return tuple(factor["name"] for factor in space.get("factors", ()))

    @property
    def is_pretrained(self) -> bool:
        """Whether the weights were learned from something; else they are random."""
        return self.training.get("objective_name") not in (None, "random")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def fingerprint(self) -> str:
        """A short hash of architecture and weights: equal for encoders that give equal codes."""
        return digest([dataclasses.asdict(self.config), weight_hashes(self.model)])

    @overload
    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]: ...
    @overload
    def __call__(self, frames: Tensor) -> Tensor: ...

    def __call__(self, frames: NDArray[np.uint8] | Tensor) -> NDArray[np.float32] | Tensor:
        """Encode frames, uint8 [N, H, W, C], to codes, float32 [N, D], of the same array library.

        Raises:
            ValueError: The frames have another shape or type.
        """
        (codes,) = self._in_batches(lambda images: (self.model.encode(images),), frames)
        return codes if isinstance(frames, Tensor) else codes.cpu().numpy()

    @property
    def has_posterior(self) -> bool:
        """Whether codes are means of a Gaussian q(z|x), so that `posterior` is defined."""
        return self.model.bottleneck.has_posterior

    def posterior(
        self, frames: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and log-variance of q(z|x), each float32 [N, D], for frames [N, H, W, C].

        Raises:
            ValueError: The frames have another shape or type.
            TypeError: Codes have no distribution.
        """
        mean, log_variance = self._in_batches(self.model.posterior, frames)
        return mean.cpu().numpy(), log_variance.cpu().numpy()

    def _in_batches(
        self,
        compute: Callable[[Tensor], tuple[Tensor, ...]],
        frames: NDArray[np.uint8] | Tensor,
    ) -> list[Tensor]:
        """Return what `compute` gives of unit images, for frames of which it need not take all."""
        self.check(tuple(frames.shape[1:]), str(frames.dtype).removeprefix("torch."), frames.ndim)
        array = frames if isinstance(frames, Tensor) else torch.from_numpy(_writable(frames))
        with torch.inference_mode():
            parts = [compute(to_unit_images(part.to(self.device))) for part in array.split(_BATCH)]
            return [torch.cat(part) for part in zip(*parts, strict=True)]

    def decode(self, codes: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Decode codes, float [N, D], to images, uint8 [N, size, size, C]."""
        array = np.asarray(codes, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self.latent_dim:
            raise ValueError(
                f"Expected codes of shape [N, {self.latent_dim}], got {list(array.shape)}."
            )
        with torch.inference_mode():
            decoded = self.model.decode(torch.from_numpy(array).to(self.device))
            images = self.model.likelihood.images(decoded)
        return (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def check(self, shape: tuple[int, ...], dtype: str, ndim: int = 4) -> None:
        """Raise ValueError unless frames of this shape [H, W, C] and type can be encoded."""
        if ndim != 4 or shape != self.image_shape or dtype != "uint8":
            wanted = ", ".join(map(str, self.image_shape))
            given = ", ".join(map(str, shape))
            raise ValueError(
                f"This encoder takes uint8 frames of shape [N, {wanted}] (channels last), got "
                f"{dtype} {'[N, ' + given + ']' if ndim == 4 else f'with {ndim} dimensions'}."
            )

    def generate_model_card(
        self,
        *_: Any,
        scores: Scores | None = None,
        license: str | None = None,
        repo_id: str | None = None,
    ) -> ModelCard:
        """Return what `save` writes as ``README.md``; the arguments are those of `save`."""
        # Imported here because a card draws on all stages, and most encoders are only loaded.
        from drl_latent.sharing.model_card import model_card

        return model_card(self, scores=scores, license=license, repo_id=repo_id)

    def save(
        self,
        path: str | Path,
        *,
        scores: Scores | None = None,
        license: str | None = None,
        repo_id: str | None = None,
    ) -> Path:
        """Write the encoder as a folder: ``model.safetensors``, ``config.json``, ``README.md``.

        A folder that holds this encoder already is kept; its card is written anew where there is
        none, or something to say in it is given.

        Args:
            path: The folder.
            scores: What the card shows: a table of `drl_latent.metrics.score_all`, or a folder
                of `drl_latent.scoring.score_encoder`.
            license: Identifier of the weights' licence for the card, e.g. ``"apache-2.0"``.
            repo_id: Where it is on the hub, for the card.

        Raises:
            ArtifactError: The folder holds something else, or the scores are of another encoder.
            ValueError: The table of scores lacks a column.
        """
        return self._save(path, {"scores": scores, "license": license, "repo_id": repo_id})

    def save_in(self, stage: Stage, card: ModelCard | None = None) -> Path:
        """Write the encoder as the result of `stage`, finish it, and add the model card."""
        weights = {k: v.contiguous() for k, v in self.model.state_dict().items()}
        save_file(weights, stage.folder / WEIGHTS)
        out = stage.finish(
            {
                "model": dataclasses.asdict(self.config),
                "training": self.training,
                "made_with": self.made_with,
                "fingerprint": self.fingerprint,
            }
        )
        # Last: whatever is wrong with its documentation, the encoder is safe.
        self.document(out, card or self.generate_model_card())
        return out

    def export_onnx(self, path: str | Path) -> Path:
        """Write the encoder as one ONNX file, which runs without torch and this library.

        The graph takes ``frames``, uint8 [N, H, W, C], and gives ``codes``, float32 [N, D], for
        any N. Its metadata has the encoder's ``fingerprint`` and the ``factor_names``, as JSON.

        Raises:
            ImportError: The packages of ``drl-latent[onnx]`` are not installed.
            RuntimeError: The file would not give the encoder's codes; nothing is written.
        """
        from drl_latent.sharing.onnx_export import export_onnx

        return export_onnx(self, path)

    @classmethod
    def read(cls, folder: Path, device: str | torch.device = "cpu") -> Encoder:
        """Read a folder as `load` does; never from the hub."""
        manifest = read_manifest(folder, KIND, MANIFEST, verify=True)
        if WEIGHTS not in manifest["files"]:
            raise ArtifactError(
                f"{folder / MANIFEST} lists no {WEIGHTS}, so that the weights cannot be verified. "
                "Make or copy it again."
            )
        config = manifest["config"]
        try:
            model = LatentModel(ModelConfig(**config["model"]))
            model.load_state_dict(load_file(folder / WEIGHTS))
            made_with = config.get("made_with", manifest["provenance"])
            encoder = cls(model, config["training"], made_with)
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise unusable(folder, KIND, error) from error
        encoder.model.to(device)
        return encoder

    def __repr__(self) -> str:
        name = self.training.get("objective_name", "untrained")
        return f"Encoder({name}, {self.image_shape} -> {self.latent_dim}, {self.fingerprint})"


def _writable(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # torch warns when it wraps memory that it must not write, as that of a read-only memory map.
    return frames if frames.flags.writeable and min(frames.strides) >= 0 else frames.copy()


def weight_hashes(module: nn.Module) -> dict[str, str]:
    """Return the SHA-256 of each tensor of a module's state, by its name."""
    state = module.state_dict()
    return {name: _tensor_hash(state[name]) for name in sorted(state)}


def _tensor_hash(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
