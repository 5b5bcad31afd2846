"""``drl-latent pretrain``: train an encoder on collected frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from drl_latent.cli.commands import parse_settings
from drl_latent.optimization import Optimization

if TYPE_CHECKING:
    from drl_latent.models import ModelConfig


@dataclass(frozen=True)
class ModelOptions:
    """The architecture: the light one for CPUs unless something else is named."""

    latent_dim: int = 10
    """Number of latent dimensions."""
    encoder: str = "keypoint"
    """Name of the encoder network, e.g. reference; an unknown name lists all."""
    decoder: str = "broadcast"
    """Name of the decoder network, e.g. reference; an unknown name lists all."""
    encoder_width: int = 32
    """Channels of the encoder's first layer."""
    decoder_width: int = 32
    """Channels of the decoder's layers."""
    decoded_size: int | None = None
    """Height and width of decoded images; half of the frames' unless given."""

    def config(self, image_shape: tuple[int, int, int]) -> ModelConfig:
        """Return the architecture for frames of a shape."""
        from drl_latent.models import ModelConfig

        return ModelConfig(
            image_shape=image_shape,
            latent_dim=self.latent_dim,
            encoder=self.encoder,
            decoder=self.decoder,
            encoder_width=self.encoder_width,
            decoder_width=self.decoder_width,
            decoded_size=self.decoded_size or image_shape[0] // 2,
        )


@dataclass(frozen=True)
class Pretrain:
    """Train an encoder on collected frames."""

    data: Path
    """Folder of frames."""
    out: Path
    """Folder to make."""
    objective: str = "beta_vae"
    """Name of the objective."""
    settings: tuple[str, ...] = ()
    """Settings of the objective, e.g. beta=8 likelihood=salient_gaussian."""
    stack: int = 1
    """Frames in a stack, of data collected along rollouts; the agent has to stack as many."""
    model: Annotated[ModelOptions, tyro.conf.arg(name="")] = field(default_factory=ModelOptions)
    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = field(
        default_factory=Optimization
    )

    def run(self) -> int:
        """Pretrain."""
        from drl_latent.data import open_dataset
        from drl_latent.pretrain import pretrain

        data = open_dataset(self.data)
        if self.stack != 1:
            data = data.stacked(self.stack)
        encoder = pretrain(
            data,
            self.objective,
            out=self.out,
            steps=self.optimization.steps,
            seed=self.optimization.seed,
            model=self.model.config(data.image_shape),
            optimization=self.optimization,
            **parse_settings(self.settings),
        )
        print(encoder)
        return 0
