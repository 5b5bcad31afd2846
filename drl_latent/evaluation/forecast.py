"""Probes out of distribution, known before an agent is trained, as a forecast of transfer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from drl_latent.evaluation.outcomes import (
    ENCODER,
    METHOD,
    TASK,
    encoder_outcomes,
    present,
    scores_by_metric,
)
from drl_latent.evaluation.rank_correlation import rank_correlation

PREDICTORS = ("forecast", "forecast_change")
OUTCOMES = ("outcome", "change")


def forecast_transfer(
    scores: pd.DataFrame,
    episodes: pd.DataFrame,
    measure: str = "success",
    *,
    probe: str = "linear_probe",
) -> pd.DataFrame:
    """Set what a probe said of each part before training beside what agents did there.

    A probe that is fitted to the codes of the policy's part tells how well the same readout serves
    elsewhere; so it costs no training of agents. Its score by part is what
    `drl_latent.scoring.score_encoder` gives with a split.

    Args:
        scores: The scores of a study; of them, those called ``"<probe>:<part>"``.
        episodes: The episodes of a study.
        measure: What agents did: ``"success"``, or ``"return"``.
        probe: The probe.

    Returns:
        One row a task, method, encoder, seed of it and part out of distribution that the probe was
        scored on: the columns of task and method that there are, ``encoder``, ``encoder_seed``,
        ``part``; ``forecast``, the probe's score there, and ``forecast_change``, that less its
        score in distribution; ``outcome``, success of the agents there, ``outcome_id``, and
        ``change``, the first less the second, below 0 where success is lost. NaN where something is
        unknown.

    Raises:
        ValueError: The probe was scored on no part of the episodes but ``"id"``; or a column is
            missing.
    """
    outcomes = encoder_outcomes(episodes)
    wide = scores_by_metric(scores)
    keys = [*present(outcomes, (*TASK, *METHOD)), *ENCODER]
    shared = [*(c for c in present(wide, TASK) if c in keys), *ENCODER]
    parts = [str(part) for part in outcomes["part"].unique()]
    probes = {part: _metric(probe, part, wide) for part in parts if part != "id"}
    scored = {part: name for part, name in probes.items() if name in wide}
    if not scored:
        raise ValueError(
            f"The scores are of {sorted(set(scores['metric']))}: none is of {probe!r} on one of "
            f"the parts {list(probes)} that agents were evaluated on out of distribution. Score "
            f"the encoders with the split of the agents, which gives '{probe}:ood2' and the like."
        )
    outcomes = outcomes.rename(columns={measure: "outcome"})
    base = outcomes.loc[outcomes["part"] == "id", [*keys, "outcome"]]
    table = outcomes.merge(base.rename(columns={"outcome": "outcome_id"}), "left", keys)
    inside = wide.get(f"{probe}:id", np.nan)
    tables = []
    for part, name in scored.items():
        known = wide[shared].assign(forecast=wide[name], forecast_change=wide[name] - inside)
        tables.append(table[table["part"] == part].merge(known, "left", shared, validate="m:1"))
    joined = pd.concat(tables, ignore_index=True)
    joined["change"] = joined["outcome"] - joined["outcome_id"]
    columns = ["part", "forecast", "forecast_change", "outcome", "outcome_id", "change"]
    return joined[[*keys, *columns]]


def forecast_skill(
    forecasts: pd.DataFrame,
    *,
    confidence: float = 0.95,
    resamples: int = 2_000,
    permutations: int = 2_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate forecasts with what then happened, by ranks.

    Args:
        forecasts: What `forecast_transfer` gave.
        confidence: Coverage of the intervals, in (0, 1).
        resamples: Draws of the bootstrap.
        permutations: Permutations that p comes from.
        seed: Of both.

    Returns:
        One row a task, method, part, predictor (``"forecast"``, ``"forecast_change"``) and outcome
        (``"outcome"``, ``"change"``), with the fields of `RankCorrelation`: ``rho``, ``low``,
        ``high``, ``p``, ``n``, ``clusters``.
    """
    keys = [*present(forecasts, (*TASK, *METHOD)), "part"]
    rows: list[dict[str, Any]] = []
    for key, points in forecasts.groupby(keys, sort=False, dropna=False):
        about = dict(zip(keys, key, strict=True))
        for predictor in PREDICTORS:
            for outcome in OUTCOMES:
                found = rank_correlation(
                    points[predictor].astype(float),
                    points[outcome].astype(float),
                    points["encoder"].astype(str),
                    confidence=confidence,
                    resamples=resamples,
                    permutations=permutations,
                    seed=seed,
                )
                names = {"predictor": predictor, "outcome": outcome}
                rows.append({**about, **names, **asdict(found)})
    return pd.DataFrame(rows)


def _metric(probe: str, part: str, scores: pd.DataFrame) -> str:
    """Return the name of a probe's score on a part; `score_encoder` calls "ood" "test"."""
    own, of_test = f"{probe}:{part}", f"{probe}:test"
    return of_test if part == "ood" and own not in scores else own
