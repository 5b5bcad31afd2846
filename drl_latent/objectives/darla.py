"""DARLA's vision: a beta-VAE whose reconstructions are judged by a denoising autoencoder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.models.likelihoods import GAUSSIAN_SCALE
from drl_latent.objectives.base import (
    OBJECTIVES,
    Batch,
    Objective,
    Player,
    Terms,
    check_at_least,
    kl_to_standard_normal,
    sample_posterior,
)
from drl_latent.objectives.dae import DAE
from drl_latent.objectives.decoded import enlarged, mean_images
from drl_latent.objectives.vae import infer


def feature_nats(dae: LatentModel, images: Tensor, targets: Tensor) -> Tensor:
    """Return the squared distance of the features of each two images [N, C, H, W], nats, [N].

    As in a Gaussian likelihood, of scale 0.1 relative to the features' spread over the targets.
    """
    size = dae.config.image_shape[0]
    with torch.no_grad():
        aims = dae.encode(enlarged(targets, size))
        variance = aims.var(0, correction=0).mean() + torch.finfo(aims.dtype).tiny
    squares = (dae.encode(enlarged(images, size)) - aims).square().sum(1)
    return squares / (2 * GAUSSIAN_SCALE**2 * variance)


@OBJECTIVES.register("darla")
@dataclass(frozen=True)
class DARLA(Objective):
    """beta-VAE with a perceptual reconstruction term: the features of a frozen DAE.

    ``loss = E_q[|J(x_z) - J(x)|^2] / (2 s^2) + beta KL(q(z|x) || N(0, I))``, where x_z is the mean
    image decoded from z and J a denoising autoencoder's code. Higgins et al. 2017, "DARLA:
    Improving Zero-Shot Transfer in Reinforcement Learning", section on the perceptual similarity
    loss. The paper has no s; here it is 0.1 of the features' standard deviation in the batch,
    because the DAE is free to choose their scale and beta should mean what it does in beta-VAE.
    Where decoded images are smaller than frames, both are compared at that size, enlarged for J.

    The likelihood has two parts: it says which mean image is decoded, and it trains the DAE where
    none is given. It does not compare images in the VAE's loss, so that a learned scale stays where
    it is.

    Args:
        beta: Weight of the KL term, 0 or more.
        dae: Folder of a trained encoder, usually with the objective ``"dae"``, that takes frames of
            the same shape. ``""`` trains one first, of the same architecture.
        dae_share: Share of the run's steps in which that one is trained, in ``(0, 1)``; the VAE is
            trained in the others.
        dae_latents: Number of that one's features.
    """

    beta: float = 1.0
    dae: str = ""
    dae_share: float = 1 / 3
    dae_latents: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "beta")
        check_at_least(self, 1, "dae_latents")
        if not 0 < self.dae_share < 1:
            raise ValueError(f"dae_share must be in (0, 1), got {self.dae_share}.")

    def sources(self) -> dict[str, str]:
        """Return the fingerprint of the DAE that is given.

        Raises:
            ArtifactError: The folder does not hold an encoder.
        """
        return {"dae": Encoder.load(self.dae).fingerprint} if self.dae else {}

    def networks(self, config: ModelConfig, data: FrameDataset) -> nn.ModuleDict:
        """Return the DAE: trained and frozen, or new.

        Raises:
            ArtifactError: The folder does not hold an encoder.
            ValueError: It takes other frames.
        """
        if not self.dae:
            point = DAE(likelihood=self.likelihood).architecture(config)
            return nn.ModuleDict(
                {"dae": LatentModel(dataclasses.replace(point, latent_dim=self.dae_latents))}
            )
        encoder = Encoder.load(self.dae)
        if encoder.image_shape != config.image_shape:
            raise ValueError(
                f"dae={self.dae!r} takes frames of shape {encoder.image_shape}, but those to learn "
                f"from have {config.image_shape}; train it on such frames, or leave dae out."
            )
        return nn.ModuleDict({"dae": encoder.model})

    def is_for_dae(self, batch: Batch) -> bool:
        """Return whether a step trains the DAE rather than the VAE."""
        return not self.dae and batch.step < self.dae_share * batch.steps

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the KL term, nats an image, and leave the decoded images in the batch's memo."""
        posterior = infer(model, batch.images)
        codes = sample_posterior(posterior.mean, posterior.log_variance, batch.generator)
        batch.memo["images"] = mean_images(model, codes)
        kl = kl_to_standard_normal(posterior.mean, posterior.log_variance).sum(1).mean()
        return {"loss": self.beta * kl, "kl": kl}

    def players(self, model: LatentModel, networks: nn.ModuleDict) -> dict[str, Player]:
        """Return the VAE and, unless it is given, the DAE."""
        dae = networks["dae"]
        assert isinstance(dae, LatentModel)

        def vae_loss(batch: Batch) -> Terms | None:
            if self.is_for_dae(batch):
                return None
            terms = self.loss(model, batch)
            targets = model.target(batch.images)
            nats = feature_nats(dae, batch.memo["images"], targets).mean()
            return terms | {"loss": terms["loss"] + nats, "reconstruction": nats}

        def dae_loss(batch: Batch) -> Terms | None:
            if not self.is_for_dae(batch):
                return None
            return DAE(likelihood=self.likelihood).loss(dae, batch)

        players = {"model": Player(list(model.parameters()), vae_loss)}
        if not self.dae:
            players["dae"] = Player(list(dae.parameters()), dae_loss)
        return players
