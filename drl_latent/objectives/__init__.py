"""Learning objectives: one file each, found by name in `OBJECTIVES`."""

from drl_latent.objectives.ada_vae import AdaGVAE, AdaMLVAE
from drl_latent.objectives.ae import AE
from drl_latent.objectives.annealed_vae import AnnealedVAE
from drl_latent.objectives.base import OBJECTIVES, Objective
from drl_latent.objectives.beta_tcvae import BetaTCVAE
from drl_latent.objectives.beta_vae import BetaVAE
from drl_latent.objectives.dae import DAE
from drl_latent.objectives.darla import DARLA
from drl_latent.objectives.dip_vae import DIPVAEI, DIPVAEII
from drl_latent.objectives.factor_vae import FactorVAE
from drl_latent.objectives.info_gan_cr import InfoGANCR
from drl_latent.objectives.info_vae import InfoVAE
from drl_latent.objectives.pca import PCA
from drl_latent.objectives.qlae import QLAE
from drl_latent.objectives.rae import RAE
from drl_latent.objectives.slow_vae import SlowVAE
from drl_latent.objectives.supervised import Supervised
from drl_latent.objectives.ted import TED
from drl_latent.objectives.tripod import Tripod
from drl_latent.objectives.untrained import Untrained
from drl_latent.objectives.vae import VAE

__all__ = [
    "AE",
    "DAE",
    "DARLA",
    "DIPVAEI",
    "DIPVAEII",
    "OBJECTIVES",
    "PCA",
    "QLAE",
    "RAE",
    "TED",
    "VAE",
    "AdaGVAE",
    "AdaMLVAE",
    "AnnealedVAE",
    "BetaTCVAE",
    "BetaVAE",
    "FactorVAE",
    "InfoGANCR",
    "InfoVAE",
    "Objective",
    "SlowVAE",
    "Supervised",
    "Tripod",
    "Untrained",
]
