"""A replay buffer that stores each camera frame once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

Observations = NDArray[Any] | Mapping[str, NDArray[Any]]
ChannelsOrder = Literal["first", "last"]

_BOX = ""  # the key of an observation that is not a Dict


class FrameReplayBuffer(ReplayBuffer):
    """Replay buffer for images, with or without stacked frames, for off-policy algorithms.

    It returns what Stable-Baselines3's ``ReplayBuffer`` and ``DictReplayBuffer`` return, in the
    same order, from ``1 / (2 * n_stack)`` of their memory: stacks and next observations are put
    together from single frames when they are sampled. An episode costs one frame more than it has
    steps. Every transition can be sampled, also when older ones have been overwritten.

    ::

        SAC("CnnPolicy", VecFrameStack(venv, 3), replay_buffer_class=FrameReplayBuffer,
            replay_buffer_kwargs={"n_stack": 3})

    Args:
        buffer_size: Number of transitions of all environments together.
        observation_space: A Box of uint8 images, stacks of frames along the channels; or a Dict
            with at least one such image, whose other entries are stored as they are.
        action_space: Any that the algorithm takes.
        device: Where samples go.
        n_envs: Number of environments.
        optimize_memory_usage: Must be False: memory is saved in any case.
        handle_timeout_termination: Whether an episode that a time limit ended counts as going on
            (its ``dones`` are 0).
        n_stack: Number of frames in an observation, as given to ``VecFrameStack``; 1 for none.
        channels_order: Where the channels of the images are. By default they are the smallest of
            the three sizes.

    Raises:
        ValueError: The observation space has no uint8 images, they are not `n_stack` frames, or
            the place of the channels is not clear.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        n_stack: int,
        channels_order: ChannelsOrder | None = None,
    ) -> None:
        if optimize_memory_usage:
            raise ValueError(
                "FrameReplayBuffer stores each frame once in any case: "
                "leave optimize_memory_usage=False, it would cut episodes."
            )
        self._keys, images = _image_spaces(observation_space)
        # Not ReplayBuffer's: it would allocate what this class saves.
        super(ReplayBuffer, self).__init__(
            buffer_size, observation_space, action_space, device, n_envs=n_envs
        )
        self.buffer_size = max(buffer_size // n_envs, 1)
        self.optimize_memory_usage = False
        self.handle_timeout_termination = handle_timeout_termination
        self.n_stack = n_stack

        size = (self.buffer_size, n_envs)
        self._rings = {
            key: _FrameRing(*size, space, n_stack, channels_order, key)
            for key, space in images.items()
        }
        self._vectors: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        if isinstance(observation_space, spaces.Dict):
            for key in set(self._keys) - set(images):
                shape = (*size, *self.obs_shape[key])  # type: ignore[call-overload]
                dtype = observation_space[key].dtype
                self._vectors[key] = (np.zeros(shape, dtype), np.zeros(shape, dtype))
        action_dtype = self._maybe_cast_dtype(action_space.dtype)
        self.actions = np.zeros((*size, self.action_dim), action_dtype)
        self.rewards = np.zeros(size, np.float32)
        self.dones = np.zeros(size, np.float32)
        self.timeouts = np.zeros(size, np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is stored; grows with the number of episodes that are in it."""
        plain = [self.actions, self.rewards, self.dones, self.timeouts]
        plain += [array for pair in self._vectors.values() for array in pair]
        return sum(array.nbytes for array in plain) + sum(r.nbytes for r in self._rings.values())

    def reset(self) -> None:
        """Forget all transitions."""
        super().reset()
        for ring in self._rings.values():
            ring.reset()

    def add(
        self,
        obs: Observations,
        next_obs: Observations,
        action: NDArray[Any],
        reward: NDArray[Any],
        done: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Store one transition of each environment, as ``ReplayBuffer.add`` does.

        Raises:
            ValueError: The images have another shape or type, or are not stacks of `n_stack`
                frames that follow each other. Nothing is stored then.
        """
        before, after = _by_key(obs), _by_key(next_obs)
        steps = {k: ring.check(before[k], after[k]) for k, ring in self._rings.items()}
        for key, step in steps.items():
            self._rings[key].write(self.pos, *step)
        for key, stored in self._vectors.items():
            for array, given in zip(stored, (before[key], after[key]), strict=True):
                array[self.pos] = np.reshape(given, array.shape[1:])
        self.actions[self.pos] = action.reshape((self.n_envs, self.action_dim))
        self.rewards[self.pos] = reward
        self.dones[self.pos] = done
        if self.handle_timeout_termination:
            self.timeouts[self.pos] = [info.get("TimeLimit.truncated", False) for info in infos]
        self.pos += 1
        if self.pos == self.buffer_size:
            self.full, self.pos = True, 0

    def _get_samples(  # type: ignore[override]
        self, batch_inds: NDArray[np.integer], env: VecNormalize | None = None
    ) -> ReplayBufferSamples | DictReplayBufferSamples:
        # The global generator, which the algorithm seeds, and the draw that ReplayBuffer makes:
        # training with either buffer has to give the same policy.
        env_indices = np.random.randint(0, high=self.n_envs, size=len(batch_inds))  # noqa: NPY002
        return self.transitions(batch_inds, env_indices, env)

    def transitions(
        self,
        batch_inds: NDArray[np.integer],
        env_indices: NDArray[np.integer],
        env: VecNormalize | None = None,
    ) -> ReplayBufferSamples | DictReplayBufferSamples:
        """Return chosen transitions, tensors [B, ...] (dicts of them for a Dict).

        Args:
            batch_inds: Places in the buffer, [B], from 0 to below `size()`.
            env_indices: The environment of each, [B].
            env: If given, normalises observations and rewards.
        """
        at = (np.asarray(batch_inds), np.asarray(env_indices))
        before: dict[str, NDArray[Any]] = {}
        after: dict[str, NDArray[Any]] = {}
        for key in self._keys:
            if key in self._rings:
                before[key], after[key] = self._rings[key].read(*at, self.pos)
            else:
                before[key], after[key] = (array[at] for array in self._vectors[key])
        # What a time limit cut off is not done: its final state is worth what it is worth.
        dones = (self.dones[at] * (1 - self.timeouts[at])).reshape(-1, 1)
        rewards = self._normalize_reward(self.rewards[at].reshape(-1, 1), env)
        parts: list[Any] = [
            self._tensors(before, env),
            self.to_torch(self.actions[at], copy=False),
            self._tensors(after, env),
            self.to_torch(dones, copy=False),
            self.to_torch(rewards, copy=False),
        ]
        is_dict = isinstance(self.observation_space, spaces.Dict)
        return DictReplayBufferSamples(*parts) if is_dict else ReplayBufferSamples(*parts)

    def _tensors(
        self, arrays: dict[str, NDArray[Any]], env: VecNormalize | None
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        # No copy: what was gathered is new memory, which nothing else refers to.
        found: Any = self._normalize_obs(arrays.get(_BOX, arrays), env)
        if isinstance(found, dict):
            return {key: self.to_torch(array, copy=False) for key, array in found.items()}
        return self.to_torch(found, copy=False)


class _FrameRing:
    """The frames of one image: a ring for each environment, and a side table of final frames.

    The ring has `n_stack` places more than there are transitions, for the older frames in the
    stack of the oldest transition and for the frame after the newest. A frame that the next
    observation does not go on from, the last of an episode, moves to the side table, which holds
    as many as are in use.
    """

    def __init__(
        self,
        size: int,
        n_envs: int,
        space: spaces.Box,
        n_stack: int,
        order: ChannelsOrder | None,
        key: str,
    ) -> None:
        self._name = f"image {key!r}" if key else "image"
        self._size, self._n_stack = size, n_stack
        self._channels_first = _channels_first(space.shape, order, self._name)
        self._shape = (n_envs, *space.shape)
        frame = list(space.shape)
        axis = 0 if self._channels_first else 2
        if n_stack < 1 or frame[axis] % n_stack:
            raise ValueError(
                f"n_stack={n_stack} does not divide the {frame[axis]} channels of the "
                f"{self._name} of shape {space.shape}: give the n_stack of VecFrameStack, or 1."
            )
        frame[axis] //= n_stack
        self._frames = np.zeros((size + n_stack, n_envs, *frame), np.uint8)
        # For each transition: how many older frames of its stack there are, the others are zeros;
        # and the row of the side table with the frame after it, or -1 where that is in the ring.
        self._older = np.zeros((size, n_envs), np.int16)
        self._final_row = np.zeros((size, n_envs), np.int32)
        self.reset()

    def reset(self) -> None:
        self._newest = -1  # place of the last frame of the newest transition's observation
        self._expected: NDArray[np.uint8] | None = None  # what the episode goes on with
        self._final_row[:] = -1
        self._finals = np.empty((0, *self._frames.shape[2:]), np.uint8)
        self._free: list[int] = []

    @property
    def nbytes(self) -> int:
        arrays = (self._frames, self._older, self._final_row, self._finals)
        return sum(array.nbytes for array in arrays)

    def check(
        self, before: NDArray[Any], after: NDArray[Any]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
        """Return both as frames, oldest first [n_envs, n_stack, ...], and which begin an episode.

        Raises:
            ValueError: They could not be given back as they are.
        """
        now, later = self._split(before), self._split(after)
        if not np.array_equal(now[:, 1:], later[:, :-1]):
            raise ValueError(
                f"The next observation of the {self._name} is not the observation moved on by one "
                f"frame: n_stack={self._n_stack} is wrong for this environment, or what "
                "VecFrameStack gives is changed after it (normalised, or the "
                "'terminal_observation' left out of the infos)."
            )
        if self._expected is None:
            return now, later, np.zeros(len(now), bool)
        # Not from `done`: an environment can also be reset in the middle of an episode.
        pairs = zip(now, self._expected, strict=True)
        starts = np.array([not np.array_equal(*pair) for pair in pairs])
        if now[starts, :-1].any():
            raise ValueError(
                f"A stack of the {self._name} neither goes on from the one before it nor begins "
                f"with the empty frames of a reset: n_stack={self._n_stack} is wrong for this "
                "environment, or steps are missing between two calls of add."
            )
        return now, later, starts

    def write(
        self,
        pos: int,
        now: NDArray[np.uint8],
        later: NDArray[np.uint8],
        starts: NDArray[np.bool_],
    ) -> None:
        """Store what `check` returned as the transition at `pos`."""
        previous, places = pos - 1, len(self._frames)
        self._newest = newest = (self._newest + 1) % places
        if self._expected is None:
            # The stream may begin anywhere in an episode; there is room for its whole stack.
            self._frames[np.arange(newest, newest - self._n_stack, -1)] = now.swapaxes(0, 1)[::-1]
            older = np.full(len(now), self._n_stack - 1)
        else:
            for env in np.flatnonzero(starts):
                self._final_row[previous, env] = self._store_final(self._frames[newest, env])
                self._frames[newest, env] = now[env, -1]
            older = np.minimum(self._older[previous] + 1, self._n_stack - 1)
            older[starts] = 0
        overwritten = self._final_row[pos]
        self._free += overwritten[overwritten >= 0].tolist()
        self._final_row[pos] = -1
        self._older[pos] = older
        self._frames[(newest + 1) % places] = later[:, -1]
        self._expected = later.copy(order="K")

    def read(
        self, rows: NDArray[np.integer], envs: NDArray[np.integer], pos: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return observations and next observations, [B, ...]; `pos` is where `write` is next."""
        n, (places, n_envs) = self._n_stack, self._frames.shape[:2]
        offsets = np.arange(1 - n, 2)  # from the oldest of the stack to the frame after it
        newest = self._newest - (pos - 1 - rows) % self._size
        index = (newest[:, None] + offsets) % places * n_envs + envs[:, None]
        absent = -offsets > self._older[rows, envs][:, None]
        # Rows of a flat table: `take` copies each in one go, unlike an index of two arrays.
        table = self._frames.reshape(places * n_envs, -1)
        before, after = table.take(index[:, :n], axis=0), table.take(index[:, 1:], axis=0)
        before[absent[:, :n]] = 0
        after[absent[:, 1:]] = 0
        final = self._final_row[rows, envs]
        ended = np.flatnonzero(final >= 0)
        after[ended, -1] = self._finals[final[ended]].reshape(len(ended), table.shape[1])
        return self._join(before), self._join(after)

    def _store_final(self, frame: NDArray[np.uint8]) -> int:
        if not self._free:
            used = len(self._finals)
            grown = np.empty((used + max(16, used // 4), *frame.shape), np.uint8)
            grown[:used] = self._finals
            self._finals, self._free = grown, list(range(used, len(grown)))
        row = self._free.pop()
        self._finals[row] = frame
        return row

    def _split(self, stacks: NDArray[Any]) -> NDArray[np.uint8]:
        if stacks.shape != self._shape or stacks.dtype != np.uint8:
            raise ValueError(
                f"Expected the {self._name} as uint8 {list(self._shape)}, "
                f"got {stacks.dtype} {list(stacks.shape)}."
            )
        n_envs, *size = self._shape
        if self._channels_first:
            return stacks.reshape(n_envs, self._n_stack, -1, *size[1:])
        return np.moveaxis(stacks.reshape(n_envs, *size[:2], self._n_stack, -1), 3, 1)

    def _join(self, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
        frames = table.reshape(*table.shape[:2], *self._frames.shape[2:])
        if not self._channels_first:
            frames = np.moveaxis(frames, 1, 3)
        # With one channel a frame, the reshape would be a strided view of the channels last.
        return np.ascontiguousarray(frames.reshape(len(table), *self._shape[1:]))


def _by_key(observations: Observations) -> Mapping[str, NDArray[Any]]:
    return observations if isinstance(observations, Mapping) else {_BOX: observations}


def _image_spaces(space: spaces.Space[Any]) -> tuple[list[str], dict[str, spaces.Box]]:
    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {_BOX: space}
    images = {
        key: part
        for key, part in parts.items()
        if isinstance(part, spaces.Box) and len(part.shape) == 3 and part.dtype == np.uint8
    }
    if not images:
        raise ValueError(
            "FrameReplayBuffer stores images, uint8 [C, H, W] or [H, W, C], and there is none in "
            f"{space}. Leave images uint8, the policy scales them; without images, leave "
            "replay_buffer_class out."
        )
    return list(parts), images


def _channels_first(shape: tuple[int, ...], order: ChannelsOrder | None, name: str) -> bool:
    first, _, last = shape
    if order is None and min(first, last) < min(max(first, last), shape[1]):
        return first < last
    if order not in ("first", "last"):
        raise ValueError(
            f"Cannot tell where the channels of the {name} of shape {shape} are, "
            f'got channels_order={order!r}: give channels_order="first" or "last".'
        )
    return order == "first"
