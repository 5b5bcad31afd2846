"""Disentangled representations of robot camera images for Stable-Baselines3 agents."""

__version__ = "0.1.0"
