"""InfoGAN-CR: what is drawn, who learns what, and that noise leaves no trace in codes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives import InfoGANCR
from drl_latent.objectives.base import Batch, Terms
from drl_latent.objectives.critics import make_critic
from drl_latent.objectives.info_gan_cr import draw_codes, draw_pairs
from drl_latent.pretrain import Optimization, pretrain

SMALL = ModelConfig(encoder_width=8, decoder_width=16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_at(step: int, steps: int = 100) -> Batch:
    return Batch(torch.rand(8, 3, 64, 64), step, steps, 100, seeded(), torch.zeros(8, 0))


def take_turns(objective: InfoGANCR, batch: Batch, frames: FrameDataset) -> dict[str, Terms]:
    torch.manual_seed(0)
    config = objective.architecture(SMALL)
    model, networks = LatentModel(config), objective.networks(config, frames)
    found = {}
    for name, player in objective.players(model, networks).items():
        terms = player.loss(batch)
        assert terms is not None
        found[name] = terms
    return found


def test_codes_are_uniform_and_evenly_spread():
    codes = draw_codes(40, 3, seeded())
    cells = ((codes + 1) / 2 * 40).floor().sort(0).values
    assert torch.equal(cells, torch.arange(40.0)[:, None].expand(-1, 3))
    many = torch.cat([draw_codes(4, 2, seeded(i)) for i in range(500)])
    assert abs(np.corrcoef(many.T.numpy())[0, 1]) < 0.05
    histogram = torch.histc(many, 10, -1, 1)
    assert histogram.min() > 0.8 * histogram.max()


@pytest.mark.parametrize("gap", [0.0, 0.5, 1.9])
def test_a_pair_shares_one_latent_and_no_other(gap: float):
    first, second, shared = draw_pairs(300, 4, gap, seeded())
    same = first == second
    assert torch.equal(same.float().argmax(1), shared)
    assert (same.sum(1) == 1).all()
    assert (first - second).abs()[~same].min() >= gap - 1e-6
    for codes in (first, second):
        assert codes.abs().max() <= 1
    assert torch.bincount(shared, minlength=4).min() > 40


def test_noise_latents_have_the_code_0(frames: FrameDataset, tmp_path: Path):
    plan = Optimization(batch_size=8, monitor_every=0)
    encoder = pretrain(
        frames, "info_gan_cr", out=tmp_path / "e", steps=12, model=SMALL, optimization=plan,
        progress=False, noise=3,
    )  # fmt: skip
    codes = encoder(frames.frames[:20])
    np.testing.assert_array_equal(codes[:, 7:], 0)
    assert (codes[:, :7].std(0) > 0).all()
    assert encoder.decode(codes).shape == (20, 32, 32, 3)


def test_terms_are_weighed(frames: FrameDataset):
    objective = InfoGANCR(info=3.0, contrast=8.0, contrast_start=0.5)
    for step, weight in ((0, 0.0), (49, 0.0), (74, 4.0), (99, 8.0)):
        terms = take_turns(objective, batch_at(step), frames)["model"]
        expected = terms["adversarial"] + 3 * terms["information"] + weight * terms["contrast"]
        torch.testing.assert_close(terms["loss"], expected)


def test_information_is_the_squared_error_of_recovered_codes(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    objective = InfoGANCR(noise=4)
    model = LatentModel(objective.architecture(SMALL))
    codes = draw_codes(8, 10, seeded())
    wrong = codes.clone()
    wrong[:, 0] += 2
    wrong[:, 6:] += 100
    monkeypatch.setattr(model, "encode", lambda images: wrong)
    terms = objective.loss(model, batch_at(0))
    assert terms["information"].item() == pytest.approx(2.0)


def test_gradients_stay_with_their_player(frames: FrameDataset):
    """What the critics see of the generator is detached, and early pairs do not train it."""
    torch.manual_seed(0)
    objective = InfoGANCR()
    config = objective.architecture(SMALL)
    model, networks = LatentModel(config), objective.networks(config, frames)
    players, batch = objective.players(model, networks), batch_at(0)
    terms = {name: player.loss(batch) for name, player in players.items()}
    assert not terms["model"]["contrast"].requires_grad  # type: ignore[index]
    for name in ("discriminator", "contrast"):
        terms[name]["loss"].backward()  # type: ignore[index]
        assert all(p.grad is None for p in model.parameters())
        assert all(p.grad is not None for p in networks[name].parameters())


def test_discriminator_learns_to_tell_frames_from_generated_images(frames: FrameDataset):
    torch.manual_seed(0)
    objective = InfoGANCR()
    config = objective.architecture(SMALL)
    model, networks = LatentModel(config), objective.networks(config, frames)
    players, losses = objective.players(model, networks), []
    optimizer = torch.optim.Adam(networks["discriminator"].parameters(), 2e-3)
    images = torch.from_numpy(frames.frames[:16].copy()).permute(0, 3, 1, 2) / 255
    for step in range(40):
        batch = dataclasses.replace(batch_at(step), images=images)
        players["model"].loss(batch)
        terms = players["discriminator"].loss(batch)
        assert terms is not None
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(terms["loss"].item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("size", [16, 32, 42, 64])
def test_critics_take_all_sizes_and_are_normalised(size: int):
    critic = make_critic(size, 6, 5)
    assert critic(torch.rand(3, 6, size, size)).shape == (3, 5)
    normalised = [layer for layer in critic if parametrize.is_parametrized(layer)]
    assert len(normalised) == {16: 3, 32: 4, 42: 4, 64: 5}[size]
    for _ in range(100):
        critic(torch.rand(3, 6, size, size))
    for layer in normalised:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert norm.item() == pytest.approx(1, abs=0.02)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="noise=10 leaves no code"):
        InfoGANCR(noise=10).architecture(SMALL)
    with pytest.raises(ValueError, match="noise must be 0 or more"):
        InfoGANCR(noise=-1)
    with pytest.raises(ValueError, match=r"contrast_start must be in \[0, 1\)"):
        InfoGANCR(contrast_start=1.0)
    with pytest.raises(ValueError, match="discriminator_rate must be above 0"):
        InfoGANCR(discriminator_rate=0.0)
    with pytest.raises(ValueError, match=r"gap must be in \[0, 2\)"):
        InfoGANCR(gap=2.0)
