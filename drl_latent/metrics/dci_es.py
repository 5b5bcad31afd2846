"""Explicitness and size, the E and S of DCI-ES: how large a predictor does the code need?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.integrate import trapezoid

from drl_latent.metrics.base import Score
from drl_latent.metrics.capacity import probe_losses
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.inputs import Inputs

CAPACITIES = (0, 1, 3, 7, 15, 31, 63, 127, 255, 511)


@define_metric("dci_es", held_out=True, resamples=20, bounds=(-1.0, 1.0))
def dci_es(
    fit: Inputs, held: Inputs, *, capacities: Sequence[int] = CAPACITIES, seed: int = 0
) -> Score:
    """Explicitness and size, the two that DCI-ES adds to DCI; see `dci` for the others.

    Eastwood et al. 2023, "DCI-ES: An Extended Disentanglement Framework with Connections to
    Identifiability", section 4. Probes of growing capacity predict each factor from the code. Of
    their held-out losses, each the lowest up to its capacity, the area above the last one is taken
    relative to that of a straight line from the loss of a constant answer to 0:

    - explicitness, in [-1, 1]: 1 minus twice the area between the curve and its lowest point, over
      (range of capacities x loss of a constant answer), averaged over factors. 1 where a linear
      probe does as well as any, 0 where the loss falls steadily, below 0 where only the largest
      probes read the factor. This is `score`.
    - size: factors that vary over codes, dead ones too; 1 is best where there is no fewer codes.
    - informativeness, at most 1: 1 minus the lowest loss over that of a constant answer.
    - mean_informativeness, at most 1: the same of all capacities, averaged along the curve.

    **Explicitness alone says nothing: a code of noise is as easy to read as it gets, and scores
    1.** Compare codes of like informativeness, or by mean_informativeness, which is 0 for noise.
    It is no measure of disentanglement: a rotation of the code is as explicit.

    Probes are linear in the codes and in random Fourier features of them, one of the paper's three
    families, see `drl_latent.metrics.capacity`. Losses are 1 - R2, and 1 - accuracy where
    discrete. Capacity is log2(1 + number of features), so that 0 is the linear probe.

    Settings:
        capacities: Numbers of random features, ascending.
        seed: Of the held-out rows and the features.

    Returns:
        `parts` holds the four. `factor_parts` holds the first of them, informativeness, and the
        curve, as "loss_at_0" to "loss_at_511", for each factor.

    Raises:
        ValueError: `capacities` are not two or more ascending numbers from 0, the inputs are not
            what `split_inputs` expects, or all factors are constant.
    """
    sizes = np.array(capacities)
    if sizes.ndim != 1 or len(sizes) < 2 or sizes.min() < 0 or (np.diff(sizes) < 1).any():
        raise ValueError(
            f"capacities are {capacities}; expected ascending numbers of features, such as "
            "(0, 15, 255)."
        )
    losses, constant = probe_losses(fit, held, sizes.tolist(), seed=seed)
    # Features that do harm are left alone.
    curve = np.minimum.accumulate(losses, axis=0)
    steps = np.log2(1 + sizes)
    scale = constant * (steps[-1] - steps[0])
    explicit = 1 - 2 * trapezoid(curve - curve[-1], steps, axis=0) / scale
    informative = 1 - curve[-1] / constant
    mean_informative = 1 - trapezoid(curve, steps, axis=0) / scale
    points = {f"loss_at_{size}": row for size, row in zip(sizes.tolist(), losses, strict=True)}
    return Score(
        {
            "explicitness": float(explicit.mean()),
            "size": len(fit.kept) / fit.codes.shape[1],
            "informativeness": float(informative.mean()),
            "mean_informativeness": float(mean_informative.mean()),
        },
        by_factor={
            "explicitness": explicit,
            "informativeness": informative,
            "mean_informativeness": mean_informative,
            **points,
        },
        estimator="random_features",
    )
