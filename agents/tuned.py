"""Settings of algorithms that were tuned on an environment, beside those for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drl_latent.agents.perception import Perception

ADAPTED_TRIED = (
    "factorize:InvertedPendulum-v5",
    "factorize:Pusher-v5",
    "factorize:Reacher-v5",
)
"""Adapted environments that PPO learns with the settings for all."""

TUNED: dict[tuple[str, str], Mapping[str, Any]] = {
    # With eight environments an update for every second step; PPO learns this task far more slowly.
    ("DrlLatent/Push-v0", "SAC"): {
        "learning_rate": "lin_0.001",
        "learning_starts": 2_000,
        "gradient_steps": 4,
    },
}
"""Environment and algorithm to keyword arguments of its class, on the true state or latents."""


def tuned_settings(env_id: str, algorithm: str, perception: Perception) -> dict[str, Any]:
    """Return what was tuned for an environment; nothing where none was, or for raw images."""
    if perception.inputs.startswith("pixels"):
        return {}
    return dict(TUNED.get((env_id, algorithm), {}))
