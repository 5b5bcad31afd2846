"""Pairs of agents: paired differences and tests by common seeds, and probability of improvement."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drl_latent.evaluation.aggregates import probability_of_improvement
from drl_latent.evaluation.paired_tests import (
    holm,
    improvement_interval,
    paired_difference,
    paired_permutation_test,
)
from drl_latent.evaluation.run_scores import (
    ALL,
    Cell,
    Cells,
    Scale,
    Scales,
    part_scales,
    run_cells,
)
from drl_latent.evaluation.seed_bootstrap import ONE_SEED

FloatArray = NDArray[np.float64]
Task = tuple[str, str]

_IDENTITY = Scale(0.0, 1.0)


def compare_agents(
    episodes: pd.DataFrame,
    measure: str = "success",
    *,
    baseline: str | None = None,
    agents: Sequence[str] | None = None,
    normalized: bool = False,
    random: str = "random",
    reference: str = "true_state",
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare agents in pairs, by seeds that both have.

    All runs of an outer seed (the encoder's, or the agent's where there is no encoder) are one
    score, their mean. Agents meet the same episodes, and seeds of the same number belong together,
    so differences are taken seed by seed.

    The test is a permutation test of the mean difference: what would it be if the signs of the
    seeds' differences were drawn by coin? It is exact for up to 13 pairs. **With n seeds no
    two-sided p is below ``2 / 2^n``: 0.25 with three, 0.0625 with five, 0.03 with six.** Several
    tasks add up their seeds. Holm's correction is over the pairs of agents in the same task and
    part.

    The interval of the difference is Student's over the paired differences. That of the
    probability of improvement, which takes all runs and no pairs, is Newcombe's, with outer seeds
    as sample sizes: like Wilson's it has a width where one agent is always better.

    Args:
        episodes: The `episodes` of the results of a study.
        measure: ``"success"`` or ``"return"``.
        baseline: The agent that all others are compared with; all pairs unless given.
        agents: The agents to compare; all but random actions unless given.
        normalized: Whether scores are normalised; returns of all tasks together have to be.
        random: Label of random actions.
        reference: Label of the agent whose mean is 1 in normalised scores.
        confidence: Coverage that is aimed at.
        seed: Of the permutations, where there are too many for all.

    Returns:
        One row a task, part and pair: ``env``, ``split``, ``part``, ``measure``, ``scale``,
        ``agent``, ``other``, ``difference`` (agent less other), ``low``, ``high``, ``p``,
        ``p_holm``, ``improvement`` (probability that the agent is better), ``improvement_low``,
        ``improvement_high``, ``n_tasks``, ``n_pairs`` (of seeds), ``note``. Tasks together, "all",
        are those that have both agents on the part; there are none of raw returns.

    Raises:
        ValueError: As `drl_latent.evaluation.score_runs`, or an agent is unknown, or there are
            fewer than two.

    Reference:
        Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure"; Agarwal et al.
        (2021), section 4.3; Newcombe (2006), "Confidence Intervals for an Effect Size Measure
        Based on the Mann-Whitney Statistic. Part 2", method 5.
    """
    cells = run_cells(episodes, measure)
    pairs = _pairs(cells, baseline, agents, random)
    scales = part_scales(cells, random, reference) if normalized else {}
    tasks = list(dict.fromkeys(task for task, _, _ in cells))
    scopes = [(task, [task]) for task in tasks]
    if len(tasks) > 1 and (normalized or measure != "return"):
        scopes.append(((ALL, ALL), tasks))
    rows: list[dict[str, Any]] = []
    for name, scope in scopes:
        for part in dict.fromkeys(part for task, _, part in cells if task in scope):
            family = []
            with_part = {task for task, _, p in cells if p == part and task in scope}
            for one, two in pairs:
                both = [t for t in scope if {(t, one, part), (t, two, part)} <= set(cells)]
                about = {
                    "env": name[0], "split": name[1], "part": part, "measure": measure,
                    "scale": "normalized" if normalized else "raw", "agent": one, "other": two,
                }  # fmt: skip
                found = _compare(cells, scales, both, (one, two), part, confidence, seed)
                if both and len(both) < len(with_part):
                    lacking = f"{len(both)} of {len(with_part)} tasks have both agents on this part"
                    found["note"] = "; ".join(x for x in (found["note"], lacking) if x)
                family.append(about | found)
            for row, p in zip(family, holm([r["p"] for r in family]), strict=True):
                row["p_holm"] = float(p)
            rows += family
    columns = ["env", "split", "part", "measure", "scale", "agent", "other", "difference", "low",
               "high", "p", "p_holm", "improvement", "improvement_low", "improvement_high",
               "n_tasks", "n_pairs", "note"]  # fmt: skip
    return pd.DataFrame(rows)[columns]


