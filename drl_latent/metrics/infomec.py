"""InfoMEC: modularity, explicitness and compactness in units of information.

Hsu et al. 2023, "Disentanglement via Latent Quantization", the section on InfoMEC. Its reference
implementation scores explicitness on the rows it was fitted on, divides by zero where one code is
used, and refuses codes of integers. Here the scored rows are held out, a single code is compact,
and integers are levels like any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from drl_latent.metrics.base import BoolArray, FloatArray, Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.fitting import fit_all
from drl_latent.metrics.information import unbiased
from drl_latent.metrics.inputs import BINS, Inputs, IntArray
from drl_latent.metrics.modularity import RESOLUTION
from drl_latent.metrics.normalised_information import PRUNE, capped_information, used_codes
from drl_latent.metrics.splits import target_pair

_HOLDS = "mutual information / entropy of the factor"
# Weak: a penalty on the weights caps how sure a classifier can be of what is certain.
_INVERSE_PENALTY = 10.0


@define_metric("infom", unbiased=unbiased)
def infom(
    inputs: Inputs,
    *,
    bins: int = BINS,
    estimator: str = "binned",
    conditional: bool = False,
    prune: float = PRUNE,
    seed: int = 0,
) -> Score:
    """InfoM, the modularity of InfoMEC, in [0, 1], higher is better.

    Hsu et al. 2023, "Disentanglement via Latent Quantization", the section on InfoMEC. With the
    mutual information of codes and factors as a share of each factor's entropy: for each code, the
    share of its best factor in the sum over factors, scaled so that equal parts for all factors
    are 0; the mean over codes. Codes without information are in no mean. The score is 0 where all
    are, and 1 for every informative code where a single factor varies. As with modularity, only
    ratios count: read InfoM beside InfoE. From nearest neighbours, which the paper takes, codes of
    noise score 0.6. From bins they score 0.1 (3,000 samples, 5 factors), since the bias is alike
    for all factors; it lowers perfect codes of continuous factors to 0.90, on 10,000 rows to 0.97.

    Settings:
        bins: Bins of each code and continuous factor.
        estimator: ``"binned"`` or ``"nearest_neighbour"``, see `drl_latent.metrics.information`.
        conditional: Whether to measure each factor given the one it is most correlated with.
        prune: Codes whose range is at most this share of the largest are in no mean, unless they
            are quantised: the unused ones. The default is the reference implementation's. Use 0
            for codes in different units.

    Returns:
        `per_code` holds each code's modularity, NaN where it is in no mean, and `matrix` the
        mutual information as a share of each factor's entropy.

    Raises:
        ValueError: `prune` is outside [0, 1), the inputs are not what `check_inputs` expects, or
            all factors are constant.
    """
    information, entropies = capped_information(
        inputs, bins, estimator=estimator, conditional=conditional, seed=seed
    )
    shares = information / entropies
    used = used_codes(inputs, bins, prune)
    per_code = np.where(used, _dominance(shares), np.nan)
    return Score(
        {"infom": _mean(per_code)},
        per_code=per_code,
        matrix=shares,
        matrix_holds=_HOLDS,
        estimator=estimator,
    )


@define_metric("infoc", unbiased=unbiased)
def infoc(
    inputs: Inputs,
    *,
    bins: int = BINS,
    estimator: str = "binned",
    conditional: bool = False,
    prune: float = PRUNE,
    seed: int = 0,
) -> Score:
    """InfoC, the compactness of InfoMEC, in [0, 1], higher is better.

    Hsu et al. 2023, "Disentanglement via Latent Quantization", the section on InfoMEC: for each
    factor, the share of its best code in the sum over codes of their mutual information with it,
    scaled so that equal parts in all codes are 0; the mean over factors. A factor that no code
    tells of is in no mean. The score is 0 where all are, and 1 for every factor that is told of
    where a single code counts. Noise and bins change it as they change InfoM.

    Settings:
        bins: Bins of each code and continuous factor.
        estimator: ``"binned"`` or ``"nearest_neighbour"``, see `drl_latent.metrics.information`.
        conditional: Whether to measure each factor given the one it is most correlated with.
        prune: As in `infom`.

    Returns:
        `per_factor` holds each factor's compactness, and `matrix` the mutual information as a
        share of each factor's entropy.

    Raises:
        ValueError: `prune` is outside [0, 1), the inputs are not what `check_inputs` expects, or
            all factors are constant.
    """
    information, entropies = capped_information(
        inputs, bins, estimator=estimator, conditional=conditional, seed=seed
    )
    shares = information / entropies
    used = used_codes(inputs, bins, prune)
    by_factor = np.full(len(entropies), np.nan)
    if used.any():
        by_factor = _dominance(shares[used].T)
    return Score(
        {"infoc": _mean(by_factor)},
        by_factor={"infoc": by_factor},
        matrix=shares,
        matrix_holds=_HOLDS,
        estimator=estimator,
    )


@define_metric("infoe", held_out=True, resamples=10, bounds=(-np.inf, 1.0))
def infoe(fit: Inputs, held: Inputs, *, n_jobs: int = 1) -> Score:
    """InfoE, the explicitness of InfoMEC, at most 1, higher is better.

    Hsu et al. 2023, "Disentanglement via Latent Quantization", the section on InfoMEC: for each
    factor, the predictive V-information of Xu et al. 2020, "A Theory of Usable Information under
    Computational Constraints", that the whole code has about it, as a share of the factor's
    V-entropy; the mean over factors. It is what a linear model can use of the code:

    - a discrete factor: 1 minus the held-out cross-entropy of a logistic regression over that of
      the classes' frequencies. Rows of a class that is not among those fitted on are left out.
    - a continuous factor: held-out R2 of a linear regression, which is the same for a normal
      distribution of fixed width around the prediction (their proposition 1); of a circular one,
      the R2 of its cosine and sine together.

    As in the paper, quantised codes are one-hot encoded and all others are standardised. Here the
    weights have a small penalty, and rows that were not fitted on are scored, so a code of noise
    has 0 or less: far less where rows are few for its size. The score is not clipped.

    Returns:
        `parts` holds infoe, which is `score`, and infoe_train, on the rows fitted on;
        `factor_parts` holds both for each factor.

    Raises:
        ValueError: The inputs are not what `split_inputs` expects, or all factors are constant.
    """
    seen, unseen = _features(fit, held)
    targets = [target_pair(fit, held, k) for k in fit.kept]
    tasks = [
        (_model(bool(fit.discrete[k])), seen, own)
        for k, (own, _) in zip(fit.kept, targets, strict=True)
    ]
    fitted = list(zip(fit_all(tasks, n_jobs), targets, strict=True))
    tested = [_usable(model, unseen, truth, own) for model, (own, truth) in fitted]
    trained = [_usable(model, seen, own, own) for model, (own, _) in fitted]
    return Score(
        {"infoe": float(np.mean(tested)), "infoe_train": float(np.mean(trained))},
        by_factor={"infoe": tested, "infoe_train": trained},
        estimator="linear",
    )


def _dominance(table: FloatArray) -> FloatArray:
    """Each row's largest entry over its sum, from 0 for equal entries to 1; NaN for rows of 0."""
    totals, width = table.sum(axis=1), table.shape[1]
    blank = np.full(len(table), np.nan)
    largest = np.divide(table.max(axis=1), totals, out=blank, where=totals > RESOLUTION)
    return largest if width == 1 else (largest - 1 / width) / (1 - 1 / width)


