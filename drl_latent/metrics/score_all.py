"""Several metrics of the same codes, in one tidy table."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from drl_latent.metrics.base import METRICS, Metric, MetricResult
from drl_latent.metrics.correlation import CorrelatedFactorsWarning, warn_of_correlated
from drl_latent.metrics.fitting import ROWS_FOR_PROCESSES, run_all
from drl_latent.metrics.inputs import check_inputs
from drl_latent.metrics.splits import Held

COLUMNS = (
    "metric", "part", "factor", "value", "low", "high", "floor", "estimator", "n", "n_test",
    "seed",
)  # fmt: skip


def score_each(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    metrics: Sequence[str] | None = None,
    test: Held | None = None,
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
    periods: Sequence[float] | None = None,
    groups: ArrayLike | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    **shared: Any,
) -> dict[str, MetricResult]:
    """Score codes by several metrics; as `score_all`, but with each metric's whole result."""
    chosen = list(METRICS) if metrics is None else list(metrics)
    functions = {name: METRICS[name] for name in chosen}
    options = {} if options is None else options
    if unused := set(options) - set(chosen):
        raise ValueError(
            f"options names {sorted(unused)}; expected only metrics that are scored: {chosen}."
        )
    about = {"names": names, "discrete": discrete, "periods": periods, "groups": groups}
    # Once, and not again by each metric.
    warn_of_correlated(check_inputs(codes, factors, **about))  # type: ignore[arg-type]
    given = about | {"test": test, "seed": seed, "n_jobs": n_jobs} | shared
    arguments = {
        name: _accepted(metric, given) | dict(options.get(name, {}))
        for name, metric in functions.items()
    }
    # Enough metrics to keep every job busy are scored in processes, one job each, those that fit
    # models first because they take longest; fewer fit their models several at a time. What is
    # asked of one in particular, such as a simulator, may not go into another process.
    apart = sorted(set(chosen) - set(options), key=lambda name: "n_jobs" not in arguments[name])
    large = len(codes) >= ROWS_FOR_PROCESSES  # type: ignore[arg-type]
    if n_jobs == 1 or len(apart) < 2 * n_jobs or not large:
        apart = []
    alone = {"n_jobs": 1}
    tasks = [
        (functions[n], codes, factors, arguments[n] | (alone if "n_jobs" in arguments[n] else {}))
        for n in apart
    ]
    results = dict(zip(apart, run_all(_score, tasks, n_jobs, processes=True), strict=True))
    return {
        name: results[name]
        if name in results
        else _score(functions[name], codes, factors, arguments[name])
        for name in chosen
    }


def _score(
    metric: Metric, codes: ArrayLike, factors: ArrayLike, arguments: Mapping[str, Any]
) -> MetricResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorrelatedFactorsWarning)
        return metric(codes, factors, **arguments)


def score_all(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    metrics: Sequence[str] | None = None,
    test: Held | None = None,
    names: Sequence[str] | None = None,
    discrete: Sequence[bool] | None = None,
    periods: Sequence[float] | None = None,
    groups: ArrayLike | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    **shared: Any,
) -> pd.DataFrame:
    """Score codes by several metrics.

    Metrics that fit a predictor hold rows out, the others use all rows of `codes`. Factors may be
    on any grid, complete or not, or on none.

    Args:
        codes: [N, D], finite.
        factors: [N, K], finite; see `drl_latent.metrics.inputs` for which are discrete.
        metrics: Names in `METRICS`, all of them by default.
        test: Held-out (codes [M, D], factors [M, K]) for metrics that fit a predictor; by default
            each draws a third of the rows by `seed`, the same rows for each.
        names: K names of factors.
        discrete: One bool a factor, to override its type.
        periods: The period of each circular factor, 0 for others.
        groups: [N], the group of each row, such as its episode.
        seed: Of every draw.
        n_jobs: Models fitted, or metrics scored, at a time; it changes no result.
        options: Metric name -> further arguments of that metric.
        shared: Further arguments of all metrics that take them: `resamples`, `floor`,
            `conditional`, `estimator`...

    Returns:
        One row for each part of each metric (`factor` is "") and for each of its parts of each
        factor, with the columns metric, part, factor, value, low and high (a 95% interval, NaN
        where there is none), floor (the score of a random code, NaN but for scores), estimator
        ("" for none), n, n_test and seed. A metric's score is in its first row.
        ``table.attrs["left_out"]`` maps each metric to the factors that it left out because they
        do not vary.

    Raises:
        ValueError: A name is unknown, `options` names a metric that is not scored, or the inputs
            are not what `check_inputs` and `split_inputs` expect.
    """
    results = score_each(
        codes,
        factors,
        metrics=metrics,
        test=test,
        names=names,
        discrete=discrete,
        periods=periods,
        groups=groups,
        seed=seed,
        n_jobs=n_jobs,
        options=options,
        **shared,
    )
    return tabulate(results, seed)


def tabulate(results: Mapping[str, MetricResult], seed: int) -> pd.DataFrame:
    """Return results of `score_each` as the table of `score_all`."""
    rows = [row for name, result in results.items() for row in _rows(name, result, seed)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table.attrs["left_out"] = {name: list(result.left_out) for name, result in results.items()}
    return table


def _accepted(metric: Metric, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `arguments` that the metric takes: one that fits nothing has no held-out rows."""
    parameters = inspect.signature(metric).parameters
    return {name: value for name, value in arguments.items() if name in parameters}


def _rows(name: str, result: MetricResult, seed: int) -> Iterator[tuple[Any, ...]]:
    """Rows of one result, in the order of `COLUMNS`, its score first."""
    nothing = (np.nan, np.nan)
    common = (result.estimator, result.n, result.n_test, seed)
    for i, (part, value) in enumerate(result.parts.items()):
        # The first part is the score: the interval and the floor are its.
        about = (*(result.interval or nothing), result.floor) if i == 0 else (*nothing, np.nan)
        yield (name, part, "", value, *about, *common)
    # An interval belongs to the first part that has the factor, as `per_factor` does.
    intervals = dict(result.intervals)
    for part, values in result.factor_parts.items():
        for factor, value in values.items():
            low, high = intervals.pop(factor, nothing)
            yield (name, part, factor, value, low, high, np.nan, *common)
