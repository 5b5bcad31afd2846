"""Performance profiles: the share of runs that score above each threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from drl_latent.evaluation.aggregates import performance_profile
from drl_latent.evaluation.run_scores import ALL, part_scales, run_cells
from drl_latent.evaluation.seed_bootstrap import ONE_SEED, wilson


def performance_profiles(
    episodes: pd.DataFrame,
    measure: str = "success",
    *,
    thresholds: Sequence[float] | None = None,
    random: str = "random",
    reference: str | None = "true_state",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return the share of runs whose score is above each threshold, of each agent and part.

    A profile that lies above another everywhere is stochastically better. Tasks weigh the same.
    Intervals are pointwise, Wilson's over outer seeds: unlike resamples of few seeds, they have a
    width where all runs or none are above. They do not cover a whole profile at once.

    Args:
        episodes: The `episodes` of the results of a study.
        measure: ``"success"`` or ``"return"``.
        thresholds: Increasing; 51 from 0 (or the least score, if less) to 1 (or the largest, if
            more) unless given.
        random: Label of random actions.
        reference: Label of the agent whose mean is 1; None for profiles of raw scores.
        confidence: Coverage that is aimed at.

    Returns:
        One row a task, agent, part and threshold: ``env``, ``split``, ``agent``, ``part``,
        ``measure``, ``scale``, ``tau``, ``fraction``, ``low``, ``high``, ``n_tasks``,
        ``n_seeds``, ``n_runs``, ``note``. Tasks together are as in `summarize_study`: of the
        tasks that have the agent on the part. Where scores cannot be normalised, one row with NaN
        as ``tau`` says why.

    Raises:
        ValueError: As `drl_latent.evaluation.score_runs`.

    Reference:
        Agarwal et al. (2021), section 4.2; Dolan & More (2002), "Benchmarking Optimization
        Software with Performance Profiles".
    """
    cells = run_cells(episodes, measure)
    scales = None if reference is None else part_scales(cells, random, reference)
    tasks = list(dict.fromkeys(task for task, _, _ in cells))
    scores = {
        key: cell.scores if scales is None else scales[key[0], key[2]](cell.scores)
        for key, cell in cells.items()
    }
    if thresholds is None:
        known = np.concatenate(list(scores.values()))
        known = known[~np.isnan(known)]
        thresholds = list(np.linspace(min(0, *known), max(1, *known), 51)) if known.size else [0.0]
    taus = np.asarray(thresholds, dtype=np.float64)
    scopes = [(task, [task]) for task in tasks]
    if len(tasks) > 1 and not (scales is None and measure == "return"):
        scopes.append(((ALL, ALL), tasks))
    tables = []
    for name, scope in scopes:
        for agent, part in dict.fromkeys((a, p) for task, a, p in cells if task in scope):
            keys = [(t, agent, part) for t in scope if (t, agent, part) in cells]
            n_seeds = sum(len(set(cells[key].seeds)) for key in keys)
            notes = [] if scales is None else [scales[k[0], k[2]].note for k in keys]
            note = "; ".join(dict.fromkeys(n for n in notes if n))
            shares = np.mean([performance_profile(scores[key], taus) for key in keys], axis=0)
            places, ends = taus, [wilson(share, n_seeds, confidence) for share in shares]
            if note:
                places, shares, ends = np.array([np.nan]), np.array([np.nan]), []
            elif n_seeds < 2:
                note, ends = ONE_SEED, []
            if len(keys) < (count := len({t for t, _, p in cells if p == part and t in scope})):
                lacking = f"{len(keys)} of {count} tasks have the agent on this part"
                note = "; ".join(x for x in (note, lacking) if x)
            low, high = np.array(ends).T if ends else np.full((2, len(places)), np.nan)
            tables.append(pd.DataFrame({
                "env": name[0], "split": name[1], "agent": agent, "part": part,
                "measure": measure, "scale": "raw" if scales is None else "normalized",
                "tau": places, "fraction": shares, "low": low, "high": high,
                "n_tasks": len(keys), "n_seeds": n_seeds,
                "n_runs": sum(len(cells[key].runs) for key in keys), "note": note,
            }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)
