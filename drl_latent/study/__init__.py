"""A grid of tasks, splits, encoders, agents and seeds, resumable, on one machine or many."""

from drl_latent.study.config import Budgets, EncoderRecipe, SplitRecipe, Study, Task
from drl_latent.study.executors import EXECUTORS
from drl_latent.study.local_executor import LocalExecutor
from drl_latent.study.ray_executor import RayExecutor
from drl_latent.study.results import StudyResults
from drl_latent.study.run import Progress, StudyError, open_study, run_study

__all__ = [
    "EXECUTORS",
    "Budgets",
    "EncoderRecipe",
    "LocalExecutor",
    "Progress",
    "RayExecutor",
    "SplitRecipe",
    "Study",
    "StudyError",
    "StudyResults",
    "Task",
    "open_study",
    "run_study",
]
