"""Offscreen rendering of MuJoCo models, fast by default."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import weakref
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.backend import choose_gl_backend, mujoco
from drl_latent.envs.cameras import Camera, Orbit, make_camera, move_camera
from drl_latent.registry import UnknownNameError

__all__ = ["OffscreenRenderer", "Quality", "choose_gl_backend", "mujoco", "pose"]


Quality = Literal["fast", "full"]

_FAST_OFF = (
    mujoco.mjtRndFlag.mjRND_SHADOW,
    mujoco.mjtRndFlag.mjRND_REFLECTION,
    mujoco.mjtRndFlag.mjRND_HAZE,
)


_QUALITY = {"offsamples": 0, "shadowsize": 0, "numslices": 20, "numstacks": 10}
"""The most that fast rendering has of each. Round things of fewer faces take half the time, and at
64x64 differ from those of MuJoCo's default of 28 by 16 in some two pixels of an image."""
_SMALL = 128
"""Images up to this many pixels high have round things of fewer faces."""

_open: weakref.WeakSet[OffscreenRenderer] = weakref.WeakSet()


def _close_all() -> None:
    for renderer in list(_open):
        renderer.close()


@functools.cache
def _close_all_at_exit() -> None:
    # Called once the first context is there, so that this runs before EGL itself is terminated.
    atexit.register(_close_all)


def pose(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Bring up to date what a picture shows of `data`: positions, but no forces and no contacts.

    This is a small part of `mj_forward`, and leaves the solver's warm start alone.
    """
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    if model.nflex:
        mujoco.mj_flex(model, data)
    if model.ntendon:
        mujoco.mj_tendon(model, data)


class OffscreenRenderer:
    """Renders one model's camera to RGB images.

    Args:
        model: The compiled model; it is left as it was.
        image_size: Height and width of the images, pixels.
        camera: A camera of the model, by name or number, or a free one: see `cameras.Camera`.
        quality: ``"fast"`` turns off multisampling, shadows, reflections and haze, and gives round
            things fewer faces in small images, which makes a software renderer many times faster;
            ``"full"`` keeps the model's own.

    Raises:
        UnknownNameError: There is no such quality or camera.
        RuntimeError: No OpenGL context can be made; the message says what to install.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        image_size: int,
        camera: Camera | mujoco.MjvCamera = -1,
        quality: Quality = "fast",
    ) -> None:
        self._renderer: mujoco.Renderer | None = None
        if quality not in get_args(Quality):
            raise UnknownNameError("rendering quality", quality, get_args(Quality))
        is_made = isinstance(camera, mujoco.MjvCamera)
        self.camera = camera if is_made else make_camera(model, camera)
        self._model = model
        quality_before = {name: getattr(model.vis.quality, name) for name in _QUALITY}
        size_before = (model.vis.global_.offwidth, model.vis.global_.offheight)
        # All of these are read when the context is made, and never again.
        if quality == "fast":
            for name, most in _QUALITY.items():
                if most == 0 or image_size <= _SMALL:
                    setattr(model.vis.quality, name, min(quality_before[name], most))
        model.vis.global_.offwidth = max(size_before[0], image_size)
        model.vis.global_.offheight = max(size_before[1], image_size)
        try:
            self._renderer = mujoco.Renderer(model, image_size, image_size)
        except Exception as error:
            raise RuntimeError(
                f"No OpenGL context could be made with MUJOCO_GL={os.environ.get('MUJOCO_GL')!r} "
                f"({error}). On Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri "
                "libopengl0 (EGL), or libosmesa6 and MUJOCO_GL=osmesa. `drl-latent doctor` tells."
            ) from error
        finally:
            for name, value in quality_before.items():
                setattr(model.vis.quality, name, value)
            model.vis.global_.offwidth, model.vis.global_.offheight = size_before
        _open.add(self)
        _close_all_at_exit()
        if quality == "fast":
            for flag in _FAST_OFF:
                self._renderer.scene.flags[flag] = 0
        self._shape = (image_size, image_size, 3)

    def render(
        self,
        data: mujoco.MjData,
        out: NDArray[np.uint8] | None = None,
        orbit: Orbit | None = None,
    ) -> NDArray[np.uint8]:
        """Return the camera's image of `data`, uint8 [H, W, 3].

        Args:
            data: The state, of the model that the renderer was made for.
            out: Array that the image is written into, if given.
            orbit: How far the camera is moved from its place.

        Raises:
            RuntimeError: The renderer was closed.
        """
        if self._renderer is None:
            raise RuntimeError("This renderer was closed.")
        image = np.empty(self._shape, np.uint8) if out is None else out
        self._renderer.update_scene(data, camera=self.camera)
        if orbit is not None:
            move_camera(self._renderer.scene, self._model, data, self.camera, orbit)
        self._renderer.render(out=image)
        return image

    def close(self) -> None:
        """Free the context; calling it twice is fine."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __del__(self) -> None:
        # At interpreter exit EGL is gone already; `_close_all` has run before that.
        if not sys.is_finalizing():
            self.close()
