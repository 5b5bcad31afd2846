"""What every learning objective is: settings, and the losses of a model on a batch."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from drl_latent.data import FrameDataset
from drl_latent.data.dataset import PairKind
from drl_latent.models import LIKELIHOODS, LatentModel, ModelConfig
from drl_latent.registry import Registry, UnknownNameError

OBJECTIVES: Registry[type[Objective]] = Registry("objective")
"""Name, e.g. ``"beta_vae"``, to the class of its settings."""

Terms = dict[str, Tensor]
"""Named scalars, of which ``"loss"`` is to be minimised."""


@dataclass(frozen=True)
class Batch:
    """What one step of training sees.

    Args:
        images: Float [N, C, H, W] in ``[0, 1]``. For objectives with `Objective.pair_kind`, image
            ``i`` of the first half and of the second half are a pair.
        step: Number of the step, from 0.
        steps: Number of steps of the whole run.
        dataset_size: Number of frames in the data set.
        generator: Source of all randomness.
        factors: Factor values of the frames, float [N, K]; K is 0 without labels.
        memo: What one player of a step hands to the next.
    """

    images: Tensor
    step: int
    steps: int
    dataset_size: int
    generator: torch.Generator
    factors: Tensor
    memo: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Player:
    """Parameters that have an optimiser of their own, and the loss that they lower.

    Args:
        parameters: What is optimised; nothing else gets gradients from `loss`.
        loss: From a batch to terms, or None to sit this step out.
        learning_rate: Peak rate; that of the run unless given.
        betas: Decay rates of Adam's two moments.
        weight_decay: Decoupled weight decay (Loshchilov & Hutter 2019) of matrices and kernels;
            biases and scales, which have one dimension at most, do not decay.
    """

    parameters: Sequence[nn.Parameter]
    loss: Callable[[Batch], Terms | None]
    learning_rate: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Objective(ABC):
    """An objective's settings; a subclass adds its own and defines `loss`.

    The hooks below `loss` have defaults that suit an objective which trains one model with one
    loss on independent frames.

    Args:
        likelihood: A name in `drl_latent.models.LIKELIHOODS`.
    """

    likelihood: str = "gaussian"

    bottleneck: ClassVar[str] = "gaussian"
    """The kind of code, a name in `drl_latent.models.BOTTLENECKS`."""
    pair_kind: ClassVar[PairKind | None] = None
    """The kind of pairs that batches are made of; None for independent frames."""
    same_episode: ClassVar[bool] = False
    """Whether of the P consecutive pairs of a batch, ``i`` and ``i + P / 2`` are of one episode."""
    trains: ClassVar[bool] = True
    """False where `prepare` does all there is to do, so that no step is taken."""
    criterion: ClassVar[str] = "loss"
    """The term of the first player that falls while learning goes well."""

    def __post_init__(self) -> None:
        if self.likelihood not in LIKELIHOODS:
            raise UnknownNameError("likelihood", self.likelihood, LIKELIHOODS)

    @abstractmethod
    def loss(self, model: LatentModel, batch: Batch) -> Terms:
        """Return the scalar to minimise under ``"loss"``, and its named terms."""

    def architecture(self, config: ModelConfig) -> ModelConfig:
        """Return the architecture to train: `config` with this objective's kind of code."""
        return dataclasses.replace(config, bottleneck=self.bottleneck, likelihood=self.likelihood)

    def sources(self) -> dict[str, str]:
        """Return the fingerprints of the artefacts that the settings name, by setting."""
        return {}

    def networks(self, config: ModelConfig, data: FrameDataset) -> nn.ModuleDict:
        """Return networks that are trained beside the model and are not part of the encoder."""
        return nn.ModuleDict()

    def prepare(  # noqa: B027 - most objectives have nothing to prepare
        self, model: LatentModel, data: FrameDataset, generator: torch.Generator
    ) -> None:
        """Do what comes before the first step, such as a fit in closed form."""

    def players(self, model: LatentModel, networks: nn.ModuleDict) -> dict[str, Player]:
        """Return who takes a step on each batch, in order; the first one trains the model."""
        return {
            "model": Player(list(model.parameters()), lambda batch: self.loss(model, batch)),
        }


def check_at_least(objective: Objective, low: float, *names: str) -> None:
    """Raise ValueError unless each of the named settings is `low` or more."""
    for name in names:
        value = getattr(objective, name)
        if not value >= low:
            raise ValueError(f"{name} must be {low:g} or more, got {value}.")


def sample_posterior(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one code [N, D] from each Gaussian by reparametrisation (Kingma & Welling 2014)."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + noise * (0.5 * log_variance).exp()


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(q(z|x) || N(0, I)) of each latent, nats, [N, D] (Kingma & Welling 2014, app. B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