def _mean(values: FloatArray) -> float:
    """Mean of what is not NaN; 0 where everything is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def _quantised(codes: FloatArray) -> BoolArray:
    """[A]: which codes [N, A] have few values that each come often, so that they are levels."""
    most = min(BINS, len(codes) // 10)
    return np.array([len(np.unique(column)) <= most for column in codes.T])


def _features(fit: Inputs, held: Inputs) -> tuple[FloatArray, FloatArray]:
    """What is predicted from: quantised codes one-hot, others standardised, by rows of `fit`."""
    live, unseen = fit.live, held.live
    levels = _quantised(live)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    change = ColumnTransformer(
        [("levels", encoder, levels), ("numbers", StandardScaler(), ~levels)]
    )
    return change.fit_transform(live), change.transform(unseen)


def _model(discrete: bool) -> Any:
    if discrete:
        return LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000)
    return Ridge(1 / _INVERSE_PENALTY)


def _usable(
    model: Any, features: FloatArray, truth: FloatArray | IntArray, seen: FloatArray | IntArray
) -> float:
    """Share of the entropy of `truth` that a model fitted on the targets `seen` makes use of."""
    if not hasattr(model, "classes_"):
        return float(r2_score(truth, model.predict(features), multioutput="variance_weighted"))
    known = np.isin(truth, model.classes_)
    if not known.any():
        return 0.0
    frequencies = np.bincount(np.searchsorted(model.classes_, seen)) / len(seen)
    alone = np.broadcast_to(frequencies, (int(known.sum()), len(frequencies)))
    losses = [
        log_loss(truth[known], predicted, labels=model.classes_)
        for predicted in (model.predict_proba(features[known]), alone)
    ]
    return float(1 - losses[0] / losses[1])
