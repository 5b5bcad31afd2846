"""Mean correlation coefficient: is each factor one code, up to scale?"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.linalg import orth
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from drl_latent.metrics.base import FloatArray, Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.inputs import Inputs
from drl_latent.metrics.splits import on_circle
from drl_latent.registry import UnknownNameError

Kind = Literal["pearson", "spearman"]


@define_metric("mcc")
def mcc(inputs: Inputs, *, kind: Kind = "pearson") -> Score:
    """Mean correlation coefficient (MCC), in [0, 1], higher is better.

    Hyvarinen & Morioka 2016, "Unsupervised Feature Extraction by Time-Contrastive Learning and
    Nonlinear ICA", section 6; Khemakhem et al. 2020, "Variational Autoencoders and Nonlinear ICA",
    section 5: each factor is given a code of its own, so that the absolute correlations of these
    pairs have the largest sum (a linear assignment), and MCC is their mean over factors. With
    fewer active codes than factors, some factors get none, and count 0.

    A factor is taken by its numbers, also where it is discrete: of classes without an order, such
    as shapes, the correlation says little. Of a circular factor it is the circular-linear
    correlation of Mardia 1976, "Linear-Circular Correlation Coefficients". Pairs are chosen on the
    rows that are scored, so that a random code gets more than 0: see `floor`.

    Settings:
        kind: ``"pearson"``, for codes that are linear in their factor, or ``"spearman"``, of
            ranks, for monotone ones. Circular factors have no ranks: there, of the codes' only.

    Returns:
        `per_factor` holds the correlation of each factor with its code, `matrix` all absolute
        correlations, 0 for dead codes.

    Raises:
        ValueError: `kind` is unknown, the inputs are not what `check_inputs` expects, or all
            factors are constant.
    """
    if kind not in get_args(Kind):
        raise UnknownNameError("kind of correlation", kind, get_args(Kind))
    correlations = np.stack([_correlations(inputs, k, kind) for k in inputs.kept], axis=1)
    matched = np.zeros(len(inputs.kept))
    codes, factors = linear_sum_assignment(correlations, maximize=True)
    matched[factors] = correlations[codes, factors]
    return Score(
        {"mcc": float(matched.mean())},
        by_factor={"mcc": matched},
        matrix=inputs.full_rows(correlations, dead=0.0),
        matrix_holds="absolute correlation",
        estimator=kind,
    )


def _correlations(inputs: Inputs, k: int, kind: Kind) -> FloatArray:
    """[A]: absolute correlation of each active code with factor `k`."""
    codes, target, period = inputs.live, inputs.factors[:, k], inputs.periods[k]
    if kind == "spearman":
        codes, target = rankdata(codes, axis=0), target if period else rankdata(target)
    columns = on_circle(target, period) if period else target[:, None]
    basis = orth(columns - columns.mean(axis=0))
    centred = codes - codes.mean(axis=0)
    # The length of what a code has in the span of the factor, over its own.
    found = np.linalg.norm(basis.T @ centred, axis=0)
    length = np.linalg.norm(centred, axis=0)
    share = np.divide(found, length, out=np.zeros_like(found), where=length > 0)
    return np.minimum(share, 1.0)
