"""Do rank correlations of scores with transfer find what is not there?

    python scripts/check_relation.py

Simulates studies in which a score and the success that followed have nothing to do with each other,
but in which seeds of one kind of encoder are alike, in both. Prints how often p is below 0.05: of
`drl_latent.evaluation.rank_correlation`, which knows of the kinds, of Spearman's test, which does
not, and of the partial correlation; and how often the 95% interval holds 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tyro
from numpy.typing import NDArray
from scipy.stats import spearmanr

from drl_latent.evaluation import rank_correlation
from drl_latent.progress import track

DESIGNS = ((6, 3), (10, 5), (3, 3))
"""Kinds of encoders, and seeds of each."""


@dataclass(frozen=True)
class Args:
    """How much is simulated."""

    repetitions: int = 300
    alike: float = 1.5
    """Standard deviation between kinds, of that between seeds of one."""
    draws: int = 500
    """Of each bootstrap and permutation test."""
    seed: int = 0


def simulate(kinds: int, seeds: int, alike: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a column of values, kind by kind: what a kind has in common, and noise of seeds."""
    return np.repeat(alike * rng.normal(size=kinds), seeds) + rng.normal(size=kinds * seeds)


def main(args: Args) -> None:
    """Simulate, and print the table."""
    rng = np.random.default_rng(args.seed)
    print("| kinds x seeds | clustered p | Spearman's p | partial p | interval holds 0 |")
    print("| --- | --- | --- | --- | --- |")
    for kinds, seeds in DESIGNS:
        clusters = np.repeat(np.arange(kinds), seeds)
        found = []
        with track(f"{kinds} x {seeds}", args.repetitions, "studies") as advance:
            for _ in range(args.repetitions):
                x, y, control = (simulate(kinds, seeds, args.alike, rng) for _ in range(3))
                options = {"resamples": args.draws, "permutations": args.draws}
                own = rank_correlation(x, y, clusters, **options)
                partial = rank_correlation(x, y, clusters, control=control, **options)
                p = [own.p, spearmanr(x, y).pvalue, partial.p]
                found.append([*(np.array(p) < 0.05), own.low <= 0 <= own.high])
                advance()
        cells = " | ".join(f"{v:.2f}" for v in np.mean(found, axis=0))
        print(f"| {kinds} x {seeds} | {cells} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
