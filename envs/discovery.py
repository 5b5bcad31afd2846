"""Find what can be varied in a compiled MuJoCo model: colours, light, camera and dynamics."""

from __future__ import annotations

import colorsys
import math
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.factors import Factor, Kind
from drl_latent.envs.model_factors import Change, Edit, ModelFactor, scaled
from drl_latent.envs.rendering import mujoco

_GREY = np.array([0.5, 0.5, 0.5, 1.0], dtype=np.float32)
"""Colour of a geom that gives none itself: MuJoCo then takes that of its material."""
_SHOWN_GROUPS = 3
"""Geoms of the first three groups are drawn."""
_RATIOS = (0.5, 1.0, 2.0)
_TURNS = (0.0, 0.2, 0.4, 0.6, 0.8)
_NO_GRAVITY = (0.0, 1.0, 2.0)
"""Levels for a model without gravity, metres a second squared."""


def find_factors(model: mujoco.MjModel) -> list[ModelFactor]:
    """Return all factors of a model that can be set in place.

    Each has the model's own value as its default level. Names: ``<thing>_hue`` of a geom, of a
    body whose geoms have no names, or of a material that several of them share;
    ``light_intensity`` and ``<light>_intensity``; ``camera_azimuth``, ``camera_elevation``,
    ``camera_distance``; ``mass`` and ``<body>_mass``; ``friction``, ``gravity``,
    ``actuator_gain``; and ``<joint>_position``, of kind state. Characters that are not letters,
    digits or ``_`` become ``_``.
    """
    found: dict[str, ModelFactor] = {}
    for one in (
        *_hues(model),
        *_lights(model),
        *_camera(),
        *_dynamics(model),
        *_joints(model),
    ):
        found.setdefault(one.factor.name, one)
    return list(found.values())


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name).strip("_") or "unnamed"


def _list(name: str, kind: Kind, values: tuple[float, ...], own: float) -> Factor:
    return Factor(name, kind, values=values, default=values.index(own))


def _hues(model: mujoco.MjModel) -> Iterator[ModelFactor]:
    """Yield a hue for each thing that is drawn: what shares a name, or a material, is one thing."""
    things: dict[tuple[str, str], list[int]] = {}
    owners: dict[int, set[str]] = {}
    for geom in range(model.ngeom):
        body = model.body(model.geom_bodyid[geom]).name
        owner = _plain(model.geom(geom).name or body)
        material = int(model.geom_matid[geom])
        by_material = material >= 0 and (model.geom_rgba[geom] == _GREY).all()
        alpha = (model.mat_rgba[material] if by_material else model.geom_rgba[geom])[3]
        if model.geom_group[geom] >= _SHOWN_GROUPS or alpha == 0:
            continue
        if by_material:
            owners.setdefault(material, set()).add(owner)
        else:
            things.setdefault((owner, "geom_rgba"), []).append(geom)
    for material, names in owners.items():
        name = _plain(model.mat(material).name)
        if len(names) == 1:
            owner = next(iter(names))
            name = f"{owner}_{name}" if (owner, "geom_rgba") in things else owner
        things.setdefault((name, "mat_rgba"), []).append(material)
    for (name, array), rows in things.items():
        own = getattr(model, array)[rows[0], :3]
        what = "material" if array == "mat_rgba" else "geom" if len(rows) == 1 else "geoms"
        yield ModelFactor(
            Factor(f"{name}_hue", "appearance", values=_TURNS, circular=_is_coloured(own)),
            0.0,
            f"colour of {what} {name}, in turns of the colour circle from its own",
            (Edit(array, np.s_[rows, :3], _turned),),
        )


def _is_coloured(rgb: NDArray[np.float64]) -> bool:
    _, saturation, value = colorsys.rgb_to_hsv(*map(float, rgb))
    return saturation >= 0.2 and value >= 0.2


def _turned(own: NDArray[np.float64], turns: float) -> NDArray[np.float64]:
    """Turn hues; what is nearly grey or black, which has no hue to see, is given some colour."""
    changed = np.empty_like(own)
    for row, rgb in enumerate(own):
        hue, saturation, value = colorsys.rgb_to_hsv(*map(float, rgb))
        if not _is_coloured(rgb):
            hue, saturation, value = 0.0, max(saturation, 0.65), max(value, 0.5)
        changed[row] = colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value)
    return changed


