"""Random shifts are translations with a repeated border, while an agent learns and only then."""

from __future__ import annotations

import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO, SAC, TD3
from torch import Tensor

from drl_latent.agents.augmentation import RandomShift, ShiftedCNN, crop_at, shift_targets
from drl_latent.envs import make_env

IMAGES = spaces.Box(0, 255, (9, 36, 36), np.uint8)


@pytest.fixture(autouse=True)
def fixed_draws() -> None:
    torch.manual_seed(0)


def moved_by(image: Tensor, down: int, right: int) -> Tensor:
    """One image [C, H, W], each pixel by itself."""
    _, height, width = image.shape
    out = torch.empty_like(image)
    for row, column in itertools.product(range(height), range(width)):
        source = min(max(row - down, 0), height - 1), min(max(column - right, 0), width - 1)
        out[:, row, column] = image[:, *source]
    return out


def shifts_of(images: Tensor, out: Tensor, pad: int) -> list[tuple[int, int]]:
    """The shift of each image that makes it what came out."""
    found = []
    for image, got in zip(images, out, strict=True):
        fits = [
            (down, right)
            for down, right in itertools.product(range(-pad, pad + 1), repeat=2)
            if torch.equal(moved_by(image, down, right), got)
        ]
        assert len(fits) == 1
        found += fits
    return found


def test_crops_are_translations_with_a_repeated_border():
    images = torch.rand(9, 2, 7, 11)
    rows, columns = torch.arange(9) // 3, torch.arange(9) % 3
    out = crop_at(images, 1, rows, columns)
    for i in range(9):
        assert torch.equal(out[i], moved_by(images[i], 1 - int(rows[i]), 1 - int(columns[i])))


def test_each_image_has_its_own_shift_and_all_its_channels_the_same():
    images = torch.rand(24, 6, 9, 9)
    out = RandomShift(2)(images)
    shifts = shifts_of(images, out, 2)
    assert len(set(shifts)) > 8
    assert {down for down, _ in shifts} == {right for _, right in shifts} == {-2, -1, 0, 1, 2}


def test_all_shifts_are_equally_likely():
    images = torch.arange(81.0).view(1, 1, 9, 9).expand(20_000, 1, 9, 9)
    middle = RandomShift(4)(images)[:, 0, 4, 4].long()
    counts = middle.bincount(minlength=81)
    assert counts.min() > 170  # of 247 expected, with a standard deviation of 16
    assert counts.max() < 325


def test_it_is_off_in_evaluation_mode_unless_told_otherwise():
    images, shift = torch.rand(8, 3, 16, 16), RandomShift().eval()
    assert shift(images) is images
    shift.always = True
    assert not torch.equal(shift(images), images)
    assert RandomShift(0)(images) is images
    with pytest.raises(ValueError, match="pad must be 0 or more"):
        RandomShift(-1)


def test_the_seed_fixes_the_shifts():
    images, shift = torch.rand(8, 3, 16, 16), RandomShift()
    first = [shift(images), shift(images)]
    torch.manual_seed(0)
    torch.rand(8, 3, 16, 16)
    again = [shift(images), shift(images)]
    assert all(map(torch.equal, first, again))
    assert not torch.equal(*first)


def test_the_extractor_is_naturecnn_on_shifted_images():
    extractor = ShiftedCNN(IMAGES, features_dim=32, pad=3)
    images = torch.rand(4, 9, 36, 36)
    extractor.eval()
    plain = extractor(images)
    assert plain.shape == (4, 32)
    assert torch.equal(plain, extractor.linear(extractor.cnn(images)))
    extractor.train()
    assert not torch.equal(extractor(images), plain)
    assert not any("shift" in name for name in extractor.state_dict())


@pytest.mark.filterwarnings("ignore:This system does not have apparently enough memory")
@pytest.mark.parametrize("algorithm", [PPO, SAC, TD3], ids=lambda cls: cls.__name__)
def test_images_are_shifted_where_an_agent_learns_and_not_where_it_acts(
    algorithm, monkeypatch: pytest.MonkeyPatch
):
    calls: list[tuple[str, bool]] = []
    phase = ["acting"]
    real_forward, real_train = RandomShift.forward, algorithm.train

    def forward(self: RandomShift, images: Tensor) -> Tensor:
        out = real_forward(self, images)
        if len(images) > 1 or phase[0] == "acting":
            calls.append((phase[0], out is not images))
        return out

    def train(self, *args, **kwargs) -> None:
        phase[0] = "learning"
        real_train(self, *args, **kwargs)
        phase[0] = "acting"

    monkeypatch.setattr(RandomShift, "forward", forward)
    monkeypatch.setattr(algorithm, "train", train)
    env: gym.Env = make_env("DrlLatent/Reach-v0")
    on_policy = algorithm is PPO
    settings = (
        {"n_steps": 8, "n_epochs": 1} if on_policy else {"learning_starts": 4, "buffer_size": 20}
    )
    kwargs = {"features_extractor_class": ShiftedCNN, "net_arch": [8]}
    model = algorithm(
        "CnnPolicy", env, policy_kwargs=kwargs, batch_size=4, device="cpu", **settings
    )
    model.learn(8)
    learning = [is_shifted for when, is_shifted in calls if when == "learning"]
    acting = [is_shifted for when, is_shifted in calls if when == "acting"]
    assert acting
    assert not any(acting)
    assert any(learning)
    assert all(learning) == on_policy, "targets are in evaluation mode while the agent learns"
    calls.clear()
    shift_targets(model)
    model.learn(8)
    assert all(is_shifted for when, is_shifted in calls if when == "learning")
    assert not any(is_shifted for when, is_shifted in calls if when == "acting")
    env.close()
