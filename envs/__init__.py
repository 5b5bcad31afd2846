"""MuJoCo tasks whose factors of variation can be set; importing registers ``DrlLatent/*-v0``."""

from drl_latent.envs.base import ENVIRONMENTS, FactorEnv, make_env, register_env
from drl_latent.envs.factors import Factor, FactorSpace
from drl_latent.envs.reach import ReachEnv
from drl_latent.envs.rendering import OffscreenRenderer
from drl_latent.envs.splits import SPLITS, Split, make_split, make_transfer_split

__all__ = [
    "ENVIRONMENTS",
    "SPLITS",
    "Factor",
    "FactorEnv",
    "FactorSpace",
    "OffscreenRenderer",
    "ReachEnv",
    "Split",
    "make_env",
    "make_split",
    "make_transfer_split",
    "register_env",
]
