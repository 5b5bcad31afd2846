"""Quantised bottlenecks, and what QLAE makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset
from drl_latent.models import BOTTLENECKS, LatentModel, ModelConfig
from drl_latent.models.bottlenecks import (
    CodebookBottleneck,
    FiniteScalarBottleneck,
    QuantizedBottleneck,
)
from drl_latent.objectives import QLAE, Tripod
from drl_latent.objectives.base import Batch, Player
from drl_latent.optimization import Optimization
from drl_latent.pretrain import pretrain
from drl_latent.pretraining.steps import make_optimizer

KINDS = ("codebook", "fsq")
SMALL = ModelConfig(encoder_width=8, decoder_width=16)


def make(kind: str, levels: int = 5, latent_dim: int = 3) -> QuantizedBottleneck:
    bottleneck = BOTTLENECKS[kind](6, ModelConfig(latent_dim=latent_dim, levels=levels))
    assert isinstance(bottleneck, QuantizedBottleneck)
    return bottleneck


def batch_of(images: torch.Tensor) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(images, 0, 100, 1000, generator, torch.zeros(len(images), 0))


def test_values_start_evenly_spread():
    codebook, fsq = make("codebook", 5), make("fsq", 5)
    expected = torch.tensor([-0.5, -0.25, 0, 0.25, 0.5])
    torch.testing.assert_close(codebook.values.detach(), expected.expand(3, 5))
    torch.testing.assert_close(fsq.values, 2 * expected[None])
    assert isinstance(codebook, CodebookBottleneck)
    assert "values" in dict(codebook.named_parameters())
    assert isinstance(fsq, FiniteScalarBottleneck)
    assert "values" not in fsq.state_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_a_latent_takes_the_nearest_value(kind: str):
    bottleneck = make(kind)
    low, high = bottleneck.values.min().item(), bottleneck.values.max().item()
    gap = (high - low) / 4
    continuous = torch.tensor([[low - 9, high + 9, low + 0.4 * gap], [0.0, 0.49 * gap, 0.51 * gap]])
    expected = torch.tensor([[low, high, low], [0, 0, gap]])
    torch.testing.assert_close(bottleneck.quantize(continuous), expected)


def test_each_latent_has_values_of_its_own():
    bottleneck = make("codebook", levels=2, latent_dim=2)
    with torch.no_grad():
        bottleneck.values.copy_(torch.tensor([[0.0, 1.0], [10.0, 20.0]]))
    codes = bottleneck.quantize(torch.tensor([[0.9, 0.9], [-5.0, 16.0]]))
    assert codes.tolist() == [[1.0, 10.0], [0.0, 20.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_pass_straight_through(kind: str):
    torch.manual_seed(0)
    bottleneck, features = make(kind), torch.randn(4, 6)
    weights = torch.randn(4, 3)
    (weights * bottleneck(features)).sum().backward()
    found = bottleneck.linear.weight.grad
    (expected,) = torch.autograd.grad(
        (weights * bottleneck.continuous(features)).sum(), bottleneck.linear.weight
    )
    assert torch.equal(found, expected)
    assert bottleneck.values.grad is None, "reconstruction does not move values"


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_gives_exact_values(kind: str):
    bottleneck = make(kind, levels=10)
    with torch.autocast("cpu", torch.bfloat16):
        codes = bottleneck(torch.randn(50, 6))
    assert codes.dtype == torch.float32
    assert torch.isin(codes, bottleneck.values).all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_level_is_refused(kind: str):
    with pytest.raises(ValueError, match="has 2 levels or more, got 1"):
        make(kind, levels=1)
    for objective in (QLAE, Tripod):
        with pytest.raises(ValueError, match="levels must be 2 or more"):
            objective(levels=1)


@pytest.mark.parametrize(("name", "levels"), [("qlae", 4), ("tripod", 6)])
def test_codes_are_exactly_the_values(name: str, levels: int, frames: FrameDataset, tmp_path: Path):
    plan = Optimization(batch_size=16, monitor_every=0)
    pretrain(
        frames, name, out=tmp_path / "e", steps=60, model=SMALL, optimization=plan,
        progress=False, levels=levels,
    )  # fmt: skip
    encoder = Encoder.load(tmp_path / "e")
    assert encoder.config.levels == levels
    codes = encoder(frames.frames[:])
    values = encoder.model.bottleneck.values.numpy()
    assert values.shape[1] == levels
    for latent, allowed in zip(codes.T, np.broadcast_to(values, (10, levels)), strict=True):
        assert set(latent.tolist()) <= set(allowed.tolist())
    assert max(len(np.unique(latent)) for latent in codes.T) > 1
    if name == "qlae":
        initial = np.linspace(-0.5, 0.5, levels, dtype=np.float32)
        assert not np.array_equal(values, np.tile(initial, (10, 1))), "values are learned"


def test_default_levels_are_those_of_the_papers():
    assert QLAE().architecture(SMALL).levels == 10
    assert Tripod().architecture(SMALL).levels == 12


def test_qlae_weighs_its_distances():
    torch.manual_seed(0)
    objective = QLAE(quantize=3.0, commit=7.0)
    model = LatentModel(objective.architecture(SMALL))
    players = objective.players(model, torch.nn.ModuleDict())
    batch = batch_of(torch.rand(8, 3, 64, 64))
    terms = players["model"].loss(batch)
    assert terms is not None
    bottleneck = model.bottleneck
    assert isinstance(bottleneck, CodebookBottleneck)
    continuous = bottleneck.continuous(model.encoder(batch.images))
    distance = (continuous - bottleneck(model.encoder(batch.images))).square().mean()
    nats = model.reconstruction_loss(model.encode(batch.images), batch.images).mean() / (3 * 32**2)
    torch.testing.assert_close(terms["loss"], nats + 7 * distance)
    of_values = players["values"].loss(batch)
    assert of_values is not None
    torch.testing.assert_close(of_values["loss"], 3 * distance)
    assert [id(p) for p in players["values"].parameters] == [id(bottleneck.values)]
    assert all(p is not bottleneck.values for p in players["model"].parameters)


def test_values_move_to_the_mean_of_what_they_stand_for():
    objective = QLAE(levels=2, quantize=1.0)
    model = LatentModel(objective.architecture(ModelConfig(latent_dim=1)))
    bottleneck = model.bottleneck
    assert isinstance(bottleneck, CodebookBottleneck)
    continuous = torch.tensor([[-0.9], [-0.7], [0.1], [0.5]])
    optimizer = torch.optim.SGD([bottleneck.values], 0.5)
    for _ in range(100):
        optimizer.zero_grad()
        objective.values_loss(model, continuous)["loss"].backward()
        optimizer.step()
    torch.testing.assert_close(bottleneck.values.detach(), torch.tensor([[-0.8, 0.3]]))


def test_weights_decay_and_biases_and_values_do_not():
    objective = QLAE(weight_decay=0.1)
    model = LatentModel(objective.architecture(SMALL))
    players = objective.players(model, torch.nn.ModuleDict())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for player in players.values():
        optimizer = make_optimizer(player)
        for parameter in player.parameters:
            parameter.grad = torch.zeros_like(parameter)
        for group in optimizer.param_groups:
            group["lr"] = 0.5
        optimizer.step()
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and name != "bottleneck.values"
        expected = before[name] * (0.95 if decays else 1)
        torch.testing.assert_close(parameter.detach(), expected, msg=name)


def test_no_decay_is_the_default():
    bias = torch.nn.Parameter(torch.ones(3))
    (group,) = make_optimizer(Player([bias], lambda _: None)).param_groups
    assert group["weight_decay"] == 0
