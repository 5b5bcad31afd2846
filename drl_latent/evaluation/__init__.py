"""How well agents do on the combinations of a split that they have and have not seen."""

from drl_latent.evaluation.agents import Agent, RandomAgent
from drl_latent.evaluation.generalization import evaluate_generalization
from drl_latent.evaluation.leakage import LeakageError, check_leakage
from drl_latent.evaluation.recording import record_episodes
from drl_latent.evaluation.saved import evaluate_saved
from drl_latent.evaluation.summary import summarize

__all__ = [
    "Agent",
    "LeakageError",
    "RandomAgent",
    "check_leakage",
    "evaluate_generalization",
    "evaluate_saved",
    "record_episodes",
    "summarize",
]
