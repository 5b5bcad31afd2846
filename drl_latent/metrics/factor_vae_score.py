"""FactorVAE score: does the code that keeps still tell which factor was kept?"""

from __future__ import annotations

import numpy as np

from drl_latent.metrics.base import FloatArray, Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.inputs import BINS, Inputs
from drl_latent.metrics.sampling import DataSampler, Sampler, draw_fixed
from drl_latent.metrics.votes import check_votes, fewer_votes, wilson_interval

# Relative to a code's variance over all rows: what rounding leaves of none at all.
_NO_VARIANCE = 1e-12


@define_metric("factor_vae", held_out=True, stand_in=fewer_votes)
def factor_vae(
    fit: Inputs,
    held: Inputs,
    *,
    votes: int = 10_000,
    test_votes: int = 5_000,
    batch: int = 64,
    bins: int = BINS,
    sampler: Sampler | None = None,
    seed: int = 0,
    resamples: int = 0,
) -> Score:
    """FactorVAE score, in [0, 1], higher is better; a random code gets 1 / number of factors.

    Kim & Mnih 2018, "Disentangling by Factorising", section 4: in a group of rows in which one
    factor keeps its value, the code with the least variance, relative to its variance over all
    groups, votes for the factor. Each code stands for the factor that it got most votes for, and
    the score is the share of further votes that name the factor that was kept. Several codes may
    stand for one factor. Every factor is kept in as many groups; codes that tie share a vote.

    The scale of codes does not matter. Dead codes take no part (their relative variance, 0 / 0,
    must not win); if all are dead the score is 0. The field's reference implementation leaves out
    codes whose standard deviation is below 0.05, too, which means something for codes with a unit
    normal prior only: to do the same, score the other codes.

    Settings:
        votes: Groups from which codes get their factors, all factors together.
        test_votes: Groups that are scored.
        batch: Rows of a group. The defaults of these three are the reference implementation's,
            and take less than a second with rows of data. A simulator has to render batch *
            (votes + test_votes) images: a few hundred votes have to do.
        bins: Bins of each continuous factor where there is no sampler: a bin counts as a value.
        sampler: Draws the groups, such as a `SimulatorSampler`, which intervenes. By default they
            are rows of the data with the same value, see `DataSampler`: those for `votes` of the
            rows to fit on, those for `test_votes` of the rows held out.
        seed: Of the groups.
        resamples: 0 for no interval.

    Returns:
        `per_factor` holds the share of each factor's scored votes that is right, `matrix` the
        share of each factor's first votes that each code got. With a sampler, `interval` is
        Wilson's, of the scored votes; from data it is that of other metrics, since the rows in a
        group matter more than the number of votes.

    Raises:
        ValueError: A setting is below 1 (`batch`: 2), no value of a factor has 2 rows, the
            sampler varies other factors, the inputs are not what `split_inputs` expects, or all
            factors are constant.
    """
    check_votes(votes, test_votes, batch)
    rng = np.random.default_rng(seed)
    first, means = _spreads(sampler or DataSampler(fit, bins), fit, votes, batch, rng)
    further, _ = _spreads(sampler or DataSampler(held, bins), held, test_votes, batch, rng)
    # Of the rows of all groups together: within groups, and between their means.
    total = first.mean(axis=(0, 1)) + means.var(axis=(0, 1))
    table = _winners(first, total).mean(axis=1)
    best = (table == table.max(axis=0)) & (table > 0)
    stands_for = best / np.maximum(best.sum(axis=0), 1)
    right = np.einsum("kva,ka->k", _winners(further, total), stands_for) / further.shape[1]
    score = float(right.mean())
    with_interval = sampler is not None and resamples
    return Score(
        {"factor_vae": score},
        by_factor={"factor_vae": right},
        matrix=fit.full_rows(table.T, dead=0.0),
        matrix_holds="share of the factor's votes",
        estimator="DataSampler" if sampler is None else type(sampler).__name__,
        interval=wilson_interval(score, further[..., 0].size) if with_interval else None,
    )


def _spreads(
    sampler: Sampler, inputs: Inputs, votes: int, batch: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Variances and means within groups, [K, votes / K, A] each."""
    each = -(-votes // len(inputs.kept))
    variances, means = [], []
    for k in inputs.kept:
        codes = draw_fixed(sampler, inputs, k, each, batch, rng)
        variances.append(codes.var(axis=1))
        means.append(codes.mean(axis=1))
    return np.stack(variances), np.stack(means)


def _winners(variances: FloatArray, total: FloatArray) -> FloatArray:
    """[K, V, A]: each code's share of each vote, from its variance within the groups."""
    used = total > 0
    if not used.any():
        return np.zeros_like(variances)
    relative = np.full(variances.shape, np.inf)
    relative[..., used] = variances[..., used] / total[used]
    relative[relative < _NO_VARIANCE] = 0.0
    least = relative == relative.min(axis=2, keepdims=True)
    shares: FloatArray = least / least.sum(axis=2, keepdims=True)
    return shares
