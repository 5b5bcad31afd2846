"""A replay buffer that stores each camera frame, or its latents, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from drl_latent.agents.frame_ring import ChannelsOrder, FrameRing

Observations = NDArray[Any] | Mapping[str, NDArray[Any]]

_BOX = ""  # the key of an observation that is not a Dict


class FrameReplayBuffer(ReplayBuffer):
    """Replay buffer for images or latents, stacked or not, for off-policy algorithms.

    It returns what Stable-Baselines3's ``ReplayBuffer``, ``DictReplayBuffer`` and
    ``NStepReplayBuffer`` return, in the same order, from ``1 / (2 * n_stack)`` of their memory:
    stacks and next observations are put together from single frames when they are sampled. An
    episode costs one frame more than it has steps. Every transition can be sampled, also when
    older ones have been overwritten.

    ::

        SAC("CnnPolicy", VecFrameStack(venv, 3), replay_buffer_class=FrameReplayBuffer,
            replay_buffer_kwargs={"n_stack": 3})

    The algorithm puts the channels of such images first before the buffer sees them; a Dict it
    passes on as ``VecFrameStack`` stacks it, vectors too. Latents, of `VecLatent` with the same
    `n_stack`, are stored once as images are.

    Args:
        buffer_size: Number of transitions of all environments together.
        observation_space: A Box of uint8 images, stacks of frames along the channels; a Box of
            vectors, one step after the other; or a Dict with at least one such image, whose other
            entries are stored as they are.
        action_space: Any that the algorithm takes.
        device: Where samples go.
        n_envs: Number of environments.
        optimize_memory_usage: Must be False: memory is saved in any case.
        handle_timeout_termination: Whether an episode that a time limit ended counts as going on
            (its ``dones`` are 0).
        n_stack: Number of frames in an observation, as given to ``VecFrameStack`` or `VecLatent`.
            With 1, the default, stacks are right as well, but stored whole.
        n_steps: Number of rewards in a return; what follows is worth ``gamma ** n_steps``.
        gamma: Discount of the algorithm, for `n_steps` above 1.
        channels_order: Where the channels of the images are. By default they are the smallest of
            the three sizes.

    Raises:
        ValueError: The observation space has no uint8 images and no vector, they are not
            `n_stack` frames, the place of the channels is not clear, or a number is out of range.
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
        n_stack: int = 1,
        n_steps: int = 1,
        gamma: float = 0.99,
        channels_order: ChannelsOrder | None = None,
    ) -> None:
        if optimize_memory_usage:
            raise ValueError(
                "FrameReplayBuffer stores each frame once in any case: "
                "leave optimize_memory_usage=False, it would cut episodes."
            )
        if n_steps < 1 or not 0 <= gamma <= 1:
            raise ValueError(
                f"Expected n_steps of 1 or more and gamma from 0 to 1, got {n_steps} and {gamma}."
            )
        self._keys, framed = _framed_spaces(observation_space)
        # Not ReplayBuffer's: it would allocate what this class saves.
        super(ReplayBuffer, self).__init__(
            buffer_size, observation_space, action_space, device, n_envs=n_envs
        )
        self.buffer_size = max(buffer_size // n_envs, 1)
        self.optimize_memory_usage = False
        self.handle_timeout_termination = handle_timeout_termination
        self.n_stack, self.n_steps, self.gamma = n_stack, n_steps, gamma

        size = (self.buffer_size, n_envs)
        self._rings = {
            key: FrameRing(*size, space, n_stack, channels_order, key)
            for key, space in framed.items()
        }
        self._vectors: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        if isinstance(observation_space, spaces.Dict):
            for key in set(self._keys) - set(framed):
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
        plain = sum(array.nbytes for array in self._plain_arrays().values())
        return plain + sum(ring.nbytes for ring in self._rings.values())

    def reset(self) -> None:
        """Forget all transitions."""
        super().reset()
        for ring in self._rings.values():
            ring.reset()

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that is stored as named arrays, for `restore` of a buffer like this one."""
        arrays = {"pos": np.array(self.pos), "full": np.array(self.full)}
        filled = slice(None if self.full else self.pos)
        for name, stored in self._plain_arrays().items():
            arrays[name] = stored[filled]
        for key, ring in self._rings.items():
            arrays |= {f"ring/{key}/{name}": array for name, array in ring.state(self.full).items()}
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `state` returned."""
        self.pos, self.full = int(arrays["pos"]), bool(arrays["full"])
        for name, stored in self._plain_arrays().items():
            stored[: len(arrays[name])] = arrays[name]
        for key, ring in self._rings.items():
            prefix = f"ring/{key}/"
            own = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
            ring.restore(own)

    def _plain_arrays(self) -> dict[str, NDArray[Any]]:
        named = {name: getattr(self, name) for name in ("actions", "rewards", "dones", "timeouts")}
        for key, (before, after) in self._vectors.items():
            named |= {f"before/{key}": before, f"after/{key}": after}
        return named

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
            ValueError: The images or latents have another shape or type, or are not stacks of
                `n_stack` frames that follow each other. Nothing is stored then.
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
        rows, envs = np.asarray(batch_inds), np.asarray(env_indices)
        rewards, last = self._normalize_reward(self.rewards[rows, envs][:, None], env), rows
        more: dict[str, Any] = {}
        if self.n_steps > 1:
            rewards, steps = self._returns(rows, envs, env)
            last = (rows + steps - 1) % self.buffer_size
            more["discounts"] = self.to_torch(self.gamma ** steps.astype(np.float32)[:, None])
        # What a time limit cut off is not done: its final state is worth what it is worth.
        dones = (self.dones[last, envs] * (1 - self.timeouts[last, envs])).reshape(-1, 1)
        parts: list[Any] = [
            self._tensors(rows, envs, env, after=False),
            self.to_torch(self.actions[rows, envs], copy=False),
            self._tensors(last, envs, env, after=True),
            self.to_torch(dones, copy=False),
            self.to_torch(rewards, copy=False),
        ]
        is_dict = isinstance(self.observation_space, spaces.Dict)
        samples = DictReplayBufferSamples if is_dict else ReplayBufferSamples
        return samples(*parts, **more)

    def images(
        self,
        key: str,
        rows: NDArray[np.integer],
        envs: NDArray[np.integer],
        *,
        after: bool = False,
    ) -> NDArray[np.uint8]:
        """Return one image of chosen observations, or of those after one step, uint8 [B, ...].

        Args:
            key: Its key in a Dict; ``""`` for a Box.
            rows: Places in the buffer, [B], from 0 to below `size()`.
            envs: The environment of each, [B].
            after: Whether of the observation that came next.
        """
        return self._rings[key].read(rows, envs, self.pos, after=after)

    def _returns(
        self, rows: NDArray[np.integer], envs: NDArray[np.integer], env: VecNormalize | None
    ) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
        """Return the discounted sums of rewards, [B, 1], and of how many rewards they are, [B].

        They are `n_steps`, or fewer where the episode ends or the newest transition is reached.
        """
        ahead = np.arange(self.n_steps)
        window = (rows[:, None] + ahead) % self.buffer_size, envs[:, None]
        is_last = (self.dones[window] > 0) | (self.timeouts[window] > 0)
        is_last |= window[0] == (self.pos - 1) % self.buffer_size
        is_last[:, -1] = True
        steps = is_last.argmax(axis=1) + 1
        discounts = self.gamma ** ahead.astype(np.float32) * (ahead < steps[:, None])
        rewards = self._normalize_reward(self.rewards[window], env) * discounts
        return rewards.sum(axis=1, keepdims=True), steps

    def _tensors(
        self,
        rows: NDArray[np.integer],
        envs: NDArray[np.integer],
        env: VecNormalize | None,
        *,
        after: bool,
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        arrays = {
            key: self._rings[key].read(rows, envs, self.pos, after=after)
            if key in self._rings
            else self._vectors[key][after][rows, envs]
            for key in self._keys
        }
        # No copy: what was gathered is new memory, which nothing else refers to.
        found: Any = self._normalize_obs(arrays.get(_BOX, arrays), env)
        if isinstance(found, dict):
            return {key: self.to_torch(array, copy=False) for key, array in found.items()}
        return self.to_torch(found, copy=False)


def _by_key(observations: Observations) -> Mapping[str, NDArray[Any]]:
    return observations if isinstance(observations, Mapping) else {_BOX: observations}


def _framed_spaces(space: spaces.Space[Any]) -> tuple[list[str], dict[str, spaces.Box]]:
    """Return the keys of an observation, and what of it is made of frames."""
    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {_BOX: space}
    framed = {
        key: part
        for key, part in parts.items()
        if isinstance(part, spaces.Box)
        and (
            (len(part.shape) == 3 and part.dtype == np.uint8)
            # What a Dict has beside images need not be stacked as they are.
            or (len(part.shape) == 1 and key == _BOX)
        )
    }
    if not framed:
        raise ValueError(
            "FrameReplayBuffer stores images, uint8 [C, H, W] or [H, W, C], or vectors that are "
            f"all of the observation, and there is none in {space}. Leave images uint8, the policy "
            "scales them; without images, leave replay_buffer_class out."
        )
    return list(parts), framed
