"""Which factor, at which value, loses how much."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from drl_latent.evaluation.episode_intervals import newcombe, student, welch, wilson
from drl_latent.evaluation.outcomes import MEASURES
from drl_latent.registry import UnknownNameError

FACTOR = "factor/"
"""What the columns of factors begin with in a table of episodes."""
GROUPS = ("env", "split", "agent")
"""Columns of a table of episodes that name a task and a method, those of them that it has."""
_COUNTS = ("total", "episodes", "spread")
"""Sum of a measure, number of episodes, and the measure's standard deviation."""


def factor_success(
    episodes: pd.DataFrame,
    measure: str = "success",
    *,
    by: Sequence[str] | None = None,
    baseline: str = "id",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return success at each value of each factor, and what it lost against in distribution.

    A value can go badly since it is hard or since it is new to the agent: `loss` compares with
    the mean over all of `baseline`, which a value that training never had can be compared with too;
    `loss_at_value` with the episodes of `baseline` at the same value. Other factors vary as they do
    in the part, so a loss is an association: for one factor alone take an axis split.

    Intervals are Wilson's, and Newcombe's of a difference ("Interval estimation for the difference
    between independent proportions", 1998, method 10); of returns they are Student's and Welch's.
    They take episodes as independent: where rows of several trainings are pooled, they do not speak
    for other seeds of it.

    Args:
        episodes: What `evaluate_generalization` gave, or the episodes of a study.
        measure: ``"success"``, or ``"return"`` where the environment does not say what success is.
        by: Columns whose combinations are told apart; task and agent, as far as there are columns
            for them, unless given. Add ``"agent_seed"`` for one row a training.
        baseline: The part that the others are compared with.
        confidence: Coverage of the intervals, in (0, 1).

    Returns:
        One row a group, part, factor and value: the columns of `by`, ``part``, ``factor``,
        ``value``, ``episodes``, ``success``, ``success_low``, ``success_high`` (or ``return`` and
        so on), ``loss``, ``loss_low``, ``loss_high``, ``loss_at_value``. Losses are NaN where
        `baseline` has no episode to compare with; `baseline` itself has no interval of its loss.
        A factor that is NaN in an episode, since the task has no such one, counts in no row; so
        does an episode whose measure is NaN.

    Raises:
        UnknownNameError: There is no column of this name, or no such part.
    """
    _check_measure(measure)
    groups = group_columns(episodes, by)
    _check_part(episodes, baseline)
    known = episodes.dropna(subset=[measure])
    names = factor_names(known)
    alone = [_counts(known, measure, [*groups, "part"], {"": name}) for name in names]
    table = _joined(alone, [*groups, "part", "factor", "value", *_COUNTS])
    table = _with_mean(table, measure, confidence)
    is_baseline = table["part"] == baseline
    same = table.loc[is_baseline, [*groups, "factor", "value", measure]]
    table = table.merge(
        same.rename(columns={measure: "at_value"}), "left", [*groups, "factor", "value"]
    )
    whole = _totals(known[known["part"] == baseline], measure, groups)
    # Without groups all rows belong to one.
    table = table.merge(whole, "left", groups) if groups else table.merge(whole, "cross")
    table["loss"] = table["of_total"] / table["of_episodes"] - table[measure]
    base, own = ([table[f"{whose}{n}"] for n in _COUNTS] for whose in ("of_", ""))
    if measure == "success":
        low, high = newcombe(base[0], base[1], own[0], own[1], confidence)
    else:
        low, high = welch((base[0], base[1], base[2]), (own[0], own[1], own[2]), confidence)
    # The episodes of a value are some of those they would be compared with.
    compared = (table["part"] != baseline).to_numpy()
    table["loss_low"], table["loss_high"] = np.where(compared, [low, high], np.nan)
    table["loss_at_value"] = table["at_value"] - table[measure]
    inner = ["at_value", "total", "spread", *(f"of_{count}" for count in _COUNTS)]
    return table.drop(columns=inner)


def pair_success(
    episodes: pd.DataFrame,
    measure: str = "success",
    *,
    by: Sequence[str] | None = None,
    factors: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return success at each pair of values of each two factors: the cells of heat maps.

    Args:
        episodes: What `evaluate_generalization` gave, or the episodes of a study.
        measure: As of `factor_success`.
        by: As of `factor_success`.
        factors: Names of the factors to pair; all unless given.
        confidence: Coverage of the intervals, those of `factor_success`, in (0, 1).

    Returns:
        One row a group, part, two factors and a value of each, where there are episodes: the
        columns of `by`, ``part``, ``factor_a``, ``value_a``, ``factor_b``, ``value_b``,
        ``episodes``, ``success``, ``success_low``, ``success_high`` (or ``return`` and so on). Of
        two factors the one whose column comes first is ``factor_a``.

    Raises:
        UnknownNameError: There is no column of this name, or no such factor.
    """
    _check_measure(measure)
    groups = group_columns(episodes, by)
    names = factor_names(episodes)
    for name in factors or ():
        if name not in names:
            raise UnknownNameError("factor", name, names)
    chosen = [name for name in names if factors is None or name in factors]
    known = episodes.dropna(subset=[measure])
    pairs = [
        _counts(known, measure, [*groups, "part"], {"_a": a, "_b": b})
        for a, b in combinations(chosen, 2)
    ]
    named = [f"{word}{end}" for end in ("_a", "_b") for word in ("factor", "value")]
    table = _joined(pairs, [*groups, "part", *named, *_COUNTS])
    return _with_mean(table, measure, confidence).drop(columns=["total", "spread"])


def factor_names(episodes: pd.DataFrame) -> list[str]:
    """Return the names of the factors that a table of episodes has columns of, in their order."""
    return [str(c).removeprefix(FACTOR) for c in episodes if str(c).startswith(FACTOR)]


def group_columns(episodes: pd.DataFrame, by: Sequence[str] | None) -> list[str]:
    """Return the columns to group by: those given, or those of `GROUPS` that there are.

    Raises:
        UnknownNameError: There is no column of this name.
    """
    if by is None:
        return [name for name in GROUPS if name in episodes]
    for name in by:
        if name not in episodes:
            raise UnknownNameError("column of the episodes", name, map(str, episodes.columns))
    return list(by)


def _check_measure(measure: str) -> None:
    if measure not in MEASURES:
        raise UnknownNameError("measure", measure, MEASURES)


def _check_part(episodes: pd.DataFrame, part: str) -> None:
    parts = [str(name) for name in episodes["part"].unique()]
    if part not in parts:
        raise UnknownNameError("part of the episodes", part, parts)


def _counts(
    episodes: pd.DataFrame, measure: str, groups: Sequence[str], factors: dict[str, str]
) -> pd.DataFrame:
    """Return `_COUNTS` by groups and by the values of factors.

    Args:
        episodes: The episodes.
        measure: What is added up.
        groups: Columns that tell groups apart.
        factors: End of the names of the columns ``factor`` and ``value`` to the factor's name.
    """
    columns = [FACTOR + name for name in factors.values()]
    # Factors that a task does not have are NaN; columns of groups may be, as an encoder's seed.
    table = _totals(episodes.dropna(subset=columns), measure, [*groups, *columns], "")
    for (end, name), column in zip(factors.items(), columns, strict=True):
        table = table.rename(columns={column: f"value{end}"})
        table[f"factor{end}"] = name
    return table


def _totals(
    episodes: pd.DataFrame, measure: str, groups: Sequence[str], prefix: str = "of_"
) -> pd.DataFrame:
    """Return `_COUNTS` of each group; of all episodes, in one row, where there are no groups."""
    values = episodes[measure].astype(float)
    keys = [episodes[name] for name in groups]
    # Sorted, as the values of factors are read.
    grouped = values.groupby(keys or np.zeros(len(values)), dropna=False)
    table = grouped.agg(total="sum", episodes="size", spread="std")[list(_COUNTS)]
    return table.add_prefix(prefix).reset_index(drop=not keys)


def _joined(tables: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return tables one below the other, with these columns even where there is no table."""
    if not tables:
        return pd.DataFrame(columns=list(columns))
    return pd.concat(tables, ignore_index=True)[list(columns)]


def _with_mean(table: pd.DataFrame, measure: str, confidence: float) -> pd.DataFrame:
    total, count, spread = (table[name].to_numpy(np.float64) for name in _COUNTS)
    table[measure] = total / count
    if measure == "success":
        ends = wilson(total, count, confidence)
    else:
        ends = student(total / count, count, spread, confidence)
    table[f"{measure}_low"], table[f"{measure}_high"] = ends
    return table
