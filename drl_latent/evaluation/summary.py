"""From episodes to figures with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats


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
        n, success = len(group), group["success"].astype(float).mean()
        low = high = np.nan
        if np.isfinite(success):
            wins = round(success * n)
            rate = stats.binomtest(wins, n).proportion_ci(confidence, method="wilson")
            low, high = float(rate.low), float(rate.high)
        mean, error = group["return"].mean(), group["return"].sem() if n > 1 else np.nan
        width = stats.t.ppf((1 + confidence) / 2, n - 1) * error if n > 1 else np.nan
        rows.append(
            {
                "agent": agent,
                "part": part,
                "episodes": n,
                "success": success,
                "success_low": low,
                "success_high": high,
                "return": mean,
                "return_low": mean - width,
                "return_high": mean + width,
            }
        )
    return pd.DataFrame(rows)
