"""What all environments with factors have in common: drawing, setting and rendering factors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from drl_latent.artifacts import digest
from drl_latent.envs.cameras import Camera, Orbit
from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.factors import Value
from drl_latent.envs.rendering import OffscreenRenderer, Quality, mujoco, pose
from drl_latent.envs.splits import Split, resolve_split
from drl_latent.registry import UnknownNameError

Observation = Literal["pixels", "dict", "factors", "state"]
IMAGE_SIZES = (64, 84, 128)


class FactorScene(gym.Env[Any, NDArray[np.float32]]):
    """A MuJoCo scene seen by a camera, whose factors can be set, drawn and rendered.

    The base of our own tasks (`FactorEnv`) and of adapted environments (`FactorizedEnv`). A
    subclass sets `model` and `data`, calls `_set_up`, and defines the hooks at the end.

    Args:
        space: All factors, those that do not vary among them.
        varied: The factors that vary; the others keep their defaults.
        split: A `Split`, its dict, or the name of a kind; None for all combinations.
        partition: The part of the split that resets stay in.
        split_seed: Seed of a split given by name.
        image_size: Height and width of observed images: 64, 84 or 128 pixels.
        observation: ``"pixels"``, uint8 [H, W, 3]; ``"dict"``, these as ``"image"`` beside
            float32 ``"proprioception"``; or, not rendered, ``"factors"``, the current values of
            the factors that vary, float32 [K], each with its range scaled to [-1, 1]; or
            ``"state"``, the true state as float32.
        quality: Rendering quality, ``"fast"`` or ``"full"``.
        render_mode: ``"rgb_array"`` or None, as in Gymnasium.
        render_size: Height and width of what `render` returns, pixels.

    Raises:
        ValueError: A name is unknown (the nearest is suggested), or the split does not fit.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    model: mujoco.MjModel
    data: mujoco.MjData

    def __init__(
        self,
        space: FactorSpace,
        varied: FactorSpace,
        *,
        split: Split | Mapping[str, Any] | str | None,
        partition: str,
        split_seed: int,
        image_size: int,
        observation: Observation,
        quality: Quality,
        render_mode: str | None,
        render_size: int,
    ) -> None:
        for kind, given, choices in (
            ("observation", observation, get_args(Observation)),
            ("rendering quality", quality, get_args(Quality)),
        ):
            if given not in choices:
                raise UnknownNameError(kind, given, choices)
        if image_size not in IMAGE_SIZES:
            raise ValueError(f"image_size must be one of {IMAGE_SIZES}, got {image_size!r}.")
        if render_mode not in (None, "rgb_array"):
            raise UnknownNameError("render mode", render_mode, ["rgb_array"])
        self.render_mode = render_mode
        self.factor_space = varied
        self._all_factors = space
        self.split = None if split is None else resolve_split(split, partition, varied, split_seed)
        self.partition = partition
        self._sampler = None if self.split is None else self.split.sampler(partition)
        self.image_size, self.observation = image_size, observation
        self._quality, self._render_size = quality, render_size
        self._renderers: dict[int, OffscreenRenderer] = {}
        self._values: dict[str, Value] = {}
        self._exact = [_levels_by_number(factor) for factor in varied]
        ends = np.array([factor.ends for factor in varied], dtype=np.float32).reshape(-1, 2)
        # A factor with one level only is in the middle of its range, whatever that is.
        self._factor_ranges = ends.mean(axis=1), np.maximum(np.ptp(ends, axis=1) / 2, 1e-6)

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

        The episode that runs is left exactly as it was. State that no factor stands for, such as
        that of an adapted environment without state factors, is shown as it is now.

        Raises:
            ValueError: The shape is wrong or an index is out of range.
        """
        return self.render_values(self.factor_space.values(indices))

    @property
    def fingerprint(self) -> str:
        """A short hash of the scene and of the factors that vary in it.

        What was made in a scene with another one is of another task, whatever its name.
        """
        return digest([self.factor_space.to_dict(), self._scene_source()])

    def _scene_source(self) -> str:
        """Return the scene's source, where it is ours and not that of a library."""
        return ""

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
        images = np.empty((len(rows), self.image_size, self.image_size, 3), np.uint8)
        # A picture does not show masses and forces, so setting them would only cost time.
        shown = [
            (column, factor.name, self._exact[column])
            for column, factor in enumerate(self.factor_space)
            if factor.kind != "dynamics"
        ]
        with self._restored():
            for row, image in zip(rows.tolist(), images, strict=True):
                self._set_factors({n: exact.get(row[k], row[k]) for k, n, exact in shown})
                pose(self.model, self.data)
                self._image(self.image_size, out=image)
        return images

    def sample_factor_values(self, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw `n` rows of values, float32 [n, K], for `render_values`.

        Reset factors come from the partition as at a reset, state factors uniformly from their
        ranges.
        """
        values = self.factor_space.sample_values(n, rng)
        if self._sampler is not None:
            space = self.factor_space.reset
            rows = self._sampler.draw(n, rng)
            columns = [self.factor_space.column(name) for name in space.names]
            values[:, columns] = space.values(rows)
        return values

    @contextmanager
    def _restored(self) -> Iterator[None]:
        """Put factors and state back, to the bit, at the end."""
        before = dict(self._values)
        state = mujoco.MjData(self.model)
        mujoco.mj_copyData(state, self.model, self.data)
        try:
            yield
        finally:
            self._set_factors(before)
            # Setting state and computing what follows from it would start the solver elsewhere.
            mujoco.mj_copyData(self.data, self.model, state)

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
        values = {f.name: f.level(f.default) for f in self._all_factors.reset}
        if not len(space):
            return values
        if self._sampler is None:
            row = space.sample(1, self.np_random)[0]
        else:
            fixed = {
                f.name: int(f.index_of(f.number(asked[f.name]))) for f in space if f.name in asked
            }
            row = self._sampler.draw(1, self.np_random, fixed)[0]
        values |= {f.name: f.level(int(i)) for f, i in zip(space, row, strict=True)}
        return values | {name: v for name, v in asked.items() if name in space}

    # --- Observations --------------------------------------------------------------------------

    def _make_observation_space(self) -> spaces.Space[Any]:
        def unbounded(vector: NDArray[np.float32]) -> spaces.Box:
            return spaces.Box(-np.inf, np.inf, vector.shape, np.float32)

        image = spaces.Box(0, 255, (self.image_size, self.image_size, 3), np.uint8)
        if self.observation == "pixels":
            return image
        if self.observation == "state":
            return unbounded(self._true_state())
        if self.observation == "factors":
            return unbounded(self._scaled_factors())
        return spaces.Dict({"image": image, "proprioception": unbounded(self._proprioception())})

    def _observe(self) -> Any:
        if self.observation == "state":
            return self._true_state()
        if self.observation == "factors":
            return self._scaled_factors()
        image = self._image(self.image_size)
        if self.observation == "pixels":
            return image
        return {"image": image, "proprioception": self._proprioception()}

    def _scaled_factors(self) -> NDArray[np.float32]:
        middle, half = self._factor_ranges
        scaled: NDArray[np.float32] = (self.factor_values - middle) / half
        return scaled

    def _image(self, size: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        if size not in self._renderers:
            self._renderers[size] = OffscreenRenderer(
                self.model, size, self._camera(), self._quality
            )
        return self._renderers[size].render(self._shown(), out, self._orbit())

    def _info(self) -> dict[str, Any]:
        return {"factors": self.factor_values}

    def _check_action(self, action: Any) -> NDArray[np.float64]:
        command = np.asarray(action, dtype=np.float64)
        if command.shape != self.action_space.shape or not np.isfinite(command).all():
            raise ValueError(
                f"An action is a finite array of shape {self.action_space.shape}, got {action!r}."
            )
        return command

    # --- What a subclass defines ---------------------------------------------------------------

    def _shown(self) -> mujoco.MjData:
        """Return the state to render; positions are up to date in it."""
        return self.data

    def _orbit(self) -> Orbit | None:
        """Return how far the camera is moved; None for not at all."""
        return None

    @abstractmethod
    def _camera(self) -> Camera | mujoco.MjvCamera:
        """Return the camera that looks at the scene."""

    @abstractmethod
    def _set_factors(self, values: Mapping[str, Value]) -> None:
        """Change model and state in place so that these factors have these values; note them."""

    @abstractmethod
    def _read_state(self) -> dict[str, float]:
        """Return what the state factors are now."""

    @abstractmethod
    def _proprioception(self) -> NDArray[np.float32]:
        """Return what the robot knows of itself, float32 [P]."""

    @abstractmethod
    def _true_state(self) -> NDArray[np.float32]:
        """Return all that the task depends on, float32 [S]."""


def _levels_by_number(factor: Any) -> dict[float, Value]:
    """Map the float32 numbers of a list's levels back to the levels, so that rows set them exactly.

    In a range, numbers stand for themselves.
    """
    if factor.is_range:
        return {}
    return dict(zip(factor.numbers.tolist(), factor.levels, strict=True))
