"""Disentangled representations of robot camera images for Stable-Baselines3 agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drl_latent.checkpoint import Encoder

__all__ = ["Encoder"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the command line and the processes that metrics are computed
    # in would wait for torch otherwise, and never use it.
    if name == "Encoder":
        from drl_latent.checkpoint import Encoder

        return Encoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
