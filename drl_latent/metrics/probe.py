"""Probes: what a predictor can read off the whole code, factor by factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from drl_latent.metrics.base import Score
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.fitting import Floats, Task, fit_all
from drl_latent.metrics.inputs import Inputs, IntArray
from drl_latent.metrics.intervals import score_rows
from drl_latent.metrics.splits import target_pair
from drl_latent.registry import Registry

Target = Floats | IntArray
Builder = Callable[[bool, Target, int], Any]
"""`build(discrete, target, seed)` -> an unfitted classifier or regressor for the target."""

PROBES: Registry[Builder] = Registry("probe model")


@PROBES.register("linear")
def _linear(discrete: bool, target: Target, seed: int) -> Any:
    return LogisticRegression(max_iter=1000) if discrete else Ridge()


@PROBES.register("mlp")
def _mlp(discrete: bool, target: Target, seed: int) -> Any:
    kind = MLPClassifier if discrete else MLPRegressor
    # Stopping early takes a tenth of the rows, and as many of each class, if there are enough.
    rows = len(target)
    counts = np.bincount(target.astype(int)) if discrete else np.array([rows])
    early = rows >= 20 and counts[counts > 0].min() >= 2 and len(counts) <= rows // 10
    return kind(
        hidden_layer_sizes=(128, 128),
        learning_rate_init=3e-3,
        early_stopping=early,
        max_iter=200 if early else 50,
        random_state=seed,
    )


def _probe(
    fit: Inputs, held: Inputs, metric: str, model: str, seed: int, n_jobs: int, resamples: int
) -> Score:
    build = PROBES[model]
    scaler = StandardScaler().fit(fit.live)
    # Single precision is plenty for standardised codes, and twice as fast.
    seen, unseen = (scaler.transform(part.live).astype(np.float32) for part in (fit, held))
    targets = {k: target_pair(fit, held, k) for k in fit.kept}
    classes = [k for k in fit.kept if fit.discrete[k]]
    numbers = [k for k in fit.kept if not fit.discrete[k]]
    tasks: list[Task] = [(build(True, targets[k][0], seed), seen, targets[k][0]) for k in classes]
    if numbers:
        values = np.column_stack([targets[k][0] for k in numbers]).astype(np.float32)
        values = values[:, 0] if values.shape[1] == 1 else values
        tasks.append((build(False, values, seed), seen, values))
    models = fit_all(tasks, n_jobs)
    predicted = {k: m.predict(unseen) for k, m in zip(classes, models, strict=False)}
    if numbers:
        widths = [targets[k][0].reshape(len(seen), -1).shape[1] for k in numbers]
        columns = models[-1].predict(unseen).reshape(len(unseen), -1).astype(np.float64)
        predicted |= dict(zip(numbers, np.split(columns, np.cumsum(widths)[:-1], 1), strict=True))
    scored = score_rows(
        [targets[k][1] for k in fit.kept],
        [predicted[k] for k in fit.kept],
        [bool(fit.discrete[k]) for k in fit.kept],
        groups=held.groups,
        resamples=resamples,
        seed=seed,
    )
    is_class = fit.discrete[fit.kept]
    by_kind = {
        "r2": np.where(is_class, np.nan, scored.values),
        "accuracy": np.where(is_class, scored.values, np.nan),
    }
    by_factor = {part: values for part, values in by_kind.items() if not np.isnan(values).all()}
    means = {part: float(np.nanmean(values)) for part, values in by_factor.items()}
    return Score(
        {metric: float(np.mean(scored.values)), **means},
        by_factor=by_factor,
        estimator=model,
        interval=scored.interval,
        intervals=scored.intervals,
    )


def _linear_floor(settings: dict[str, Any]) -> dict[str, Any]:
    """Of a random code, a network reads no more than a line does."""
    return {"model": "linear"}


@define_metric(
    "probe", held_out=True, resamples=1000, bounds=(-np.inf, 1.0), stand_in=_linear_floor
)
def probe(
    fit: Inputs,
    held: Inputs,
    *,
    model: str = "mlp",
    seed: int = 0,
    n_jobs: int = 1,
    resamples: int = 0,
) -> Score:
    """Held-out R2 of continuous factors and accuracy of discrete ones, from the whole code.

    How much of each factor the code holds, disentangled or not (the informativeness of Eastwood &
    Williams 2018, and the readout of Schott et al. 2022). Accuracy is in [0, 1]; R2 is at most 1,
    0 for predicting the mean, and below 0 for worse than that: it is not clipped. A circular
    factor is predicted as its cosine and sine, and has the R2 of both together. Codes are
    standardised by the rows fitted on.

    Settings:
        model: "mlp", two hidden layers of 128, stopped early on a tenth of the rows fitted on, or
            "linear", ridge and logistic regression with scikit-learn's penalties. One model
            predicts all continuous factors; each discrete factor has its own.

    Returns:
        `score` is the mean over factors. `parts` holds it, with the mean "r2" and "accuracy"
        where there are such factors; `per_factor` each factor's. `interval` and `intervals`, one a
        factor, are 95% bootstrap intervals over the held-out rows: they leave out how far a score
        depends on the rows fitted on.

    Raises:
        ValueError: `model` is unknown, the inputs are not what `split_inputs` expects, or all
            factors are constant.
    """
    metric = "probe" if model == "mlp" else f"{model}_probe"
    return _probe(fit, held, metric, model, seed, n_jobs, resamples)


@define_metric("linear_probe", held_out=True, resamples=1000, bounds=(-np.inf, 1.0))
def linear_probe(
    fit: Inputs, held: Inputs, *, seed: int = 0, n_jobs: int = 1, resamples: int = 0
) -> Score:
    """`probe` with the "linear" model, for a table of scores; see there.

    Returns:
        As `probe` does.

    Raises:
        ValueError: The inputs are not what `split_inputs` expects, or all factors are constant.
    """
    return _probe(fit, held, "linear_probe", "linear", seed, n_jobs, resamples)
