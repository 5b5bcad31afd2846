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


def check_batch_size(batch_size: int, pair_kind: PairKind | None, same_episode: bool) -> None:
    """Raise ValueError unless batches of this size can be made of pairs, or pairs of pairs."""
    if pair_kind is not None and batch_size % 2:
        raise ValueError(
            f"batch_size counts frames and a pair has two: give an even one, got {batch_size}."
        )
    if same_episode and batch_size % 4:
        raise ValueError(
            "batch_size counts frames, and here two pairs of each episode are drawn together: "
            f"give a multiple of 4, got {batch_size}."
        )


def others_of_episode(
    chosen: NDArray[np.int64], episode: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw for each chosen pair another of its episode, which has no frame in common with it.

    Where an episode is too short for that, it is any pair, as in the code of Dunion et al. 2023.

    Args:
        chosen: Numbers of pairs, int [n], in the order of episodes and of time.
        episode: A number for the episode of each pair there is, int [P], in ascending order.
        rng: Source of the draws.
    """
    low = np.searchsorted(episode, episode[chosen], side="left")
    high = np.searchsorted(episode, episode[chosen], side="right")
    before = np.maximum(chosen - 1 - low, 0)
    after = np.maximum(high - chosen - 2, 0)
    drawn = rng.integers(0, np.maximum(before + after, 1))
    others = np.where(drawn < before, low + drawn, chosen + 2 + drawn - before)
    anywhere = rng.integers(0, len(episode), len(chosen))
    return np.where(before + after > 0, others, anywhere)


class Batches:
    """Batches of a data set, in the order of `FrameOrder`.

    Args:
        data: The data set.
        batch_size: Frames a batch.
        seed: Seed of the order.
        pair_kind: The kind of pairs to draw; None for independent frames.
        num_workers: Threads that assemble batches ahead.
        same_episode: Whether the second half of a batch's pairs are others of the same episodes.

    Raises:
        ValueError: The data set has no such pairs, or the batch size does not allow for them.
    """

    def __init__(
        self,
        data: FrameDataset,
        batch_size: int,
        seed: int,
        pair_kind: PairKind | None = None,
        num_workers: int = 0,
        same_episode: bool = False,
    ) -> None:
        self.data, self.num_workers, self.seed = data, num_workers, seed
        check_batch_size(batch_size, pair_kind, same_episode)
        self.pairs = None if pair_kind is None else data.pairs(pair_kind)
        n, each = (len(data), 1) if self.pairs is None else (len(self.pairs), 2)
        self._episode: NDArray[np.int64] | None = None
        if same_episode and self.pairs is not None and data.episode is not None:
            self._episode, each = data.episode[self.pairs[:, 0]], 4
        self.order = FrameOrder(n, batch_size // each, seed)

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of the data set, int [batch_size], that `step` sees.

        Of pairs, the first frames come first and the second ones, in the same order, after them.
        """
        chosen = self.order(step)
        if self._episode is not None:
            rng = np.random.default_rng([self.seed, step, 1])
            others = others_of_episode(chosen, self._episode, rng)
            chosen = np.concatenate([chosen, others])
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
