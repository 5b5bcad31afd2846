"""Interventional robustness: does a code keep still while other factors change?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import norm

from drl_latent.metrics.base import FloatArray, Interval, Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.inputs import BINS, Inputs, IntArray
from drl_latent.metrics.sampling import Sampler, draw_fixed
from drl_latent.metrics.uncertainty import LEVEL


@define_metric("irs", bounds=(-np.inf, 1.0))
def irs(
    inputs: Inputs,
    *,
    quantile: float = 0.99,
    bins: int = BINS,
    sampler: Sampler | None = None,
    interventions: int = 20,
    batch: int = 100,
    seed: int = 0,
    resamples: int = 0,
) -> Score:
    """Interventional robustness score (IRS), at most 1, higher is better.

    Suter et al. 2019, "Robustly Disentangled Causal Mechanisms", section 4: for each code and
    factor, the mean over the factor's values of how far the code strays from its mean while the
    factor keeps that value, over how far it strays at all; IRS is 1 minus that for the code's
    best factor, averaged over codes with their largest deviation as the weight. So unlike other
    metrics it depends on the scale of codes relative to each other. Dead codes are in no mean; if
    all are dead the score is 0. Codes of noise score above 0, since the rows of a group stray less
    far than all rows; below 0 takes groups that are skewed against each other.

    Settings:
        quantile: Of the deviations within a group, in (0, 1]; the paper takes 1, the maximum, the
            field's reference implementation 0.99.
        bins: Bins of each continuous factor, whose groups are its bins, without a sampler.
        sampler: Draws the groups, such as a `SimulatorSampler`: these are then interventions, as
            in the paper. By default the rows of the data with each of a factor's values are a
            group. The floor is that of rows of the data in either case.
        interventions: Groups of each factor that a sampler draws, at random values.
        batch: Rows of each of these.
        seed: Of these.
        resamples: With a sampler, halves of the interventions that `interval` is made from; 0
            for none.

    Returns:
        `per_code` holds each code's robustness, NaN for dead codes, and `matrix` that with regard
        to each factor.

    Raises:
        ValueError: `quantile` is outside (0, 1], `interventions` or `batch` is below 2, the
            sampler varies other factors, the inputs are not what `check_inputs` expects, or all
            factors are constant.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile is {quantile}; expected a number in (0, 1], e.g. 0.99.")
    interval: Interval | None = None
    if sampler is None:
        live = inputs.live
        weights = np.abs(live - live.mean(axis=0)).max(axis=0)
        by_value = [_by_value(live, inputs.labels(k, bins)) for k in inputs.kept]
        strays = np.stack([_deviations(groups, quantile).mean(axis=0) for groups in by_value])
        robust = _robustness(strays, weights)
    else:
        drawn = _intervene(sampler, inputs, interventions, batch, seed)
        groups = np.stack(
            [
                np.stack([_deviations(rows, quantile) for rows in drawn]),
                *(drawn.mean(axis=2), drawn.min(axis=2), drawn.max(axis=2)),
            ]
        )
        robust, weights = _of_groups(groups)
        if resamples:
            interval = _halves_interval(groups, resamples, seed)
    score = _score(robust, weights)
    return Score(
        {"irs": score},
        per_code=inputs.full_rows(robust.max(axis=0), dead=np.nan),
        matrix=inputs.full_rows(robust.T, dead=0.0),
        matrix_holds="interventional robustness",
        estimator="" if sampler is None else type(sampler).__name__,
        interval=interval,
    )


def _by_value(codes: FloatArray, labels: IntArray) -> list[FloatArray]:
    """Rows [N, A] apart by their labels, one array a label."""
    return [codes[labels == label] for label in np.unique(labels)]


def _intervene(
    sampler: Sampler, inputs: Inputs, interventions: int, batch: int, seed: int
) -> FloatArray:
    """[K, interventions, batch, A]: codes of groups that keep each factor at random values."""
    for name, value in (("interventions", interventions), ("batch", batch)):
        if value < 2:
            raise ValueError(f"{name} is {value}; expected 2 or more.")
    rng = np.random.default_rng(seed)
    drawn = [draw_fixed(sampler, inputs, k, interventions, batch, rng) for k in inputs.kept]
    stacked = np.stack(drawn)
    # As `Inputs.live` has it: one column of zeros where all codes are dead.
    return stacked if stacked.shape[3] else np.zeros((*stacked.shape[:3], 1))


def _deviations(groups: Iterable[FloatArray], quantile: float) -> FloatArray:
    """[G, A]: each code's deviation from its mean within each group."""
    return np.array(
        [np.quantile(np.abs(rows - rows.mean(axis=0)), quantile, axis=0) for rows in groups]
    )


def _robustness(strays: FloatArray, weights: FloatArray) -> FloatArray:
    """[K, A], from how far each code strays with each factor kept, and at all."""
    shares: FloatArray = np.divide(strays, weights, where=weights > 0, out=np.ones_like(strays))
    return 1 - shares


def _score(robust: FloatArray, weights: FloatArray) -> float:
    return float(np.average(robust.max(axis=0), weights=weights)) if weights.any() else 0.0


def _of_groups(groups: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Robustness [K, A] and weights [A], from [4, K, G, A].

    The four are of the codes in each group: deviation, mean, lowest and highest.
    """
    deviations, means, lows, highs = groups
    mean = means.mean(axis=(0, 1))
    weights = np.maximum(highs.max(axis=(0, 1)) - mean, mean - lows.min(axis=(0, 1)))
    return _robustness(deviations.mean(axis=1), weights), weights


def _halves_interval(groups: FloatArray, resamples: int, seed: int) -> Interval:
    """Return a 95% interval of the score from halves of the groups, [4, K, G, A].

    As `half_sample_interval` has it, with interventions in place of rows.
    """
    rng = np.random.default_rng([seed, 1])
    count = groups.shape[2]
    scores = []
    for _ in range(resamples):
        half = rng.random(groups.shape[1:3]).argsort(axis=1)[None, :, : count // 2, None]
        scores.append(_score(*_of_groups(np.take_along_axis(groups, half, axis=2))))
    centre = _score(*_of_groups(groups))
    reach = float(norm.ppf((1 + LEVEL) / 2) * np.std(scores))
    return centre - reach, min(centre + reach, 1.0)
