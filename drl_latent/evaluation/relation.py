"""Which scores of an encoder go with the success of the agents on it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from drl_latent.evaluation.outcomes import (
    ENCODER,
    MEASURES,
    METHOD,
    TASK,
    encoder_outcomes,
    present,
    scores_by_metric,
)
from drl_latent.evaluation.rank_correlation import rank_correlation
from drl_latent.registry import UnknownNameError

INFORMATIVENESS = "linear_probe:id"
"""Score that says how much a linear readout knows of the factors, in distribution."""
GAP = "gap:"
"""What the name of an outcome begins with that is the loss against ``"id"``."""


def relate(
    scores: pd.DataFrame,
    episodes: pd.DataFrame,
    *,
    control: str | None = INFORMATIVENESS,
    confidence: float = 0.95,
    resamples: int = 2_000,
    permutations: int = 2_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate each metric with what agents did in and out of distribution, by ranks.

    A point is a seed of an encoder; its outcome is the mean over the agents on it, see
    `encoder_outcomes`. Tasks and methods are kept apart. Intervals and p-values keep seeds of one
    encoder recipe together, see `rank_correlation`. Many relations are tested at once, and p is
    corrected for none of them.

    A metric can go with success only since codes that are disentangled also tell more. The partial
    correlation controls for that: it asks what goes with the metric among encoders that are equally
    informative. After Traeuble et al. 2022, "The Role of Pretrained Representations for the OOD
    Generalization of Reinforcement Learning Agents", section 4, and Locatello et al. 2019,
    "Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations".

    Args:
        scores: The scores of a study.
        episodes: The episodes of a study.
        control: The metric that the partial correlation controls for; None for none.
        confidence: Coverage of the intervals, in (0, 1).
        resamples: Draws of the bootstrap.
        permutations: Permutations that p comes from.
        seed: Of both.

    Returns:
        One row a task and method (as far as there are columns for these), metric, measure and
        outcome. ``measure`` is ``"success"`` or ``"return"``; ``outcome`` is a part, such as
        ``"id"`` or ``"ood2"``, or a gap, ``"gap:ood2"``: what is lost from ``"id"`` to there, more
        being worse. ``rho``, ``low``, ``high``, ``p``, ``n`` points and ``clusters`` are those of
        `RankCorrelation`; so are ``partial``, ``partial_low``, ``partial_high``, ``partial_p`` and
        ``partial_n``. Correlations are NaN, beside their ``n``, where there are fewer than 4
        points or all are alike; so is the partial one of the control itself.

    Raises:
        ValueError: A column is missing.
        UnknownNameError: No encoder has a score by `control`.
    """
    wide = scores_by_metric(scores)
    metrics = list(dict.fromkeys(scores["metric"]))
    if control is not None and control not in metrics:
        raise UnknownNameError("metric to control for", control, metrics)
    outcomes = _with_gaps(encoder_outcomes(episodes))
    methods = present(outcomes, (*TASK, *METHOD))
    shared = [*(c for c in present(wide, TASK) if c in outcomes), *ENCODER]
    joined = outcomes.merge(wide, "left", shared, validate="m:1")
    settings: dict[str, Any] = {
        "confidence": confidence,
        "resamples": resamples,
        "permutations": permutations,
        "seed": seed,
    }
    rows = []
    groups = joined.groupby([*methods, "outcome"], sort=False, dropna=False)
    for key, points in groups:
        about = dict(zip([*methods, "outcome"], key, strict=True))
        held = None if control is None else points[control]
        for metric in metrics:
            for measure in MEASURES:
                x, y, recipes = points[metric], points[measure], points["encoder"].astype(str)
                found = asdict(rank_correlation(x, y, recipes, **settings))
                partial = dict.fromkeys(found, np.nan) | {"n": 0}
                if held is not None:
                    partial = asdict(rank_correlation(x, y, recipes, control=held, **settings))
                partial.pop("clusters")
                rows.append(
                    {**about, "metric": metric, "measure": measure, **found}
                    | {"partial": partial.pop("rho")}
                    | {f"partial_{name}": value for name, value in partial.items()}
                )
    return pd.DataFrame(rows, columns=[*methods, *_COLUMNS])


_COLUMNS = (
    "outcome", "metric", "measure", "rho", "low", "high", "p", "n", "clusters", "partial",
    "partial_low", "partial_high", "partial_p", "partial_n",
)  # fmt: skip


def _with_gaps(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return outcomes with the part called ``outcome``, and rows of what each part lost."""
    keys = [*present(outcomes, (*TASK, *METHOD)), *ENCODER]
    base = outcomes.loc[outcomes["part"] == "id", [*keys, *MEASURES]]
    others = outcomes[outcomes["part"] != "id"]
    gaps = others.merge(base, "left", keys, suffixes=("", "_id"))
    for measure in MEASURES:
        gaps[measure] = gaps[f"{measure}_id"] - gaps[measure]
    gaps["part"] = GAP + gaps["part"].astype(str)
    both = pd.concat([outcomes, gaps[outcomes.columns]], ignore_index=True)
    return both.rename(columns={"part": "outcome"})
