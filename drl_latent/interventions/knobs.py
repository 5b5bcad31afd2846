"""Knobs: what to turn in a code to change one factor, found from labelled codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from drl_latent.interventions.levels import Levels
from drl_latent.interventions.responses import Response
from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.information import factor_entropies, mutual_information
from drl_latent.metrics.inputs import Inputs
from drl_latent.registry import Registry

_LEAST_SHARE = 0.1
"""Share of a direction's variance that a factor explains, from which it is the factor's."""
_ROOM = 1e-2
"""What moving the whole code by one standard deviation costs, where moving the reading of another
factor by one costs 1, both squared."""
_FLAT = 1e-3
"""Spread, relative to the widest, below which a direction of standardised codes is dropped."""


@dataclass(frozen=True, eq=False)
class Knob(ABC):
    """What is read of a code, and set in it, for one factor.

    Args:
        latents: The latents that turning it moves, those that move most first.
        informativeness: How much it says about the factor, in ``[0, 1]``; how that is measured
            depends on the kind of knob.
        response: What it reads, as a function of the factor's value.
        levels: The values that latents can take.
    """

    latents: tuple[int, ...]
    informativeness: float
    response: Response
    levels: Levels

    @abstractmethod
    def read(self, codes: FloatArray) -> FloatArray:
        """Return the readings, [N, R], of codes, [N, D]."""

    @abstractmethod
    def turn(self, codes: FloatArray, readings: FloatArray) -> FloatArray:
        """Return codes, [N, D], moved so that they have these readings, [N, R]."""

    def set(self, codes: FloatArray, values: ArrayLike) -> FloatArray:
        """Return codes, [N, D], moved to what they usually are for the factor's values, [N].

        Raises:
            ValueError: A value is none that was seen.
        """
        return self.turn(codes, self.response(values))

    def _on_levels(self, codes: FloatArray) -> FloatArray:
        """Return codes, [N, D], with those latents that it moves at their nearest levels."""
        snapped = codes.copy()
        snapped[:, self.latents] = self.levels.snap(codes)[:, self.latents]
        return snapped

    def __repr__(self) -> str:
        latents = " ".join(f"z{d}" for d in self.latents[:5])
        latents += " ..." if len(self.latents) > 5 else ""
        return f"{type(self).__name__}({latents}, informativeness={self.informativeness:.2f})"


KNOBS: Registry[Callable[[Inputs], dict[str, Knob]]] = Registry("kind of knob")
"""How to find a knob for each factor that varies: from checked codes and factors."""


class LatentKnob(Knob):
    """A single latent; its reading is its value.

    `informativeness` is the mutual information of the latent and the factor, as a share of the
    factor's entropy, with the bins that `drl_latent.metrics.mig` counts in.
    """

    def read(self, codes: FloatArray) -> FloatArray:
        """Return the latent, [N, 1]."""
        return codes[:, self.latents]

    def turn(self, codes: FloatArray, readings: FloatArray) -> FloatArray:
        """Return codes whose latent is what was given; all others are as they were."""
        turned = codes.copy()
        turned[:, self.latents] = readings
        return turned

    def set(self, codes: FloatArray, values: ArrayLike) -> FloatArray:
        """Return codes whose latent is what it usually is, at the nearest level if it has any."""
        return self._on_levels(super().set(codes, values))


@KNOBS.register("latent")
def latent_knobs(inputs: Inputs) -> dict[str, Knob]:
    """Find for each factor the latent that shares most information with it."""
    shares = mutual_information(inputs) / factor_entropies(inputs)
    levels = Levels.of(inputs.codes)
    knobs: dict[str, Knob] = {}
    for column, k in enumerate(inputs.kept):
        latent = int(shares[:, column].argmax())
        response = _response(inputs, k, inputs.codes[:, [latent]])
        knobs[inputs.names[k]] = LatentKnob(
            (latent,), float(shares[latent, column]), response, levels
        )
    return knobs


@dataclass(frozen=True, eq=False, repr=False)
class DirectionKnob(Knob):
    """Directions of a code that may be entangled; its readings are linear in the code.

    `informativeness` is the share of variance that the best linear prediction of the factor, or of
    a contrast of its classes, explains in the codes it was found from: R2.

    Args:
        readout: The readings are ``readout @ code``, float [R, D].
        step: The change of the code for each reading's change, float [D, R].
    """

    readout: FloatArray
    step: FloatArray

    def read(self, codes: FloatArray) -> FloatArray:
        """Return the linear readings, [N, R]."""
        return codes @ self.readout.T

    def turn(self, codes: FloatArray, readings: FloatArray) -> FloatArray:
        """Return codes with these readings; quantised latents go to their nearest level."""
        return self._on_levels(codes + (readings - self.read(codes)) @ self.step.T)


@KNOBS.register("direction")
def direction_knobs(inputs: Inputs) -> dict[str, Knob]:
    """Find for each factor the smallest move of the code that changes its reading alone.

    Codes are whitened, so that the size of a move counts what is usual for a code as small
    (Mahalanobis distance). There, the readings of a factor are the directions of its canonical
    correlations with the code: the linear prediction of a continuous factor; of a discrete one,
    the contrasts of its classes of which it explains at least a tenth, the best one at least. With
    the factor's directions A, [R, D], and those of all others B, the move for a change c of its
    readings is

        argmin_d |B d|^2 + 0.01 |d|^2  such that  A d = c.

    Where the code has room for all factors this is the solution of A d = c, B d = 0 that has the
    least norm, up to the last term: that one matters where two factors are read from almost the
    same direction, so that only a huge move could tell them apart. Then, and where the code has
    fewer dimensions than there are readings, other factors change as little as they can.

    Moving one attribute along the part of its direction that leaves the others alone is the
    conditional manipulation of Shen et al. 2020, "Interpreting the Latent Space of GANs for
    Semantic Face Editing". That directions to read and to move along differ, by the covariance of
    the code, is theorem 1 of Haufe et al. 2014, "On the interpretation of weight vectors of linear
    models in multivariate neuroimaging".
    """
    live = inputs.live
    scale = live.std(axis=0)
    base, spread, axes = np.linalg.svd((live - live.mean(axis=0)) / scale, full_matrices=False)
    wide = spread > _FLAT * spread[0]
    base, spread, axes = base[:, wide], spread[wide] / np.sqrt(len(live)), axes[wide]
    found = [_canonical(base, _targets(inputs, k)) for k in inputs.kept]
    levels = Levels.of(inputs.codes)
    knobs: dict[str, Knob] = {}
    for i, k in enumerate(inputs.kept):
        own, share = found[i]
        others = [rows for j, (rows, _) in enumerate(found) if j != i]
        step = (axes.T * spread) @ _least_move(own, np.concatenate([own[:0], *others]))
        readout = inputs.full_rows(((own / spread) @ axes / scale).T, dead=0.0).T
        strength = inputs.full_rows(np.linalg.norm(step, axis=1), dead=-1.0)
        order = np.argsort(-strength, kind="stable")[: live.shape[1]]
        knobs[inputs.names[k]] = DirectionKnob(
            tuple(int(d) for d in order),
            share,
            _response(inputs, k, inputs.codes @ readout.T),
            levels,
            readout,
            inputs.full_rows(step * scale[:, None], dead=0.0),
        )
    return knobs


def _targets(inputs: Inputs, k: int) -> FloatArray:
    """Return what a linear prediction of factor `k` has to give: its value or its classes."""
    if not inputs.discrete[k]:
        return inputs.factors[:, [k]]
    labels = inputs.labels(k)
    return np.eye(labels.max() + 1)[labels]


def _canonical(base: FloatArray, targets: FloatArray) -> tuple[FloatArray, float]:
    """Return a factor's directions, orthonormal [R, W], and the largest share it explains.

    `base` spans the code, orthonormal [N, W].
    """
    centred = targets - targets.mean(axis=0)
    span, size, _ = np.linalg.svd(centred, full_matrices=False)
    directions, correlations, _ = np.linalg.svd(
        base.T @ span[:, size > 1e-9 * size[0]], full_matrices=False
    )
    shares = correlations**2
    taken = max(1, int((shares >= _LEAST_SHARE).sum()))
    return directions[:, :taken].T, float(shares[0])


def _least_move(own: FloatArray, others: FloatArray) -> FloatArray:
    """Return the move, [W, R], of whitened codes for a change of each own reading by 1."""
    cost = others.T @ others + _ROOM * np.eye(own.shape[1])
    free = np.linalg.solve(cost, own.T)
    return free @ np.linalg.inv(own @ free)


def _response(inputs: Inputs, k: int, readings: FloatArray) -> Response:
    return Response.fit(
        inputs.names[k], inputs.factors[:, k], readings, discrete=bool(inputs.discrete[k])
    )
