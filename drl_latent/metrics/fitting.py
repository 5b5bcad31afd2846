"""Fitting scikit-learn's estimators: without noise, and several at a time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
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


def fit_all(tasks: Sequence[Task], n_jobs: int = 1, *, processes: bool = False) -> list[Any]:
    """Fit each of `tasks`, `n_jobs` at a time, and return the fitted models in their order.

    In threads, since most of scikit-learn's loops let go of the interpreter, and processes would
    each have to import it; in processes where the fits do not let go, and take long. There is no
    warning where a model used up its iterations: their number is part of a metric's definition, so
    reaching it is no fault.
    """
    # The filters are the process's: setting them inside the threads would race. Matrices this
    # small gain nothing from a threaded BLAS, which is many times slower on busy cores and rounds
    # differently with the number of cores.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        jobs = (delayed(model.fit)(codes, targets) for model, codes, targets in tasks)
        kind = "loky" if processes and n_jobs > 1 else "threading"
        limit = {"inner_max_num_threads": 1} if kind == "loky" else {}
        with parallel_config(kind, **limit):
            return list(Parallel(n_jobs=n_jobs)(jobs))
