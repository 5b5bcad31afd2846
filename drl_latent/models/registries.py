"""Registries of networks; the modules that define them fill them when the package is imported."""

from __future__ import annotations

from torch import nn

from drl_latent.registry import Registry

ENCODERS: Registry[type[nn.Module]] = Registry("encoder")
DECODERS: Registry[type[nn.Module]] = Registry("decoder")
