"""Networks that tell images apart, for adversarial objectives."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from drl_latent.models.encoders import halved_sizes


def make_critic(size: int, channels: int, outputs: int) -> nn.Sequential:
    """Return a network from images [N, C, size, size] to logits [N, outputs].

    4x4 convolutions of stride 2 with 32, 32, 64 ... channels, as many as leave 4x4 to 7x7, and a
    layer of 128, with spectral normalisation (Miyato et al. 2018, "Spectral Normalization for
    Generative Adversarial Networks"): the discriminator of Lin et al. 2020, "InfoGAN-CR".
    """
    maps = halved_sizes(size)
    widths = [channels, *(32 if layer < 2 else 64 for layer in range(len(maps) - 1))]
    layers: list[nn.Module] = []
    for entering, leaving in pairwise(widths):
        convolution = nn.Conv2d(entering, leaving, 4, stride=2, padding=1)
        layers += [spectral_norm(convolution), nn.LeakyReLU(0.2)]
    hidden = spectral_norm(nn.Linear(widths[-1] * maps[-1] ** 2, 128))
    return nn.Sequential(*layers, nn.Flatten(), hidden, nn.LeakyReLU(0.2), nn.Linear(128, outputs))
