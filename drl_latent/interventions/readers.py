"""A reader of factors: a small network that is trained on rendered images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from drl_latent.data import FrameDataset
from drl_latent.envs import Factor
from drl_latent.interventions.reader_network import Head, make_network, train
from drl_latent.interventions.readings import Readings
from drl_latent.metrics.inputs import check_inputs
from drl_latent.models import to_unit_images

_HELD_OUT = 0.1
_READ_BATCH = 512


@dataclass(frozen=True, eq=False)
class FactorReader:
    """Reads factors from images, as `FactorReader.fit` learned to.

    Args:
        network: From unit images [N, C, size, size] to the columns of all heads.
        heads: One a factor.
        size: Height and width that images are averaged down to.
        channels: Channels of the images.
        accuracy: Factor name -> accuracy (discrete) or R2 (otherwise) on rendered frames that were
            held out, as they are: neither blurred nor decoded.
    """

    network: nn.Module
    heads: tuple[Head, ...]
    size: int
    channels: int
    accuracy: dict[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the factors that are read."""
        return tuple(head.name for head in self.heads)

    def __call__(self, images: NDArray[np.uint8]) -> Readings:
        """Read all factors of images, uint8 [N, h, w, C], at `size` or a multiple of it.

        Values of circular factors are in ``[0, period)``.

        Raises:
            ValueError: The images have another shape or type.
        """
        small = _shrink(images, self.size)
        if small.shape[1] != self.channels:
            raise ValueError(
                f"This reader was fitted on images of {self.channels} channels, got "
                f"{small.shape[1]}."
            )
        with torch.inference_mode():
            output = torch.cat(
                [self.network(part.float() / 255) for part in small.split(_READ_BATCH)]
            )
        return {head.name: head.reading(output) for head in self.heads}

    @classmethod
    def from_dataset(
        cls,
        data: FrameDataset,
        *,
        most: int = 15_000,
        size: int = 32,
        steps: int = 2_000,
        seed: int = 0,
    ) -> FactorReader:
        """Train a reader as `fit` does on the factors of a data set that images show.

        Factors of kind ``"dynamics"`` are left out; circular ranges are read as such.

        Args:
            data: Rendered frames with their factors.
            most: Frames to train on, drawn by `seed` where there are more.
            size: See `fit`.
            steps: See `fit`.
            seed: See `fit`.

        Raises:
            ValueError: As `fit` does, or the data set has no factors that images show.
        """
        shown = [k for k, factor in enumerate(data.factor_space) if factor.kind != "dynamics"]
        if not shown:
            raise ValueError(f"{data.path} has no factors that images show; label its frames.")
        factors = [data.factor_space.factors[k] for k in shown]
        count = min(most, len(data))
        rows = np.sort(np.random.default_rng(seed).choice(len(data), count, replace=False))
        return cls.fit(
            np.asarray(data.frames[rows]),
            data.factors[rows][:, shown],
            names=[factor.name for factor in factors],
            periods=[_period(factor) for factor in factors],
            size=size,
            steps=steps,
            seed=seed,
        )

    @classmethod
    def fit(
        cls,
        frames: NDArray[np.uint8],
        factors: ArrayLike,
        *,
        names: Sequence[str],
        discrete: Sequence[bool] | None = None,
        periods: Sequence[float | None] | None = None,
        size: int = 32,
        steps: int = 2_000,
        seed: int = 0,
    ) -> FactorReader:
        """Train a small convolutional network to read factors from rendered frames.

        Decoded images are not rendered ones: they are smoother, paler, and have blotches where a
        decoder could not tell what to draw. A network that saw crisp frames alone takes such
        faults for factors. So each frame is blurred, faded, blotched and made noisy at random
        before the network sees it: what it learns to go by is left in poor images, too.

        About a minute on one core, whatever the number of frames; 10,000 or more are advised.

        Args:
            frames: uint8 [N, H, W, C], square, rendered.
            factors: Their true values, [N, K], finite. Those that no image shows, such as
                dynamics, cannot be read: leave them out.
            names: K names. Factors that do not vary are left out.
            discrete: One bool a factor, to override its type; see `drl_latent.metrics.inputs`.
            periods: One number a factor: what brings it back to where it was; None, NaN or 0 where
                it is not circular. Discrete factors are read as classes, circular or not.
            size: Height and width that images are averaged down to: that of decoded images.
            steps: Optimisation steps of 64 frames.
            seed: Of the frames that are held out (a tenth), the weights and the order.

        Raises:
            ValueError: Frames and factors do not fit each other, are too few, no factor varies,
                or a setting is out of range.
        """
        if steps < 1:
            raise ValueError(f"steps must be 1 or more, got {steps}.")
        small = _shrink(frames, size)
        # Factors stand in for codes, which are not looked at here.
        known = check_inputs(factors, factors, names=names, discrete=discrete)
        if len(known.factors) != len(small):
            raise ValueError(
                f"Got {len(small)} frames and factors of {len(known.factors)}; expected one row "
                "of factors for each frame."
            )
        circles = _check_periods(periods, len(known.names))
        heads: list[Head] = []
        for k in known.kept:
            start = heads[-1].stop if heads else 0
            column, period = known.factors[:, k], None if known.discrete[k] else circles[k]
            heads.append(Head.of(known.names[k], column, bool(known.discrete[k]), period, start))
        columns = [known.factors[:, k] for k in known.kept]
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(small)))
        held, seen = order.tensor_split([max(2, round(len(small) * _HELD_OUT))])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = make_network(small.shape[1], size, heads[-1].stop)
        targets = [head.targets(column) for head, column in zip(heads, columns, strict=True)]
        train(network, heads, small[seen], [target[seen] for target in targets], steps, seed)
        reader = cls(network.eval(), tuple(heads), size, small.shape[1], accuracy={})
        readings = reader(small[held].permute(0, 2, 3, 1).numpy())
        accuracy = {
            head.name: readings[head.name].agreement(head.truth(column[held.numpy()]))
            for head, column in zip(heads, columns, strict=True)
        }
        return replace(reader, accuracy=accuracy)


