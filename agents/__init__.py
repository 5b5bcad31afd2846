"""Encoders inside Stable-Baselines3 agents."""

from drl_latent.agents.agent import LatentAgent
from drl_latent.agents.algorithms import ALGORITHMS
from drl_latent.agents.augmentation import RandomShift, ShiftedCNN, shift_targets
from drl_latent.agents.auxiliary import JointObjective
from drl_latent.agents.baselines import BASELINES, Baseline, train_baseline
from drl_latent.agents.drift import DriftCallback, DriftWarning
from drl_latent.agents.extractor import LatentExtractor
from drl_latent.agents.image_buffer import FrameReplayBuffer
from drl_latent.agents.latent_vec_env import VecLatent
from drl_latent.agents.perception import Perception
from drl_latent.agents.policies import latent_policy, learned_extractor
from drl_latent.agents.process_vec_env import ProcessVecEnv
from drl_latent.agents.training import train_agent
from drl_latent.agents.whitening import measure_whitening

__all__ = [
    "ALGORITHMS",
    "BASELINES",
    "Baseline",
    "DriftCallback",
    "DriftWarning",
    "FrameReplayBuffer",
    "JointObjective",
    "LatentAgent",
    "LatentExtractor",
    "Perception",
    "ProcessVecEnv",
    "RandomShift",
    "ShiftedCNN",
    "VecLatent",
    "latent_policy",
    "learned_extractor",
    "measure_whitening",
    "shift_targets",
    "train_agent",
    "train_baseline",
]
