"""Registries of networks; the modules that define them fill them when the package is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from drl_latent.registry import Registry

if TYPE_CHECKING:
    from drl_latent.models.bottlenecks import Bottleneck
    from drl_latent.models.likelihoods import Likelihood

ENCODERS: Registry[type[nn.Module]] = Registry("encoder")
DECODERS: Registry[type[nn.Module]] = Registry("decoder")
BOTTLENECKS: Registry[type[Bottleneck]] = Registry("bottleneck")
LIKELIHOODS: Registry[type[Likelihood]] = Registry("likelihood")
