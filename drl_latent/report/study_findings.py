"""All statistics that a study's report shows, worked out once by `drl_latent.evaluation`."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from drl_latent.evaluation.attribution import factor_success, pair_success
from drl_latent.evaluation.comparisons import compare_agents
from drl_latent.evaluation.forecast import forecast_skill, forecast_transfer
from drl_latent.evaluation.outcomes import measure_of
from drl_latent.evaluation.profiles import performance_profiles
from drl_latent.evaluation.relation import INFORMATIVENESS, relate
from drl_latent.evaluation.study_summary import summarize_study
from drl_latent.report.study_words import RANDOM, main_parts
from drl_latent.study.results import StudyResults

REFERENCE = "true_state"
"""Label, or mode, of the agent that acts on the true state: 1 in normalised scores."""
_PROBE = "linear_probe"


@dataclass(frozen=True, eq=False)
class Findings:
    """Results of a study, and what was found in them.

    Args:
        results: The results.
        measure: What tells how well an agent did, `measure_of` the episodes.
        reference: Label of the agent that is 1 in normalised scores; None where there is none.
        baseline: Label of the agent that others are compared with: one that sees pixels and has
            no encoder; None where there is none.
        summary: What `summarize_study` gave.
        profiles: What `performance_profiles` gave.
        comparisons: What `compare_agents` gave on all pairs; no rows with fewer than two agents.
        by_factor: What `factor_success` gave.
        by_pair: What `pair_success` gave.
        relations: What `relate` gave; no rows where no encoder was scored.
        forecasts: What `forecast_transfer` gave; no rows where no probe was scored out of
            distribution.
        skill: What `forecast_skill` gave of these.
    """

    results: StudyResults
    measure: str
    reference: str | None
    baseline: str | None
    summary: pd.DataFrame
    profiles: pd.DataFrame
    comparisons: pd.DataFrame
    by_factor: pd.DataFrame
    by_pair: pd.DataFrame
    relations: pd.DataFrame
    forecasts: pd.DataFrame
    skill: pd.DataFrame

    @property
    def trained(self) -> pd.DataFrame:
        """The episodes of agents that were trained."""
        episodes = self.results.episodes
        return episodes[episodes["agent"] != RANDOM]

    @property
    def parts(self) -> list[str]:
        """The parts of the splits themselves, ID first."""
        return main_parts(self.results.episodes["part"])

    @property
    def furthest(self) -> str:
        """The part that is furthest from training."""
        return self.parts[-1]


def find(results: StudyResults) -> Findings:
    """Work out all that the report shows of the results of a study.

    Raises:
        ValueError: As `summarize_study`, such as where no part is "id".
    """
    episodes, scores = results.episodes, results.scores
    measure, reference = measure_of(episodes), _reference(episodes)
    summary = summarize_study(episodes, reference=reference)
    trained = [a for a in episodes["agent"].unique() if a != RANDOM]
    empty = pd.DataFrame()
    related = forecasts = skill = empty
    if len(scores):
        control = INFORMATIVENESS if (scores["metric"] == INFORMATIVENESS).any() else None
        related = relate(scores, episodes, control=control)
        if _probed(scores, episodes):
            forecasts = forecast_transfer(scores, episodes, measure, probe=_PROBE)
            skill = forecast_skill(forecasts)
    return Findings(
        results,
        measure,
        reference,
        _baseline(episodes, reference),
        summary,
        performance_profiles(episodes, measure, reference=reference),
        compare_agents(episodes, measure) if len(trained) > 1 else empty,
        factor_success(episodes, measure),
        pair_success(episodes, measure),
        related,
        forecasts,
        skill,
    )


def _reference(episodes: pd.DataFrame) -> str | None:
    """Return the label of the agent on true state, if there is what scores are normalised with."""
    is_reference = (episodes["agent"] == REFERENCE) | (episodes["mode"] == REFERENCE)
    labels = episodes.loc[is_reference, "agent"].unique()
    return str(labels[0]) if len(labels) and RANDOM in set(episodes["agent"]) else None


def _baseline(episodes: pd.DataFrame, reference: str | None) -> str | None:
    bare = episodes["encoder"].isna() | (episodes["encoder"] == "")
    labels = [a for a in episodes.loc[bare, "agent"].unique() if a not in (RANDOM, reference)]
    return str(labels[0]) if labels else None


def _probed(scores: pd.DataFrame, episodes: pd.DataFrame) -> bool:
    """Whether a probe was scored on a part out of distribution that agents were evaluated on."""
    parts = [part for part in episodes["part"].unique() if part != "id"]
    names = {f"{_PROBE}:{'test' if part == 'ood' else part}" for part in parts}
    return bool(names & set(scores["metric"]))
