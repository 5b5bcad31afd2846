"""Which frames each step sees, and how they get from the disk into a tensor."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drl_latent.data import FrameDataset
from drl_latent.data.dataset import PairKind

FramesAndFactors = tuple[Tensor, Tensor]


class FrameOrder:
    """Shuffled epochs, as a pure function of the step: nothing has to be saved to resume.

    Args:
        n: Number of things to go through.
        batch_size: Things a step.
        seed: Seed of the shuffles.
    """

    def __init__(self, n: int, batch_size: int, seed: int) -> None:
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def __call__(self, step: int) -> NDArray[np.int64]:
        """Return the indices, int [batch_size], of what `step` sees."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, places = np.divmod(positions, self.n)
        parts = [self._epoch(int(e))[places[epochs == e]] for e in np.unique(epochs)]
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._epochs:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
            self._epochs = {k: v for k, v in self._epochs.items() if k == epoch - 1}
            self._epochs[epoch] = order
        return self._epochs[epoch]


class Batches:
    """Batches of a data set, in the order of `FrameOrder`.

    Args:
        data: The data set.
        batch_size: Frames a batch.
        seed: Seed of the order.
        pair_kind: The kind of pairs to draw; None for independent frames.
        num_workers: Threads that assemble batches ahead.

    Raises:
        ValueError: The data set has no such pairs, or the batch size is odd although it has.
    """

    def __init__(
        self,
        data: FrameDataset,
        batch_size: int,
        seed: int,
        pair_kind: PairKind | None = None,
        num_workers: int = 0,
    ) -> None:
        self.data, self.num_workers = data, num_workers
        if pair_kind is not None and batch_size % 2:
            raise ValueError(
                f"batch_size counts frames and a pair has two: give an even one, got {batch_size}."
            )
        self.pairs = None if pair_kind is None else data.pairs(pair_kind)
        n, per_step = (len(data), 1) if self.pairs is None else (len(self.pairs), 2)
        self.order = FrameOrder(n, batch_size // per_step, seed)

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of the data set, int [batch_size], that `step` sees.

        Of pairs, the first frames come first and the second ones, in the same order, after them.
        """
        chosen = self.order(step)
        return chosen if self.pairs is None else self.pairs[chosen].T.ravel()

    def __call__(self, step: int) -> FramesAndFactors:
        """Return frames, uint8 [N, H, W, C], and factors, float32 [N, K], of `step`."""
        rows = self.rows(step)
        # One gather from the memory map into the batch: the only copy on the way to the device.
        frames, factors = self.data.frames[rows], self.data.factors[rows]
        return torch.from_numpy(frames), torch.from_numpy(factors)

    def between(self, start: int, stop: int) -> Iterator[FramesAndFactors]:
        """Yield the batches of the steps from `start` to before `stop`."""
        if not self.num_workers:
            yield from map(self, range(start, stop))
            return
        with ThreadPoolExecutor(self.num_workers) as pool:
            ahead: deque[Future[FramesAndFactors]] = deque()
            for step in range(start, stop):
                ahead.append(pool.submit(self, step))
                if len(ahead) > 2 * self.num_workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
