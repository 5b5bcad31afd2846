"""MuJoCo tasks whose factors of variation can be set; importing registers them with Gymnasium."""

from drl_latent.envs.arm_reach import ArmReachEnv
from drl_latent.envs.base import ENVIRONMENTS, FactorEnv, make_env, register_env
from drl_latent.envs.factor_scene import FactorScene, Observation
from drl_latent.envs.factor_space import FactorSpace
from drl_latent.envs.factor_table import FactorTable, discover_factors
from drl_latent.envs.factorize import FactorizedEnv, factorize, register_adapted
from drl_latent.envs.factors import Factor
from drl_latent.envs.push import PushEnv
from drl_latent.envs.reach import ReachEnv
from drl_latent.envs.rendering import OffscreenRenderer
from drl_latent.envs.select_object import SelectEnv
from drl_latent.envs.splits import (
    SPLITS,
    Cut,
    Split,
    make_split,
    make_transfer_split,
    register_split,
)

__all__ = [
    "ENVIRONMENTS",
    "SPLITS",
    "ArmReachEnv",
    "Cut",
    "Factor",
    "FactorEnv",
    "FactorScene",
    "FactorSpace",
    "FactorTable",
    "FactorizedEnv",
    "Observation",
    "OffscreenRenderer",
    "PushEnv",
    "ReachEnv",
    "SelectEnv",
    "Split",
    "discover_factors",
    "factorize",
    "make_env",
    "make_split",
    "make_transfer_split",
    "register_env",
    "register_split",
]

register_adapted()
