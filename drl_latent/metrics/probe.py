"""Probes: what a predictor can read off the whole code, factor by factor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from drl_latent.metrics.base import METRICS, MetricResult
from drl_latent.metrics.fitting import Floats, Task, fit_all
from drl_latent.metrics.inputs import IntArray
from drl_latent.metrics.intervals import score_intervals
from drl_latent.metrics.splits import Held, split_inputs, target_pair
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


def probe(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: Held | None = None,
    test_fraction: float = 1 / 3,
    model: str = "mlp",
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
    seed: int = 0,
    n_jobs: int = 1,
) -> MetricResult:
    """Held-out R2 of continuous factors and accuracy of discrete ones, from the whole code.

    How much of each factor the code holds, disentangled or not (the informativeness of Eastwood &
    Williams 2018, and the readout of Schott et al. 2022). Accuracy is in [0, 1]; R2 is at most 1,
    0 for predicting the mean, and below 0 for worse than that: it is not clipped. Codes are
    standardised by the rows fitted on.

    Args:
        codes: [N, D], finite.
        factors: [N, K], finite; see `drl_latent.metrics.inputs` for which are discrete.
        test: Held-out (codes [M, D], factors [M, K]).
        test_fraction: Share of rows held out by `seed` where `test` is not given.
        model: "mlp", two hidden layers of 128, stopped early on a tenth of the rows fitted on, or
            "linear", ridge and logistic regression with scikit-learn's penalties. One model
            predicts all continuous factors; each discrete factor has its own.
        names: K names of factors.
        discrete: One bool a factor, to override its type.
        seed: Of the held-out rows, the network's weights and batches, and the intervals.
        n_jobs: Models fitted at a time; changes no result.

    Returns:
        `score` is the mean over factors. `parts` holds it, with the mean "r2" and "accuracy"
        where there are such factors; `per_factor` each factor's; `intervals` a 95% bootstrap
        interval of each over the held-out rows.

    Raises:
        ValueError: `model` is unknown, the inputs are not what `split_inputs` expects, or all
            factors are constant.
    """
    build = PROBES[model]
    metric = "probe" if model == "mlp" else f"{model}_probe"
    fit, held = split_inputs(
        codes,
        factors,
        test=test,
        test_fraction=test_fraction,
        seed=seed,
        names=names,
        discrete=discrete,
    )
    scaler = StandardScaler().fit(fit.live)
    # Single precision is plenty for standardised codes, and twice as fast.
    seen, unseen = (scaler.transform(part.live).astype(np.float32) for part in (fit, held))
    targets = {k: target_pair(fit, held, k) for k in fit.kept}
    classes = [k for k in fit.kept if fit.discrete[k]]
    numbers = [k for k in fit.kept if not fit.discrete[k]]
    tasks: list[Task] = [(build(True, targets[k][0], seed), seen, targets[k][0]) for k in classes]
    if numbers:
        values = np.stack([targets[k][0] for k in numbers], axis=1).astype(np.float32)
        values = values[:, 0] if len(numbers) == 1 else values
        tasks.append((build(False, values, seed), seen, values))
    models = fit_all(tasks, n_jobs)
    predicted = {k: m.predict(unseen) for k, m in zip(classes, models, strict=False)}
    if numbers:
        columns = models[-1].predict(unseen).reshape(len(unseen), len(numbers))
        predicted |= dict(zip(numbers, columns.T.astype(np.float64), strict=True))
    truth = {k: targets[k][1] for k in fit.kept}
    accuracies = {fit.names[k]: float(accuracy_score(truth[k], predicted[k])) for k in classes}
    r2s = {fit.names[k]: float(r2_score(truth[k], predicted[k])) for k in numbers}
    by_kind = {"r2": r2s, "accuracy": accuracies}
    factor_parts = {part: values for part, values in by_kind.items() if values}
    score = float(np.mean([*r2s.values(), *accuracies.values()]))
    means = {part: float(np.mean(list(values.values()))) for part, values in factor_parts.items()}
    intervals = score_intervals(
        [truth[k] for k in fit.kept],
        [predicted[k] for k in fit.kept],
        [bool(fit.discrete[k]) for k in fit.kept],
        seed=seed,
    )
    return MetricResult(
        metric=metric,
        score=score,
        parts={metric: score, **means},
        names=fit.names,
        factor_parts=factor_parts,
        active=fit.active,
        left_out=fit.left_out,
        estimator=model,
        settings={"seed": seed, "test_fraction": test_fraction, "test_given": test is not None},
        n=len(seen),
        n_test=len(unseen),
        intervals=dict(zip((fit.names[k] for k in fit.kept), intervals, strict=True)),
    )


METRICS.register("probe")(probe)


@METRICS.register("linear_probe")
def linear_probe(codes: ArrayLike, factors: ArrayLike, **settings: Any) -> MetricResult:
    """`probe` with the "linear" model, for a table of scores; see there for the settings."""
    return probe(codes, factors, model="linear", **settings)
