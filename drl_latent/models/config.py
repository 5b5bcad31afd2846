"""The architecture of a latent-variable model, as data."""

from __future__ import annotations

from dataclasses import dataclass

from drl_latent.models.registries import DECODERS, ENCODERS
from drl_latent.registry import UnknownNameError


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of a model.

    Args:
        image_shape: Height, width and channels of the frames that the encoder takes.
        latent_dim: Number of latent dimensions, D.
        encoder: A name in `ENCODERS`.
        decoder: A name in `DECODERS`.
        encoder_width: Channels of the encoder's first layer.
        decoder_width: Channels of the decoder's layers.
        decoded_size: Height and width of decoded images: `image_shape` divided by 1, 2, 4 ...
            Half the frames' size learns small objects sooner, on the same frames.

    Raises:
        ValueError: A number is out of range or the sizes do not fit.
    """

    image_shape: tuple[int, int, int] = (64, 64, 3)
    latent_dim: int = 10
    encoder: str = "keypoint"
    decoder: str = "broadcast"
    encoder_width: int = 32
    decoder_width: int = 32
    decoded_size: int = 32

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        for kind, name, known in (
            ("encoder", self.encoder, ENCODERS),
            ("decoder", self.decoder, DECODERS),
        ):
            if name not in known:
                raise UnknownNameError(kind, name, known)
        if len(self.image_shape) != 3 or self.image_shape[0] != self.image_shape[1]:
            raise ValueError(
                "image_shape is (height, width, channels) of square frames, got "
                f"{self.image_shape}."
            )
        for field in ("latent_dim", "encoder_width", "decoder_width", "decoded_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be 1 or more, got {getattr(self, field)}.")
        if self.image_shape[0] % self.decoded_size:
            raise ValueError(
                f"decoded_size {self.decoded_size} does not divide the frames' size "
                f"{self.image_shape[0]}."
            )
