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


@dataclass(frozen=True, eq=False)
class MetricResult:
    """The score of one metric and everything it was made from.

    D is the number of codes and K the number of factors that were given. Factors that never vary
    are in no mean: they are named in `left_out`, are missing from `factor_parts` and are NaN
    columns of `matrix`.

    Attributes:
        metric: Name of the metric, as in `METRICS`.
        score: The headline number.
        parts: Everything the metric sums up to, by name; one of them is `score`.
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
        estimator: The predictor that was fitted, "" for none.
        settings: The arguments that the score depends on.
        n: Rows that the score, or the predictor, was computed from.
        n_test: Held-out rows, 0 for a metric that has none.
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
    estimator: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def per_factor(self) -> dict[str, float]:
        """Factor name -> value, from the first of `factor_parts` that has the factor."""
        parts = self.factor_parts.values()
        firsts = {name: next((p[name] for p in parts if name in p), None) for name in self.names}
        return {name: value for name, value in firsts.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in types that JSON has: arrays as lists, NaN as None."""
        return {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}


def _plain(value: Any) -> Any:
    """Turn `value` into what `json.dumps(..., allow_nan=False)` accepts."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


Metric = Callable[..., MetricResult]
"""A function `metric(codes, factors, *, names=None, discrete=None, ...) -> MetricResult`."""

METRICS: Registry[Metric] = Registry("metric")
