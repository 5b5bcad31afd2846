"""Fitting scikit-learn's estimators: without noise, and several at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from drl_latent.metrics.base import FloatArray
from drl_latent.metrics.inputs import IntArray

Floats = FloatArray | NDArray[np.float32]
Task = tuple[Any, Floats, Floats | IntArray]
"""An unfitted estimator, codes [N, A] and targets [N] or [N, T]."""

ROWS_FOR_PROCESSES = 2_500
"""With fewer rows than this, starting a process takes longer than it saves."""


def fit_all(tasks: Sequence[Task], n_jobs: int = 1) -> list[Any]:
    """Fit each of `tasks`, `n_jobs` at a time, and return the fitted models in their order."""
    return run_all(_fit, tasks, n_jobs)


def run_all(
    work: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    n_jobs: int = 1,
    *,
    processes: bool = False,
) -> list[Any]:
    """Call `work` with each of `tasks`, `n_jobs` at a time, and return the results in their order.

    In threads, since most of scikit-learn's loops let go of the interpreter, and processes would
    each have to import it; in processes where the work does not let go, and takes long. There is
    no warning where a model used up its iterations: their number is part of a metric's definition,
    so reaching it is no fault.

    Args:
        work: What is called; for processes, a function of a module.
        tasks: Arguments of each call.
        n_jobs: Calls at a time.
        processes: Whether to use processes rather than threads.
    """
    # The filters are the process's: setting them inside the threads would race. Matrices this
    # small gain nothing from a threaded BLAS, which is many times slower on busy cores and rounds
    # differently with the number of cores.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        kind = "loky" if processes and n_jobs > 1 else "threading"
        limit = {"inner_max_num_threads": 1} if kind == "loky" else {}
        with parallel_config(kind, **limit):
            return list(Parallel(n_jobs=n_jobs)(delayed(work)(*task) for task in tasks))


def _fit(model: Any, codes: Floats, targets: Floats | IntArray) -> Any:
    return model.fit(codes, targets)
