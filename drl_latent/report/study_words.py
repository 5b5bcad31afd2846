"""What a study's tasks, parts and agents are called in its report, and in which order they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from drl_latent.envs.base import ADAPTED
from drl_latent.evaluation.run_scores import ALL
from drl_latent.report.study_tables import slug

RANDOM = "random"
"""Label of the agent that acts at random."""
_PARTS = {"id": "ID", "ood1": "OOD1", "ood2": "OOD2", "ood": "OOD", "test": "OOD"}
PARTS_EXPLAINED = {
    "id": "ID, in distribution: combinations that the policy was trained on",
    "ood1": "OOD1: combinations that the encoder saw and the policy did not",
    "ood2": "OOD2: combinations that neither the encoder nor the policy saw",
    "ood": "OOD, out of distribution: combinations that were held out of training",
}
MEASURE_LABELS = {"success": "success rate", "return": "return"}
"""What stands at a scale of a measure."""
_NAMES = ("label", "name", "env", "objective", "kind")
"""Settings that a nested configuration is called by, the first that it has."""
_METRICS = {"mig": "MIG", "dci": "DCI", "sap": "SAP", "irs": "IRS", "mcc": "MCC", "udr": "UDR"}

Task = tuple[str, str]
ALL_TASKS: Task = (ALL, ALL)


def tasks_of(table: pd.DataFrame) -> list[Task]:
    """Return the (env, split) of a table, in its order."""
    return [(str(e), str(s)) for e, s in table[["env", "split"]].drop_duplicates().to_numpy()]


def rows_of(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Return the rows of a task."""
    return table[(table["env"] == task[0]) & (table["split"] == task[1])]


def task_words(task: Task) -> str:
    """Return what a task is called: ``Push, composition``."""
    if task == ALL_TASKS:
        return "All tasks together"
    return f"{env_words(task[0])}, {task[1].replace('_', ' ')}"


def env_words(env: str) -> str:
    """Return an environment's id without its namespace and version."""
    return env.removeprefix(ADAPTED).rsplit("/", 1)[-1].rsplit("-v", 1)[0]


def task_column(table: pd.DataFrame) -> list[str]:
    """Return what the task of each row is called."""
    return [task_words(task) for task in zip(table["env"], table["split"], strict=True)]


def task_slug(task: Task) -> str:
    """Return a task as a part of a file name."""
    return "all-tasks" if task == ALL_TASKS else slug(env_words(task[0]), task[1])


def part_words(part: str) -> str:
    """Return what a part of a split is called in tables and legends."""
    if part.startswith("ood/"):
        return f"OOD in {part.removeprefix('ood/')}"
    if part.startswith("other/"):
        return f"other task: {env_words(part.removeprefix('other/'))}"
    return _PARTS.get(part, part)


def sorted_parts(parts: Iterable[str]) -> list[str]:
    """Return parts with ID first, then OOD1, OOD2 and OOD, then those by axis."""
    known = list(_PARTS)
    found = list(dict.fromkeys(parts))
    return sorted(found, key=lambda p: (known.index(p), "") if p in known else (len(known), p))


def main_parts(parts: Iterable[str]) -> list[str]:
    """Return the parts of the split itself, without those by axis and other tasks."""
    return [part for part in sorted_parts(parts) if part in _PARTS]


def sorted_agents(agents: Iterable[str]) -> list[str]:
    """Return agents in their order, the random one last."""
    found = list(dict.fromkeys(agents))
    return sorted(found, key=lambda agent: agent == RANDOM)


def heads(metrics: Iterable[str]) -> list[str]:
    """Return the scores of metrics themselves, without further parts such as ``dci.r2``."""
    return [metric for metric in metrics if "." not in metric]


def count_words(counts: Iterable[float]) -> str:
    """Return counts that may differ: ``3``, or ``1 to 3``."""
    known = [int(count) for count in counts]
    least, most = min(known), max(known)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def metric_words(metric: str) -> str:
    """Return what a score of an encoder is called."""
    head, separator, part = metric.partition(":")
    if separator:
        return f"{_METRICS.get(head, head.replace('_', ' '))}, {part_words(part)}"
    head, separator, piece = metric.partition(".")
    words = _METRICS.get(head, head.replace("_", " "))
    return f"{words} {piece.replace('_', ' ')}" if separator else words


def outcome_words(outcome: str, measure: str) -> str:
    """Return what an outcome of agents is called: success on a part, or the loss to it."""
    if outcome.startswith("gap:"):
        return f"loss ID to {part_words(outcome.removeprefix('gap:'))}"
    return f"{measure}, {part_words(outcome)}"


def describe(value: Any) -> str:
    """Return a setting of a configuration in words; nested ones in brackets.

    Settings come by name: their order in a file is that, and in memory need not be.
    """
    if isinstance(value, Mapping):
        named = next((k for k in _NAMES if value.get(k)), None)
        rest = ", ".join(
            f"{str(k).replace('_', ' ')} {describe(v)}"
            for k, v in sorted(value.items())
            if k != named and v not in (None, "", (), [], {})
        )
        if named is None:
            return rest
        return f"{value[named]} ({rest})" if rest else str(value[named])
    if isinstance(value, list | tuple):
        nested = any(isinstance(v, Mapping | list | tuple) for v in value)
        return ("; " if nested else ", ").join(
            f"({describe(v)})" if isinstance(v, list | tuple) else describe(v) for v in value
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    return str(value)
