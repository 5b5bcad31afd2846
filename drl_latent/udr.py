"""Unsupervised disentanglement ranking: do runs with other seeds find the same latents?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.linear_model import Lasso

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.fitting import fit_all
from drl_latent.metrics.inputs import finite_matrix, varying_columns
from drl_latent.registry import Registry

LASSO_ALPHA = 0.1
# Latents that share nothing still correlate by about 1 / sqrt(N): with fewer rows that is a score.
MIN_ROWS = 20

Similarity = Callable[[FloatArray, FloatArray], FloatArray]
"""From the latents of two models, [N, A] and [N, B], none constant, to [A, B], none negative."""

SIMILARITIES: Registry[Similarity] = Registry("similarity")


@dataclass(frozen=True, eq=False)
class UDRResult:
    """The scores of M models and what they were made from.

    Attributes:
        scores: [M], the median of each row of `pairwise`.
        pairwise: [M, M], UDR of model i beside model j; NaN on the diagonal.
        informative: [M], the number of latents of each model that were compared.
    """

    scores: FloatArray
    pairwise: FloatArray
    informative: NDArray[np.int64]


def udr(
    codes: Sequence[ArrayLike], informative: Sequence[ArrayLike], *, similarity: str = "spearman"
) -> UDRResult:
    """Unsupervised disentanglement ranking (UDR), from 0, higher is better.

    Duan et al. 2020, "Unsupervised Model Selection for Variational Disentangled Representation
    Learning", the definition of UDR_ij in the section on model selection. There are many ways to
    be entangled and, up to order, sign and scale, one to be disentangled: so a run whose latents
    match those of the same training with other seeds one to one is taken to be disentangled. With
    R the similarity of the informative latents a of model i and b of model j,

        UDR_ij = (sum_b max_a R_ab^2 / sum_a R_ab + sum_a max_b R_ab^2 / sum_b R_ab) / (d_a + d_b)

    where d_a and d_b are their numbers and 0 / 0 is 0. (The authors' code weighs the two sums by
    1 / 2 d_b and 1 / 2 d_a instead, which is the same where these are equal.) The score of a model
    is the median over its partners; it is 0 where a model has no informative latent. A perfect
    match scores 1 by Spearman, the most there is, and 1 - `LASSO_ALPHA`, which the penalty takes
    off each weight, by Lasso, whose weights can exceed 1 where a model's latents correlate.

    The score says that runs agree, not that they are right: runs that all leave out the same
    factor, or all mix the same two, score high.

    Args:
        codes: For each of M models, [N, D_i], finite: its codes of the same N inputs.
        informative: For each model, D_i bools: which latents depend on the input. Latents that
            are constant in `codes` are left out whatever it says.
        similarity: A name in `SIMILARITIES`: ``"spearman"``, any monotone relation of two latents,
            or ``"lasso"``, the weights of a linear prediction of i from j.

    Returns:
        Scores, pairwise scores and numbers of informative latents. `pairwise` is symmetric by
        Spearman only.

    Raises:
        ValueError: There are fewer than 2 models, codes are not finite matrices of one length of
            at least `MIN_ROWS`, or `informative` does not fit them.
        UnknownNameError: There is no such similarity.
    """
    compare = SIMILARITIES[similarity]
    latents = _informative_latents(codes, informative)
    pairwise = np.zeros((len(latents), len(latents)))
    np.fill_diagonal(pairwise, np.nan)
    for i, j in itertools.permutations(range(len(latents)), 2):
        if latents[i].size and latents[j].size:
            pairwise[i, j] = _one_to_one(compare(latents[i], latents[j]))
    counts = np.array([z.shape[1] for z in latents])
    return UDRResult(np.nanmedian(pairwise, axis=1), pairwise, counts)


@SIMILARITIES.register("spearman")
def _spearman(a: FloatArray, b: FloatArray) -> FloatArray:
    ranks_a, ranks_b = (_standardized(rankdata(z, axis=0)) for z in (a, b))
    # Rounding can exceed 1 by a little, and a score of at most 1 is promised.
    return np.minimum(np.abs(ranks_a.T @ ranks_b) / len(a), 1.0)


@SIMILARITIES.register("lasso")
def _lasso(a: FloatArray, b: FloatArray) -> FloatArray:
    (model,) = fit_all([(Lasso(LASSO_ALPHA), _standardized(b), _standardized(a))])
    # scikit-learn drops the axis of a single target.
    return np.abs(model.coef_).reshape(a.shape[1], b.shape[1])


def _standardized(z: FloatArray) -> FloatArray:
    return (z - z.mean(axis=0)) / z.std(axis=0)


def _one_to_one(similarity: FloatArray) -> float:
    """UDR_ij for R, [A, B]: 1 for a permutation matrix, less as rows and columns spread."""
    strengths = []
    for axis in (0, 1):
        total = similarity.sum(axis)
        peak = similarity.max(axis)
        strengths.append(np.divide(peak**2, total, out=np.zeros_like(total), where=total > 0))
    return float(np.concatenate(strengths).mean())


def _informative_latents(
    codes: Sequence[ArrayLike], informative: Sequence[ArrayLike]
) -> list[FloatArray]:
    """Check the inputs of `udr` and return the latents to compare, [N, d_i] for each model."""
    if len(codes) < 2 or len(informative) != len(codes):
        raise ValueError(
            f"Got the codes of {len(codes)} models and {len(informative)} masks of informative "
            "latents; expected at least 2 models that differ only in seed, 5 or more for a score "
            "that means something, and one mask each."
        )
    latents = []
    for i, (values, mask) in enumerate(zip(codes, informative, strict=True)):
        z, keep = finite_matrix(values, f"codes of model {i}"), np.asarray(mask)
        if keep.dtype != np.bool_ or keep.shape != z.shape[1:]:
            raise ValueError(
                f"The mask of model {i} is {keep.dtype} {list(keep.shape)}; expected "
                f"{z.shape[1]} bools, one a latent."
            )
        latents.append(z[:, keep & varying_columns(z)])
    rows = sorted({len(z) for z in latents})
    if len(rows) > 1 or rows[0] < MIN_ROWS:
        raise ValueError(
            f"The codes have {rows} rows; expected those of the same inputs for every model, at "
            f"least {MIN_ROWS} and a few thousand for a score that means something."
        )
    return latents
