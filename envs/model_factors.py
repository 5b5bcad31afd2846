"""Factors that are parts of a compiled MuJoCo model: set in place, undone exactly."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.factors import Factor, Value
from drl_latent.envs.rendering import mujoco

Change = Callable[[NDArray[np.float64], float], NDArray[np.float64]]
"""What the model has there now, and the factor's value, to what it gets."""

_MASSES = ("body_mass", "body_inertia")
_FROM_MASSES = (
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "dof_M0",
    "tendon_invweight0",
    "actuator_acc0",
)
"""What MuJoCo computes from masses when it compiles a model."""


@dataclass(frozen=True)
class Edit:
    """One place of a model that a factor changes.

    Args:
        array: Where it is, e.g. ``"geom_rgba"`` or ``"vis.headlight.diffuse"``.
        index: Which part of the array.
        change: What is done to that part.
    """

    array: str
    index: Any
    change: Change


@dataclass(frozen=True)
class ModelFactor:
    """A factor of a model.

    Args:
        factor: Its name, kind and levels.
        neutral: The value at which the model is exactly as it was compiled.
        about: What it changes, in a few words.
        edits: Where it changes the model.
        orbit: Which field of `cameras.Orbit` it is, if it moves the camera.
        joint: Number of the joint whose position it is, if it is a state factor.
    """

    factor: Factor
    neutral: float
    about: str
    edits: tuple[Edit, ...] = ()
    orbit: str | None = None
    joint: int | None = None

    def having(self, factor: Factor) -> ModelFactor:
        """Return this with the levels of `factor`.

        Raises:
            ValueError: `factor` is of another kind, or its levels are not numbers.
        """
        if factor.kind != self.factor.kind or isinstance(factor.levels[0], str):
            raise ValueError(
                f"Factor {self.factor.name!r} is of kind {self.factor.kind!r} with numbers as "
                f"levels (its own value is {self.neutral:g}), got {factor!r}."
            )
        return ModelFactor(factor, self.neutral, self.about, self.edits, self.orbit, self.joint)


def scaled(own: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    """Multiply by the factor's value."""
    return own * value


class ModelEditor:
    """Sets factors in a model, in place.

    An array is rebuilt from a copy of what it was each time that a factor of it changes, so that
    factors that share an array compose, and a factor back at its neutral value leaves no trace.

    Args:
        model: The model, as it was compiled.
        factors: The factors that can be set; all start at their neutral value.
    """

    def __init__(self, model: mujoco.MjModel, factors: Iterable[ModelFactor]) -> None:
        self.model = model
        self._edits: dict[str, list[tuple[str, Edit]]] = {}
        self._neutral: dict[str, float] = {}
        for found in factors:
            self._neutral[found.factor.name] = found.neutral
            for edit in found.edits:
                self._edits.setdefault(edit.array, []).append((found.factor.name, edit))
        self._values: dict[str, float] = dict(self._neutral)
        self._own = {name: self._array(name).copy() for name in self._edits}
        self._changes_masses = any(name in self._edits for name in _MASSES)
        if self._changes_masses:
            self._own |= {name: self._array(name).copy() for name in _FROM_MASSES}
            self._own_inertia = (model.stat.meanmass, model.stat.meaninertia)
            self._scratch = copy.copy(model)
            self._scratch_data = mujoco.MjData(self._scratch)

    def set(self, values: Mapping[str, Value]) -> None:
        """Set factors; those that are not named keep the values they have."""
        changed = {n for n, v in values.items() if n in self._values and self._values[n] != v}
        if not changed:
            return
        self._values |= {name: float(values[name]) for name in changed}
        for array, edits in self._edits.items():
            if any(name in changed for name, _ in edits):
                self._rebuild(array)
        if self._changes_masses and any(
            name in changed for array in _MASSES for name, _ in self._edits.get(array, [])
        ):
            self._follow_masses()

    def repeat(self) -> None:
        """Set all again, in case that something else has written to the model."""
        for array in self._edits:
            self._rebuild(array)

    def _array(self, path: str) -> Any:
        return functools.reduce(getattr, path.split("."), self.model)

    def _rebuild(self, path: str) -> None:
        live, own, edits = self._array(path), self._own[path], self._edits[path]
        # Only the factors' own places: an environment may itself write to others.
        for _, edit in edits:
            live[edit.index] = own[edit.index]
        for name, edit in edits:
            if self._values[name] != self._neutral[name]:
                live[edit.index] = edit.change(live[edit.index], self._values[name])

    def _follow_masses(self) -> None:
        """Bring up to date what follows from masses, in the way that compiling would."""
        model = self.model
        names = {name for array in _MASSES for name, _ in self._edits.get(array, [])}
        if all(self._values[name] == self._neutral[name] for name in names):
            for name in _FROM_MASSES:
                self._array(name)[:] = self._own[name]
            model.stat.meanmass, model.stat.meaninertia = self._own_inertia
            return
        scratch = self._scratch
        scratch.body_mass[:], scratch.body_inertia[:] = model.body_mass, model.body_inertia
        mujoco.mj_setConst(scratch, self._scratch_data)
        for name in _FROM_MASSES:
            self._array(name)[:] = getattr(scratch, name)
        model.stat.meanmass = scratch.stat.meanmass
        model.stat.meaninertia = scratch.stat.meaninertia
