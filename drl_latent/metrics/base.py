"""What every metric returns, and the registry that lists the metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.registry import Registry

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class MetricResult:
    """The score of one metric and everything it was made from.

    D is the number of codes and K the number of factors that were given. Factors that never vary
    are in no mean: they are named in `left_out`, are missing from `factor_parts` and are NaN
    columns of `matrix`.

    Attributes:
        metric: Name of the metric, as in `METRICS`.
        score: The headline number.
        parts: Everything the metric sums up to, by name; the first is `score`.
        names: Names of all K factors.
        factor_parts: Part name -> factor name -> value, the most important part first.
        per_code: [D], the value of each code, NaN where it is undefined (a dead code); None
            where the metric has no such thing.
        matrix: [D, K], code by factor, the table the score was computed from; None where the
            metric has none.
        matrix_holds: What an entry of `matrix` is.
        active: [D], False for codes that never vary.
        left_out: Names of factors that never vary, or not in both the fitting and the held-out
            rows where the metric has these.
        correlated: Pairs of factors that depend on each other in the data, with their bias
            corrected Cramer's V, the strongest first.
        estimator: The predictor that was fitted or how information was estimated, "" for none.
        settings: The arguments that the score depends on.
        n: Rows that the score, or the predictor, was computed from.
        n_test: Held-out rows, 0 for a metric that has none.
        interval: (low, high), a 95% interval of `score`; None where none was asked for, or the
            rows are too few.
        floor: What a random code of the same shape gets; NaN where that was not asked for.
        intervals: Factor name -> (low, high), a 95% interval, where the metric gives one.
    """

    metric: str
    score: float
    parts: dict[str, float]
    names: tuple[str, ...]
    active: BoolArray
    n: int
    n_test: int = 0
    factor_parts: dict[str, dict[str, float]] = field(default_factory=dict)
    per_code: FloatArray | None = None
    matrix: FloatArray | None = None
    matrix_holds: str = ""
    left_out: tuple[str, ...] = ()
    correlated: tuple[tuple[str, str, float], ...] = ()
    estimator: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    interval: Interval | None = None
    floor: float = np.nan
    intervals: dict[str, Interval] = field(default_factory=dict)

    @property
    def per_factor(self) -> dict[str, float]:
        """Factor name -> value, from the first of `factor_parts` that has the factor."""
        parts = self.factor_parts.values()
        firsts = {name: next((p[name] for p in parts if name in p), None) for name in self.names}
        return {name: value for name, value in firsts.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in types that JSON has: arrays as lists, NaN as None."""
        return {entry.name: jsonable(getattr(self, entry.name)) for entry in fields(self)}


@dataclass(frozen=True, eq=False)
class Score:
    """What the definition of a metric computes; `define_metric` makes a `MetricResult` of it.

    "Over the factors" means over those that vary, in the order of `Inputs.kept`.

    Attributes:
        parts: Name -> value, the headline first.
        by_factor: Part name -> one value a factor; NaN for a factor that has no such part.
        per_code: [D], or None.
        matrix: [D, number of factors that vary], or None.
        matrix_holds: What an entry of `matrix` is.
        estimator: See `MetricResult`.
        interval: A 95% interval of the headline, where the definition knows a better one than
            drawing half of the rows again and again.
        intervals: One interval a factor, or none at all.
    """

    parts: dict[str, float]
    by_factor: dict[str, Any] = field(default_factory=dict)
    per_code: FloatArray | None = None
    matrix: FloatArray | None = None
    matrix_holds: str = ""
    estimator: str = ""
    interval: Interval | None = None
    intervals: list[Interval] = field(default_factory=list)

    @property
    def headline(self) -> float:
        """The first of `parts`."""
        return next(iter(self.parts.values()))


def jsonable(value: Any) -> Any:
    """Return `value` in types that JSON has: arrays as lists, NaN and infinity as None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


Metric = Callable[..., MetricResult]
"""`metric(codes, factors, **arguments)`; see `drl_latent.metrics.definition`."""

METRICS: Registry[Metric] = Registry("metric")
