"""Offscreen rendering of MuJoCo models, fast by default."""

from __future__ import annotations

import atexit
import ctypes.util
import functools
import os
import sys
import weakref
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from drl_latent.registry import UnknownNameError


def choose_gl_backend() -> str:
    """Return the MuJoCo GL backend to use here, and set it where the user has not.

    On Linux, EGL where its library can be found and OSMesa otherwise: neither needs a display.
    MuJoCo reads the choice from the variable ``MUJOCO_GL`` when it is first imported.
    """
    # Software rendering of small images loses more to llvmpipe's thread hand-over than it gains.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    if not os.environ.get("MUJOCO_GL") and sys.platform == "linux":
        found = ctypes.util.find_library("EGL")
        os.environ["MUJOCO_GL"] = "egl" if found else "osmesa"
    return os.environ.get("MUJOCO_GL", "glfw")


choose_gl_backend()

import mujoco  # noqa: E402  (the backend has to be chosen before)

Quality = Literal["fast", "full"]

_FAST_OFF = (
    mujoco.mjtRndFlag.mjRND_SHADOW,
    mujoco.mjtRndFlag.mjRND_REFLECTION,
    mujoco.mjtRndFlag.mjRND_HAZE,
)


_open: weakref.WeakSet[OffscreenRenderer] = weakref.WeakSet()


def _close_all() -> None:
    for renderer in list(_open):
        renderer.close()


@functools.cache
def _close_all_at_exit() -> None:
    # Called once the first context is there, so that this runs before EGL itself is terminated.
    atexit.register(_close_all)


class OffscreenRenderer:
    """Renders one model's camera to RGB images.

    Args:
        model: The compiled model. Its ``vis.quality`` is changed to fit `quality`.
        image_size: Height and width of the images, pixels.
        camera: Name or id of the camera.
        quality: ``"fast"`` turns off multisampling, shadows, reflections and haze, which makes a
            software renderer 18 to 60 times faster at 64x64; ``"full"`` keeps the model's own.

    Raises:
        UnknownNameError: There is no such quality or camera.
        RuntimeError: No OpenGL context can be made; the message says what to install.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        image_size: int,
        camera: str | int = -1,
        quality: Quality = "fast",
    ) -> None:
        self._renderer: mujoco.Renderer | None = None
        if quality not in get_args(Quality):
            raise UnknownNameError("rendering quality", quality, get_args(Quality))
        if isinstance(camera, str):
            cameras = [model.camera(i).name for i in range(model.ncam)]
            if camera not in cameras:
                raise UnknownNameError("camera", camera, cameras)
        self.camera = camera
        if quality == "fast":
            # Both are read when the context is made, not at each frame.
            model.vis.quality.offsamples = 0
            model.vis.quality.shadowsize = 0
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, image_size)
        model.vis.global_.offheight = max(model.vis.global_.offheight, image_size)
        try:
            self._renderer = mujoco.Renderer(model, image_size, image_size)
        except Exception as error:
            raise RuntimeError(
                f"No OpenGL context could be made with MUJOCO_GL={os.environ.get('MUJOCO_GL')!r} "
                f"({error}). On Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri "
                "libopengl0 (EGL), or libosmesa6 and MUJOCO_GL=osmesa. `drl-latent doctor` tells."
            ) from error
        _open.add(self)
        _close_all_at_exit()
        if quality == "fast":
            for flag in _FAST_OFF:
                self._renderer.scene.flags[flag] = 0
        self._shape = (image_size, image_size, 3)

    def render(
        self, data: mujoco.MjData, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Return the camera's image of `data`, uint8 [H, W, 3], written into `out` if given."""
        if self._renderer is None:
            raise RuntimeError("This renderer was closed.")
        image = np.empty(self._shape, np.uint8) if out is None else out
        self._renderer.update_scene(data, camera=self.camera)
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
