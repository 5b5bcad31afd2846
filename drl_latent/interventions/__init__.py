"""Turn one knob of the code, and see what changes."""

from drl_latent.interventions.traversal import Traversal, traverse

__all__ = ["Traversal", "traverse"]
