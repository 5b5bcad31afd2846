"""TED compares each latent with itself a step later; RAE keeps codes and decoder small."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives.base import Batch
from drl_latent.objectives.rae import RAE
from drl_latent.objectives.ted import TED, LaggingEncoder, PairClassifier, temporal_loss
from drl_latent.pretraining import Batches
from drl_latent.pretraining.batches import others_of_episode

SMALL = ModelConfig(encoder_width=8, decoder_width=16, latent_dim=4, bottleneck="point")


@pytest.fixture(autouse=True)
def fixed_draws() -> None:
    torch.manual_seed(0)


def batch_of(images: Tensor) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(images, 0, 100, 100, generator, torch.zeros(len(images), 0))


def test_the_classifier_is_the_papers_sum():
    classifier = PairClassifier(3)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.copy_(torch.randn_like(parameter))
    v, w = torch.randn(5, 3), torch.randn(5, 3)
    a, b = classifier.pair.tolist()
    c, d, e = (p.tolist() for p in (classifier.pair_bias, classifier.first, classifier.first_bias))
    expected = [
        sum(
            abs(a[i] * v[n, i] + b[i] * w[n, i] + c[i]) - (d[i] * v[n, i] + e[i]) ** 2
            for i in range(3)
        )
        + classifier.bias
        for n in range(5)
    ]
    torch.testing.assert_close(classifier(v, w), torch.stack(expected))


def test_each_code_has_one_successor_and_two_others():
    classifier = PairClassifier(2)
    earlier, later = torch.randn(6, 2), torch.randn(6, 2)

    def nats(first: int, second: int, follows: bool) -> Tensor:
        logit = classifier(earlier[first][None], later[second][None])[0]
        return torch.nn.functional.softplus(-logit if follows else logit)

    expected = torch.stack(
        [nats(i, i, True) for i in range(6)]
        + [nats(i, (i + 3) % 6, False) for i in range(6)]
        + [nats(i, (i - 1) % 6, False) for i in range(6)]
    ).mean()
    torch.testing.assert_close(temporal_loss(classifier, earlier, later)["loss"], expected)


def test_independent_sources_are_told_apart_better_than_their_mixtures():
    # The reason for the form: each latent alone has to say whether time has passed.
    def best_loss(mixing: Tensor) -> float:
        generator = torch.Generator().manual_seed(1)
        signs = torch.rand(2_000, 2, generator=generator).sub(0.5).sign()
        steps = 0.02 * torch.randn(2_000, 2, generator=generator)
        # Sources that stay the same within a pair but differ between pairs; in a quarter turn the
        # signs of both meet in each latent.
        earlier = 3 * signs + steps
        later = 3 * signs - steps
        order = torch.randperm(2_000, generator=generator)
        earlier, later = earlier[order] @ mixing, later[order] @ mixing
        torch.manual_seed(0)
        classifier = PairClassifier(2)
        optimizer = torch.optim.Adam(classifier.parameters(), 0.05)
        for _ in range(150):
            loss = temporal_loss(classifier, earlier, later)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    half = math.sqrt(0.5)
    turned = best_loss(torch.tensor([[half, -half], [half, half]]))
    straight = best_loss(torch.eye(2))
    chance = math.log(3) - 2 / 3 * math.log(2)
    assert straight < turned - 0.02
    assert straight < chance


def test_the_lagging_encoder_starts_as_the_model_and_follows_slowly():
    model, lagging = LatentModel(SMALL), LaggingEncoder(SMALL)
    images = torch.rand(2, 3, 64, 64)
    lagging.follow(model, 0.1)
    torch.testing.assert_close(lagging(images), model.encode(images).detach())
    start = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    lagging.follow(model, 0.1)
    for name, value in lagging.layers[0].state_dict().items():
        torch.testing.assert_close(value, start[name] + 0.1 * (value.ndim > 0 or 1))
    assert not any(p.requires_grad for p in lagging.parameters())


def test_no_gradient_reaches_the_decoder_or_passes_through_the_second_frame():
    model, objective = LatentModel(SMALL), TED()
    networks = objective.networks(SMALL, None)  # type: ignore[arg-type]
    players = objective.players(model, networks)
    images = torch.rand(8, 3, 64, 64)
    second = images[4:].clone().requires_grad_()
    batch = batch_of(torch.cat([images[:4], second]))
    players["model"].loss(batch)["loss"].backward()
    assert second.grad is not None
    assert not second.grad.any()
    assert all(p.grad is None for p in model.decoder.parameters())
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.encoder.parameters())
    model.zero_grad()
    players["decoder"].loss(batch)["loss"].backward()
    assert all(p.grad is None for p in model.encoder.parameters())


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"tau must be in \(0, 1\]"):
        TED(tau=0.0)
    with pytest.raises(ValueError, match="latent_penalty must be 0 or more"):
        RAE(latent_penalty=-1.0)


# Two pairs of each episode


def test_batches_hold_two_pairs_of_each_episode_that_share_no_frame(rollouts: FrameDataset):
    batches = Batches(rollouts, 16, 3, "consecutive", same_episode=True)
    episode = rollouts.episode
    assert episode is not None
    for step in range(20):
        earlier, later = np.split(batches.rows(step), 2)
        np.testing.assert_array_equal(later, earlier + 1)
        first, other = np.split(earlier, 2)
        np.testing.assert_array_equal(episode[first], episode[other])
        assert (np.abs(first - other) >= 2).all()
    np.testing.assert_array_equal(batches.rows(7), batches.rows(7))
    with pytest.raises(ValueError, match="give a multiple of 4, got 6"):
        Batches(rollouts, 6, 0, "consecutive", same_episode=True)


def test_all_other_pairs_of_an_episode_are_equally_likely():
    episode = np.repeat([4, 9, 12], [3, 6, 1])
    rng = np.random.default_rng(0)
    drawn = others_of_episode(np.full(6_000, 5), episode, rng)
    places, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(places, [3, 7, 8])
    assert counts.min() > 1_850
    assert set(others_of_episode(np.full(100, 3), episode, rng)) == {5, 6, 7, 8}
    # Of an episode that is too short, any pair.
    assert set(others_of_episode(np.full(500, 9), episode, rng)) == set(range(10))


# RAE


def test_rae_is_the_papers_loss_times_fifty():
    model, images = LatentModel(SMALL), torch.rand(6, 3, 64, 64)
    found = RAE(latent_penalty=0.3, decoder_penalty=0.07).loss(model, batch_of(images))
    codes = model.encode(images)
    error = (model.decode(codes) - model.target(images)).square().mean()
    norm = sum(p.square().sum() for p in model.decoder.parameters())
    expected = error + 0.3 * codes.square().sum(1).mean() / 2 + 0.07 * norm / 2
    torch.testing.assert_close(found["loss"], 50 * expected)
    torch.testing.assert_close(found["reconstruction"], 50 * error)


def test_rae_penalties_reach_what_they_are_for():
    model, images = LatentModel(SMALL), torch.rand(6, 3, 64, 64)

    def gradients(**settings: float) -> tuple[Tensor, Tensor]:
        zeros = {"latent_penalty": 0.0, "decoder_penalty": 0.0}
        loss = RAE(**zeros | settings).loss(model, batch_of(images))["loss"]
        weight = model.bottleneck.linear.weight
        decoder = next(p for p in model.decoder.parameters() if p.ndim > 1)
        return torch.autograd.grad(loss, [weight, decoder])  # type: ignore[return-value]

    plain, small_codes, decayed = (
        gradients(),
        gradients(latent_penalty=1.0),
        gradients(decoder_penalty=1.0),
    )
    assert not torch.allclose(plain[0], small_codes[0])
    torch.testing.assert_close(plain[1], small_codes[1])
    torch.testing.assert_close(plain[0], decayed[0])
    decoder = next(p for p in model.decoder.parameters() if p.ndim > 1)
    torch.testing.assert_close(decayed[1], plain[1] + 50 * decoder)


def test_rae_shrinks_the_codes():
    images = torch.rand(16, 3, 64, 64)
    norms = []
    for penalty in (0.0, 1.0):
        torch.manual_seed(0)
        model = LatentModel(dataclasses.replace(SMALL))
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(20):
            terms = RAE(latent_penalty=penalty).loss(model, batch_of(images))
            optimizer.zero_grad()
            terms["loss"].backward()
            optimizer.step()
        norms.append(terms["latent_norm"].item())
    assert norms[1] < 0.5 * norms[0]
