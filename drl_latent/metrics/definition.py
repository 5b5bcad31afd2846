"""From the definition of a metric to the function that users call.

A definition says what the score of checked inputs is. What all metrics share is added here: the
checks, the rows held out, a 95% interval, the floor of a random code, the warning where factors
are correlated. Every metric is called with

- ``codes`` [N, D] and ``factors`` [N, K], finite;
- ``names``, ``discrete``, ``periods``, ``groups``: what the factors and rows are, see
  `drl_latent.metrics.inputs`;
- ``test``, held-out (codes [M, D], factors [M, K]), or else ``test_fraction``, the share of rows
  held out by ``seed``: only for metrics that fit a predictor;
- ``seed``: of every draw, and of predictors;
- ``n_jobs``: models fitted at a time, only for metrics that fit any; it changes no result;
- ``resamples``: draws that the interval is made from, 0 for none;
- ``floor``: whether to score a random code too;
- its own settings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from drl_latent.metrics.base import METRICS, Metric, MetricResult, Score
from drl_latent.metrics.correlation import warn_of_correlated
from drl_latent.metrics.inputs import Inputs, check_inputs
from drl_latent.metrics.splits import Held, split_inputs
from drl_latent.metrics.uncertainty import RESAMPLES, half_sample_interval, random_codes

Definition = Callable[..., Score]
_FURTHER = "The other arguments are those of every metric: see `drl_latent.metrics.definition`."
_UNRECORDED = ("n_jobs", "sampler")


def define_metric(
    name: str,
    *,
    held_out: bool = False,
    resamples: int = RESAMPLES,
    bounds: tuple[float, float] = (0.0, 1.0),
    stand_in: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    unbiased: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Callable[[Definition], Metric]:
    """Register a metric by its definition, and return the function that users call.

    Args:
        name: Name in `METRICS`.
        held_out: Whether the definition fits a predictor: it is then called with the `Inputs` to
            fit on and those held out, otherwise with all rows. Further arguments are keyword-only;
            one called ``seed``, ``n_jobs`` or ``resamples`` gets what the user gave.
        resamples: Draws of an interval by default.
        bounds: Least and greatest score there is, which no interval exceeds.
        stand_in: From the settings to those that differ where the score is computed again and
            again, for the interval and the floor: a faster estimator of the same.
        unbiased: The same, to those under which a score of few rows is no more biased than one of
            many: the interval is made under these, and reaches to the score.

    Raises:
        ValueError: The name is taken.
    """

    def decorate(definition: Definition) -> Metric:
        own = {
            key: parameter
            for key, parameter in inspect.signature(definition).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }

        @wraps(definition)
        def metric(
            codes: ArrayLike,
            factors: ArrayLike,
            *,
            test: Held | None = None,
            test_fraction: float = 1 / 3,
            names: Sequence[str] | None = None,
            discrete: Sequence[bool] | None = None,
            periods: Sequence[float] | None = None,
            groups: ArrayLike | None = None,
            seed: int = 0,
            n_jobs: int = 1,
            resamples: int = resamples,
            floor: bool = True,
            **settings: Any,
        ) -> MetricResult:
            if unknown := set(settings) - set(own):
                raise TypeError(
                    f"{name} has no setting {sorted(unknown)}; expected some of {sorted(own)}."
                )
            about = {"names": names, "discrete": discrete, "periods": periods, "groups": groups}
            shared = {"seed": seed, "n_jobs": n_jobs, "resamples": resamples}
            shared = {key: value for key, value in shared.items() if key in own}
            defaults = {key: p.default for key, p in own.items() if key not in shared}
            used = defaults | settings
            recorded = {key: value for key, value in used.items() if key not in _UNRECORDED}
            data: tuple[Inputs, ...]
            if held_out:
                held = {"test": test, "test_fraction": test_fraction, "seed": seed}
                data = split_inputs(codes, factors, **held, **about)  # type: ignore[arg-type]
                recorded |= {"test_fraction": test_fraction, "test_given": test is not None}
            else:
                data = (check_inputs(codes, factors, **about),)  # type: ignore[arg-type]
            correlated = warn_of_correlated(data[0])

            def compute(*parts: Inputs, **changes: Any) -> Score:
                return definition(*parts, **(shared | used | changes))

            score = compute(*data)
            interval = score.interval
            again = {} if stand_in is None else stand_in(used)
            again |= {"resamples": 0} if "resamples" in own else {}
            if interval is None and resamples:
                fair = {} if unbiased is None else unbiased(used)
                centre = compute(*data, **again, **fair).headline if fair else score.headline
                interval = half_sample_interval(
                    lambda *parts: compute(*parts, **again, **fair).headline,
                    data,
                    centre=centre,
                    resamples=resamples,
                    seed=seed,
                    bounds=bounds,
                )
                if interval is not None:
                    low, high = interval
                    interval = min(low, score.headline), max(high, score.headline)
            baseline = np.nan
            if floor:
                again |= {"sampler": None} if "sampler" in own else {}
                baseline = compute(*random_codes(data, seed), **again).headline
            return _result(name, data, score, interval, baseline, recorded | {"seed": seed},
                           correlated)  # fmt: skip

        metric.__doc__ = f"{inspect.getdoc(definition)}\n\n{_FURTHER}"
        # What help() shows: the definition's own settings among those that all metrics share.
        general = [
            p
            for key, p in inspect.signature(metric, follow_wrapped=False).parameters.items()
            if p.kind is not inspect.Parameter.VAR_KEYWORD
            and (held_out or key not in ("test", "test_fraction"))
            and ("n_jobs" in own or key != "n_jobs")
        ]
        taken = {p.name for p in general}
        added = [p for key, p in own.items() if key not in taken]
        signature = inspect.Signature([*general, *added], return_annotation=MetricResult)
        metric.__signature__ = signature  # type: ignore[attr-defined]
        return METRICS.register(name)(metric)

    return decorate


def _result(
    name: str,
    data: tuple[Inputs, ...],
    score: Score,
    interval: tuple[float, float] | None,
    floor: float,
    settings: dict[str, Any],
    correlated: tuple[tuple[str, str, float], ...],
) -> MetricResult:
    fit = data[0]
    names = [fit.names[k] for k in fit.kept]
    return MetricResult(
        metric=name,
        score=score.headline,
        parts=score.parts,
        names=fit.names,
        active=fit.active,
        n=len(fit.codes),
        n_test=len(data[1].codes) if len(data) > 1 else 0,
        factor_parts={part: fit.named(values) for part, values in score.by_factor.items()},
        per_code=score.per_code,
        matrix=None if score.matrix is None else fit.full_columns(score.matrix),
        matrix_holds=score.matrix_holds,
        left_out=fit.left_out,
        correlated=correlated,
        estimator=score.estimator,
        settings=settings,
        interval=interval,
        floor=float(floor),
        intervals=dict(zip(names, score.intervals, strict=True)) if score.intervals else {},
    )
