"""``drl-latent export``: hand an encoder on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Export:
    """Hand an encoder on: as a folder with a model card, as ONNX, or on the Hugging Face hub."""

    encoder: tyro.conf.Positional[str]
    """Folder of the encoder, or owner/name on the hub."""
    out: Path | None = None
    """Folder to make, without the logs of the training; the encoder's own to renew its card."""
    onnx: Path | None = None
    """ONNX file to write, which runs without torch."""
    hub: str | None = None
    """Repository to upload to, owner/name; it is made if need be."""
    private: bool = False
    """Whether a repository that is made is private."""
    scores: Path | None = None
    """Folder of the encoder's scores, for the card."""
    license: str | None = None
    """Licence of the weights, for the card, e.g. apache-2.0."""

    def run(self) -> int:
        """Write what was asked for, and print where it is."""
        from drl_latent.checkpoint import Encoder

        if self.out is None and self.onnx is None and self.hub is None:
            raise ValueError("Nothing to export to: give --out, --onnx or --hub.")
        encoder = Encoder.load(self.encoder)
        if self.out is not None:
            folder = encoder.save(self.out, scores=self.scores, license=self.license)
            print(f"Encoder and model card: {folder}")
        if self.onnx is not None:
            print(f"ONNX: {encoder.export_onnx(self.onnx)}")
        if self.hub is not None:
            address = encoder.push_to_hub(
                self.hub,
                scores=self.scores,
                license=self.license,
                private=True if self.private else None,
            )
            print(f"Uploaded: {address}")
        return 0
