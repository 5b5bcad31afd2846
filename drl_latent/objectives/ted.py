"""TED: codes from which one can tell, latent by latent, whether two frames follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives.base import OBJECTIVES, Batch, Objective, Player, Terms


class PairClassifier(nn.Module):
    """From two codes [N, D] to the logit [N] that the second follows the first.

    ``r(v, w) = sum_i |a_i v_i + b_i w_i + c_i| - (d_i v_i + e_i)^2 + f``: each latent is compared
    with itself alone, so that a mixture of independent factors does worse than the factors do. The
    form is that of Hyvarinen & Morioka 2017, "Nonlinear ICA of Temporally Dependent Stationary
    Sources", for sources whose innovations follow a Laplace distribution.

    Args:
        latent_dim: Number of latents, D.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.pair = nn.Parameter(nn.init.orthogonal_(torch.empty(2, latent_dim)))
        self.pair_bias = nn.Parameter(nn.init.orthogonal_(torch.empty(1, latent_dim))[0])
        self.first = nn.Parameter(nn.init.orthogonal_(torch.empty(1, latent_dim))[0])
        self.first_bias = nn.Parameter(nn.init.orthogonal_(torch.empty(1, latent_dim))[0])
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, earlier: Tensor, later: Tensor) -> Tensor:
        """Return the logits."""
        both = (self.pair[0] * earlier + self.pair[1] * later + self.pair_bias).abs()
        alone = (self.first * earlier + self.first_bias).square()
        logits: Tensor = (both - alone).sum(1) + self.bias
        return logits


class LaggingEncoder(nn.Module):
    """A copy of a model's encoder and bottleneck that follows their weights slowly.

    Args:
        config: The architecture of the model.
    """

    started: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        model = LatentModel(config)
        self.layers = nn.Sequential(model.encoder, model.bottleneck).requires_grad_(False)
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def follow(self, model: LatentModel, tau: float) -> None:
        """Move a share of the way to the model's weights; all of it the first time."""
        source = nn.Sequential(model.encoder, model.bottleneck).state_dict()
        for name, value in self.layers.state_dict().items():
            if self.started and value.is_floating_point():
                value.lerp_(source[name], tau)
            else:
                value.copy_(source[name])
        self.started.fill_(True)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return codes [N, D] of unit images [N, C, H, W], through which no gradient passes."""
        codes: Tensor = self.layers(images)
        return codes.float()


def temporal_loss(classifier: PairClassifier, earlier: Tensor, later: Tensor) -> Terms:
    """Return the cross-entropy of telling frames that follow each other from others, and terms.

    For each code there is one positive, the code of the next frame, and two negatives: the code of
    a frame of the same episode, but of another time; and that of another episode.

    Args:
        classifier: Who tells them apart.
        earlier: Codes of P frames, [P, D]; pairs i and i + P / 2 are of one episode.
        later: Codes of the frames that follow them, [P, D].
    """
    half = len(later) // 2
    # Pairs are in random order: the one before is as good as any draw.
    candidates = torch.cat([later, later.roll(half, 0), later.roll(1, 0)])
    logits = classifier(earlier.repeat(3, 1), candidates)
    follows = torch.arange(len(logits), device=logits.device) < len(later)
    loss = functional.binary_cross_entropy_with_logits(logits, follows.float())
    return {"loss": loss, "accuracy": ((logits > 0) == follows).float().mean()}


@OBJECTIVES.register("ted")
@dataclass(frozen=True)
class TED(Objective):
    """Each latent has to help in telling a frame's successor from other frames.

    ``loss = CE(r(z_t, z_t+1), 1) + CE(r(z_t, z_t'), 0) + CE(r(z_t, z_t''), 0)``, averaged, where
    ``r`` is a `PairClassifier` that is trained with the encoder, t' another time of the same
    episode, and t'' a time of another one. The second codes are those of a copy of the encoder
    that lags behind, through which no gradient passes. Dunion et al. 2023, "Temporal
    Disentanglement of Representations for Improved Generalisation in Reinforcement Learning",
    section 4: an auxiliary task of an agent, whose loss keeps in the code what the task needs.
    Alone, it keeps what tells frames apart in time and nothing else.

    The negatives of the same episode keep factors that do not change within one, which tell
    episodes apart, from being all that a code needs. Both kinds are taken from the batch's own
    pairs, where the authors encode further frames.

    There is no reconstruction in the loss: the decoder learns to reconstruct from these codes, for
    traversals, and does not change them.

    Args:
        tau: How much of the way to the encoder its lagging copy goes each step, in ``(0, 1]``.
    """

    tau: float = 0.01

    bottleneck: ClassVar[str] = "point"
    pair_kind = "consecutive"
    same_episode: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.tau <= 1:
            raise ValueError(f"tau must be in (0, 1], got {self.tau}.")

    def networks(self, config: ModelConfig, data: FrameDataset) -> nn.ModuleDict:
        """Return the classifier, and the encoder's lagging copy."""
        return nn.ModuleDict(
            {"classifier": PairClassifier(config.latent_dim), "lagging": LaggingEncoder(config)}
        )

    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the decoder's reconstruction term on the codes in the memo, nats an image."""
        images = batch.images.chunk(2)[0]
        return {"loss": model.reconstruction_loss(batch.memo["codes"], images).mean()}

    def players(self, model: LatentModel, networks: nn.ModuleDict) -> dict[str, Player]:
        """Return encoder and classifier, then the decoder."""
        classifier, lagging = networks["classifier"], networks["lagging"]
        assert isinstance(classifier, PairClassifier)
        assert isinstance(lagging, LaggingEncoder)

        def encoder_loss(batch: Batch) -> Terms:
            lagging.follow(model, self.tau)
            first, second = batch.images.chunk(2)
            codes = model.encode(first)
            batch.memo["codes"] = codes.detach()
            return temporal_loss(classifier, codes, lagging(second))

        learning = [model.encoder, model.bottleneck, classifier]
        return {
            "model": Player([p for part in learning for p in part.parameters()], encoder_loss),
            "decoder": Player(
                [*model.decoder.parameters(), *model.likelihood.parameters()],
                lambda batch: self.loss(model, batch),
            ),
        }
