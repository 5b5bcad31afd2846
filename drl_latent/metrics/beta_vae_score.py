"""beta-VAE score: do differences of codes tell which factor two rows share?"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drl_latent.metrics.base import FloatArray, Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.fitting import fit_all
from drl_latent.metrics.inputs import BINS, Inputs, IntArray
from drl_latent.metrics.sampling import DataSampler, Sampler, draw_fixed
from drl_latent.metrics.votes import check_votes, fewer_votes, wilson_interval

# Pairs drawn at a time, so that memory does not grow with the number of votes.
_PAIRS = 50_000


@define_metric("beta_vae", held_out=True, stand_in=fewer_votes)
def beta_vae(
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
    """beta-VAE score, in [0, 1], higher is better; a random code gets 1 / number of factors.

    Higgins et al. 2017, "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
    Framework", section 3: the two rows of a pair share the value of one factor; a vote is the mean
    over a batch of such pairs of the absolute difference of each code; a linear classifier tells
    from it which factor was shared, and the score is its accuracy on further votes. Every factor
    is shared in as many votes. A linear classifier can undo much: rotated codes may score 1.

    The classifier is logistic regression on standardised differences, so that the scale of codes
    does not matter; the field's reference implementation does not standardise. Dead codes take no
    part; if all are dead, or there is one factor, the score is that of a constant answer.

    Settings:
        votes: Votes that the classifier is fitted on, all factors together.
        test_votes: Votes that are scored.
        batch: Pairs of a vote. The defaults of these three are the reference implementation's,
            and take seconds with rows of data. A simulator has to render 2 * batch * (votes +
            test_votes) images: a few hundred votes have to do.
        bins: Bins of each continuous factor where there is no sampler: a bin counts as a value.
        sampler: Draws the pairs, such as a `SimulatorSampler`, which intervenes. By default they
            are rows of the data with the same value, see `DataSampler`: those for `votes` of the
            rows to fit on, those for `test_votes` of the rows held out.
        seed: Of the pairs.
        resamples: 0 for no interval.

    Returns:
        `per_factor` holds the accuracy on the scored votes of each factor, `matrix` the mean
        difference of each code where the factor is shared, relative to that over all factors.
        With a sampler, `interval` is Wilson's, of the scored votes; from data it is that of other
        metrics, since the rows in a pair matter more than the number of votes.

    Raises:
        ValueError: A setting is below 1 (`batch`: 2), no value of a factor has 2 rows, the
            sampler varies other factors, the inputs are not what `split_inputs` expects, or all
            factors are constant.
    """
    check_votes(votes, test_votes, batch)
    rng = np.random.default_rng(seed)
    first = _differences(sampler or DataSampler(fit, bins), fit, votes, batch, rng)
    further = _differences(sampler or DataSampler(held, bins), held, test_votes, batch, rng)
    predicted = _classify(first, further)
    right = np.mean(predicted == np.arange(len(first))[:, None], axis=1)
    score = float(right.mean())
    means = first.mean(axis=1).T
    overall = means.mean(axis=1, keepdims=True)
    with_interval = sampler is not None and resamples
    return Score(
        {"beta_vae": score},
        by_factor={"beta_vae": right},
        matrix=fit.full_rows(
            np.divide(means, overall, out=np.zeros_like(means), where=overall > 0), dead=0.0
        ),
        matrix_holds="relative difference where the factor is shared",
        estimator="DataSampler" if sampler is None else type(sampler).__name__,
        interval=wilson_interval(score, predicted.size) if with_interval else None,
    )


def _differences(
    sampler: Sampler, inputs: Inputs, votes: int, batch: int, rng: np.random.Generator
) -> FloatArray:
    """[K, votes / K, A]: mean absolute differences of codes over batches of pairs."""
    each = -(-votes // len(inputs.kept))
    some = max(_PAIRS // batch, 1)
    found = []
    for k in inputs.kept:
        parts = []
        for start in range(0, each, some):
            count = min(some, each - start)
            codes = draw_fixed(sampler, inputs, k, count * batch, 2, rng)
            gaps = np.abs(codes[:, 0] - codes[:, 1])
            parts.append(gaps.reshape(count, batch, -1).mean(axis=1))
        found.append(np.concatenate(parts))
    return np.stack(found)


def _classify(first: FloatArray, further: FloatArray) -> IntArray:
    """[K, W]: which factor a classifier fitted to votes [K, V, A] reads from others [K, W, A]."""
    k, votes, width = first.shape
    if k == 1 or width == 0:
        return np.zeros(further.shape[:2], dtype=np.int64)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    labels = np.repeat(np.arange(k), votes)
    (model,) = fit_all([(model, first.reshape(-1, width), labels)])
    found: IntArray = model.predict(further.reshape(-1, width)).reshape(further.shape[:2])
    return found
