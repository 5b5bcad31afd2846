"""Whether an encoder that an agent trains is as disentangled as it was."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from stable_baselines3.common.callbacks import BaseCallback

from drl_latent.agents.extractor import LatentExtractor
from drl_latent.agents.policies import learned_extractor
from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, open_dataset
from drl_latent.metrics import METRICS, CorrelatedFactorsWarning, score_each
from drl_latent.registry import UnknownNameError
from drl_latent.scoring import facts_for_metrics

Action = Literal["warn", "stop"]
COLUMNS = ("steps", "metric", "score", "change")


class DriftWarning(UserWarning):
    """An encoder lost more of a score than it may."""


class DriftCallback(BaseCallback):
    """Scores the encoder as the agent trains it, on labelled frames that stay the same.

    The first scores are of the encoder that training starts with; a metric that falls below its
    first by more than `drop` is warned of each time, or stops training. Scores have no intervals
    and no floor, so that they take seconds; they are logged as ``drift/...``.

    Args:
        dataset: A labelled data set that the encoder was not trained on, or its folder.
        every: Environment steps between scores.
        metrics: Names in `drl_latent.metrics.METRICS`.
        drop: How far a score may fall.
        action: ``"warn"`` goes on; ``"stop"`` ends training.
        samples: Number of frames, spread evenly over the data set; all if there are fewer.
        seed: Seed of the rows that metrics hold out.

    Raises:
        UnknownNameError: A metric or the action is unknown.
        ValueError: The data set has no labels, or a number is out of range.
        ArtifactError: The folder holds no data set.
    """

    def __init__(
        self,
        dataset: FrameDataset | str | Path,
        every: int,
        *,
        metrics: Sequence[str] = ("mig", "dci"),
        drop: float = 0.1,
        action: Action = "warn",
        samples: int = 2_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name in metrics:
            METRICS[name]
        if action not in get_args(Action):
            raise UnknownNameError("action", action, get_args(Action))
        if every < 1 or samples < 1:
            raise ValueError(f"every and samples must be 1 or more, got {every} and {samples}.")
        if not drop >= 0:
            raise ValueError(f"drop, how far a score may fall, must be 0 or more, got {drop}.")
        data = dataset if isinstance(dataset, FrameDataset) else open_dataset(dataset)
        if not len(data.factor_space):
            raise ValueError(
                f"{data.path} has no factors to score against; give a labelled data set, such as "
                "one of collect()."
            )
        rows = np.unique(np.linspace(0, len(data) - 1, samples, dtype=np.int64))
        self._frames, self._factors = data.frames[rows], data.factors[rows]
        self._facts = facts_for_metrics(data, rows)
        self.every, self.metrics, self.drop, self.action = every, tuple(metrics), drop, action
        self.seed = seed
        self._rows: list[dict[str, Any]] = []

    @property
    def history(self) -> pd.DataFrame:
        """The scores: steps, metric, score, and its change from the first."""
        return pd.DataFrame(self._rows, columns=list(COLUMNS))

    def restore(self, history: pd.DataFrame) -> None:
        """Go on from an earlier `history`: later scores are compared with the first ones there."""
        self._rows = history[list(COLUMNS)].to_dict("records")

    def _on_training_start(self) -> None:
        if not self._rows:
            self._look()

    def _on_step(self) -> bool:
        due = self._rows[-1]["steps"] + self.every
        return True if self.num_timesteps < due else self._look()

    def _on_training_end(self) -> None:
        if self.num_timesteps > self._rows[-1]["steps"]:
            self._look()

    def _look(self) -> bool:
        """Score the encoder; return whether to go on."""
        start = time.perf_counter()
        # A copy: an `Encoder` turns the gradients of its model off.
        encoder = Encoder(copy.deepcopy(_extractor(self).encoder.model))
        with warnings.catch_warnings():
            # The data set is what it is; only changes matter here.
            warnings.simplefilter("ignore", CorrelatedFactorsWarning)
            results = score_each(
                encoder(self._frames),
                self._factors,
                metrics=self.metrics,
                seed=self.seed,
                resamples=0,
                floor=False,
                **self._facts,
            )
        fallen = []
        for name, result in results.items():
            first = next((r["score"] for r in self._rows if r["metric"] == name), result.score)
            change = result.score - first
            row = (self.num_timesteps, name, result.score, change)
            self._rows.append(dict(zip(COLUMNS, row, strict=True)))
            self.logger.record(f"drift/{name}", result.score)
            self.logger.record(f"drift/{name}_change", change)
            if change < -self.drop:
                fallen.append(f"{name} fell from {first:.3f} to {result.score:.3f}")
        self.logger.record("drift/seconds", time.perf_counter() - start)
        if not fallen:
            return True
        stops = self.action == "stop"
        warnings.warn(
            f"After {self.num_timesteps} steps the encoder is less disentangled than at first: "
            f"{'; '.join(fallen)}. {'Training stops. ' if stops else ''}A lower "
            "encoder_learning_rate, a longer warm-up or mode='frozen' keeps more of it.",
            DriftWarning,
            stacklevel=2,
        )
        return not stops


def _extractor(callback: BaseCallback) -> LatentExtractor:
    """Return the extractor that the agent trains, or its frozen one.

    Raises:
        ValueError: It has none.
    """
    policy = callback.model.policy
    found = [m for m in policy.modules() if isinstance(m, LatentExtractor)]
    if not found:
        raise ValueError(
            f"This {type(policy).__name__} has no LatentExtractor, so there is no encoder to "
            "score; see drl_latent.agents.latent_policy."
        )
    return learned_extractor(policy) if found[0].is_trained else found[0]
