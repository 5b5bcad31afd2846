"""Knob purity: does turning one latent change one factor of the decoded image, and no other?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drl_latent.interventions.concentration import (
    bootstrap_interval,
    concentration,
    weighted_concentration,
)
from drl_latent.interventions.levels import latent_steps
from drl_latent.interventions.readings import Reader, Readings
from drl_latent.metrics.base import BoolArray, FloatArray, jsonable

MOVES = 0.01
"""Movement from which a latent counts as one that moves a factor: a tenth of its deviation."""
_BATCH = 512


class Codec(Protocol):
    """What is measured: an `drl_latent.Encoder`, or anything else that encodes and decodes."""

    @property
    def latent_dim(self) -> int:
        """Number of latents, D."""

    def __call__(self, frames: Any, /) -> Any:
        """Return codes, float [N, D], of N frames."""

    def decode(self, codes: NDArray[np.floating], /) -> NDArray[np.uint8]:
        """Return images of codes, float [N, D]."""


@dataclass(frozen=True, eq=False)
class KnobPurity:
    """Which factors each of D latents moves, of K that are read.

    Attributes:
        score: Mean of `per_latent`, each weighted by the total movement of its latent, in
            ``[0, 1]``; 0 where no latent moves anything.
        interval: 95% bootstrap interval of the score over anchors. It leaves out how far the
            score depends on the reader and on the seed of the encoder.
        matrix: [D, K], movement of factor k by latent d, in ``[0, 1]``.
        per_latent: [D], purity of each latent, in ``[0, 1]``: its largest share in its row, where
            an even spread over all factors is 0. NaN where it moves nothing.
        per_factor: [K], the same of columns: 1 where one latent alone moves the factor, 0 where
            all active ones do alike. NaN where none does.
        names: K names of factors.
        faithful: [K], how well factors are read from reconstructions: accuracy or R2 against what
            is read from the frames themselves, at most 1. A factor of low values is not drawn by
            the decoder, or not as in a frame, and its column means little.
        active: [D], whether the latent moves any factor, by `MOVES` at least.
        n: Number of anchors.
    """

    score: float
    interval: tuple[float, float]
    matrix: FloatArray
    per_latent: FloatArray
    per_factor: FloatArray
    names: tuple[str, ...]
    faithful: FloatArray
    active: BoolArray
    n: int

    @property
    def moved(self) -> tuple[str | None, ...]:
        """The factor that each latent moves most, D names; None where it moves nothing."""
        most = self.matrix.argmax(axis=1)
        return tuple(
            self.names[k] if moves else None for k, moves in zip(most, self.active, strict=True)
        )

    @property
    def knobs(self) -> dict[str, int]:
        """Factor name -> the latent that moves it most, where any does."""
        active = np.where(self.active[:, None], self.matrix, 0.0)
        columns = zip(self.names, active.T, strict=True)
        return {name: int(column.argmax()) for name, column in columns if column.max() >= MOVES}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, `moved` and `knobs` in types that JSON has: NaN as None."""
        return {
            "score": self.score,
            "interval": list(self.interval),
            "matrix": jsonable(self.matrix),
            "per_latent": jsonable(self.per_latent),
            "per_factor": jsonable(self.per_factor),
            "names": list(self.names),
            "faithful": jsonable(self.faithful),
            "active": self.active.tolist(),
            "n": self.n,
            "moved": list(self.moved),
            "knobs": self.knobs,
        }