def _lights(model: mujoco.MjModel) -> Iterator[ModelFactor]:
    parts = ("diffuse", "ambient", "specular")
    lamps = {
        _plain(model.light(i).name or f"light{i}"): tuple(
            Edit(f"light_{part}", np.s_[i], scaled) for part in parts
        )
        for i in range(model.nlight)
    }
    if model.vis.headlight.active:
        lamps["headlight"] = tuple(
            Edit(f"vis.headlight.{part}", np.s_[:], scaled) for part in parts
        )
    levels = (0.4, 0.7, 1.0, 1.3)
    if lamps:
        every = tuple(edit for edits in lamps.values() for edit in edits)
        factor = _list("light_intensity", "appearance", levels, 1.0)
        yield ModelFactor(factor, 1.0, "all light, relative to its own intensity", every)
    for name, edits in lamps.items():
        factor = _list(f"{name}_intensity", "appearance", levels, 1.0)
        yield ModelFactor(factor, 1.0, f"light {name}, relative to its own intensity", edits)


def _camera() -> Iterator[ModelFactor]:
    for name, levels, neutral, about in (
        ("azimuth", (-20.0, 0.0, 20.0), 0.0, "degrees around what it looks at"),
        ("elevation", (-10.0, 0.0, 10.0), 0.0, "degrees above its own place"),
        ("distance", (0.85, 1.0, 1.2), 1.0, "distance, relative to its own"),
    ):
        factor = _list(f"camera_{name}", "viewpoint", levels, neutral)
        yield ModelFactor(factor, neutral, f"camera: {about}", orbit=name)


def _dynamics(model: mujoco.MjModel) -> Iterator[ModelFactor]:
    bodies = [body for body in range(1, model.nbody) if model.body_mass[body] > 0]
    if bodies:
        yield _masses("mass", "all masses", bodies)
    gravity = np.array(model.opt.gravity)
    strength = float(np.linalg.norm(gravity))
    down = gravity / strength if strength else np.array([0.0, 0.0, -1.0])
    levels = tuple(strength * r for r in _RATIOS) if strength else _NO_GRAVITY
    yield ModelFactor(
        _list("gravity", "dynamics", levels, strength),
        strength,
        "gravity, m/s^2",
        (Edit("opt.gravity", np.s_[:], _along(down)),),
    )
    if model.ngeom:
        rubbing = [Edit("geom_friction", np.s_[:, 0], scaled)]
        if model.npair:
            rubbing.append(Edit("pair_friction", np.s_[:, :2], scaled))
        yield _relative("friction", "sliding friction of everything", tuple(rubbing))
    kinds = mujoco.mjtGain
    linear = (kinds.mjGAIN_FIXED, kinds.mjGAIN_AFFINE)
    driven = np.flatnonzero(np.isin(model.actuator_gaintype, [int(kind) for kind in linear]))
    if driven.size:
        # A servo's bias goes with its gain, so that it is stronger and aims at the same place.
        yield _relative(
            "actuator_gain",
            "strength of all actuators",
            (
                Edit("actuator_gainprm", np.s_[driven, :3], scaled),
                Edit("actuator_biasprm", np.s_[driven, :3], scaled),
            ),
        )
    for body in bodies:
        name = model.body(body).name
        if name:
            yield _masses(f"{_plain(name)}_mass", f"mass of body {name}", [body])


def _along(down: NDArray[np.float64]) -> Change:
    def change(own: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
        return down * strength

    return change


def _relative(name: str, about: str, edits: tuple[Edit, ...]) -> ModelFactor:
    factor = _list(name, "dynamics", _RATIOS, 1.0)
    return ModelFactor(factor, 1.0, f"{about}, relative to its own", edits)


def _masses(name: str, about: str, bodies: list[int]) -> ModelFactor:
    edits = tuple(Edit(array, np.s_[bodies], scaled) for array in ("body_mass", "body_inertia"))
    return _relative(name, about, edits)


def _joints(model: mujoco.MjModel) -> Iterator[ModelFactor]:
    """Yield the positions of named joints whose range is known."""
    hinge, slide = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
    for joint in range(model.njnt):
        name, kind = model.joint(joint).name, model.jnt_type[joint]
        low, high = map(float, model.jnt_range[joint])
        if not model.jnt_limited[joint]:
            low, high = -math.pi, math.pi
            if kind != hinge:
                continue
        if not name or kind not in (hinge, slide) or not low < high:
            continue
        own = float(model.qpos0[model.jnt_qposadr[joint]])
        factor = Factor(f"{_plain(name)}_position", "state", low=low, high=high, bins=12)
        nearest = int(factor.index_of(own))
        factor = Factor(factor.name, "state", low=low, high=high, bins=12, default=nearest)
        unit = "radians" if kind == hinge else "metres"
        yield ModelFactor(factor, own, f"position of joint {name}, {unit}", joint=joint)
