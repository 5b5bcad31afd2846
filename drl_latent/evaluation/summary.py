"""From episodes to figures with intervals."""

from __future__ import annotations

import pandas as pd

from drl_latent.evaluation.episode_intervals import student, wilson


def summarize(episodes: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return success and return of each agent on each part, with intervals.

    The interval of the success rate is Wilson's, that of the mean return Student's, both over
    episodes of one trained agent: they do not speak for other seeds of the training. Success is
    NaN where the environment does not say.

    Args:
        episodes: What `evaluate_generalization` gave.
        confidence: Coverage of the intervals, in (0, 1).

    Returns:
        One row an agent and part: ``agent``, ``part``, ``episodes``, ``success``,
        ``success_low``, ``success_high``, ``return``, ``return_low``, ``return_high``.
    """
    rows = []
    for (agent, part), group in episodes.groupby(["agent", "part"], sort=False):
        n, success, mean = len(group), group["success"].astype(float).mean(), group["return"].mean()
        low, high = wilson(success * n, n, confidence)
        lowest, highest = student(mean, n, group["return"].std(), confidence)
        rows.append(
            {
                "agent": agent,
                "part": part,
                "episodes": n,
                "success": success,
                "success_low": float(low),
                "success_high": float(high),
                "return": mean,
                "return_low": float(lowest),
                "return_high": float(highest),
            }
        )
    return pd.DataFrame(rows)
