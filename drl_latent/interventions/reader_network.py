"""The network of a `FactorReader`: a head for each factor, and how it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from drl_latent.interventions.degradation import degrade
from drl_latent.interventions.readings import Reading, factor_variance
from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.splits import on_circle
from drl_latent.optimization import Optimization

_BATCH = 64
_RATE = 2e-3
_WIDTH = 16
_FEATURES = 128


@dataclass(frozen=True, eq=False)
class Head:
    """One factor's columns of the network's output, from `start` on.

    Args:
        name: The factor's name.
        classes: Its distinct values, ascending, where it is discrete.
        period: Where it is circular.
        mean: Of its values.
        scale: Standard deviation of its values.
        variance: See `factor_variance`.
        start: The first of its columns.
    """

    name: str
    classes: FloatArray | None
    period: float | None
    mean: float
    scale: float
    variance: float
    start: int

    @classmethod
    def of(
        cls, name: str, column: FloatArray, discrete: bool, period: float | None, start: int
    ) -> Head:
        """Make the head of a factor with these values, [N]."""
        classes = np.unique(column) if discrete else None
        variance = factor_variance(column, discrete, period)
        return cls(
            name, classes, period, float(column.mean()), float(column.std()), variance, start
        )

    @property
    def stop(self) -> int:
        """The column after its last."""
        if self.classes is not None:
            return self.start + len(self.classes)
        return self.start + (1 if self.period is None else 2)

    def targets(self, column: FloatArray) -> Tensor:
        """Return what to predict of values, [N]: classes [N], or points [N, 1 or 2]."""
        if self.classes is not None:
            return torch.from_numpy(np.searchsorted(self.classes, column))
        if self.period is not None:
            return torch.from_numpy(on_circle(column, self.period)).float()
        return torch.from_numpy((column - self.mean) / self.scale).float()[:, None]

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy of classes, or the mean squared error."""
        mine = output[:, self.start : self.stop]
        if self.classes is not None:
            return functional.cross_entropy(mine, targets)
        return functional.mse_loss(mine, targets)

    def reading(self, output: Tensor) -> Reading:
        """Return what the network's output, [N, columns], says."""
        mine = output[:, self.start : self.stop].double()
        if self.classes is not None:
            values = mine.softmax(dim=1)
        elif self.period is not None:
            turns = torch.atan2(mine[:, 1], mine[:, 0]) / (2 * torch.pi)
            values = turns.remainder(1) * self.period
        else:
            values = mine[:, 0] * self.scale + self.mean
        return Reading(values.numpy(), self.variance, self.period)

    def truth(self, column: FloatArray) -> Reading:
        """Return the reading that is right for values, [N]."""
        if self.classes is None:
            return Reading(column, self.variance, self.period)
        return Reading((column[:, None] == self.classes).astype(float), self.variance)


def train(
    network: nn.Module,
    heads: Sequence[Head],
    small: Tensor,
    targets: Sequence[Tensor],
    steps: int,
    seed: int,
) -> None:
    """Train the network in place on frames, uint8 [N, C, size, size], and targets of all heads."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), _RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, Optimization(steps=steps).rate)
    network.train()
    for _ in range(steps):
        rows = torch.randint(len(small), (_BATCH,), generator=generator)
        output = network(degrade(small[rows].float() / 255, generator))
        losses = [head.loss(output, t[rows]) for head, t in zip(heads, targets, strict=True)]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
        schedule.step()


def make_network(channels: int, size: int, outputs: int) -> nn.Module:
    """Return an untrained network from unit images [N, channels, size, size] to [N, outputs]."""
    layers: list[nn.Module] = []
    width = _WIDTH
    while size > 4:
        layers += [nn.Conv2d(channels, width, 4, 2, 1), nn.GroupNorm(4, width), nn.ReLU()]
        channels, width, size = width, 2 * width, size // 2
    layers += [nn.Flatten(), nn.Linear(channels * size * size, _FEATURES), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(_FEATURES, outputs))
    # The layout in which convolutions are fastest.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
