"""What the tasks' scenes share: how their colours, shapes, sizes, light and camera are set."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from drl_latent.envs.factors import Factor
from drl_latent.envs.rendering import mujoco

HUES = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Red, yellow-green, green, blue, violet: told apart by eye at 64x64."""
LIGHTS = (0.5, 0.75, 1.0)
"""Intensities of all light, relative to the scene's own."""
MOST_DRAWS = 1_000
"""Draws of a starting state before one is taken that does not keep its distances: where a user
fixes most of it, there may be none that does."""

Shapes = Mapping[str, tuple[str, ...]]
"""Name of a shape to the geoms that it is made of."""


def position(name: str, reach: float, default: int, bins: int = 18) -> Factor:
    """Return a state factor for a coordinate in metres, ``-reach`` to `reach`."""
    return Factor(name, "state", low=-reach, high=reach, bins=bins, default=default)


def geoms_of(shapes: Shapes) -> list[str]:
    """Return the names of all geoms of all shapes."""
    return [geom for geoms in shapes.values() for geom in geoms]


def paint(
    model: Any, geoms: Iterable[str], hue: float, saturation: float = 0.75, value: float = 1.0
) -> None:
    """Colour geoms, each of the three in ``[0, 1]``; bright and saturated unless told otherwise.

    What the policy has to see has to stand out from the floor whatever their hues: an encoder
    that is trained on pixels learns first what differs most.
    """
    for geom in geoms:
        model.geom(geom).rgba[:3] = colorsys.hsv_to_rgb(hue, saturation, value)


def paint_floor(model: Any, hue: float, geoms: Iterable[str] = ("floor",)) -> None:
    """Colour the floor: darker and less saturated than any object."""
    paint(model, geoms, hue, saturation=0.35, value=0.45)


def show_shape(model: Any, shapes: Shapes, shown: str, *, solid: bool = False) -> None:
    """Show the geoms of one shape and hide those of the others.

    Args:
        model: The model, changed in place.
        shapes: All shapes that the object can have.
        shown: The one that it has.
        solid: Whether what is shown makes contact as well; what is hidden never does.
    """
    for shape, geoms in shapes.items():
        for name in geoms:
            geom = model.geom(name)
            # MuJoCo skips geoms that are fully transparent.
            geom.rgba[3] = float(shape == shown)
            if solid:
                geom.contype[:] = int(shape == shown)


def scale(
    model: Any, pristine: Any, geoms: Iterable[str], ratio: float, *, flat: bool = False
) -> None:
    """Scale boxes and upright cylinders relative to the scene's own size.

    The volumes that MuJoCo looks for contacts in are made when it compiles the scene, so a scene
    with contacts holds the largest size, and `ratio` is at most 1 there.

    Args:
        model: The model, changed in place.
        pristine: The same model as it was compiled.
        geoms: Names of the geoms.
        ratio: What sizes are multiplied by.
        flat: Whether the height stays, so that what stands on the table still does.
    """
    for name in geoms:
        size, original = model.geom(name).size, pristine.geom(name)
        size[:] = original.size * ratio
        if flat:
            # Half the height comes last: third of a box, second of a cylinder.
            height = 2 if original.type[0] == mujoco.mjtGeom.mjGEOM_BOX else 1
            size[height] = original.size[height]


def set_light(model: Any, pristine: Any, intensity: float, lamp: str = "lamp") -> None:
    """Scale all light, that of the lamp and that from the camera, relative to the scene's own."""
    model.light(lamp).diffuse[:] = pristine.light(lamp).diffuse * intensity
    head, original = model.vis.headlight, pristine.vis.headlight
    head.diffuse[:] = np.asarray(original.diffuse) * intensity
    head.ambient[:] = np.asarray(original.ambient) * intensity


def orbit_camera(
    model: Any, camera: str, azimuth: float, elevation: float, distance: float
) -> None:
    """Put a camera that looks at the scene's origin on a sphere around it.

    Args:
        model: The model, changed in place.
        camera: Name of a camera that is fixed to the world.
        azimuth: Turn about the vertical, degrees; at 0 the image's right is +x and its top +y.
        elevation: Above the table, degrees; 90 looks straight down.
        distance: From the origin, metres.
    """
    turn, tilt = np.deg2rad(azimuth), np.deg2rad(elevation)
    right = np.array([np.cos(turn), np.sin(turn), 0.0])
    # A camera looks along its own -z, so this points from the origin to it.
    back = np.array(
        [np.sin(turn) * np.cos(tilt), -np.cos(turn) * np.cos(tilt), np.sin(tilt)],
    )
    rotation = np.stack([right, np.cross(back, right), back], axis=1)
    mujoco.mju_mat2Quat(model.camera(camera).quat, rotation.flatten())
    model.camera(camera).pos[:] = back * distance
