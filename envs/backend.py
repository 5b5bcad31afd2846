"""Which OpenGL MuJoCo renders with; `mujoco` is imported here, after that has been chosen."""

from __future__ import annotations

import ctypes.util
import os
import sys


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

import mujoco  # noqa: E402

__all__ = ["choose_gl_backend", "mujoco"]
