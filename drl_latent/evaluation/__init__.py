"""How well agents do on the combinations of a split that they have and have not seen."""

from drl_latent.evaluation.agents import Agent, RandomAgent
from drl_latent.evaluation.aggregates import (
    interquartile_mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from drl_latent.evaluation.attribution import factor_success, pair_success
from drl_latent.evaluation.comparisons import compare_agents
from drl_latent.evaluation.forecast import forecast_skill, forecast_transfer
from drl_latent.evaluation.generalization import default_parts, evaluate_generalization
from drl_latent.evaluation.latent_attribution import set_back, with_latent_set
from drl_latent.evaluation.latent_moves import latent_moves
from drl_latent.evaluation.leakage import LeakageError, check_leakage
from drl_latent.evaluation.paired_tests import holm, paired_permutation_test
from drl_latent.evaluation.profiles import performance_profiles
from drl_latent.evaluation.rank_correlation import RankCorrelation, rank_correlation
from drl_latent.evaluation.recording import record_episodes
from drl_latent.evaluation.relation import relate
from drl_latent.evaluation.resamples import Intervals
from drl_latent.evaluation.run_scores import score_runs
from drl_latent.evaluation.saved import evaluate_saved
from drl_latent.evaluation.sb3_agent import SB3Agent
from drl_latent.evaluation.study_summary import summarize_study
from drl_latent.evaluation.summary import summarize
from drl_latent.evaluation.transfer import evaluate_transfer, transfer_saved

__all__ = [
    "Agent",
    "Intervals",
    "LeakageError",
    "RandomAgent",
    "RankCorrelation",
    "SB3Agent",
    "check_leakage",
    "compare_agents",
    "default_parts",
    "evaluate_generalization",
    "evaluate_saved",
    "evaluate_transfer",
    "factor_success",
    "forecast_skill",
    "forecast_transfer",
    "holm",
    "interquartile_mean",
    "latent_moves",
    "optimality_gap",
    "pair_success",
    "paired_permutation_test",
    "performance_profile",
    "performance_profiles",
    "probability_of_improvement",
    "rank_correlation",
    "record_episodes",
    "relate",
    "score_runs",
    "set_back",
    "summarize",
    "summarize_study",
    "transfer_saved",
    "with_latent_set",
]
