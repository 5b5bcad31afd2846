"""Separated attribute predictability: does one code predict each factor better than any other?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.svm import LinearSVC

from drl_latent.metrics.base import METRICS, FloatArray, MetricResult
from drl_latent.metrics.fitting import fit_all
from drl_latent.metrics.inputs import Inputs, check_inputs
from drl_latent.metrics.splits import Held, label_pair, split_inputs


@METRICS.register("sap")
def sap(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: Held | None = None,
    test_fraction: float = 1 / 3,
    continuous: bool = False,
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
    seed: int = 0,
) -> MetricResult:
    """Separated attribute predictability (SAP), in [0, 1], higher is better.

    Kumar et al. 2018, "Variational Inference of Disentangled Latent Concepts from Unlabeled
    Observations", section 3: the mean over factors of the best minus the second best score that a
    single code predicts the factor with. For continuous factors that score is the squared
    correlation over `codes`; for discrete ones the held-out accuracy of a linear support vector
    machine (C 0.01, balanced classes, fitted on the code as it is: unlike the correlation it
    depends on the code's scale). Dead codes do not compete; where there is no other, the second
    best is the score of a constant.

    Args:
        codes: [N, D], finite.
        factors: [N, K], finite; see `drl_latent.metrics.inputs` for which are discrete.
        test: Held-out (codes [M, D], factors [M, K]), for discrete factors.
        test_fraction: Share of rows held out by `seed` where `test` is not given.
        continuous: Treat every factor as continuous, by its numbers; nothing is held out then.
        names: K names of factors.
        discrete: One bool a factor, to override its type.
        seed: Of the held-out rows.

    Returns:
        `per_factor` holds the gaps, `matrix` the scores of single codes.

    Raises:
        ValueError: The inputs are not what `split_inputs` expects, or all factors are constant.
    """
    whole = check_inputs(codes, factors, names=names, discrete=discrete)
    held_out = not continuous and bool(whole.discrete[whole.varying].any())
    fit = held = whole
    if held_out:
        fit, held = split_inputs(
            codes,
            factors,
            test=test,
            test_fraction=test_fraction,
            seed=seed,
            names=names,
            discrete=discrete,
        )
    columns, gaps = [], []
    for k in fit.kept:
        if continuous or not fit.discrete[k]:
            column, chance = _squared_correlations(whole, k), 0.0
        else:
            column, chance = _accuracies(fit, held, k)
        rivals = column[fit.active]
        # Dead codes do not compete, unless there is no other to be second.
        second, best = np.sort(rivals if len(rivals) > 1 else [*rivals, chance, chance])[-2:]
        columns.append(column)
        gaps.append(best - second)
    score = float(np.mean(gaps))
    return MetricResult(
        metric="sap",
        score=score,
        parts={"sap": score},
        names=fit.names,
        factor_parts={"sap": fit.named(gaps)},
        matrix=fit.full_columns(np.stack(columns, axis=1)),
        matrix_holds="squared correlation, or held-out accuracy where discrete",
        active=fit.active,
        left_out=fit.left_out,
        estimator="linear_svc" if held_out else "",
        settings={"continuous": continuous, "seed": seed, "test_fraction": test_fraction},
        n=len(fit.codes),
        n_test=len(held.codes) if held_out else 0,
    )


def _squared_correlations(inputs: Inputs, k: int) -> FloatArray:
    """[D]: squared correlation of each code with factor `k`, 0 for dead codes."""
    target = inputs.factors[:, k]
    values = [np.corrcoef(code, target)[0, 1] ** 2 for code in inputs.codes[:, inputs.active].T]
    return inputs.full_rows(np.array(values), dead=0.0)


def _accuracies(fit: Inputs, held: Inputs, k: int) -> tuple[FloatArray, float]:
    """[D]: held-out accuracy of predicting factor `k` from each code, and from a constant."""
    labels, truth = label_pair(fit, held, k)

    def accuracy(column: FloatArray, unseen: FloatArray) -> float:
        model = LinearSVC(C=0.01, class_weight="balanced", dual=False)
        fit_all([(model, column[:, None], labels)])
        return float(np.mean(model.predict(unseen[:, None]) == truth))

    chance = accuracy(np.zeros(len(labels)), np.zeros(len(truth)))
    pairs = zip(fit.live.T, held.live.T, strict=True)
    values = np.array([accuracy(column, unseen) for column, unseen in pairs])
    return fit.full_rows(values, dead=chance), chance
