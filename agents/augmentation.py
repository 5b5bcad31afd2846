"""Random shifts of images, by which an agent on pixels learns from fewer of them."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import NatureCNN
from torch import Tensor, nn
from torch.nn import functional


class RandomShift(nn.Module):
    """Moves each image by a whole number of pixels, and repeats its border where it was moved from.

    Images are shifted in training mode only, each by its own draw and all its channels, so all
    frames of a stack, alike. As if padded by `pad` and cropped at random: Kostrikov et al. 2021,
    "Image Augmentation Is All You Need: Regularizing Deep Reinforcement Learning from Pixels"
    (DrQ), section 3. Draws are of torch's generator on the images' device, which
    Stable-Baselines3's ``seed`` sets.

    Args:
        pad: The most that an image is shifted along each axis, in pixels.

    Raises:
        ValueError: `pad` is negative.
    """

    def __init__(self, pad: int = 4) -> None:
        super().__init__()
        if pad < 0:
            raise ValueError(f"pad must be 0 or more, got {pad}.")
        self.pad = pad
        self.always = False
        """Whether to shift in evaluation mode too, see `shift_targets`."""

    def forward(self, images: Tensor) -> Tensor:
        """Return images [N, C, H, W], shifted where that is due."""
        if not (self.training or self.always) or not self.pad:
            return images
        rows, columns = torch.randint(2 * self.pad + 1, (2, len(images)), device=images.device)
        return crop_at(images, self.pad, rows, columns)

    def extra_repr(self) -> str:
        """Say by how much images are shifted."""
        return f"pad={self.pad}"


def crop_at(images: Tensor, pad: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Return a crop of its own size of each image [N, C, H, W], padded by its border on all sides.

    Args:
        images: The images, float.
        pad: Width of the border.
        rows: Where each crop begins, int [N], from 0 to twice `pad`; `pad` is the image itself.
        columns: The same, along the width.
    """
    height, width = images.shape[2:]
    padded = functional.pad(images, (pad, pad, pad, pad), mode="replicate")
    # All crops there are, without a copy; of which those that are picked are copied.
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)
    return crops[torch.arange(len(images), device=images.device), :, rows, columns]


class ShiftedCNN(NatureCNN):
    """Stable-Baselines3's NatureCNN on images that are shifted at random while it learns.

    ::

        SAC("CnnPolicy", env, policy_kwargs={"features_extractor_class": ShiftedCNN})
        shift_targets(model)

    Made for off-policy algorithms, as in DrQ. PPO and A2C compare the probability of an action on
    a shifted image with that on the image it was taken on.

    Args:
        observation_space: A Box of images, uint8 [C, H, W].
        features_dim: Number of features.
        normalized_image: As in NatureCNN.
        pad: The most that an image is shifted along each axis, in pixels.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        features_dim: int = 512,
        normalized_image: bool = False,
        pad: int = 4,
    ) -> None:
        super().__init__(observation_space, features_dim, normalized_image)
        self.shift = RandomShift(pad)

    def forward(self, observations: Tensor) -> Tensor:
        """Return features, float [N, features_dim], of images that the policy has preprocessed."""
        features: Tensor = super().forward(self.shift(observations))
        return features


def shift_targets(model: BaseAlgorithm) -> None:
    """Let target networks see shifted images too, as DrQ does.

    Stable-Baselines3 keeps target networks in evaluation mode, also while it trains, which is the
    only time that they are used. Call this when an agent has been made, or loaded to be trained
    further; it does nothing to agents without targets or shifts.
    """
    targets: list[Any] = [
        module for name, module in model.policy.named_children() if name.endswith("_target")
    ]
    for target in targets:
        for module in target.modules():
            if isinstance(module, RandomShift):
                module.always = True
