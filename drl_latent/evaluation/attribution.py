"""Which factor, at which value, loses how much."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from drl_latent.registry import UnknownNameError

FACTOR = "factor/"
"""What the columns of factors begin with in a table of episodes."""
GROUPS = ("env", "split", "agent")
"""Columns of a table of episodes that name a task and a method, those of them that it has."""


def factor_success(
    episodes: pd.DataFrame,
    *,
    by: Sequence[str] | None = None,
    baseline: str = "id",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return success at each value of each factor, and what it lost against in distribution.

    A value can go badly since it is hard or since it is new to the agent: `loss` compares with
    success over all of `baseline`, which a value that training never had can be compared with too;
    `loss_at_value` with the episodes of `baseline` at the same value. Other factors vary as they do
    in the part, so a loss is an association: for one factor alone take an axis split.

    Intervals are Wilson's, and Newcombe's of a difference ("Interval estimation for the difference
    between independent proportions", 1998, method 10). They take episodes as independent: where
    rows of several trainings are pooled, they do not speak for other seeds of it.

    Args:
        episodes: What `evaluate_generalization` gave, or the episodes of a study.
        by: Columns whose combinations are told apart; task and agent, as far as there are columns
            for them, unless given. Add ``"agent_seed"`` for one row a training.
        baseline: The part that the others are compared with.
        confidence: Coverage of the intervals, in (0, 1).

    Returns:
        One row a group, part, factor and value: the columns of `by`, ``part``, ``factor``,
        ``value``, ``episodes``, ``success``, ``success_low``, ``success_high``, ``loss``,
        ``loss_low``, ``loss_high``, ``loss_at_value``. Losses are NaN where `baseline` has no
        episode to compare with; `baseline` itself has no interval of its loss. A factor that is
        NaN in an episode, since the task has no such one, counts in no row.

    Raises:
        UnknownNameError: There is no column of this name, or no such part.
    """
    groups = group_columns(episodes, by)
    _check_part(episodes, baseline)
    alone = [_counts(episodes, [*groups, "part"], {"": name}) for name in factor_names(episodes)]
    table = _joined(alone, [*groups, "part", "factor", "value", "wins", "episodes"])
    table = _with_rate(table, confidence)
    is_baseline = table["part"] == baseline
    same = table.loc[is_baseline, [*groups, "factor", "value", "success"]]
    table = table.merge(
        same.rename(columns={"success": "at_value"}), "left", [*groups, "factor", "value"]
    )
    whole = _totals(episodes[episodes["part"] == baseline], groups)
    # Without groups all rows belong to one.
    table = table.merge(whole, "left", groups) if groups else table.merge(whole, "cross")
    table["loss"] = table["of_wins"] / table["of_episodes"] - table["success"]
    low, high = newcombe(
        table["of_wins"], table["of_episodes"], table["wins"], table["episodes"], confidence
    )
    # The episodes of a value are some of those they would be compared with.
    compared = (table["part"] != baseline).to_numpy()
    table["loss_low"], table["loss_high"] = np.where(compared, [low, high], np.nan)
    table["loss_at_value"] = table["at_value"] - table["success"]
    return table.drop(columns=["wins", "at_value", "of_wins", "of_episodes"])


