"""Interrupted training of an agent on disk: networks, optimisers, replay buffer, counters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import BaseBuffer, DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from drl_latent.agents.auxiliary import JointObjective
from drl_latent.agents.image_buffer import FrameReplayBuffer
from drl_latent.training_state import load_training_state, save_training_state

CHECKPOINT = "training.safetensors"
_REPLAY = "replay.npz"
_JOINT = "objective.safetensors"
_FILES = (CHECKPOINT, _REPLAY, _JOINT)
# What algorithms count beside steps: of updates, of calls between updates of a target.
_COUNTERS = ("num_timesteps", "_n_updates", "_n_calls", "_episode_num")
_BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def save_checkpoint(
    folder: Path,
    model: BaseAlgorithm,
    joint: JointObjective | None,
    notes: Mapping[str, Any],
) -> None:
    """Write all that training needs to go on, between two rollouts.

    Neither random state nor that of environments is in it: `start_afresh` makes both anew.

    Args:
        folder: Where the files go.
        model: The agent.
        joint: The objective that is trained beside it, if any.
        notes: JSON-able things to keep with it.
    """
    counters = {name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)}
    if hasattr(model, "log_ent_coef"):
        counters["log_ent_coef"] = model.log_ent_coef.item()
    # Last of all the file that says that there is a checkpoint, with the step of all of them.
    if isinstance(model, OffPolicyAlgorithm):
        assert model.replay_buffer is not None
        scratch = folder / f"tmp-{_REPLAY}"
        arrays: dict[str, Any] = _stored(model.replay_buffer)
        np.savez(scratch, **arrays)
        scratch.replace(_of_step(folder, _REPLAY, model.num_timesteps))
    if joint is not None:
        joint.save_state(_of_step(folder, _JOINT, model.num_timesteps))
    save_training_state(
        folder / CHECKPOINT,
        {"policy": model.policy},
        _optimizers(model),
        None,
        {"agent": counters, "notes": dict(notes)},
    )
    _remove_others(folder, model.num_timesteps)


def load_checkpoint(
    folder: Path, model: BaseAlgorithm, joint: JointObjective | None
) -> dict[str, Any]:
    """Put back what `save_checkpoint` wrote, and return its notes.

    Args:
        folder: Where the files are.
        model: A new agent with the same settings.
        joint: The objective that is trained beside it, if any, which gets to know `model` here.
    """
    counters = load_training_state(
        folder / CHECKPOINT, {"policy": model.policy}, _optimizers(model), None
    )
    for name, value in counters["agent"].items():
        if name == "log_ent_coef":
            model.log_ent_coef.data.fill_(value)  # type: ignore[attr-defined]
        else:
            setattr(model, name, value)
    if isinstance(model, OffPolicyAlgorithm):
        assert model.replay_buffer is not None
        path = _of_step(folder, _REPLAY, model.num_timesteps)
        with np.load(path, allow_pickle=False) as saved:
            _restore(model.replay_buffer, dict(saved))
    if joint is not None:
        joint.init_callback(model)
        joint.load_state(_of_step(folder, _JOINT, model.num_timesteps))
    notes: dict[str, Any] = counters["notes"]
    return notes


def start_afresh(model: BaseAlgorithm, seed: int) -> None:
    """Begin new episodes and new random numbers, by the seed and the number of steps so far.

    Done after each checkpoint as well as after one is loaded: so the rest of the training is the
    same, interrupted or not, whatever the environment. Episodes that run end there; they go into
    the buffers as episodes that go on.
    """
    assert model.env is not None
    mixed = np.random.SeedSequence([seed, model.num_timesteps]).generate_state(1)[0]
    model.set_random_seed(int(mixed >> 1))
    model._last_obs = model.env.reset()  # type: ignore[assignment]
    model._last_episode_starts = np.ones(model.n_envs, dtype=bool)
    if model.use_sde:
        actor: Any = getattr(model, "actor", model.policy)
        actor.reset_noise(model.n_envs)


def remove_checkpoint(folder: Path) -> None:
    """Delete the files of a checkpoint: training is over."""
    for name in _FILES:
        for path in folder.glob(f"{Path(name).stem}*{Path(name).suffix}"):
            path.unlink()


def _of_step(folder: Path, name: str, step: int) -> Path:
    return folder / f"{Path(name).stem}-{step}{Path(name).suffix}"


def _remove_others(folder: Path, step: int) -> None:
    for name in (_REPLAY, _JOINT):
        for path in folder.glob(f"{Path(name).stem}-*{Path(name).suffix}"):
            if path != _of_step(folder, name, step):
                path.unlink()


def _optimizers(model: BaseAlgorithm) -> dict[str, torch.optim.Optimizer]:
    names, _ = model._get_torch_save_params()
    found = {name: recursive_getattr(model, name) for name in names}
    return {k: v for k, v in found.items() if isinstance(v, torch.optim.Optimizer)}


def _stored(buffer: BaseBuffer) -> dict[str, NDArray[Any]]:
    """The filled part of a replay buffer, as named arrays."""
    if isinstance(buffer, FrameReplayBuffer):
        return buffer.state()
    assert isinstance(buffer, ReplayBuffer)
    filled = slice(None if buffer.full else buffer.pos)
    arrays = {"pos": np.array(buffer.pos), "full": np.array(buffer.full)}
    for name, stored in _named(buffer).items():
        arrays[name] = stored[filled]
    return arrays


def _restore(buffer: BaseBuffer, arrays: Mapping[str, NDArray[Any]]) -> None:
    if isinstance(buffer, FrameReplayBuffer):
        buffer.restore(arrays)
        return
    assert isinstance(buffer, ReplayBuffer)
    buffer.pos, buffer.full = int(arrays["pos"]), bool(arrays["full"])
    for name, stored in _named(buffer).items():
        stored[: len(arrays[name])] = arrays[name]


def _named(buffer: ReplayBuffer) -> dict[str, NDArray[Any]]:
    if not isinstance(buffer, DictReplayBuffer):
        return {name: getattr(buffer, name) for name in _BUFFER}
    found = {name: getattr(buffer, name) for name in _BUFFER[2:]}
    for name in _BUFFER[:2]:
        found |= {f"{name}/{key}": part for key, part in getattr(buffer, name).items()}
    return found
