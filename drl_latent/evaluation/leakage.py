"""Proof that what is called out of distribution was not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.envs import FactorSpace, Split

_NEW_TO = {"test": ("policy", "encoder"), "ood1": ("policy",), "ood2": ("policy", "encoder")}
"""Part of a split to those who must not have seen it."""


class LeakageError(ValueError):
    """A part that is called out of distribution has combinations that were seen in training."""


def check_leakage(
    split: Split,
    part: str,
    *,
    encoder_data: Mapping[str, Any] | None,
    policy_part: str,
    policy_seen: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Compare a part of a split with what the encoder and the policy saw.

    A part of a part, such as ``"test/object_hue"`` of an axis split, is held to the same as the
    part. Where a split only shifts how often combinations occur (``split.weights``), all of them
    may have been seen; then the training set must not have been drawn from the same part.

    Args:
        split: The split that is evaluated on.
        part: The part, e.g. ``"ood2"``.
        encoder_data: The ``config`` of the data set that the encoder was trained on, as its
            ``training["data"]`` records it; None where there is no encoder.
        policy_part: The part that the policy was trained on.
        policy_seen: Flat ids that the policy was trained on, where that was not a part of `split`.

    Returns:
        ``combinations``: how many `part` has; ``seen_by_encoder`` and ``seen_by_policy``: how many
        of them were seen; for a part that only shifts frequencies also ``only_frequencies_shift``:
        True.

    Raises:
        LeakageError: ``"ood1"``, ``"ood2"`` or ``"test"`` has combinations that the policy saw, or
            ``"ood2"`` or ``"test"`` some that the encoder saw; or what the encoder saw cannot be
            told from its data set.
    """
    ids = split.ids(part)
    nothing = np.empty(0, dtype=np.int64)
    seen = {
        "encoder": nothing if encoder_data is None else _seen_ids(split, encoder_data),
        "policy": split.ids(policy_part) if policy_seen is None else policy_seen,
    }
    leaked = {who: np.intersect1d(ids, known) for who, known in seen.items()}
    must_be_new = _NEW_TO.get(part.split("/")[0], ())
    if part in split.weights:
        _check_frequencies(split, part, encoder_data, policy_part)
    else:
        for who in must_be_new:
            if leaked[who].size:
                raise LeakageError(_complaint(split, part, who, leaked[who]))
    counts = {
        "combinations": len(ids),
        "seen_by_encoder": leaked["encoder"].size,
        "seen_by_policy": leaked["policy"].size,
    }
    return counts | ({"only_frequencies_shift": True} if part in split.weights else {})


def _complaint(split: Split, part: str, who: str, leaked: NDArray[np.int64]) -> str:
    """Say how much leaked, with one combination as an example."""
    row = split.factor_space.from_flat(leaked[:1])[0]
    example = {f.name: f.level(int(i)) for f, i in zip(split.factor_space, row, strict=True)}
    return (
        f"{leaked.size} of the {len(split.ids(part))} combinations of {part!r} were in the "
        f"{who}'s training set, so it is not out of distribution; one of them: {example}. Train "
        f"the {who} on the part of this very split that is meant for it."
    )


def _check_frequencies(
    split: Split, part: str, encoder_data: Mapping[str, Any] | None, policy_part: str
) -> None:
    """Refuse a part of other frequencies that training was drawn from.

    Raises:
        LeakageError: It was.
    """
    if part.split("/")[0] not in _NEW_TO:
        return
    encoder_part = None
    if encoder_data is not None and encoder_data.get("split") is not None:
        data_split = Split.from_dict(encoder_data["split"])
        if data_split.weights == split.weights:
            encoder_part = encoder_data.get("partition")
    for who, trained_on in (("encoder", encoder_part), ("policy", policy_part)):
        if trained_on == part:
            raise LeakageError(
                f"The {who} was trained on {part!r} itself, so it is not out of distribution. "
                f"Train the {who} on another part of this split."
            )


def _seen_ids(split: Split, data: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return the ids, in `split`, of the combinations that a data set was drawn from.

    Raises:
        LeakageError: The manifest does not tell, or is about other factors.
    """
    if "factor_space" not in data:
        raise LeakageError(
            "The manifest of the encoder's data set does not say which factors varied, so what it "
            "saw cannot be compared. Collect the data again."
        )
    space = FactorSpace.from_dict(data["factor_space"]).reset
    if space != split.factor_space:
        raise LeakageError(
            f"The encoder's data set varied {list(space.names)} but the split is over "
            f"{list(split.factor_space.names)}, or their levels differ: what it saw cannot be "
            "compared. Collect with the same `factors` as the split."
        )
    if data.get("split") is None:
        return np.arange(space.size)
    trained = Split.from_dict(data["split"])
    if trained.factor_space != space or data.get("partition") not in trained.parts:
        raise LeakageError(
            f"The manifest of the encoder's data set names part {data.get('partition')!r} of a "
            f"split of {list(trained.factor_space.names)} with parts {list(trained.parts)}, which "
            "does not fit: what it saw cannot be compared. Collect the data again."
        )
    return trained.ids(data["partition"])
