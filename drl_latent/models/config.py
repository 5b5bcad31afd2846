"""The architecture of a latent-variable model, as data."""

from __future__ import annotations

from dataclasses import dataclass

from drl_latent.models.registries import BOTTLENECKS, DECODERS, ENCODERS, LIKELIHOODS
from drl_latent.registry import UnknownNameError


@dataclass(frozen=True)
class Sizes:
    """The image heights and widths that a network can take.

    An encoder says which frames it takes, and a decoder which sizes it decodes to, by an attribute
    `sizes`; one without it takes all.

    Args:
        multiple: What a size has to be divisible by.
        least: The smallest size.
    """

    multiple: int = 1
    least: int = 1

    def __contains__(self, size: int) -> bool:
        return size >= self.least and size % self.multiple == 0

    def __str__(self) -> str:
        every = f"multiples of {self.multiple}" if self.multiple > 1 else "all sizes"
        return f"{every} from {max(self.least, self.multiple)} up"


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of a model.

    Args:
        image_shape: Height, width and channels of the frames that the encoder takes.
        latent_dim: Number of latent dimensions, D.
        encoder: A name in `ENCODERS`.
        decoder: A name in `DECODERS`.
        encoder_width: Channels of the encoder's first layer.
        decoder_width: Channels of the decoder's layers; where they change with the resolution, of
            those at the highest.
        decoded_size: Height and width of decoded images: `image_shape` divided by 1, 2, 4 ...
            Half the frames' size learns small objects sooner, on the same frames.
        bottleneck: A name in `BOTTLENECKS`; an objective chooses it when it trains.
        likelihood: A name in `LIKELIHOODS`; an objective chooses it when it trains.
        levels: Number of values that a latent of a quantised bottleneck can take.

    Raises:
        ValueError: A number is out of range, the sizes do not fit each other, or a network cannot
            take its size.
    """

    image_shape: tuple[int, int, int] = (64, 64, 3)
    latent_dim: int = 10
    encoder: str = "keypoint"
    decoder: str = "broadcast"
    encoder_width: int = 32
    decoder_width: int = 32
    decoded_size: int = 32
    bottleneck: str = "gaussian"
    likelihood: str = "gaussian"
    levels: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        for kind, name, known in (
            ("encoder", self.encoder, ENCODERS),
            ("decoder", self.decoder, DECODERS),
            ("bottleneck", self.bottleneck, BOTTLENECKS),
            ("likelihood", self.likelihood, LIKELIHOODS),
        ):
            if name not in known:
                raise UnknownNameError(kind, name, known)
        if len(self.image_shape) != 3 or self.image_shape[0] != self.image_shape[1]:
            raise ValueError(
                "image_shape is (height, width, channels) of square frames, got "
                f"{self.image_shape}."
            )
        if min(self.image_shape) < 1:
            raise ValueError(f"image_shape must be 1 or more each, got {self.image_shape}.")
        for field in ("latent_dim", "encoder_width", "decoder_width", "decoded_size", "levels"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be 1 or more, got {getattr(self, field)}.")
        self._check_sizes()

    def _check_sizes(self) -> None:
        size = self.image_shape[0]
        taken = getattr(ENCODERS[self.encoder], "sizes", Sizes())
        if size not in taken:
            raise ValueError(
                f"The encoder {self.encoder!r} cannot take frames of size {size}; it takes {taken}."
            )
        taken = getattr(DECODERS[self.decoder], "sizes", Sizes())
        fitting = [n for n in range(size, 0, -1) if size % n == 0 and n in taken]
        if self.decoded_size not in fitting:
            reason = (
                f"does not divide the frames' size {size}"
                if size % self.decoded_size
                else f"is not one that the decoder {self.decoder!r} can decode to: {taken}"
            )
            listed = ", ".join(map(str, fitting)) or "none; take another decoder or frame size"
            raise ValueError(
                f"decoded_size {self.decoded_size} {reason}. For {self.decoder!r} and frames of "
                f"{size}, choose from: {listed}."
            )
