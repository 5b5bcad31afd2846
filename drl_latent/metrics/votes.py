"""What the scores that count votes, `factor_vae` and `beta_vae`, have in common."""

from __future__ import annotations

from typing import Any

from scipy.stats import binomtest

from drl_latent.metrics.base import Interval
from drl_latent.metrics.uncertainty import LEVEL

# Enough for an interval from halves of the rows: of these, most of its width comes from the rows.
_FEW_VOTES = 1_000


def check_votes(votes: int, test_votes: int, batch: int) -> None:
    """Raise a ValueError if there are too few votes, or rows that a vote is made from."""
    for name, value, least in (
        ("votes", votes, 1),
        ("test_votes", test_votes, 1),
        ("batch", batch, 2),
    ):
        if value < least:
            raise ValueError(f"{name} is {value}; expected {least} or more.")


def fewer_votes(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what is set differently where the score is computed again and again."""
    return {name: min(settings[name], _FEW_VOTES) for name in ("votes", "test_votes")}


def wilson_interval(share: float, trials: int) -> Interval:
    """Return Wilson's 95% interval of the chance of success, from its share of trials."""
    found = binomtest(round(share * trials), trials).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)
