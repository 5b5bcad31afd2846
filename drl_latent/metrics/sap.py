"""Separated attribute predictability: does one code predict each factor better than any other?"""

from __future__ import annotations

import numpy as np
from scipy.linalg import orth
from sklearn.svm import LinearSVC

from drl_latent.metrics.base import FloatArray, Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.fitting import Task, fit_all
from drl_latent.metrics.inputs import Inputs
from drl_latent.metrics.splits import label_pair, on_circle


@define_metric("sap", held_out=True, resamples=10)
def sap(fit: Inputs, held: Inputs, *, continuous: bool = False, n_jobs: int = 1) -> Score:
    """Separated attribute predictability (SAP), in [0, 1], higher is better.

    Kumar et al. 2018, "Variational Inference of Disentangled Latent Concepts from Unlabeled
    Observations", section 3: the mean over factors of the best minus the second best score that a
    single code predicts the factor with. For continuous factors that score is the squared
    correlation over the rows fitted on (for circular ones the squared circular-linear correlation
    of Mardia 1976, "Linear-Circular Correlation Coefficients"); for discrete ones the held-out
    accuracy of a linear support vector machine (C 0.01, balanced classes, fitted on the code as it
    is: unlike the correlation it depends on the code's scale). Dead codes do not compete; where
    there is no other, the second best is the score of a constant.

    Settings:
        continuous: Treat every factor as continuous, by its numbers.

    Returns:
        `per_factor` holds the gaps, `matrix` the scores of single codes.

    Raises:
        ValueError: The inputs are not what `split_inputs` expects, or all factors are constant.
    """
    counted = {k: not continuous and bool(fit.discrete[k]) for k in fit.kept}
    accuracies = _accuracies(fit, held, [k for k in fit.kept if counted[k]], n_jobs)
    columns, gaps = [], []
    for k in fit.kept:
        column, chance = accuracies[k] if counted[k] else (_squared_correlations(fit, k), 0.0)
        rivals = column[fit.active]
        # Dead codes do not compete, unless there is no other to be second.
        second, best = np.sort(rivals if len(rivals) > 1 else [*rivals, chance, chance])[-2:]
        columns.append(column)
        gaps.append(best - second)
    return Score(
        {"sap": float(np.mean(gaps))},
        by_factor={"sap": gaps},
        matrix=np.stack(columns, axis=1),
        matrix_holds="squared correlation, or held-out accuracy where discrete",
        estimator="linear_svc" if any(counted.values()) else "correlation",
    )


def _squared_correlations(inputs: Inputs, k: int) -> FloatArray:
    """[D]: squared correlation of each code with factor `k`, 0 for dead codes."""
    target = inputs.factors[:, k]
    columns = on_circle(target, inputs.periods[k]) if inputs.periods[k] else target[:, None]
    # Not QR: two opposite values of a circular factor span one dimension, not two.
    basis = orth(columns - columns.mean(axis=0))
    centred = inputs.live - inputs.live.mean(axis=0)
    # The share of a code's variance that lies in the span of the factor.
    explained = np.square(basis.T @ centred).sum(axis=0)
    total = np.square(centred).sum(axis=0)
    shares = np.divide(explained, total, out=np.zeros_like(total), where=total > 0)
    return inputs.full_rows(shares, dead=0.0)


def _accuracies(
    fit: Inputs, held: Inputs, columns: list[int], n_jobs: int
) -> dict[int, tuple[FloatArray, float]]:
    """Factor -> [D], the held-out accuracy of predicting it from each code; and from a constant."""
    blank = np.zeros((len(fit.codes), 1)), np.zeros((len(held.codes), 1))
    pairs = [(a[:, None], b[:, None]) for a, b in zip(fit.live.T, held.live.T, strict=True)]
    pairs.append(blank)
    labels = {k: label_pair(fit, held, k) for k in columns}
    tasks: list[Task] = [
        (LinearSVC(C=0.01, class_weight="balanced", dual=False), seen, labels[k][0])
        for k in columns
        for seen, _ in pairs
    ]
    models = iter(fit_all(tasks, n_jobs))
    found = {}
    for k in columns:
        values = [float(np.mean(next(models).predict(b) == labels[k][1])) for _, b in pairs]
        chance = values.pop()
        found[k] = fit.full_rows(np.array(values), dead=chance), chance
    return found