def knob_purity(
    encoder: Codec,
    reader: Reader,
    frames: NDArray[np.uint8],
    *,
    anchors: int = 100,
    steps: int = 5,
    percentiles: tuple[float, float] = (5.0, 95.0),
    seed: int = 0,
) -> KnobPurity:
    """Turn each latent alone, decode, and read which factors of the image moved.

    The codes of some frames are the anchors. Around each, one latent takes `steps` values in its
    range (those that occur, of a quantised latent), as in `traverse`; the images are decoded, and
    the factors read from them. Movement is the variance of the readings over the steps, averaged
    over anchors, as a share of the factor's variance from frame to frame:

        matrix[d, k] = E_anchors[ min(1, Var_steps(reading_k) / Var_frames(factor_k)) ]

    which is the total-effect index of latent d on factor k, on steps that are even rather than
    drawn (Homma and Saltelli 1996, "Importance measures in global sensitivity analysis of
    nonlinear models"). Of classes it is the variance of their probabilities summed over classes,
    of circular factors that of cosine and sine (Gamboa et al. 2014, "Sensitivity analysis for
    multidimensional and functional outputs"). So it has no unit, is the same for factors of all
    kinds, and does not depend on the scale or order of latents. Being squared, movement by a
    tenth of what is usual counts 0.01: small errors of the reader hardly matter.

    The purity of a latent is the largest share of its row, rescaled so that an even spread over all
    K factors is 0. A latent that moves nothing is in no mean, and two that do the same are as pure
    as one.

    Args:
        encoder: Encodes frames and decodes codes.
        reader: Reads factors, with their variance, from decoded images and from frames alike;
            usually a `FactorReader`. One that reads fewer of them measures purity among these:
            ``lambda images: {"object_hue": reader(images)["object_hue"], ...}``.
        frames: uint8 [N, H, W, C], rendered, some hundreds: a sample whose codes give each latent
            its range, and whose reconstructions show what the decoder can draw.
        anchors: Frames, drawn from the sample, around whose codes latents are turned; all where
            there are fewer.
        steps: Values of each latent, 2 or more.
        percentiles: Ends of the range, percentiles of the sample's codes.
        seed: Of the choice of anchors and of the bootstrap.

    Raises:
        ValueError: There are fewer than 2 steps or anchors, or the reader reads nothing.
    """
    count = min(anchors, len(frames))
    if steps < 2 or count < 2:
        raise ValueError(
            f"steps, anchors and frames must be 2 or more, got {steps}, {anchors} and "
            f"{len(frames)}."
        )
    codes = np.asarray(encoder(frames))
    true = reader(frames)
    if not true:
        raise ValueError("The reader reads no factor; fit it on frames whose factors vary.")
    redrawn = reader(_decode(encoder, codes))
    values = latent_steps(codes, steps, percentiles)
    chosen = np.sort(np.random.default_rng(seed).choice(len(frames), count, replace=False))
    moves = np.zeros((count, codes.shape[1], len(true)))
    # What has one value cannot be turned, and rounding in the decoder is no movement.
    for d in np.flatnonzero(np.ptp(values, axis=0) > 0):
        turned = np.repeat(codes[chosen], steps, axis=0)
        turned[:, d] = np.tile(values[:, d], count)
        moves[:, d] = _movement(reader(_decode(encoder, turned)), count, steps)
    matrix = moves.mean(axis=0)
    active = _active(matrix)
    return KnobPurity(
        score=_score([matrix]),
        interval=bootstrap_interval([moves], _score, seed),
        matrix=matrix,
        per_latent=np.where(active, concentration(matrix), np.nan),
        per_factor=concentration(matrix[active].T) if active.any() else np.full(len(true), np.nan),
        names=tuple(true),
        faithful=np.array([redrawn[name].agreement(true[name]) for name in true]),
        active=active,
        n=count,
    )


def _active(matrix: FloatArray) -> BoolArray:
    moves: BoolArray = matrix.max(axis=1) >= MOVES
    return moves


def _score(means: list[FloatArray]) -> float:
    (matrix,) = means
    return weighted_concentration(matrix[_active(matrix)])


def _movement(readings: Readings, anchors: int, steps: int) -> FloatArray:
    """Return the movement of each factor around each anchor, [anchors, K]."""
    return np.stack([r.movement(anchors, steps) for r in readings.values()], axis=1)


def _decode(encoder: Codec, codes: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Decode in batches: the features of a decoder are many times the size of its images."""
    parts = [encoder.decode(codes[i : i + _BATCH]) for i in range(0, len(codes), _BATCH)]
    return np.concatenate(parts)
