"""Train a Stable-Baselines3 agent on what a camera shows, or on the truth; resumable exactly."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecEnv

from drl_latent.agents.actions import discretized
from drl_latent.agents.agent import ENCODER, KIND, LatentAgent
from drl_latent.agents.algorithms import ALGORITHMS, Algorithm
from drl_latent.agents.auxiliary import JointObjective
from drl_latent.agents.callbacks import Evaluations, Every, Once, Recorder, episode_table
from drl_latent.agents.checkpoints import (
    CHECKPOINT,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
    start_afresh,
)
from drl_latent.agents.extractor import Mode
from drl_latent.agents.history import History
from drl_latent.agents.perception import Augmentation, Inputs, Perception
from drl_latent.agents.process_vec_env import ProcessVecEnv
from drl_latent.agents.tuned import tuned_settings
from drl_latent.artifacts import LOGS, Stage, plain
from drl_latent.checkpoint import Encoder
from drl_latent.envs import Split, make_env
from drl_latent.progress import track

_EVALUATION_SEED = 1_000_000


def train_agent(
    env_id: str,
    out: str | Path,
    *,
    encoder: Encoder | str | Path | None = None,
    mode: Mode = "frozen",
    inputs: Inputs = "latents",
    n_stack: int = 1,
    augmentation: Augmentation = "none",
    extractor: Mapping[str, Any] | None = None,
    objective: str | None = None,
    objective_settings: Mapping[str, Any] | None = None,
    algorithm: str = "PPO",
    steps: int = 100_000,
    n_envs: int = 8,
    env_processes: int = 1,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    evaluate_every: int = 0,
    evaluation_episodes: int = 20,
    checkpoint_every: int = 10_000,
    device: str = "auto",
    callbacks: Sequence[BaseCallback] = (),
    progress: bool = True,
    title: str = "Training",
) -> LatentAgent:
    """Train an agent and save it; go on from the last checkpoint where a call was interrupted.

    An interrupted call ends with the weights of an undisturbed one: episodes that run when a
    checkpoint is written end there in either case.

    Args:
        env_id: A registered environment, or ``"factorize:"`` and the id of another one.
        out: Folder of the agent. TensorBoard logs are in its ``logs``, one row an episode of
            training (``steps``, ``return``, ``success``) in ``episodes.parquet``, and means of
            evaluations in ``evaluations.parquet``.
        encoder: The encoder, or its folder, for `inputs` that are latents.
        mode: What happens to the encoder: ``"frozen"``, ``"finetune"``, or ``"auxiliary"``, see
            `LatentExtractor`.
        inputs: What the policy acts on, see `Perception`.
        n_stack: Of how many last steps.
        augmentation: Of pixels, see `Perception`.
        extractor: Further keyword arguments of `LatentExtractor`, of an encoder that is trained.
        objective: Name of the objective that ``mode="auxiliary"`` trains beside the agent.
        objective_settings: Keyword arguments of `JointObjective`.
        algorithm: A name in `ALGORITHMS`; those that choose among a finite number of actions get
            the combinations of 3 values of each dimension.
        steps: Environment steps, over all environments.
        n_envs: Environments, encoded in one batch.
        env_processes: Processes that they run in, see `ProcessVecEnv`; with 1 it is this one. The
            agent is the same with any number.
        seed: Seed of environments, weights and exploration.
        env_kwargs: Keyword arguments of the environment, such as ``split`` and ``partition``.
        settings: Keyword arguments of the algorithm that replace our defaults, which depend on
            the environment.
        evaluate_every: Environment steps between evaluations on the part that is trained on, with
            deterministic actions; 0 for none.
        evaluation_episodes: Episodes of each evaluation, the same every time.
        checkpoint_every: Environment steps between checkpoints.
        device: Where the agent learns. ``"auto"`` takes a GPU where there is one for what learns
            from images, and the CPU for all else: networks on latents or the truth are too small
            to gain from a GPU.
        callbacks: Further callbacks, such as `DriftCallback`; what they remember is not in the
            checkpoints.
        progress: Whether to show progress.
        title: What progress is called.

    Returns:
        The trained agent.

    Raises:
        ValueError: A name is unknown, or settings do not go together.
        ArtifactError: `out` holds something made with other settings.
    """
    perception = Perception(inputs, mode, n_stack, augmentation, dict(extractor or {}))
    perception.check_encoder(encoder)
    if (objective is not None) != (mode == "auxiliary"):
        raise ValueError(
            f"mode={mode!r} with objective={objective!r}: an objective is trained beside the agent "
            'in mode="auxiliary", which needs one, such as "vae".'
        )
    joint = None
    if objective is not None:
        joint = JointObjective(objective, **{"seed": seed, **(objective_settings or {})})
    if isinstance(encoder, (str, Path)):
        encoder = Encoder.load(encoder)
    chosen = ALGORITHMS[algorithm]
    kwargs = dict(env_kwargs or {})
    if isinstance(kwargs.get("split"), Split):
        kwargs["split"] = kwargs["split"].to_dict()
    tuned = tuned_settings(env_id, algorithm, perception)
    merged = chosen.merged({**tuned, **(settings or {})}, perception)
    request = {
        "algorithm": algorithm,
        "settings": merged,
        "perception": plain(vars(perception)),
        "objective": objective,
        "objective_settings": dict(objective_settings or {}),
        "env": env_id,
        "env_kwargs": kwargs,
        "steps": steps,
        "n_envs": n_envs,
        "seed": seed,
        "evaluate_every": evaluate_every,
        "evaluation_episodes": evaluation_episodes,
        "checkpoint_every": checkpoint_every,
        "encoder": None if encoder is None else encoder.fingerprint,
    }
    stage = Stage(out, KIND, request)
    if not stage.is_complete:
        schedule = _Schedule(steps, seed, checkpoint_every, evaluate_every)
        with contextlib.ExitStack() as stack:

            def environments(n: int) -> VecEnv:
                venv = _make_environments(
                    env_id, kwargs, chosen, perception, n, min(env_processes, n), seed
                )
                stack.callback(venv.close)
                return perception.wrap(venv, encoder)

            venv = environments(n_envs)
            if encoder is not None:
                encoder.save(stage.folder / ENCODER)
            trained = str(stage.folder / ENCODER)
            place = _device(device, perception)
            model = chosen.make(venv, merged, seed, perception, trained, place)
            checks = None
            if evaluate_every:
                apart = environments(min(n_envs, evaluation_episodes))
                checks = Evaluations(apart, evaluation_episodes, seed + _EVALUATION_SEED)
            training = _Training(model, stage.folder, schedule, joint, checks)
            history = training.run(callbacks, progress, title)
            shapes = _spaces(env_id, kwargs, perception)
            agent = LatentAgent(model.policy, encoder, plain(request), *shapes, history)
            agent.save_in(stage)
    return LatentAgent.load(out)


@dataclass(frozen=True)
class _Schedule:
    steps: int
    seed: int
    checkpoint_every: int
    evaluate_every: int


class _Training:
    """The training of one agent, from its last checkpoint if there is one."""

    def __init__(
        self,
        model: BaseAlgorithm,
        folder: Path,
        schedule: _Schedule,
        joint: JointObjective | None,
        checks: Evaluations | None,
    ) -> None:
        self._model, self._folder, self._schedule = model, folder, schedule
        self._joint, self._checks = joint, checks
        self._episodes: list[list[float]] = []

    def run(self, callbacks: Sequence[BaseCallback], progress: bool, title: str) -> History:
        """Train, and return how it went."""
        model, schedule, checks = self._model, self._schedule, self._checks
        is_resumed = (self._folder / CHECKPOINT).exists()
        if is_resumed:
            notes = load_checkpoint(self._folder, model, self._joint)
            self._episodes = notes["episodes"]
            if checks is not None:
                checks.rows = notes["evaluations"]
        model.set_logger(configure(str(self._folder / LOGS), ["tensorboard"]))
        done = model.num_timesteps
        with track(title, schedule.steps, "steps", done, progress) as advance:
            watching: list[BaseCallback] = [Recorder(self._episodes, advance)]
            # What changes the agent comes before what writes it down.
            watching += [] if self._joint is None else [self._joint]
            watching += callbacks
            if checks is not None:
                watching.append(Every(schedule.evaluate_every, lambda: checks.run(model)))
            if is_resumed:
                watching.append(Once(self._start_afresh))
            watching.append(Every(schedule.checkpoint_every, self._checkpoint))
            if done < schedule.steps:
                model.learn(schedule.steps - done, watching, reset_num_timesteps=False)
        if checks is not None:
            checks.run(model)
        remove_checkpoint(self._folder)
        evaluations = None if checks is None else episode_table(checks.rows)
        return History(episode_table(self._episodes), evaluations)

    def _checkpoint(self) -> None:
        notes = {
            "episodes": self._episodes,
            "evaluations": [] if self._checks is None else self._checks.rows,
        }
        save_checkpoint(self._folder, self._model, self._joint, notes)
        self._start_afresh()

    def _start_afresh(self) -> None:
        start_afresh(self._model, self._schedule.seed)


def _device(name: str, perception: Perception) -> str:
    if name != "auto":
        return name
    return "cuda" if perception.acts_on_images and torch.cuda.is_available() else "cpu"


def _make_environments(
    env_id: str,
    kwargs: Mapping[str, Any],
    algorithm: Algorithm,
    perception: Perception,
    n_envs: int,
    processes: int,
    seed: int,
) -> VecEnv:
    def make(**options: Any) -> gym.Env[Any, Any]:
        env = make_env(env_id, **options)
        return discretized(env) if algorithm.needs_discrete_actions else env

    several: dict[str, Any] = {}
    if processes != 1:
        several = {"vec_env_cls": ProcessVecEnv, "vec_env_kwargs": {"processes": processes}}
    return make_vec_env(
        make,
        n_envs,
        seed=seed,
        env_kwargs={**kwargs, "observation": perception.observation},
        **several,
    )


def _spaces(
    env_id: str, kwargs: Mapping[str, Any], perception: Perception
) -> tuple[spaces.Space[Any], spaces.Box]:
    """What the environment shows, and what it is told."""
    env = make_env(env_id, **{**kwargs, "observation": perception.observation})
    env.close()
    assert isinstance(env.action_space, spaces.Box)
    return env.observation_space, env.action_space
