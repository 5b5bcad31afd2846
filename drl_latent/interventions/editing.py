"""Edit an image through its code: set one attribute, or swap it with another image's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drl_latent.checkpoint import Encoder
from drl_latent.interventions.knobs import KNOBS, Knob
from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import check_inputs, finite_matrix
from drl_latent.registry import UnknownNameError


@dataclass(frozen=True, eq=False)
class Editor:
    """Sets or swaps one factor of images by turning its knob, with all else held.

    An image is encoded, the knob of the factor is turned in its code, and the code is decoded. So
    the result is as sharp as the decoder, and is to be compared with the plain reconstruction,
    ``encoder.decode(encoder(images))``, not with the image. How well it is edited depends on the
    code: look at `knobs` first. Where two factors have the same latent as their knob, or a factor
    is not in the code at all (`Knob.informativeness` is small), no edit can tell them apart.

    A circular factor, such as a hue, is treated like any other: its lowest value and its highest
    are taken to be far apart.

    Args:
        encoder: The encoder and its decoder.
        knobs: Name of each factor that varied to its knob: the latents that it moves, and how much
            it says about the factor.
        constant: Names of the factors that never varied, which have no knob.
    """

    encoder: Encoder
    knobs: Mapping[str, Knob]
    constant: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        encoder: Encoder,
        frames: NDArray[np.uint8],
        factors: ArrayLike,
        *,
        names: Sequence[str],
        discrete: Sequence[bool] | None = None,
        knob: str = "latent",
    ) -> Editor:
        """Learn the knob of each factor from labelled frames; nothing is drawn at random.

        Setting a factor gives its knob the median that it has in the frames of that value: of that
        class, or interpolated between 20 bins of a continuous factor. That holds on average over
        all other factors.

        Args:
            encoder: The encoder and its decoder.
            frames: uint8 [N, H, W, C], a few hundred at least, in which all factors vary.
            factors: The factors' values, [N, K], as a `FrameDataset` has them: a string stands as
                its index.
            names: K names of factors.
            discrete: One bool a factor, to override which are classes; see
                `drl_latent.metrics.inputs`.
            knob: A name in `drl_latent.interventions.knobs.KNOBS`. ``"latent"``: the one latent
                that shares most information with the factor; for disentangled codes, and the only
                kind that leaves all other latents as they are. ``"direction"``: for entangled
                codes, the smallest move of the whole code that changes the linear reading of the
                factor and no other's; see `drl_latent.interventions.knobs.direction_knobs`.

        Raises:
            ValueError: The frames do not fit the encoder; or frames, factors and names do not fit
                each other, or no latent or no factor varies in them.
            UnknownNameError: There is no such kind of knob.
        """
        find = KNOBS[knob]
        inputs = check_inputs(encoder(frames), factors, names=names, discrete=discrete)
        if not inputs.active.any():
            raise ValueError(
                "All latents have the same value in all frames, so that there is nothing to turn. "
                "Fit on frames that differ, or use an encoder that tells them apart."
            )
        return cls(encoder, find(inputs), inputs.left_out)

    def set(self, images: NDArray[np.uint8], factor: str, value: ArrayLike) -> NDArray[np.uint8]:
        """Return images with a factor set to a value, all else kept.

        Args:
            images: uint8 [N, H, W, C], of the shape that the encoder takes.
            factor: The factor's name.
            value: The value, or one an image, [N].

        Returns:
            uint8 [N, h, w, C], as the decoder gives them.

        Raises:
            UnknownNameError: There is no such factor; the nearest is suggested.
            ValueError: The factor did not vary, or a value is no class of it, or outside the range
                of what was seen.
        """
        return self.encoder.decode(self.set_codes(self.encoder(images), factor, value))

    def swap(
        self, first: NDArray[np.uint8], second: NDArray[np.uint8], factor: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Exchange a factor between images, row by row, all else kept.

        Args:
            first: uint8 [N, H, W, C], of the shape that the encoder takes.
            second: As many images.
            factor: The factor's name.

        Returns:
            The first images with the second's factor and the other way round, each uint8
            [N, h, w, C].

        Raises:
            UnknownNameError: There is no such factor; the nearest is suggested.
            ValueError: The factor did not vary, or there are not as many images of both.
        """
        codes = self.swap_codes(self.encoder(first), self.encoder(second), factor)
        return self.encoder.decode(codes[0]), self.encoder.decode(codes[1])

    def set_codes(self, codes: ArrayLike, factor: str, value: ArrayLike) -> NDArray[np.float32]:
        """Do what `set` does, from codes, [N, D], to codes, float32 [N, D]."""
        z, values = self._checked(codes), np.asarray(value, dtype=np.float64)
        if values.shape not in ((), (len(z),)):
            raise ValueError(
                f"value has shape {values.shape}; expected one number, or one for each of the "
                f"{len(z)} rows."
            )
        moved = self._knob(factor).set(z, np.broadcast_to(values, len(z)))
        return moved.astype(np.float32)

    def swap_codes(
        self, first: ArrayLike, second: ArrayLike, factor: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Do what `swap` does, from codes, [N, D] each, to codes, float32 [N, D] each.

        Swapping again gives back what was there, but for rounding; not so where a ``"direction"``
        moves quantised latents, which then go to their nearest levels.
        """
        a, b = self._checked(first), self._checked(second)
        if len(a) != len(b):
            raise ValueError(
                f"Got {len(a)} first and {len(b)} second rows; expected as many of both, which "
                "are exchanged row by row."
            )
        knob = self._knob(factor)
        moved = knob.turn(a, knob.read(b)), knob.turn(b, knob.read(a))
        return moved[0].astype(np.float32), moved[1].astype(np.float32)

    def _checked(self, codes: ArrayLike) -> FloatArray:
        matrix = finite_matrix(codes, "codes")
        if matrix.shape[1] != self.encoder.latent_dim:
            raise ValueError(
                f"Expected codes of shape [N, {self.encoder.latent_dim}], got {list(matrix.shape)}."
            )
        return matrix

    def _knob(self, factor: str) -> Knob:
        if factor in self.constant:
            raise ValueError(
                f"{factor} has one value in all frames that the editor was fitted on, so that it "
                "is not known what to turn. Fit on frames in which it varies."
            )
        if factor not in self.knobs:
            raise UnknownNameError("factor", factor, self.knobs)
        return self.knobs[factor]
