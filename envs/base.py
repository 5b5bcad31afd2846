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
from numpy.typing import ArrayLike, NDArray

from drl_latent.envs.factors import FactorSpace, Value
from drl_latent.envs.rendering import OffscreenRenderer, Quality, mujoco
from drl_latent.envs.splits import Split, resolve_split
from drl_latent.registry import Registry, UnknownNameError

Observation = Literal["pixels", "dict", "state"]
Reward = Literal["dense", "sparse"]
IMAGE_SIZES = (64, 84, 128)
NAMESPACE = "DrlLatent"


class FactorEnv(gym.Env[Any, NDArray[np.float32]]):
    """A robot task seen by a camera, with factors of variation.

    At each reset the factors that are not state are drawn from the partition of the split (from
    all combinations without one); state factors are drawn uniformly. What an episode draws lives
    here, so it also holds for resets that pass no options, as vectorised environments do.

    A task is a subclass with the class attributes below and the five hooks at the end.

    Args:
        split: A `Split`, its dict, or the name of a kind; None for all combinations.
        partition: The part of the split that resets stay in.
        split_seed: Seed of a split given by name.
        factors: Names of the reset factors that vary; the others keep their defaults. None for
            all.
        image_size: Height and width of observed images: 64, 84 or 128 pixels.
        observation: ``"pixels"``, uint8 [H, W, 3]; ``"dict"``, these as ``"image"`` beside
            float32 ``"proprioception"``; ``"state"``, the true state as float32, not rendered.
        quality: Rendering quality, ``"fast"`` or ``"full"``.
        reward: ``"dense"`` or ``"sparse"``.
        render_mode: ``"rgb_array"`` or None, as in Gymnasium.
        render_size: Height and width of what `render` returns, pixels.

    Raises:
        ValueError: A name is unknown (the nearest is suggested), or the split does not fit.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

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
        for kind, given, choices in (
            ("observation", observation, get_args(Observation)),
            ("reward", reward, get_args(Reward)),
        ):
            if given not in choices:
                raise UnknownNameError(kind, given, choices)
        if image_size not in IMAGE_SIZES:
            raise ValueError(f"image_size must be one of {IMAGE_SIZES}, got {image_size!r}.")
        if render_mode not in (None, "rgb_array"):
            raise UnknownNameError("render mode", render_mode, ["rgb_array"])
        self.render_mode = render_mode
        self.factor_space = self._varied(factors)
        self.split = (
            None
            if split is None
            else resolve_split(split, partition, self.factor_space, split_seed)
        )
        self.partition = partition
        self._allowed = None if self.split is None else self.split.indices(partition)
        self.image_size, self.observation, self.reward = image_size, observation, reward
        self._quality, self._render_size = quality, render_size
        self._renderers: dict[int, OffscreenRenderer] = {}

        scene = Path(__file__).parent / "assets" / self.SCENE
        self.model = mujoco.MjModel.from_xml_path(str(scene))
        # Factors change the model in place; this copy is what they are relative to.
        self.pristine = copy.copy(self.model)
        self.data = mujoco.MjData(self.model)
        self._values: dict[str, Value] = {}
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
        command = np.asarray(action, dtype=np.float64)
        if command.shape != self.action_space.shape or not np.isfinite(command).all():
            raise ValueError(
                f"An action is a finite array of shape {self.action_space.shape}, got {action!r}."
            )
        self.data.ctrl[:] = np.clip(command, self._low, self._high)
        mujoco.mj_step(self.model, self.data, nstep=self.FRAME_SKIP)
        # Positions lag one step behind after mj_step; what is shown and rewarded must not.
        mujoco.mj_forward(self.model, self.data)
        info = self._info()
        reward = self._dense_reward() if self.reward == "dense" else float(info["is_success"]) - 1
        return self._observe(), reward, False, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return the camera's image, uint8 [render_size, render_size, 3]."""
        return None if self.render_mode is None else self._image(self._render_size)

    def close(self) -> None:
        """Free the rendering contexts."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    # --- Factors -------------------------------------------------------------------------------

    @property
    def factor_values(self) -> NDArray[np.float32]:
        """The current values, float32 [K], of `factor_space`; state factors as they are now."""
        current = self._values | self._read_state()
        return np.array([f.number(current[f.name]) for f in self.factor_space], dtype=np.float32)

    def render_factors(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Render combinations of level indices, int [N, K], to uint8 [N, H, W, 3].

        The episode that runs is left as it was.

        Raises:
            ValueError: The shape is wrong or an index is out of range.
        """
        return self.render_values(self.factor_space.values(indices))

    def render_values(self, values: ArrayLike) -> NDArray[np.uint8]:
        """Render combinations of values, float [N, K], to uint8 [N, H, W, 3].

        Raises:
            ValueError: The shape is wrong.
        """
        rows = np.asarray(values, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(self.factor_space):
            raise ValueError(
                f"Expected values of shape [N, {len(self.factor_space)}], one column for each of "
                f"{list(self.factor_space.names)}, got {list(rows.shape)}."
            )
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, state, kind)
        before = dict(self._values)
        images = np.empty((len(rows), self.image_size, self.image_size, 3), np.uint8)
        levels = [f.levels if isinstance(f.levels[0], str) else None for f in self.factor_space]
        try:
            for row, image in zip(rows, images, strict=True):
                self._set_factors(
                    {
                        name: float(number) if named is None else named[int(number)]
                        for name, named, number in zip(
                            self.factor_space.names, levels, row, strict=True
                        )
                    }
                )
                mujoco.mj_forward(self.model, self.data)
                self._image(self.image_size, out=image)
        finally:
            self._set_factors(before)
            mujoco.mj_setState(self.model, self.data, state, kind)
            mujoco.mj_forward(self.model, self.data)
        return images

    def sample_factor_values(self, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw `n` rows of values, float32 [n, K], for `render_values`.

        Reset factors come uniformly from the partition, state factors uniformly from their ranges.
        """
        values = self.factor_space.sample_values(n, rng)
        if self._allowed is not None:
            space = self.factor_space.reset
            rows = self._allowed[rng.integers(len(self._allowed), size=n)]
            columns = [self.factor_space.column(name) for name in space.names]
            values[:, columns] = space.values(rows)
        return values

    def _varied(self, factors: Iterable[str] | None) -> FactorSpace:
        if factors is None:
            return self.FACTORS
        if isinstance(factors, str):
            raise ValueError(f"factors is a list of names, got the string {factors!r}.")
        return self.FACTORS.select(
            [*self.FACTORS.reset.select(factors).names, *self.FACTORS.state.names]
        )

    def _parse_options(self, options: dict[str, Any] | None) -> dict[str, Value]:
        for key in options or {}:
            if key != "factors":
                raise UnknownNameError("reset option", key, ["factors"])
        asked = (options or {}).get("factors", {})
        if not isinstance(asked, Mapping):
            raise ValueError(f'options["factors"] maps names to levels, got {asked!r}.')
        return {name: self.factor_space[name].parse(level) for name, level in asked.items()}

    def _draw_reset_factors(self, asked: Mapping[str, Value]) -> dict[str, Value]:
        space = self.factor_space.reset
        values = {f.name: f.level(f.default) for f in self.FACTORS.reset}
        if not len(space):
            return values
        if self._allowed is None:
            row = space.sample(1, self.np_random)[0]
        else:
            match = np.ones(len(self._allowed), dtype=bool)
            for k, factor in enumerate(space):
                if factor.name in asked:
                    number = factor.number(asked[factor.name])
                    match &= self._allowed[:, k] == int(factor.index_of(number))
            if not match.any():
                wanted = {name: v for name, v in asked.items() if name in space}
                raise ValueError(
                    f"Part {self.partition!r} of the split has no combination with {wanted}; "
                    "ask for another level, or use another partition."
                )
            row = self.np_random.choice(self._allowed[match])
        values |= {f.name: f.level(int(i)) for f, i in zip(space, row, strict=True)}
        return values | {name: v for name, v in asked.items() if name in space}

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

    # --- Observations --------------------------------------------------------------------------

    def _make_observation_space(self) -> spaces.Space[Any]:
        def unbounded(vector: NDArray[np.float32]) -> spaces.Box:
            return spaces.Box(-np.inf, np.inf, vector.shape, np.float32)

        image = spaces.Box(0, 255, (self.image_size, self.image_size, 3), np.uint8)
        if self.observation == "pixels":
            return image
        if self.observation == "state":
            return unbounded(self._true_state())
        return spaces.Dict({"image": image, "proprioception": unbounded(self._proprioception())})

    def _observe(self) -> Any:
        if self.observation == "state":
            return self._true_state()
        image = self._image(self.image_size)
        if self.observation == "pixels":
            return image
        return {"image": image, "proprioception": self._proprioception()}

    def _image(self, size: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        if size not in self._renderers:
            self._renderers[size] = OffscreenRenderer(self.model, size, self.CAMERA, self._quality)
        return self._renderers[size].render(self.data, out)

    def _info(self) -> dict[str, Any]:
        return {"factors": self.factor_values, "is_success": self._is_success()}

    # --- What a task defines -------------------------------------------------------------------

    @abstractmethod
    def _set_factor(self, name: str, value: Value) -> None:
        """Change the model or the state in place so that factor `name` has `value`."""

    @abstractmethod
    def _read_state(self) -> dict[str, float]:
        """Return what the state factors are now."""

    @abstractmethod
    def _proprioception(self) -> NDArray[np.float32]:
        """Return what the robot knows of itself, float32 [P]."""

    @abstractmethod
    def _true_state(self) -> NDArray[np.float32]:
        """Return all that the task depends on, float32 [S]."""

    @abstractmethod
    def _is_success(self) -> bool:
        """Return whether the task is done in the current state."""

    @abstractmethod
    def _dense_reward(self) -> float:
        """Return the shaped reward of the current state."""


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
    """Make a registered environment, as `gymnasium.make` does.

    Raises:
        UnknownNameError: There is none of this id; the nearest of ours is suggested.
    """
    if env_id not in gym.registry:
        raise UnknownNameError("environment", env_id, ENVIRONMENTS)
    return gym.make(env_id, **kwargs)
