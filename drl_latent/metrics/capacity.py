"""Probes of growing capacity: linear in the codes, and in more and more random features of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.kernel_approximation import RBFSampler
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import Inputs
from drl_latent.metrics.splits import target_pair

# Relative to the variance of a feature, which is 1.
PENALTY = 1e-3


def probe_losses(
    fit: Inputs, held: Inputs, capacities: Sequence[int], *, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Return held-out losses, and those of a constant answer.

    A probe is ridge regression of a continuous factor (the cosine and sine of a circular one),
    with 1 - R2 for its loss, or linear discriminant analysis of a discrete one, with the share of
    wrong answers. Both have solutions in closed form, and are linear in the codes and in random
    Fourier features (Rahimi & Recht 2007, "Random Features for Large-Scale Kernel Machines"; a
    Gaussian kernel whose squared width is half the number of codes), all standardised.

    Args:
        fit: Rows to fit on.
        held: Rows that losses are of.
        capacities: Numbers of random features, ascending; features of one are among the next's.
        seed: Of the random features.

    Returns:
        [number of capacities, K] and [K], over the factors that vary.
    """
    # Matrices this small gain nothing from threads, and round differently with their number.
    with threadpool_limits(1):
        seen, unseen = _features(fit.live, held.live, max(capacities), seed)
        gram = seen.T @ seen / len(seen)
        width = fit.live.shape[1]
        columns = [
            _factor_losses(fit, held, k, seen, unseen, gram, [width + m for m in capacities])
            for k in fit.kept
        ]
    curves, constant = zip(*columns, strict=True)
    return np.stack(curves, axis=1), np.array(constant)


def _features(
    live: FloatArray, unseen: FloatArray, count: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Codes and random features, standardised by the rows to fit on: [N, A + count] and [M, ...].

    Weights are drawn for codes in an order that their values make, so that the order of columns
    changes nothing.
    """
    scaler = StandardScaler().fit(live)
    first, second = scaler.transform(live), scaler.transform(unseen)
    if not count:
        return first, second
    order = np.lexsort(first.round(6))
    random = RBFSampler(gamma=1 / first.shape[1], n_components=count, random_state=seed)
    added = random.fit_transform(first[:, order])
    scale = StandardScaler().fit(added)
    extra = scale.transform(added), scale.transform(random.transform(second[:, order]))
    return np.hstack([first, extra[0]]), np.hstack([second, extra[1]])


def _factor_losses(
    fit: Inputs,
    held: Inputs,
    k: int,
    seen: FloatArray,
    unseen: FloatArray,
    gram: FloatArray,
    widths: Sequence[int],
) -> tuple[FloatArray, float]:
    """Losses of probes of the first `widths` features, and that of a constant answer."""
    target, truth = target_pair(fit, held, k)
    n = len(seen)
    if fit.discrete[k]:
        counts = np.bincount(target, minlength=int(max(target.max(), truth.max())) + 1)
        sums = np.eye(len(counts))[target].T @ seen
        means = sums / np.maximum(counts, 1)[:, None]
        # What is left of the covariance within classes.
        spread, cross = gram - means.T @ (means * counts[:, None]) / n, means.T
        prior = np.log(np.maximum(counts, 1e-300) / n)
        constant = float(np.mean(truth != counts.argmax()))
    else:
        centre = target.reshape(n, -1).mean(axis=0)
        spread, cross = gram, seen.T @ (target.reshape(n, -1) - centre) / n
        wanted = truth.reshape(len(truth), -1) - centre
        constant = 1.0

    def loss(width: int) -> float:
        matrix = spread[:width, :width] + PENALTY * np.eye(width)
        weights = cho_solve(cho_factor(matrix, overwrite_a=True), cross[:width])
        if fit.discrete[k]:
            offset = prior - 0.5 * np.einsum("mc,mc->c", cross[:width], weights)
            return float(np.mean((unseen[:, :width] @ weights + offset).argmax(axis=1) != truth))
        errors = np.square(wanted - unseen[:, :width] @ weights).sum()
        return float(errors / np.square(wanted).sum())

    return np.array([loss(width) for width in widths]), constant
