"""Turn a MuJoCo environment that shows its state into one that shows pixels, with factors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from drl_latent.envs.cameras import Camera, Orbit
from drl_latent.envs.discovery import find_factors
from drl_latent.envs.factor_scene import FactorScene, Observation
from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.factor_table import FactorTable, measure_pixels
from drl_latent.envs.factors import Factor, Value
from drl_latent.envs.model_factors import ModelEditor
from drl_latent.envs.rendering import Quality, mujoco
from drl_latent.envs.sensing import Flattener, float32_box, robot_joints
from drl_latent.envs.simulators import find_simulator, make_original
from drl_latent.envs.splits import Split

_VERSION = 5
"""Of Gymnasium's MuJoCo environments: the first that follows the present MuJoCo."""
Wanted = Iterable[str | Factor | Mapping[str, Any]]


class FactorizedEnv(FactorScene):
    """Another library's MuJoCo environment, seen by a camera, with factors of variation.

    At each reset the factors are drawn from the partition of the split and set in the model, in
    place; then the environment itself starts its episode. Dynamics, rewards, ends of episodes and
    ``info`` are its own: with every factor at its default it does exactly what it did before.
    ``info["is_success"]`` is there after a step if the environment gives it, and absent otherwise.

    State factors, the positions of joints, are not drawn: the environment starts where it does.
    They can be asked for at a reset, and are drawn by `sample_factor_values`.

    Made by `factorize`, which has the arguments.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        factors: Wanted | None = None,
        *,
        split: Split | Mapping[str, Any] | str | None = None,
        partition: str = "train",
        split_seed: int = 0,
        image_size: int = 64,
        observation: Observation = "pixels",
        camera: Camera | None = None,
        quality: Quality = "fast",
        render_mode: str | None = "rgb_array",
        render_size: int = 256,
    ) -> None:
        self.env = env
        self._simulator = find_simulator(env)
        self._states = Flattener(env.observation_space)
        self.action_space: spaces.Box = float32_box(env.action_space)  # type: ignore[assignment]
        # A fixed start: what is rendered before the first reset has to be reproducible.
        self._inner, _ = env.reset(seed=0)
        self._simulator.forget_seed()
        self.model, self.data = self._simulator.model, self._simulator.data
        simulator = self._simulator
        self._view = simulator.camera() if camera is None else simulator.make_camera(camera)
        table = FactorTable(tuple(find_factors(self.model)))
        if factors is None:
            pixels = measure_pixels(simulator, table, self._view)
            factors = FactorTable(table.factors, pixels).defaults
        chosen = table.select(factors)
        space = FactorSpace(tuple(found.factor for found in chosen))
        super().__init__(
            space,
            space,
            split=split,
            partition=partition,
            split_seed=split_seed,
            image_size=image_size,
            observation=observation,
            quality=quality,
            render_mode=render_mode,
            render_size=render_size,
        )
        self._editor = ModelEditor(self.model, chosen)
        self._places = {
            found.factor.name: int(self.model.jnt_qposadr[found.joint])
            for found in chosen
            if found.joint is not None
        }
        self._orbits = {found.factor.name: found.orbit for found in chosen if found.orbit}
        self._picture = mujoco.MjData(self.model)
        self._robot = robot_joints(self.model)
        if observation == "dict" and not len(self._robot[0]):
            raise ValueError(
                f"{self._name} has no joint that an actuator drives, so there is no proprioception "
                'to show; use observation="pixels".'
            )
        # The model stays as it was compiled until the first reset.
        self._values = {found.factor.name: found.neutral for found in chosen}
        self.metadata = self.metadata | {"render_fps": env.metadata.get("render_fps", 20)}
        self.observation_space = self._make_observation_space()

    @property
    def _name(self) -> str:
        return type(self.env.unwrapped).__name__

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Seeds the random numbers of the factors and of the environment itself.
            options: ``{"factors": {name: level index, or value}}`` sets these factors for this
                episode; the others are drawn, within the partition.

        Raises:
            ValueError: A name or a value is unknown, or the partition has no such combination.
            RuntimeError: The environment has made itself a new model, which ours no longer fit.
        """
        super().reset(seed=seed)
        asked = self._parse_options(options)
        self._set_factors(self._draw_reset_factors(asked))
        self._inner, info = self.env.reset(seed=seed)
        if self._simulator.model is not self.model:
            raise RuntimeError(
                f"{self._name} compiles a new model at each reset, so factors cannot be set in it."
            )
        self._editor.repeat()
        places = {name: value for name, value in asked.items() if name in self._places}
        if places:
            self._set_factors(places)
            mujoco.mj_forward(self.model, self.data)
            self._inner = self._simulator.observe()
        return self._observe(), {**info, **self._info()}

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step of the environment.

        Args:
            action: Float [A], in the units of the environment's own action space.

        Raises:
            ValueError: The action has another shape, or is not finite.
        """
        command = self._check_action(action).astype(self.env.action_space.dtype)
        self._inner, reward, terminated, truncated, info = self.env.step(command)
        info = {**info, **self._info()}
        if "is_success" in info:
            info["is_success"] = bool(info["is_success"])
        return self._observe(), float(reward), bool(terminated), bool(truncated), info

    def close(self) -> None:
        """Free the rendering contexts and close the environment."""
        super().close()
        self.env.close()

    def _set_factors(self, values: Mapping[str, Value]) -> None:
        self._editor.set(values)
        for name, place in self._places.items():
            if name in values:
                self.data.qpos[place] = float(values[name])
        self._values |= values

    def _read_state(self) -> dict[str, float]:
        return {name: float(self.data.qpos[place]) for name, place in self._places.items()}

    def _camera(self) -> mujoco.MjvCamera:
        return self._view

    def _orbit(self) -> Orbit | None:
        if not self._orbits:
            return None
        return Orbit(**{field: float(self._values[name]) for name, field in self._orbits.items()})

    def _shown(self) -> mujoco.MjData:
        self._simulator.show(self._picture)
        return self._picture

    def _proprioception(self) -> NDArray[np.float32]:
        positions, speeds = self._robot
        parts = (self.data.qpos[positions], self.data.qvel[speeds])
        return np.concatenate(parts).astype(np.float32)

    def _true_state(self) -> NDArray[np.float32]:
        return self._states(self._inner)


def factorize(
    env: str | gym.Env[Any, Any],
    factors: Wanted | None = None,
    *,
    split: Split | Mapping[str, Any] | str | None = None,
    partition: str = "train",
    split_seed: int = 0,
    image_size: int = 64,
    observation: Observation = "pixels",
    camera: Camera | None = None,
    quality: Quality = "fast",
    render_mode: str | None = "rgb_array",
    render_size: int = 256,
    **env_kwargs: Any,
) -> FactorizedEnv:
    """Turn a MuJoCo environment that shows its state into one that shows pixels, with factors.

    It takes Gymnasium's MuJoCo environments, those of gymnasium-robotics, and dm_control's suite
    through shimmy. `make_env`, and with it the command line, takes the id ``"factorize:ID"``.

    The default of every factor is the model's own value. Levels are relative to it: a hue is in
    turns of the colour circle, a camera's angle in degrees, all else a ratio; gravity alone is in
    m/s^2.

    Args:
        env: Id of the environment, or the environment itself, whose model is then changed in
            place and which is closed with the result.
        factors: Names from `discover_factors`, or `Factor`s of those names with levels of your
            own (or their dicts). Unless given: the colours of the two things that cover most
            of the image, light, camera, and the dynamics of the whole model.
        split: A `Split`, its dict, or the name of a kind; None for all combinations.
        partition: The part of the split that resets stay in.
        split_seed: Seed of a split given by name.
        image_size: Height and width of observed images: 64, 84 or 128 pixels.
        observation: ``"pixels"``, uint8 [H, W, 3]; ``"dict"``, these as ``"image"`` beside
            float32 ``"proprioception"``, positions and speeds of the joints that actuators drive
            or whose name begins with ``robot``; ``"state"``, the environment's own observation as
            one float32 vector, of goal environments ``observation`` and ``desired_goal``.
        camera: Name or number of a camera of the model, or a dict of ``azimuth``, ``elevation``
            (degrees), ``distance`` and ``lookat`` (metres). Unless given: the camera ``"track"``,
            else dm_control's first camera or the environment's own view.
        quality: Rendering quality, ``"fast"`` or ``"full"``.
        render_mode: ``"rgb_array"`` or None, as in Gymnasium.
        render_size: Height and width of what `render` returns, pixels.
        env_kwargs: Keyword arguments of an environment given by id.

    Raises:
        UnknownNameError: There is no such environment, factor, camera or setting; the nearest is
            suggested.
        ValueError: The environment is not one of MuJoCo's, or the split does not fit.
    """
    ours = {
        "factors": factors,
        "split": split,
        "partition": partition,
        "split_seed": split_seed,
        "image_size": image_size,
        "observation": observation,
        "camera": camera,
        "quality": quality,
        "render_mode": render_mode,
        "render_size": render_size,
    }
    if factors is not None and not isinstance(factors, str):
        ours["factors"] = list(factors)
    original = make_original(env, env_kwargs)
    try:
        made = FactorizedEnv(original, **ours)  # type: ignore[arg-type]
    except BaseException:
        if isinstance(env, str):
            original.close()
        raise
    if isinstance(env, str):
        # So that Gymnasium can make the same environment again.
        kwargs = {"env": env, **ours, **env_kwargs}
        made.spec = EnvSpec(f"factorize:{env}", entry_point=f"{__name__}:factorize", kwargs=kwargs)
    return made


def register_adapted() -> None:
    """Register Gymnasium's own MuJoCo environments, adapted, as ``factorize/ID`` with Gymnasium.

    So that trainers that know an environment by its id alone, such as rl_zoo3, can make them.
    """
    for env_id, spec in list(gym.registry.items()):
        if str(spec.entry_point).startswith("gymnasium.envs.mujoco.") and spec.version == _VERSION:
            entry_point = f"{__name__}:factorize"
            gym.register(f"factorize/{env_id}", entry_point, kwargs={"env": env_id})
