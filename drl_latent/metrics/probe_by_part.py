"""Probes in and out of distribution: fitted on one part of a split, tested on each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from drl_latent.metrics.base import METRICS, MetricResult
from drl_latent.metrics.inputs import IntArray, check_inputs

IN_DISTRIBUTION = "id"


def probe_by_part(
    codes: ArrayLike,
    factors: ArrayLike,
    parts: Sequence[str] | ArrayLike,
    *,
    train: str,
    metric: str = "linear_probe",
    test_fraction: float = 1 / 3,
    groups: ArrayLike | None = None,
    seed: int = 0,
    **settings: Any,
) -> dict[str, MetricResult]:
    """Fit a probe on the rows of one part, and test it on held-out rows of it and on every other.

    The readout of Schott et al. 2022, "Visual Representation Learning Does Not Generalize Strongly
    Within the Same Domain", section 3: how much of what can be read off the code in distribution
    can still be read off it for combinations that the readout has not seen. Whether the encoder
    had seen them is another matter: that is what the parts of a transfer split tell apart.

    Args:
        codes: [N, D], finite.
        factors: [N, K], finite.
        parts: [N], the name of the part that each row is in; rows of part "" are left out.
        train: The part to fit on.
        metric: A metric with held-out rows: ``"linear_probe"``, ``"probe"``, ``"explicitness"``...
        test_fraction: Share of the rows of `train` that are held out, as "id".
        groups: [N], the group of each row; a group is held out whole.
        seed: Of the rows held out, and of the predictor.
        settings: Further arguments of the metric.

    Returns:
        Part -> result, "id" first. All come from the same predictor. A factor that does not vary
        in a part is left out there.

    Raises:
        ValueError: There is no such part, a part has too few rows, or the inputs are not what
            `check_inputs` expects.
    """
    data = check_inputs(codes, factors, groups=groups)
    labels = np.asarray(parts).astype(str)
    known = [str(name) for name in np.unique(labels) if name]
    if labels.shape != (len(data.codes),) or train not in known:
        raise ValueError(
            f"parts has shape {labels.shape} and names {known}; expected one name a row, "
            f"({len(data.codes)},), among them train={train!r}."
        )
    rows = np.flatnonzero(labels == train)
    of_train = np.unique(data.groups[rows])
    order = np.random.default_rng(seed).permutation(of_train)
    held = np.isin(data.groups[rows], order[: round(len(order) * test_fraction)])
    fitted = rows[~held]
    tested = {IN_DISTRIBUTION: rows[held]}
    tested |= {name: np.flatnonzero(labels == name) for name in known if name != train}

    def pick(chosen: IntArray) -> tuple[ArrayLike, ArrayLike]:
        return data.codes[chosen], data.factors[chosen]

    return {
        name: METRICS[metric](*pick(fitted), test=pick(chosen), seed=seed, **settings)
        for name, chosen in tested.items()
    }
