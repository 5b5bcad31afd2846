"""A table of the factors that an environment offers, to choose from by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from rich.table import Table

from drl_latent.envs.cameras import Camera, Orbit
from drl_latent.envs.discovery import find_factors
from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.factors import Factor, Value
from drl_latent.envs.model_factors import ModelEditor, ModelFactor
from drl_latent.envs.rendering import OffscreenRenderer, mujoco
from drl_latent.envs.simulators import Simulator, find_simulator, make_original
from drl_latent.registry import UnknownNameError

_MEASURED_AT = 64
_SEEN = 0.005
"""Share of the image from which a thing's colour counts as seen."""
_HUES_BY_DEFAULT = 2
_BY_DEFAULT = (
    "light_intensity",
    "camera_azimuth",
    "camera_elevation",
    "camera_distance",
    "mass",
    "friction",
    "gravity",
    "actuator_gain",
)


@dataclass(frozen=True)
class FactorTable:
    """What can be varied in an environment.

    Args:
        factors: Everything that was found.
        pixels: Name to the share of the image, in ``[0, 1]``, that changes between the factor's
            default and another level; factors of dynamics and state are not in it, and neither
            is any where it was not measured.
    """

    factors: tuple[ModelFactor, ...]
    pixels: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all factors."""
        return tuple(found.factor.name for found in self.factors)

    @property
    def defaults(self) -> tuple[str, ...]:
        """The factors that vary where nobody chooses.

        The colours of the two things that cover most of the image, light, camera, and the
        dynamics of the whole model: few enough that their combinations can be split.
        """
        hues = [n for n in self.names if n.endswith("_hue") and self.pixels.get(n, 0) >= _SEEN]
        hues.sort(key=lambda name: -self.pixels[name])
        wanted = {*hues[:_HUES_BY_DEFAULT], *_BY_DEFAULT}
        return tuple(name for name in self.names if name in wanted)

    def __len__(self) -> int:
        return len(self.factors)

    def __iter__(self) -> Iterator[ModelFactor]:
        return iter(self.factors)

    def __getitem__(self, name: str) -> ModelFactor:
        if name not in self.names:
            raise UnknownNameError("factor", name, self.names)
        return self.factors[self.names.index(name)]

    def select(self, wanted: Iterable[str | Factor | Mapping[str, Any]]) -> tuple[ModelFactor, ...]:
        """Return chosen factors, state factors last.

        Args:
            wanted: Names; or `Factor`s of those names (or their dicts), whose levels then replace
                those in the table.

        Raises:
            UnknownNameError: The environment has no such factor; the nearest is suggested.
            ValueError: A factor is named twice, or given with another kind.
        """
        if isinstance(wanted, str):
            raise ValueError(f"factors is a list of names or Factors, got the string {wanted!r}.")
        chosen = []
        for one in wanted:
            if isinstance(one, str):
                chosen.append(self[one])
            else:
                factor = one if isinstance(one, Factor) else Factor.from_dict(one)
                chosen.append(self[factor.name].having(factor))
        FactorSpace(tuple(found.factor for found in chosen))  # refuses a name given twice
        return tuple(sorted(chosen, key=lambda found: found.factor.kind == "state"))

    def table(self, title: str | None = None) -> Table:
        """Return it for the terminal."""
        table = Table(title=title, caption="* taken where no factors are named")
        # Names are for copying, so they are never cut short; the rest shares what width is left.
        table.add_column("factor", no_wrap=True)
        table.add_column("kind, share of the image")
        table.add_column("levels, and what they are")
        for found in self.factors:
            factor, share = found.factor, self.pixels.get(found.factor.name)
            table.add_row(
                f"{factor.name}{'*' if factor.name in self.defaults else ''}",
                factor.kind + ("" if share is None else f", {share:.1%}"),
                f"{factor.describe()}\n{found.about}",
            )
        return table

    def __str__(self) -> str:
        width = max(map(len, self.names), default=0)
        lines = [
            f"{found.factor.name:{width}}  {found.factor.kind:10}  {found.about}: "
            f"{found.factor.describe()}"
            for found in self.factors
        ]
        return "\n".join(lines)


def discover_factors(
    env: str | gym.Env[Any, Any],
    *,
    camera: Camera | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
) -> FactorTable:
    """Find what can be varied in a MuJoCo environment, and how much of the image each changes.

    Args:
        env: Id of an environment, or the environment itself, which is reset and stays open.
        camera: The camera to measure with, see `factorize`.
        env_kwargs: Keyword arguments of an environment given by id.

    Raises:
        ValueError: There is no such environment, or it is not one of MuJoCo's.
        RuntimeError: Nothing can be rendered here.
    """
    original = make_original(env, env_kwargs or {})
    try:
        simulator = find_simulator(original)
        original.reset(seed=0)
        found = find_factors(simulator.model)
        view = simulator.camera() if camera is None else simulator.make_camera(camera)
        return FactorTable(tuple(found), measure_pixels(simulator, found, view))
    finally:
        if isinstance(env, str):
            original.close()


def measure_pixels(
    simulator: Simulator, factors: Iterable[ModelFactor], camera: mujoco.MjvCamera
) -> dict[str, float]:
    """Return which share of a 64x64 image each visible factor changes, in ``[0, 1]``."""
    visible = [f for f in factors if f.factor.kind not in ("dynamics", "state")]
    editor = ModelEditor(simulator.model, visible)
    shown = mujoco.MjData(simulator.model)
    renderer = OffscreenRenderer(simulator.model, _MEASURED_AT, camera)

    def picture(values: Mapping[str, Value], orbit: Orbit | None = None) -> Any:
        editor.set(values)
        simulator.show(shown)
        return renderer.render(shown, orbit=orbit)

    try:
        before = picture({})
        shares = {}
        for found in visible:
            name, levels = found.factor.name, found.factor.numbers
            other = float(levels[np.abs(levels - found.neutral).argmax()])
            orbit = None if found.orbit is None else Orbit(**{found.orbit: other})
            image = picture({name: other}, orbit)
            shares[name] = float((image != before).any(axis=-1).mean())
            editor.set({name: found.neutral})
    finally:
        renderer.close()
    return shares
