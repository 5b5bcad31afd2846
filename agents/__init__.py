"""Encoders inside Stable-Baselines3 agents."""

from drl_latent.agents.agent import LatentAgent
from drl_latent.agents.algorithms import ALGORITHMS
from drl_latent.agents.extractor import LatentExtractor
from drl_latent.agents.image_buffer import FrameReplayBuffer
from drl_latent.agents.latent_vec_env import VecLatent
from drl_latent.agents.training import train_agent

__all__ = [
    "ALGORITHMS",
    "FrameReplayBuffer",
    "LatentAgent",
    "LatentExtractor",
    "VecLatent",
    "train_agent",
]