def pair_success(
    episodes: pd.DataFrame,
    *,
    by: Sequence[str] | None = None,
    factors: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return success at each pair of values of each two factors: the cells of heat maps.

    Args:
        episodes: What `evaluate_generalization` gave, or the episodes of a study.
        by: As of `factor_success`.
        factors: Names of the factors to pair; all unless given.
        confidence: Coverage of the intervals, Wilson's, in (0, 1).

    Returns:
        One row a group, part, two factors and a value of each, where there are episodes: the
        columns of `by`, ``part``, ``factor_a``, ``value_a``, ``factor_b``, ``value_b``,
        ``episodes``, ``success``, ``success_low``, ``success_high``. Of two factors the one whose
        column comes first is ``factor_a``.

    Raises:
        UnknownNameError: There is no column of this name, or no such factor.
    """
    groups = group_columns(episodes, by)
    names = factor_names(episodes)
    for name in factors or ():
        if name not in names:
            raise UnknownNameError("factor", name, names)
    chosen = [name for name in names if factors is None or name in factors]
    pairs = [
        _counts(episodes, [*groups, "part"], {"_a": a, "_b": b}) for a, b in combinations(chosen, 2)
    ]
    named = [f"{word}{end}" for end in ("_a", "_b") for word in ("factor", "value")]
    table = _joined(pairs, [*groups, "part", *named, "wins", "episodes"])
    return _with_rate(table, confidence).drop(columns="wins")


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


def wilson(
    wins: ArrayLike, episodes: ArrayLike, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of Wilson's interval of each proportion ``wins / episodes``.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", without a
    continuity correction.
    """
    k, n = np.asarray(wins, dtype=np.float64), np.asarray(episodes, dtype=np.float64)
    z = float(norm.ppf((1 + confidence) / 2))
    centre = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    # Rounding must not leave a rate of 0 or 1 outside of its interval.
    low, high = np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)
    return low, high


def newcombe(
    wins: ArrayLike,
    episodes: ArrayLike,
    other_wins: ArrayLike,
    other_episodes: ArrayLike,
    confidence: float = 0.95,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the interval of a difference of two independent proportions.

    Newcombe 1998, method 10: the distances of the two rates from the ends of their own Wilson
    intervals, combined as independent errors are.
    """
    first = np.asarray(wins, dtype=np.float64) / np.asarray(episodes, dtype=np.float64)
    second = np.asarray(other_wins, dtype=np.float64) / np.asarray(other_episodes, np.float64)
    low, high = wilson(wins, episodes, confidence)
    other_low, other_high = wilson(other_wins, other_episodes, confidence)
    difference = first - second
    return (
        difference - np.hypot(first - low, other_high - second),
        difference + np.hypot(high - first, second - other_low),
    )


def _check_part(episodes: pd.DataFrame, part: str) -> None:
    parts = [str(name) for name in episodes["part"].unique()]
    if part not in parts:
        raise UnknownNameError("part of the episodes", part, parts)


def _counts(episodes: pd.DataFrame, groups: Sequence[str], factors: dict[str, str]) -> pd.DataFrame:
    """Count episodes and successes by groups and by the values of factors.

    Args:
        episodes: The episodes.
        groups: Columns that tell groups apart.
        factors: End of the names of the columns ``factor`` and ``value`` to the factor's name.
    """
    columns = [FACTOR + name for name in factors.values()]
    # Factors that a task does not have are NaN; columns of groups may be, as an encoder's seed.
    known = episodes.dropna(subset=columns)
    grouped = known.groupby([*groups, *columns], dropna=False)["success"]
    table = grouped.agg(wins="sum", episodes="size").reset_index()
    for (end, name), column in zip(factors.items(), columns, strict=True):
        table = table.rename(columns={column: f"value{end}"})
        table[f"factor{end}"] = name
    return table


def _joined(tables: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return tables one below the other, with these columns even where there is no table."""
    if not tables:
        return pd.DataFrame(columns=list(columns))
    return pd.concat(tables, ignore_index=True)[list(columns)]


def _with_rate(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    wins, count = (table[name].to_numpy(np.float64) for name in ("wins", "episodes"))
    table["success"] = wins / count
    table["success_low"], table["success_high"] = wilson(wins, count, confidence)
    return table


def _totals(episodes: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Return ``of_wins`` and ``of_episodes`` of each group."""
    if not groups:
        counts = {"of_wins": [episodes["success"].sum()], "of_episodes": [len(episodes)]}
        return pd.DataFrame(counts)
    grouped = episodes.groupby(list(groups), sort=False, dropna=False)["success"]
    return grouped.agg(of_wins="sum", of_episodes="size").reset_index()
