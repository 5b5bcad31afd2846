"""Says whether images can be rendered here without a display: prints "egl" or "osmesa".

Needs nothing but Python's standard library, so that set-up can ask before it installs anything.
Exits with 1, and the reason on standard error, where nothing can render.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys

EGL_PLATFORM_DEVICE_EXT = 0x313F
GL_LIBRARIES = ("libOpenGL.so.0", "libGL.so.1")
OSMESA_LIBRARIES = ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")


def load(*names: str) -> ctypes.CDLL | None:
    """Return the first of the shared libraries that can be loaded."""
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def egl_problem() -> str:
    """Return why EGL can't open a display on any device, or an empty string if it can."""
    egl = load("libEGL.so.1")
    if egl is None:
        return "libEGL.so.1 is not installed"
    if load(*GL_LIBRARIES) is None:
        return f"EGL is installed, but neither of {', '.join(GL_LIBRARIES)} is"
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglInitialize.argtypes = [ctypes.c_void_p] * 3
    egl.eglTerminate.argtypes = [ctypes.c_void_p]
    query_address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_address = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query_address or not display_address:
        return "EGL has no device extension"
    devices = (ctypes.c_void_p * 16)()
    count = ctypes.c_int()
    query = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int)
    )(query_address)
    get_display = ctypes.CFUNCTYPE(
        ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p
    )(display_address)
    if not query(len(devices), devices, ctypes.byref(count)) or not count.value:
        return "EGL finds no device, not even a software one"
    for device in devices[: count.value]:
        display = get_display(EGL_PLATFORM_DEVICE_EXT, device, None)
        if display and egl.eglInitialize(display, None, None):
            egl.eglTerminate(display)
            return ""
    return f"EGL finds {count.value} device(s) but can open none"


def main() -> int:
    """Print the backend that works; return the exit code."""
    problem = egl_problem()
    if not problem:
        print("egl")
        return 0
    # The library takes OSMesa only where there is no EGL, so a broken EGL has to be mended.
    if ctypes.util.find_library("EGL") is None and load(*OSMESA_LIBRARIES):
        print("osmesa")
        return 0
    print(problem, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
