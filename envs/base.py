"""The base of every task: a MuJoCo scene whose factors can be set, drawn and rendered."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from drl_latent.envs.cameras import Camera
from drl_latent.envs.factor_scene import IMAGE_SIZES, FactorScene, Observation
from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.factors import Value
from drl_latent.envs.rendering import Quality, mujoco
from drl_latent.envs.splits import Split
from drl_latent.registry import Registry, UnknownNameError

__all__ = [
    "ENVIRONMENTS",
    "IMAGE_SIZES",
    "NAMESPACE",
    "FactorEnv",
    "Observation",
    "Reward",
    "make_env",
    "register_env",
]

Reward = Literal["dense", "sparse"]
NAMESPACE = "DrlLatent"
ADAPTED = "factorize:"
"""What the id of an adapted environment begins with, e.g. ``"factorize:Pusher-v5"``."""


class FactorEnv(FactorScene):
    """A robot task seen by a camera, with factors of variation.

    At each reset the factors that are not state are drawn from the partition of the split (from
    all combinations without one); state factors are drawn uniformly. What an episode draws lives
    here, so it also holds for resets that pass no options, as vectorised environments do.

    A task is a subclass with the class attributes below, the three hooks at the end, and the last
    three of `FactorScene`.

    Args:
        split: A `Split`, its dict, or the name of a kind; None for all combinations.
        partition: The part of the split that resets stay in.
        split_seed: Seed of a split given by name.
        factors: Names of the reset factors that vary; the others keep their defaults. None for
            all.
        image_size: Height and width of observed images: 64, 84 or 128 pixels.
        observation: ``"pixels"``, uint8 [H, W, 3]; ``"dict"``, these as ``"image"`` beside
            float32 ``"proprioception"``; or, not rendered, ``"factors"``, the current values of
            the factors that vary, float32 [K], each with its range scaled to [-1, 1]; or
            ``"state"``, the true state as float32.
        quality: Rendering quality, ``"fast"`` or ``"full"``.
        reward: ``"dense"`` or ``"sparse"``.
        render_mode: ``"rgb_array"`` or None, as in Gymnasium.
        render_size: Height and width of what `render` returns, pixels.

    Raises:
        ValueError: A name is unknown (the nearest is suggested), or the split does not fit.
    """

    FACTORS: ClassVar[FactorSpace]
    """All factors of the task, state factors last."""
    SCENE: ClassVar[str]
    """File name of the MJCF scene in ``assets/``."""
    CAMERA: ClassVar[str]
    FRAME_SKIP: ClassVar[int]
    """Simulation steps of one environment step."""

    def __init__(
        self,
        *,
        split: Split | Mapping[str, Any] | str | None = None,
        partition: str = "train",
        split_seed: int = 0,
        factors: Iterable[str] | None = None,
        image_size: int = 64,
        observation: Observation = "pixels",
        quality: Quality = "fast",
        reward: Reward = "dense",
        render_mode: str | None = "rgb_array",
        render_size: int = 256,
    ) -> None:
        if reward not in get_args(Reward):
            raise UnknownNameError("reward", reward, get_args(Reward))
        super().__init__(
            self.FACTORS,
            self._varied(factors),
            split=split,
            partition=partition,
            split_seed=split_seed,
            image_size=image_size,
            observation=observation,
            quality=quality,
            render_mode=render_mode,
            render_size=render_size,
        )
        self.reward = reward
        self.model = mujoco.MjModel.from_xml_path(str(self._scene_file()))
        # Factors change the model in place; this copy is what they are relative to.
        self.pristine = copy.copy(self.model)
        self.data = mujoco.MjData(self.model)
        self._set_factors({f.name: f.level(f.default) for f in self.FACTORS})
        mujoco.mj_forward(self.model, self.data)

        limits = self.model.actuator_ctrlrange.astype(np.float32)
        self._low, self._high = limits[:, 0], limits[:, 1]
        self.action_space = spaces.Box(self._low, self._high, dtype=np.float32)
        self.observation_space = self._make_observation_space()

    # --- Gymnasium -----------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Seeds the environment's random numbers.
            options: ``{"factors": {name: level index, or value}}`` sets these factors for this
                episode; the others are drawn, within the partition.

        Raises:
            ValueError: A name or a value is unknown, or the partition has no such combination.
        """
        super().reset(seed=seed)
        asked = self._parse_options(options)
        mujoco.mj_resetData(self.model, self.data)
        drawn = self._draw_reset_factors(asked)
        fixed = {k: v for k, v in asked.items() if self.factor_space[k].kind == "state"}
        self._set_factors(drawn | self._draw_state(fixed))
        mujoco.mj_forward(self.model, self.data)
        return self._observe(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply `action`, float [A] in ``[-1, 1]`` (clipped), for `FRAME_SKIP` simulation steps."""
        command = self._check_action(action)
        self.data.ctrl[:] = np.clip(command, self._low, self._high)
        mujoco.mj_step(self.model, self.data, nstep=self.FRAME_SKIP)
        # Positions lag one step behind after mj_step; what is shown and rewarded must not.
        mujoco.mj_forward(self.model, self.data)
        info = self._info()
        reward = self._dense_reward() if self.reward == "dense" else float(info["is_success"]) - 1
        return self._observe(), reward, False, False, info

    def _scene_file(self) -> Path:
        return Path(__file__).parent / "assets" / self.SCENE

    def _scene_source(self) -> str:
        return self._scene_file().read_text(encoding="utf-8")

    def _varied(self, factors: Iterable[str] | None) -> FactorSpace:
        if factors is None:
            return self.FACTORS
        if isinstance(factors, str):
            raise ValueError(f"factors is a list of names, got the string {factors!r}.")
        return self.FACTORS.select(
            [*self.FACTORS.reset.select(factors).names, *self.FACTORS.state.names]
        )

    def _draw_state(self, fixed: Mapping[str, Value]) -> dict[str, Value]:
        """Draw the state factors that are not `fixed`, uniformly over their ranges."""
        space = self.factor_space.state
        row = space.sample_values(1, self.np_random)[0]
        drawn = {f.name: float(v) for f, v in zip(space, row, strict=True)}
        return {**drawn, **fixed}

    def _set_factors(self, values: Mapping[str, Value]) -> None:
        for name, value in values.items():
            self._set_factor(name, value)
        self._values |= values

    def _camera(self) -> Camera:
        return self.CAMERA

    def _info(self) -> dict[str, Any]:
        return super()._info() | {"is_success": self._is_success()}

    # --- What a task defines -------------------------------------------------------------------

    @abstractmethod
    def _set_factor(self, name: str, value: Value) -> None:
        """Change the model or the state in place so that factor `name` has `value`."""

    @abstractmethod
    def _is_success(self) -> bool:
        """Return whether the task is done in the current state."""

    @abstractmethod
    def _dense_reward(self) -> float:
        """Return the shaped reward of the current state."""

    def expert_action(self) -> NDArray[np.float32]:
        """Return what a scripted expert, which knows the true state, does now, float32 [A].

        A task defines it to show that it can be solved; it changes nothing.

        Raises:
            NotImplementedError: This environment has no expert.
        """
        raise NotImplementedError(f"{type(self).__name__} has no scripted expert.")


ENVIRONMENTS: Registry[type[FactorEnv]] = Registry("environment")
"""Full id, e.g. ``"DrlLatent/Reach-v0"``, to class."""


def register_env(name: str, *, max_episode_steps: int) -> Any:
    """Return a decorator that registers a task here and with Gymnasium.

    Args:
        name: Name and version, e.g. ``"Reach-v0"``; the id gets the library's namespace.
        max_episode_steps: Time limit of an episode.
    """

    def add(cls: type[FactorEnv]) -> type[FactorEnv]:
        env_id = f"{NAMESPACE}/{name}"
        ENVIRONMENTS.register(env_id)(cls)
        gym.register(
            env_id,
            entry_point=f"{cls.__module__}:{cls.__qualname__}",
            max_episode_steps=max_episode_steps,
        )
        return cls

    return add


def make_env(env_id: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """Make a registered environment, as `gymnasium.make` does, or an adapted one.

    Args:
        env_id: An id, e.g. ``"DrlLatent/Reach-v0"``; or ``"factorize:"`` and the id of another
            MuJoCo environment, e.g. ``"factorize:Pusher-v5"``, for what `factorize` gives.
        kwargs: Keyword arguments of the environment, or of `factorize`.

    Raises:
        UnknownNameError: There is none of this id; the nearest of ours is suggested.
    """
    if env_id.startswith(ADAPTED):
        from drl_latent.envs.factorize import factorize  # it builds on this module

        return factorize(env_id.removeprefix(ADAPTED), **kwargs)
    if env_id not in gym.registry:
        raise UnknownNameError("environment", env_id, ENVIRONMENTS)
    return gym.make(env_id, **kwargs)
