"""Where each family of MuJoCo environments keeps its model, and how it is looked at."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from drl_latent.envs.cameras import Camera, make_camera
from drl_latent.envs.rendering import mujoco, pose
from drl_latent.registry import UnknownNameError

_INSTALL = 'pip install "drl-latent[robotics]"'
_PLUGINS = ("shimmy", "gymnasium_robotics")
"""Packages that register their environments with Gymnasium when they are imported."""

# What Gymnasium's own view shows is too small to learn from at 64x64 in some environments.
_FETCH = {"distance": 1.3, "azimuth": 132, "elevation": -35, "lookat": (1.3, 0.75, 0.5)}
_VIEWS: dict[str, Camera] = {
    "PusherEnv": {"distance": 1.7, "azimuth": 90, "elevation": -65, "lookat": (0.3, -0.2, -0.2)},
    "ReacherEnv": {"distance": 0.7, "azimuth": 90, "elevation": -90, "lookat": (0, 0, 0)},
    "MujocoFetchReachEnv": _FETCH,
    "MujocoFetchPushEnv": _FETCH,
    "MujocoFetchPickAndPlaceEnv": _FETCH,
}


class Simulator:
    """The MuJoCo simulation inside an environment of Gymnasium's own family.

    Args:
        env: The environment, with its wrappers.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self.env = env
        self._base: Any = env.unwrapped

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model, changed in place."""
        return self._base.model

    @property
    def data(self) -> mujoco.MjData:
        """The state of the simulation."""
        return self._base.data

    def observe(self) -> Any:
        """Return the environment's observation of the state as it is now."""
        return self._base._get_obs()

    def forget_seed(self) -> None:
        """Let resets without a seed differ again."""
        self._base._np_random = self._base._np_random_seed = None

    def show(self, shown: mujoco.MjData) -> None:
        """Copy the state to `shown` with positions up to date, which they are not after a step."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, state, kind)
        mujoco.mj_setState(self.model, shown, state, kind)
        pose(self.model, shown)

    def camera(self) -> mujoco.MjvCamera:
        """Return the camera to look through where the user names none.

        The model's ``"track"``, which follows the robot, if there is one; else the view that the
        environment itself renders, or a nearer one where that would not do at 64x64.
        """
        model = self.model
        if "track" in [model.camera(i).name for i in range(model.ncam)]:
            return make_camera(model, "track")
        view = _VIEWS.get(type(self._base).__name__)
        return self.make_camera(self._own_view() if view is None else view)

    def make_camera(self, camera: Camera) -> mujoco.MjvCamera:
        """Return a camera; a free one looks where this family's own would."""
        return make_camera(self.model, camera, self._centre())

    def _own_view(self) -> Camera:
        settings = getattr(self._base.mujoco_renderer, "default_cam_config", None) or {}
        view = {"distance": self.model.stat.extent, "azimuth": 90.0, "elevation": -45.0}
        return view | {k: v for k, v in settings.items() if k != "trackbodyid"}

    def _centre(self) -> NDArray[np.float64]:
        """Return the median place of the geoms, as Gymnasium does, but always of the same pose."""
        data = mujoco.MjData(self.model)
        mujoco.mj_kinematics(self.model, data)
        return np.median(data.geom_xpos, axis=0)


class RoboticsSimulator(Simulator):
    """The simulation inside an environment of gymnasium-robotics, which draws its goal itself."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._before = mujoco.MjData(self.model)

    def show(self, shown: mujoco.MjData) -> None:
        """Copy the state to `shown` with the goal marked, and leave the simulation as it was."""
        mujoco.mj_copyData(self._before, self.model, self.data)
        sites = self.model.site_pos.copy()
        self._base._render_callback()
        super().show(shown)
        self.model.site_pos[:] = sites
        mujoco.mj_copyData(self.data, self.model, self._before)


class DmControlSimulator(Simulator):
    """The simulation inside an environment of dm_control, seen through shimmy."""

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model, changed in place."""
        return self._base._env.physics.model.ptr

    @property
    def data(self) -> mujoco.MjData:
        """The state of the simulation."""
        return self._base._env.physics.data.ptr

    def observe(self) -> Any:
        """Return the environment's observation of the state as it is now."""
        inner = self._base._env
        return inner.task.get_observation(inner.physics)

    def forget_seed(self) -> None:
        """Let resets without a seed differ again."""
        self._base.np_random = np.random.RandomState()

    def camera(self) -> mujoco.MjvCamera:
        """Return the model's first camera, which is the one that dm_control's suite is seen by."""
        return make_camera(self.model, 0 if self.model.ncam else -1)


def find_simulator(env: gym.Env[Any, Any]) -> Simulator:
    """Return the simulation inside an environment.

    Raises:
        ValueError: It is none of a family that is known.
    """
    base = env.unwrapped
    if hasattr(getattr(base, "_env", None), "physics"):
        return DmControlSimulator(env)
    if isinstance(getattr(base, "model", None), mujoco.MjModel) and hasattr(base, "data"):
        return RoboticsSimulator(env) if hasattr(base, "_render_callback") else Simulator(env)
    raise ValueError(
        f"{type(base).__name__} has no MuJoCo model where Gymnasium's MuJoCo environments, "
        "gymnasium-robotics or dm_control through shimmy keep theirs, so its factors cannot be set."
    )


def make_original(env: str | gym.Env[Any, Any], settings: Mapping[str, Any]) -> gym.Env[Any, Any]:
    """Return the environment to adapt, without rendering of its own.

    Args:
        env: Its id, or the environment itself.
        settings: Keyword arguments of the environment.

    Raises:
        UnknownNameError: There is none of this id; the nearest are listed.
        ValueError: Settings are given for an environment that is made already.
    """
    if not isinstance(env, str):
        if settings:
            raise ValueError(
                f"The environment is made already, so {sorted(settings)} cannot be passed to it."
            )
        return env
    missing = [] if env in gym.registry else _import_plugins()
    if env not in gym.registry:
        near = difflib.get_close_matches(env, list(gym.registry), n=8, cutoff=0.5)
        error = UnknownNameError("environment", env, near or ["Pusher-v5"])
        if missing:
            error.message += f" Not installed: {', '.join(missing)} ({_INSTALL})."
        raise error
    return gym.make(env, disable_env_checker=True, **settings)


def _import_plugins() -> list[str]:
    missing = []
    for name in _PLUGINS:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    return missing
