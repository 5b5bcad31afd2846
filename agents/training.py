"""Train a Stable-Baselines3 agent on latents or on the true state, resumably."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.vec_env import VecEnv

from drl_latent.agents.agent import ENV_OBSERVATION, KIND, Inputs, LatentAgent
from drl_latent.agents.algorithms import ALGORITHMS
from drl_latent.agents.latent_vec_env import VecLatent
from drl_latent.artifacts import Stage, plain
from drl_latent.checkpoint import Encoder
from drl_latent.envs import Split, make_env
from drl_latent.progress import Advance, track
from drl_latent.registry import UnknownNameError
from drl_latent.training_state import load_training_state, save_training_state

EPISODES = "episodes.parquet"
_CHECKPOINT = "training.safetensors"
_REPLAY = "replay.npz"
_REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def train_agent(
    env_id: str,
    out: str | Path,
    *,
    encoder: Encoder | str | Path | None = None,
    inputs: Inputs = "latents",
    algorithm: str = "PPO",
    steps: int = 100_000,
    n_envs: int = 8,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    checkpoint_every: int = 10_000,
    progress: bool = True,
    title: str = "Training",
) -> LatentAgent:
    """Train an agent and save it; go on from the last checkpoint where a call was interrupted.

    Args:
        env_id: A registered environment.
        out: Folder of the agent. TensorBoard logs are in its ``logs``, and one row an episode of
            training (``steps``, ``return``, ``success``) in ``episodes.parquet``.
        encoder: The frozen encoder, or its folder; None with ``inputs="state"``.
        inputs: What the policy acts on: ``"latents"``, ``"latents_and_proprioception"``, or the
            true ``"state"``.
        algorithm: A name in `ALGORITHMS`.
        steps: Environment steps, over all environments.
        n_envs: Environments in this process, encoded in one batch.
        seed: Seed of environments, weights and exploration.
        env_kwargs: Keyword arguments of the environment, such as ``split`` and ``partition``.
        settings: Keyword arguments of the algorithm that replace our defaults.
        checkpoint_every: Environment steps between checkpoints.
        progress: Whether to show progress.
        title: What progress is called.

    Returns:
        The trained agent.

    Raises:
        ValueError: A name is unknown, or encoder and inputs do not go together.
        ArtifactError: `out` holds something made with other settings.
    """
    if inputs not in get_args(Inputs):
        raise UnknownNameError("inputs", inputs, get_args(Inputs))
    if (encoder is None) != (inputs == "state"):
        raise ValueError(
            f"inputs={inputs!r} with encoder={encoder!r}: latents need an encoder, and the true "
            "state takes none."
        )
    if isinstance(encoder, (str, Path)):
        encoder = Encoder.load(encoder)
    chosen = ALGORITHMS[algorithm]
    kwargs = dict(env_kwargs or {})
    if isinstance(kwargs.get("split"), Split):
        kwargs["split"] = kwargs["split"].to_dict()
    merged = chosen.merged(settings or {})
    request = {
        "algorithm": algorithm,
        "settings": merged,
        "inputs": inputs,
        "env": env_id,
        "env_kwargs": kwargs,
        "steps": steps,
        "n_envs": n_envs,
        "seed": seed,
        "encoder": None if encoder is None else encoder.fingerprint,
    }
    stage = Stage(out, KIND, request)
    if not stage.is_complete:
        venv: VecEnv = make_vec_env(
            lambda **options: make_env(env_id, **options),
            n_envs,
            seed=seed,
            env_kwargs={**kwargs, "observation": ENV_OBSERVATION[inputs]},
        )
        try:
            if encoder is not None:
                venv = VecLatent(venv, encoder)
            model = chosen.make(venv, merged, seed)
            _learn(model, stage.folder, steps, seed, checkpoint_every, progress, title)
        finally:
            venv.close()
        for name in (_CHECKPOINT, _REPLAY):
            (stage.folder / name).unlink(missing_ok=True)
        LatentAgent(model.policy, encoder, plain(request)).save_in(stage)
    return LatentAgent.load(out)


def _learn(
    model: BaseAlgorithm,
    folder: Path,
    steps: int,
    seed: int,
    checkpoint_every: int,
    progress: bool,
    title: str,
) -> None:
    checkpoint = folder / _CHECKPOINT
    episodes: list[list[float]] = []
    if checkpoint.exists():
        episodes = _restore(model, folder)
        # The environments start new episodes; the same seed again would repeat the old ones.
        model.set_random_seed(seed + model.num_timesteps)
    model.set_logger(configure(str(folder / "logs"), ["tensorboard"]))
    done = model.num_timesteps
    with track(title, steps, "steps", done, progress) as advance:
        callback = _Recorder(folder, episodes, checkpoint_every, advance)
        if done < steps:
            model.learn(steps - done, callback, reset_num_timesteps=False)
    table = pd.DataFrame(episodes, columns=["steps", "return", "success"])
    table.to_parquet(folder / EPISODES)


class _Recorder(BaseCallback):
    """Notes each episode, shows progress, and writes checkpoints between rollouts."""

    def __init__(
        self, folder: Path, episodes: list[list[float]], every: int, advance: Advance
    ) -> None:
        super().__init__()
        self._folder, self._episodes, self._every, self._advance = folder, episodes, every, advance
        self._saved = -1

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                success = float(info.get("is_success", np.nan))
                self._episodes.append([self.num_timesteps, float(info["episode"]["r"]), success])
        recent = [row[2] for row in self._episodes[-100:]]
        note = f"success {np.mean(recent):.2f} of the last {len(recent)}" if recent else ""
        self._advance(self.training_env.num_envs, note)
        return True

    def _on_rollout_start(self) -> None:
        if self._saved < 0:
            self._saved = self.num_timesteps
        if self.num_timesteps - self._saved >= self._every:
            self._saved = self.num_timesteps
            _checkpoint(self.model, self._folder, self._episodes)


def _optimizers(model: BaseAlgorithm) -> dict[str, torch.optim.Optimizer]:
    names, _ = model._get_torch_save_params()
    found = {name: recursive_getattr(model, name) for name in names}
    return {k: v for k, v in found.items() if isinstance(v, torch.optim.Optimizer)}


def _checkpoint(model: BaseAlgorithm, folder: Path, episodes: list[list[float]]) -> None:
    counters: dict[str, Any] = {
        "num_timesteps": model.num_timesteps,
        "n_updates": getattr(model, "_n_updates", 0),
        "episodes": episodes,
    }
    if hasattr(model, "log_ent_coef"):
        counters["log_ent_coef"] = model.log_ent_coef.item()
    if isinstance(model, OffPolicyAlgorithm):
        buffer = model.replay_buffer
        assert buffer is not None
        arrays = {k: getattr(buffer, k) for k in _REPLAY_ARRAYS}
        scratch = folder / f"tmp-{_REPLAY}"
        np.savez(scratch, pos=buffer.pos, full=buffer.full, **arrays)
        scratch.replace(folder / _REPLAY)
    save_training_state(
        folder / _CHECKPOINT, {"policy": model.policy}, _optimizers(model), None, counters
    )


def _restore(model: BaseAlgorithm, folder: Path) -> list[list[float]]:
    counters = load_training_state(
        folder / _CHECKPOINT, {"policy": model.policy}, _optimizers(model), None
    )
    model.num_timesteps = counters["num_timesteps"]
    model._n_updates = counters["n_updates"]
    if hasattr(model, "log_ent_coef"):
        model.log_ent_coef.data.fill_(counters["log_ent_coef"])
    if isinstance(model, OffPolicyAlgorithm):
        buffer = model.replay_buffer
        assert buffer is not None
        with np.load(folder / _REPLAY, allow_pickle=False) as saved:
            for name in _REPLAY_ARRAYS:
                getattr(buffer, name)[...] = saved[name]
            buffer.pos, buffer.full = int(saved["pos"]), bool(saved["full"])
    episodes: list[list[float]] = counters["episodes"]
    return episodes