def _pairs(
    cells: Cells, baseline: str | None, agents: Sequence[str] | None, random: str
) -> list[tuple[str, str]]:
    known = list(dict.fromkeys(agent for _, agent, _ in cells))
    chosen = list(agents) if agents is not None else [a for a in known if a != random]
    named = [*chosen, *([] if baseline is None else [baseline])]
    if unknown := [a for a in named if a not in known]:
        raise ValueError(f"There are no agents {unknown} in the table, only {known}.")
    others = [a for a in chosen if a != baseline]
    pairs = (
        list(itertools.combinations(chosen, 2))
        if baseline is None
        else [(a, baseline) for a in others]
    )
    if not pairs:
        raise ValueError(f"Expected two agents or more to compare, got {named}.")
    return pairs


def _compare(
    cells: Cells,
    scales: Scales,
    tasks: Sequence[Task],
    agents: tuple[str, str],
    part: str,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """One pair on one part, over tasks."""
    nothing = dict.fromkeys(
        ("difference", "low", "high", "p", "improvement", "improvement_low", "improvement_high"),
        np.nan,
    )
    differences, chances, sizes, notes = [], [], [], []
    for task in sorted(tasks):
        scale = scales[task, part] if scales else _IDENTITY
        if scale.note:
            about = {"n_tasks": len(tasks), "n_pairs": 0, "note": scale.note}
            return {**nothing, **about}
        one, two = (cells[task, agent, part] for agent in agents)
        means = [_seed_means(cell, scale) for cell in (one, two)]
        common = sorted(set(means[0]) & set(means[1]))
        if alone := sorted(set(means[0]) ^ set(means[1])):
            notes.append(f"seeds {alone} of {', '.join(task)} have no pair")
        differences.append(np.array([means[0][s] - means[1][s] for s in common]))
        chances.append(probability_of_improvement(scale(one.scores), scale(two.scores)))
        sizes.append((len(means[0]), len(means[1])))
    about = {"n_tasks": len(tasks), "n_pairs": sum(d.size for d in differences)}
    if not tasks:
        return {**nothing, **about, "note": "no task has both"}
    found = dict(nothing)
    found["improvement"] = chance = float(np.mean(chances))
    if all(min(pair) > 1 for pair in sizes):
        ends = improvement_interval(chance, sizes, confidence)
        found["improvement_low"], found["improvement_high"] = ends
    else:
        notes.append(ONE_SEED)
    if all(d.size for d in differences):
        found["p"] = paired_permutation_test(differences, seed=seed)
        found["difference"], reach, why = paired_difference(differences, confidence)
        found["low"] = found["difference"] - reach
        found["high"] = found["difference"] + reach
        notes.append(why)
    else:
        notes.append("no common seeds: not paired")
    return {**found, **about, "note": "; ".join(dict.fromkeys(n for n in notes if n))}


def _seed_means(cell: Cell, scale: Scale) -> dict[int, float]:
    scores = scale(cell.scores)
    return {int(s): float(scores[cell.seeds == s].mean()) for s in np.unique(cell.seeds)}
