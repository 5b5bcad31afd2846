"""What became of each encoder: success and return of the agents that were trained on it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

TASK = ("env", "split")
METHOD = ("algorithm", "mode")
ENCODER = ("encoder", "encoder_seed")
MEASURES = ("success", "return")
_TRAINING = ("agent", "agent_seed")


def measure_of(episodes: pd.DataFrame) -> str:
    """Return what tells how well an agent did: success, or return where no episode says.

    Where some tasks say what success is and others do not, it is return: that all of them have.
    """
    return "return" if episodes["success"].isna().any() else "success"


def present(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return those of the columns that a table has."""
    return [name for name in columns if name in table]


def require(table: pd.DataFrame, what: str, columns: Sequence[str]) -> None:
    """Raise ValueError unless a table has these columns."""
    if missing := [name for name in columns if name not in table]:
        raise ValueError(
            f"The table of {what} lacks the columns {missing}; give that of a study, as "
            "drl_latent.study.results describes it."
        )


def encoder_outcomes(episodes: pd.DataFrame) -> pd.DataFrame:
    """Return success and return of each encoder on each part, as means over its agents.

    Each training counts alike, however many episodes it was evaluated on. Agents of other
    algorithms, or that treat the encoder in another way, are kept apart: not every encoder may
    have all of them. Agents without an encoder are left out.

    Args:
        episodes: The episodes of a study; columns of the task and the method may be absent.

    Returns:
        One row a task, method, encoder, seed of it and part: ``env``, ``split``, ``algorithm`` and
        ``mode``, as far as `episodes` has them, ``encoder``, ``encoder_seed``, ``part``,
        ``success``, ``return``, ``agents``.

    Raises:
        ValueError: A column is missing.
    """
    require(episodes, "episodes", (*ENCODER, "part", *MEASURES))
    keys = [*present(episodes, (*TASK, *METHOD)), *ENCODER, "part"]
    own = _with_numbers(episodes[episodes["encoder"].notna() & (episodes["encoder"] != "")])
    trainings = [*keys, *present(episodes, _TRAINING)]
    by_training = own.groupby(trainings, sort=False, dropna=False)[list(MEASURES)]
    by_encoder = by_training.mean().reset_index().groupby(keys, sort=False, dropna=False)
    means = by_encoder[list(MEASURES)].mean()
    return means.assign(agents=by_encoder.size()).reset_index()


def scores_by_metric(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores of a study with one column a metric, one row a task, encoder and its seed.

    Raises:
        ValueError: A column is missing, or an encoder has two scores by one metric.
    """
    require(scores, "scores", (*ENCODER, "metric", "value"))
    keys = [*present(scores, TASK), *ENCODER]
    twice = scores.duplicated([*keys, "metric"])
    if twice.any():
        row = scores.loc[twice, [*keys, "metric"]].iloc[0].to_dict()
        raise ValueError(f"There are two scores of {row}; give one a metric.")
    wide = _with_numbers(scores).pivot(index=keys, columns="metric", values="value")
    # In the order of the table.
    return wide[list(dict.fromkeys(scores["metric"]))].reset_index()


def _with_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose seeds are numbers; beside methods without any they may be objects."""
    return table.assign(encoder_seed=pd.to_numeric(table["encoder_seed"]))
