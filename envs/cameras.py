"""Views of a scene: cameras of the model or free ones, and how they move around what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.backend import mujoco
from drl_latent.registry import UnknownNameError

FREE_CAMERA = ("azimuth", "elevation", "distance", "lookat")

Camera = str | int | Mapping[str, Any]
"""A camera of the model, by name or number, or a free one: a dict of some of `FREE_CAMERA`, angles
in degrees and lengths in metres, as MuJoCo's viewer has them."""


@dataclass(frozen=True)
class Orbit:
    """How far a camera is moved around the point it looks at.

    The scene is moved in front of the camera after MuJoCo has placed it, so this works alike for
    fixed, tracking and free cameras, and changes nothing in the model.

    Args:
        azimuth: Turn about the vertical, degrees.
        elevation: Rise, degrees.
        distance: Factor of the distance to that point, above 0.
    """

    azimuth: float = 0.0
    elevation: float = 0.0
    distance: float = 1.0


STILL = Orbit()


def make_camera(model: mujoco.MjModel, camera: Camera, lookat: Any = None) -> mujoco.MjvCamera:
    """Return a camera for `model`.

    Args:
        model: The compiled model.
        camera: Name, number or dict, see `Camera`; -1 is the free camera of MuJoCo's viewer.
        lookat: Where a free camera looks unless it says so itself, float [3]; the centre of the
            model unless given.

    Raises:
        UnknownNameError: The model has no camera of this name, or free cameras no such setting.
        ValueError: The model has no camera of this number.
    """
    made = mujoco.MjvCamera()
    if isinstance(camera, str):
        names = [model.camera(i).name for i in range(model.ncam)]
        if camera not in names:
            raise UnknownNameError("camera", camera, names)
        camera = names.index(camera)
    if isinstance(camera, Mapping):
        mujoco.mjv_defaultFreeCamera(model, made)
        if lookat is not None:
            made.lookat[:] = lookat
        for name, value in camera.items():
            if name not in FREE_CAMERA:
                raise UnknownNameError("setting of a free camera", name, FREE_CAMERA)
            if name == "lookat":
                made.lookat[:] = value
            else:
                setattr(made, name, float(value))
        return made
    if not -1 <= camera < model.ncam:
        raise ValueError(f"The model has {model.ncam} cameras, so there is none numbered {camera}.")
    if camera == -1:
        mujoco.mjv_defaultFreeCamera(model, made)
    else:
        made.type, made.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, camera
    return made


def move_camera(
    scene: mujoco.MjvScene,
    model: mujoco.MjModel,
    data: mujoco.MjData,
    camera: mujoco.MjvCamera,
    orbit: Orbit,
) -> None:
    """Move the camera of an updated scene, and the light on it, around what it looks at."""
    if orbit == STILL:
        return
    first = scene.camera[0]
    position, forward, up = (np.array(v, dtype=np.float64) for v in _pose(first))
    depth = float((_target(model, data, camera) - position) @ forward)
    # A camera that looks past the model's centre still needs a point in front of it.
    centre = position + forward * max(depth, 0.1 * model.stat.extent)
    rotation = _about(np.array([0.0, 0.0, 1.0]), orbit.azimuth)
    rotation = rotation @ _about(np.cross(forward, up), -orbit.elevation)
    moved = centre + orbit.distance * (rotation @ (position - centre))
    for eye in scene.camera:
        offset = np.array(eye.pos, dtype=np.float64) - position  # half the distance of two eyes
        eye.pos[:] = moved + rotation @ offset
        eye.forward[:] = rotation @ np.array(eye.forward, dtype=np.float64)
        eye.up[:] = rotation @ np.array(eye.up, dtype=np.float64)
    for i in range(scene.nlight):
        light = scene.lights[i]
        if light.headlight:
            light.pos[:] = moved
            light.dir[:] = rotation @ forward


def _pose(eye: Any) -> tuple[Any, Any, Any]:
    return eye.pos, eye.forward, eye.up


def _target(
    model: mujoco.MjModel, data: mujoco.MjData, camera: mujoco.MjvCamera
) -> NDArray[np.float64]:
    """Return the point that a camera is made to look at."""
    if camera.type != mujoco.mjtCamera.mjCAMERA_FIXED:
        return np.array(camera.lookat)
    number, modes = camera.fixedcamid, mujoco.mjtCamLight
    mode = model.cam_mode[number]
    if mode in (modes.mjCAMLIGHT_TRACK, modes.mjCAMLIGHT_TRACKCOM):
        return np.array(data.subtree_com[model.cam_bodyid[number]])
    if mode in (modes.mjCAMLIGHT_TARGETBODY, modes.mjCAMLIGHT_TARGETBODYCOM):
        return np.array(data.subtree_com[model.cam_targetbodyid[number]])
    return np.array(model.stat.center)


def _about(axis: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Return the rotation about an axis, float [3, 3]."""
    quaternion, matrix = np.empty(4), np.empty(9)
    mujoco.mju_axisAngle2Quat(quaternion, axis / np.linalg.norm(axis), np.deg2rad(degrees))
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
