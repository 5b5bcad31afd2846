"""What a study compares, as data: tasks, encoders, agents, seeds and budgets."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from drl_latent.agents import ALGORITHMS, BASELINES
from drl_latent.agents.extractor import Mode
from drl_latent.artifacts import plain
from drl_latent.envs import SPLITS
from drl_latent.metrics import METRICS
from drl_latent.objectives import OBJECTIVES
from drl_latent.registry import UnknownNameError

RANDOM = "random"
"""Label of random actions, which every study has: the zero of normalised scores."""


def method_label(name: str) -> str:
    """Return what a baseline or objective is called in tables: "random" is that of actions."""
    return "random_encoder" if name == RANDOM else name


@dataclass(frozen=True)
class Task:
    """An environment, and how agents are trained in it.

    Args:
        env: Id of an environment of ours, or ``"factorize:"`` and the id of another.
        factors: Reset factors that vary, the others keep their defaults; all if empty.
        env_kwargs: Further keyword arguments of the environment.
        agent: Further arguments of `train_agent`, such as ``n_stack`` or ``settings``.
        other_agent: Those of agents without an encoder that differ.
        proprioception: Whether agents on latents or pixels also get what the robot knows of
            itself.
        transfer: Ids of other environments that agents on images are run in, too, zero-shot: a true
            state means something else there.
    """

    env: str = "DrlLatent/Reach-v0"
    factors: tuple[str, ...] = ()
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    agent: Mapping[str, Any] = field(default_factory=dict)
    other_agent: Mapping[str, Any] = field(default_factory=dict)
    proprioception: bool = False
    transfer: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitRecipe:
    """A transfer split of a task's factors.

    Args:
        kind: A name in `SPLITS`.
        settings: Keyword arguments of the kind.
        seed: Seed of the cut; unless given each encoder seed cuts anew, so that what is found
            does not hang on one choice of held-out combinations.
    """

    kind: str = "composition"
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None

    @property
    def label(self) -> str:
        """What it is called in tables."""
        return self.kind if self.seed is None else f"{self.kind}-{self.seed}"


@dataclass(frozen=True)
class EncoderRecipe:
    """How an encoder is pretrained.

    Args:
        objective: A name in `OBJECTIVES`.
        label: What it is called in tables; the objective's name unless given.
        settings: Settings of the objective.
        latents: Number of latents.
        model: Further settings of `ModelConfig`.
    """

    objective: str
    label: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    latents: int = 10
    model: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return self.label or method_label(self.objective)


@dataclass(frozen=True)
class Budgets:
    """How much of everything.

    Args:
        frames: Frames that encoders learn from.
        pretrain_steps: Steps of pretraining.
        score_frames: Frames, of all combinations, that encoders are scored on.
        agent_steps: Environment steps of agents.
        episodes: Episodes of each agent on each part.
        set_back_episodes: Those of each with a latent set back; 0 to leave that out.
        films: Of how many seeds agents are filmed.
    """

    frames: int = 30_000
    pretrain_steps: int = 6_000
    score_frames: int = 6_000
    agent_steps: int = 50_000
    episodes: int = 100
    set_back_episodes: int = 40
    films: int = 1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name in ("set_back_episodes", "films") else 1
            if value < least:
                raise ValueError(f"The budget {name} must be {least} or more, got {value}.")


@dataclass(frozen=True)
class Study:
    """A grid: tasks x splits x (encoders x modes, and baselines) x algorithms x seeds.

    Each encoder seed has its own frames and encoders, and, for each of the `agents_per_encoder`,
    agents; baselines without an encoder are trained as often, so that runs of all methods pair.

    Args:
        question: What the study is to answer.
        tasks: The environments.
        splits: How their combinations are held out.
        encoders: Encoders that agents are trained on.
        modes: What happens to them meanwhile: ``"frozen"``, ``"finetune"``, ``"auxiliary"``.
        baselines: Names in `BASELINES` beside them.
        algorithms: Names in `ALGORITHMS`.
        encoder_seeds: Seeds of frames, encoders and, unless the recipe has one, cuts.
        agents_per_encoder: Agents on each encoder, each with a seed of its own.
        metrics: Names in `METRICS` that encoders are scored by.
        budgets: How much of everything.
        threads: Threads of each piece of work; part of the study, for sums depend on it.

    Raises:
        UnknownNameError: A name is unknown.
        ValueError: The study compares nothing, or two things have one label.
    """

    question: str = "Does disentanglement transfer?"
    tasks: tuple[Task, ...] = (Task(),)
    splits: tuple[SplitRecipe, ...] = (SplitRecipe(),)
    encoders: tuple[EncoderRecipe, ...] = ()
    modes: tuple[Mode, ...] = ("frozen",)
    baselines: tuple[str, ...] = ("true_state",)
    algorithms: tuple[str, ...] = ("PPO",)
    encoder_seeds: tuple[int, ...] = (0, 1, 2)
    agents_per_encoder: int = 1
    metrics: tuple[str, ...] = ("mig", "dci", "infom", "probe")
    budgets: Budgets = field(default_factory=Budgets)
    threads: int = 1

    def __post_init__(self) -> None:
        for registry, names in (
            (SPLITS, [split.kind for split in self.splits]),
            (OBJECTIVES, [encoder.objective for encoder in self.encoders]),
            (BASELINES, self.baselines),
            (ALGORITHMS, self.algorithms),
            (METRICS, self.metrics),
        ):
            for name in names:
                registry[name]
        for mode in self.modes:
            if mode not in get_args(Mode):
                raise UnknownNameError("mode", mode, get_args(Mode))
        for encoder in self.encoders:
            if "auxiliary" in self.modes and not OBJECTIVES[encoder.objective].trains:
                raise ValueError(
                    f'The mode "auxiliary" trains an encoder by its objective, and '
                    f"{encoder.objective!r} trains nothing. Leave out one of the two."
                )
        for needed in ("tasks", "splits", "modes", "algorithms", "encoder_seeds"):
            if not getattr(self, needed):
                raise ValueError(f"A study needs {needed}, at least one.")
        if not self.encoders and not self.baselines:
            raise ValueError("A study needs encoders or baselines to compare.")
        methods = [*(e.name for e in self.encoders), *map(method_label, self.baselines), RANDOM]
        named: dict[str, list[str]] = {
            "tasks": [task.env for task in self.tasks],
            "splits": [split.label for split in self.splits],
            "methods": methods,
            "modes": list(self.modes),
            "algorithms": list(self.algorithms),
            "metrics": list(self.metrics),
            "seeds": [str(seed) for seed in self.encoder_seeds],
        }
        for what, labels in named.items():
            if twice := sorted({x for x in labels if labels.count(x) > 1}):
                raise ValueError(
                    f"Two {what} of the study have the name {', '.join(twice)}; give each its "
                    "own label, or leave one out."
                )
        if self.agents_per_encoder < 1 or self.threads < 1:
            raise ValueError(
                "agents_per_encoder and threads must be 1 or more, got "
                f"{self.agents_per_encoder} and {self.threads}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the study as JSON-able data."""
        data: dict[str, Any] = plain(dataclasses.asdict(self))
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Study:
        """Return the study that `to_dict` described; what is left out has its default.

        Raises:
            UnknownNameError: A name is unknown, such as that of a setting.
            ValueError: The study compares nothing, or two things have one label.
        """
        values = dict(_known(cls, data))
        parts: dict[str, type] = {"tasks": Task, "splits": SplitRecipe, "encoders": EncoderRecipe}
        for name, kind in parts.items():
            if name in values:
                values[name] = tuple(kind(**_known(kind, _tuples(kind, v))) for v in values[name])
        if "budgets" in values:
            values["budgets"] = Budgets(**_known(Budgets, values["budgets"]))
        return cls(**_tuples(cls, values))

    @classmethod
    def load(cls, path: str | Path) -> Study:
        """Read a study from a JSON file.

        Raises:
            ValueError: The file is no JSON, or as of `from_dict`.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"There is no study at {path}; expected a JSON file.")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not JSON: {error}.") from error
        if not isinstance(data, dict):
            raise ValueError(f"{path} holds {type(data).__name__}, expected an object of settings.")
        return cls.from_dict(data)


def _known(kind: type, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `data` after checking that its keys are fields of a dataclass."""
    fields = [f.name for f in dataclasses.fields(kind)]
    for key in data:
        if key not in fields:
            raise UnknownNameError(f"setting of {kind.__name__}", key, fields)
    return data


def _tuples(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with lists as tuples, where the fields of a dataclass are tuples."""
    are_tuples = {f.name for f in dataclasses.fields(kind) if str(f.type).startswith("tuple")}
    return {
        k: tuple(v) if k in are_tuples and isinstance(v, Sequence) and not isinstance(v, str) else v
        for k, v in values.items()
    }