def _shrink(images: NDArray[np.uint8], size: int) -> Tensor:
    """Return uint8 images [N, H, W, C] averaged down to [N, C, size, size], as decoders see them.

    Raises:
        ValueError: They are no such images, or not square and a multiple of `size`.
    """
    shape = tuple(images.shape)
    if len(shape) != 4 or images.dtype != np.uint8 or not len(images):
        raise ValueError(f"Expected uint8 images [N, H, W, C], got {images.dtype} {list(shape)}.")
    height, width = shape[1:3]
    if size < 8 or height != width or height % size:
        raise ValueError(
            f"Images of {height} x {width} cannot be read at {size} x {size}: size must be 8 or "
            "more, and they square and a multiple of it."
        )
    small = torch.empty(len(images), shape[3], size, size, dtype=torch.uint8)
    for start in range(0, len(images), _READ_BATCH):
        part = to_unit_images(torch.from_numpy(np.array(images[start : start + _READ_BATCH])))
        pooled = functional.avg_pool2d(part, height // size)
        small[start : start + _READ_BATCH] = (pooled * 255).round().byte()
    return small


def _period(factor: Factor) -> float | None:
    if not factor.circular or factor.low is None or factor.high is None:
        return None
    return factor.high - factor.low


def _check_periods(periods: Sequence[float | None] | None, k: int) -> list[float | None]:
    """Return a period, or None where it is not circular, for each of `k` factors."""
    if periods is None:
        return [None] * k
    if len(periods) != k or any(p is not None and p < 0 for p in periods):
        raise ValueError(
            f"periods is {list(periods)}; expected {k} numbers, one a factor: above 0 where it is "
            "circular, and None, NaN or 0 where it is not."
        )
    return [p if p is not None and p > 0 else None for p in periods]
