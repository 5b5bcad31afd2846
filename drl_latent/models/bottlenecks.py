"""Bottlenecks: from an encoder's features, float [N, F], to codes, float [N, D]."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from drl_latent.models.config import ModelConfig
from drl_latent.models.registries import BOTTLENECKS

_LOG_VARIANCE_RANGE = (-12.0, 8.0)


class Bottleneck(nn.Module, ABC):
    """What makes a code of features; calling it gives the code that an `Encoder` returns.

    Args:
        features: Number of features, F.
        config: The architecture.
    """

    has_posterior: ClassVar[bool] = False
    """Whether the code is the mean of a Gaussian, which `posterior` returns."""

    def __init__(self, features: int, config: ModelConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(features, config.latent_dim * (2 if self.has_posterior else 1))

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Return codes [N, D]: deterministic."""

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z|x), each [N, D].

        Raises:
            TypeError: Codes of this kind are not Gaussian.
        """
        raise TypeError(
            f"A {type(self).__name__} gives codes without a distribution; objectives that need "
            "q(z|x) use the bottleneck 'gaussian'."
        )


@BOTTLENECKS.register("gaussian")
class GaussianBottleneck(Bottleneck):
    """A Gaussian of diagonal covariance over codes, whose mean is the code."""

    has_posterior = True

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z|x), each [N, D]."""
        mean, log_variance = self.linear(features).chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCE_RANGE)

    def forward(self, features: Tensor) -> Tensor:
        """Return the means."""
        return self.posterior(features)[0]


@BOTTLENECKS.register("point")
class PointBottleneck(Bottleneck):
    """A code without noise, as in an autoencoder."""

    def forward(self, features: Tensor) -> Tensor:
        """Return a linear function of the features."""
        codes: Tensor = self.linear(features)
        return codes


def straight_through(continuous: Tensor, quantized: Tensor) -> Tensor:
    """Return `quantized`, whose gradient passes to `continuous` (Bengio et al. 2013)."""
    # Adding a zero would round: the values have to be the quantised ones exactly.
    return _StraightThrough.apply(continuous, quantized)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, continuous: Tensor, quantized: Tensor) -> Tensor:
        return quantized.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class QuantizedBottleneck(Bottleneck):
    """Each latent takes one of `config.levels` values: the nearest to a function of the features.

    The gradient of a code passes to `continuous` as if it had not been quantised.

    Raises:
        ValueError: There are fewer than 2 levels.
    """

    values: Tensor
    """What each latent can be, float [D, V]; [1, V] where that is the same for all."""

    def __init__(self, features: int, config: ModelConfig) -> None:
        super().__init__(features, config)
        if config.levels < 2:
            raise ValueError(f"A quantised latent has 2 levels or more, got {config.levels}.")

    @abstractmethod
    def continuous(self, features: Tensor) -> Tensor:
        """Return what is quantised, float32 [N, D]."""

    def quantize(self, continuous: Tensor) -> Tensor:
        """Return the value of each latent that is nearest, [N, D]; its gradient goes to it."""
        nearest = (continuous[:, :, None] - self.values).abs().argmin(2, keepdim=True)
        table = self.values.expand(*continuous.shape, -1)
        return table.gather(2, nearest).squeeze(2)

    def forward(self, features: Tensor) -> Tensor:
        """Return quantised codes, through which gradients pass straight."""
        continuous = self.continuous(features)
        return straight_through(continuous, self.quantize(continuous))


@BOTTLENECKS.register("codebook")
class CodebookBottleneck(QuantizedBottleneck):
    """Each latent has its own learned values, which start evenly spread over ``[-0.5, 0.5]``.

    Hsu et al. 2023, "Disentanglement via Latent Quantization", section 3.
    """

    def __init__(self, features: int, config: ModelConfig) -> None:
        super().__init__(features, config)
        values = torch.linspace(-0.5, 0.5, config.levels).repeat(config.latent_dim, 1)
        self.values = nn.Parameter(values)

    def continuous(self, features: Tensor) -> Tensor:
        """Return a linear function of the features."""
        codes: Tensor = self.linear(features).float()
        return codes


@BOTTLENECKS.register("fsq")
class FiniteScalarBottleneck(QuantizedBottleneck):
    """All latents have the same fixed values, evenly spread over ``[-1, 1]``.

    Mentzer et al. 2024, "Finite Scalar Quantization: VQ-VAE Made Simple", in the symmetric form of
    Hsu et al. 2024, "Tripod".
    """

    def __init__(self, features: int, config: ModelConfig) -> None:
        super().__init__(features, config)
        grid = torch.linspace(-1, 1, config.levels)[None]
        self.register_buffer("values", grid, persistent=False)

    def continuous(self, features: Tensor) -> Tensor:
        """Return a linear function of the features, squashed into ``(-1, 1)``."""
        return torch.tanh(self.linear(features).float())
