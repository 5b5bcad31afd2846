"""Proof that what is called out of distribution was not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from drl_latent.envs import FactorSpace, Split


class LeakageError(ValueError):
    """A part that is called out of distribution has combinations that were seen in training."""


def check_leakage(
    split: Split, part: str, *, encoder_data: Mapping[str, Any] | None, policy_part: str
) -> dict[str, Any]:
    """Compare a part of a split with what the encoder and the policy saw.

    Args:
        split: The split that is evaluated on.
        part: The part, e.g. ``"ood2"``.
        encoder_data: The ``config`` of the data set that the encoder was trained on, as its
            ``training["data"]`` records it; None where there is no encoder.
        policy_part: The part that the policy was trained on.

    Returns:
        ``combinations``: how many `part` has; ``seen_by_encoder`` and ``seen_by_policy``: how many
        of them were seen.

    Raises:
        LeakageError: ``"ood1"``, ``"ood2"`` or ``"test"`` has combinations that the policy saw, or
            ``"ood2"`` or ``"test"`` some that the encoder saw.
    """
    ids = split.ids(part)
    by_policy = np.intersect1d(ids, split.ids(policy_part)).size
    by_encoder = 0
    if encoder_data is not None:
        by_encoder = np.intersect1d(ids, _seen_ids(split, encoder_data)).size
    must_be_new = {
        "policy": part in ("ood1", "ood2", "test"),
        "encoder": part in ("ood2", "test"),
    }
    for who, seen in (("policy", by_policy), ("encoder", by_encoder)):
        if must_be_new[who] and seen:
            raise LeakageError(
                f"{seen} of the {len(ids)} combinations of {part!r} were in the {who}'s training "
                f"set, so it is not out of distribution. Train the {who} on the part of this very "
                "split that is meant for it."
            )
    return {"combinations": len(ids), "seen_by_encoder": by_encoder, "seen_by_policy": by_policy}


def _seen_ids(split: Split, data: Mapping[str, Any]) -> np.ndarray:
    """Return the ids, in `split`, of the combinations that a data set was drawn from."""
    space = FactorSpace.from_dict(data["factor_space"]).reset
    if space != split.factor_space:
        raise LeakageError(
            f"The encoder's data set varied {list(space.names)} but the split is over "
            f"{list(split.factor_space.names)}, or their levels differ: what it saw cannot be "
            "compared. Collect with the same `factors` as the split."
        )
    if data.get("split") is None:
        return np.arange(space.size)
    return Split.from_dict(data["split"]).ids(data["partition"])
