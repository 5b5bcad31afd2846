"""Episodes of a study whose statistics can be counted by hand; tests of statistics use them."""

from __future__ import annotations

import numpy as np
import pandas as pd


def study(wins, env="Reach", split="composition", episodes=100, encoders=True, agent_seeds=None):
    """Episodes in which run i of an agent succeeds on a part ``wins[agent][part][i]`` times."""
    rows = []
    for agent, parts in wins.items():
        for part, counts in parts.items():
            for run, count in enumerate(counts):
                agent_seed = run if agent_seeds is None else agent_seeds[run]
                rows.append(pd.DataFrame({
                    "env": env, "split": split, "agent": agent,
                    "encoder_seed": run if encoders is True else encoders[run]
                    if encoders else np.nan,
                    "agent_seed": agent_seed, "part": part, "episode": np.arange(episodes),
                    "seed": np.arange(episodes) + 7, "success": np.arange(episodes) < count,
                    "return": np.where(np.arange(episodes) < count, 1.0, -1.0),
                }))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


WINS = {
    "random": {"id": [10], "ood": [20]},
    "true_state": {"id": [80, 100], "ood": [70, 70]},
    "ours": {"id": [70, 80, 90], "ood": [45, 40, 50]},
}


def row(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, table
    return table.iloc[0]
