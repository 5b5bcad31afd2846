"""What watches an agent's training: episodes, progress, checkpoints, evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

from drl_latent.progress import Advance

EPISODE_COLUMNS = ("steps", "return", "success")


class Recorder(BaseCallback):
    """Notes each episode and shows progress.

    Args:
        episodes: Rows of `EPISODE_COLUMNS` so far; new ones are added to it.
        advance: What shows progress.
    """

    def __init__(self, episodes: list[list[float]], advance: Advance) -> None:
        super().__init__()
        self._episodes, self._advance = episodes, advance

    def _on_step(self) -> bool:
        ended = [info for info in self.locals["infos"] if "episode" in info]
        for info in ended:
            success = float(info.get("is_success", np.nan))
            self._episodes.append([self.num_timesteps, float(info["episode"]["r"]), success])
        # Without a note the last one stays.
        self._advance(self.training_env.num_envs, self._note() if ended else "")
        return True

    def _note(self) -> str:
        recent = np.array(self._episodes[-100:])
        _, mean_return, success = recent.mean(axis=0)
        # Not every environment says what success is.
        words = f"return {mean_return:.1f}" if np.isnan(success) else f"success {success:.2f}"
        return f"{words} of the last {len(recent)}"


class Every(BaseCallback):
    """Does something between two rollouts, each time that so many environment steps are over.

    Args:
        steps: The steps.
        action: What is done.
    """

    def __init__(self, steps: int, action: Callable[[], None]) -> None:
        super().__init__()
        self._steps, self._action = steps, action
        self._last: int | None = None

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        now = self.num_timesteps // self._steps
        if self._last is not None and now > self._last:
            self._action()
        self._last = now


class Once(BaseCallback):
    """Does something before the first rollout, once the agent's `learn` has set itself up.

    Args:
        action: What is done.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__()
        self._action: Callable[[], None] | None = action

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self._action is not None:
            self._action()
        self._action = None


class Evaluations:
    """Runs a policy, deterministically, on the same episodes each time.

    Args:
        venv: The environments, whose observations are the policy's inputs.
        episodes: Number of episodes.
        seed: Seed of the episodes.
    """

    def __init__(self, venv: VecEnv, episodes: int, seed: int) -> None:
        self._venv, self._episodes, self._seed = venv, episodes, seed
        self.rows: list[list[float]] = []
        """Means so far, rows of `EPISODE_COLUMNS`."""

    def run(self, model: Any) -> None:
        """Evaluate, note the means, and log them as ``eval/...``."""
        successes: list[float] = []

        def note(values: dict[str, Any], _: dict[str, Any]) -> None:
            if values["done"]:
                successes.append(float(values["info"].get("is_success", np.nan)))

        self._venv.seed(self._seed)
        returns, _ = evaluate_policy(
            model,
            self._venv,
            self._episodes,
            callback=note,
            return_episode_rewards=True,
            warn=False,
        )
        row = [model.num_timesteps, float(np.mean(returns)), float(np.mean(successes))]
        self.rows.append(row)
        for name, value in zip(EPISODE_COLUMNS[1:], row[1:], strict=True):
            model.logger.record(f"eval/{name}", value)


def episode_table(rows: list[list[float]]) -> pd.DataFrame:
    """Return rows of episodes as a table."""
    return pd.DataFrame(rows, columns=list(EPISODE_COLUMNS))
