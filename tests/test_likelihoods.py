"""Likelihoods: known answers, and what holds for each."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, SigmoidTransform, TransformedDistribution, Uniform
from torch.distributions.transforms import AffineTransform

from drl_latent.models import LIKELIHOODS, LatentModel, ModelConfig
from drl_latent.models.likelihoods import LearnedScale

LEARNED = [name for name in LIKELIHOODS if issubclass(LIKELIHOODS[name], LearnedScale)]
LEVELS = torch.arange(256.0) / 255


def with_scale(name: str, scale: float) -> LearnedScale:
    """A likelihood that uses exactly this scale."""
    likelihood = LIKELIHOODS[name]()
    assert isinstance(likelihood, LearnedScale)
    bound = likelihood.log_scale_bound
    with torch.no_grad():
        likelihood.log_scale.fill_(bound + math.log(math.expm1(math.log(scale) - bound)))
    return likelihood


def level_probabilities(mean: float, scale: float) -> torch.Tensor:
    """The probability of each of the 256 levels."""
    likelihood = with_scale("discretized_logistic", scale)
    with torch.no_grad():
        nats = likelihood(torch.full((256, 1, 1, 1), mean), LEVELS[:, None, None, None])
    return (-nats).exp()


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_is_least_at_the_image(name: str):
    torch.manual_seed(0)
    likelihood = LIKELIHOODS[name]()
    images = torch.rand(3, 3, 8, 8) * 0.8 + 0.1
    best = torch.logit(images) if name == "bernoulli" else images
    worse = best + 0.3 * torch.randn_like(best)
    assert (likelihood(best, images) < likelihood(worse, images)).all()
    assert likelihood(best, images).shape == (3,)
    torch.testing.assert_close(likelihood.images(best), images)
    assert likelihood.images(10 * worse).min() >= 0
    assert likelihood.images(10 * worse).max() <= 1


@pytest.mark.parametrize("decoded", [-1e4, -3.0, 0.0, 0.5, 1.0, 4.0, 1e4])
@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_is_finite_with_finite_gradients_however_far_off(name: str, decoded: float):
    likelihood = LIKELIHOODS[name]()
    starts = [None] if name not in LEARNED else [None, -1000.0, -7.0, 5.0]
    for start in starts:
        if start is not None:
            torch.nn.init.constant_(likelihood.log_scale, start)
        means = torch.full((1, 1, 16, 16), decoded, requires_grad=True)
        nats = likelihood(means, LEVELS.reshape(1, 1, 16, 16)).sum()
        nats.backward()
        assert torch.isfinite(nats), start
        assert means.grad is not None
        assert torch.isfinite(means.grad).all(), start
        assert all(p.grad is not None and torch.isfinite(p.grad) for p in likelihood.parameters())


def test_gaussian_agrees_with_torch_distributions():
    means, images = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    constant = Normal(0.0, 0.1).log_prob(torch.tensor(0.0)) * 3 * 64
    expected = -Normal(means, 0.1).log_prob(images).flatten(1).sum(1) + constant
    found = LIKELIHOODS["gaussian"]()(means, images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_salient_weights_have_mean_one():
    images = torch.rand(2, 3, 8, 8)
    shifted = LIKELIHOODS["salient_gaussian"]()(images + 0.2, images)
    torch.testing.assert_close(shifted, LIKELIHOODS["gaussian"]()(images + 0.2, images))


@pytest.mark.parametrize("scale", [0.005, 0.1, 1.0])
def test_learned_gaussian_agrees_with_torch_distributions(scale: float):
    means, images = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    expected = -Normal(means, scale).log_prob(images).flatten(1).sum(1)
    torch.testing.assert_close(with_scale("learned_gaussian", scale)(means, images), expected)


def test_learned_gaussian_is_best_at_the_root_mean_squared_error():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 8, 8)
    means = images + 0.05 * torch.randn_like(images)
    error = (means - images).square().mean().sqrt().item()
    slopes = []
    for scale in (0.8 * error, error, 1.25 * error):
        likelihood = with_scale("learned_gaussian", scale)
        likelihood(means, images).sum().backward()
        slopes.append(likelihood.log_scale.grad.item() / images.numel())
    assert slopes[0] < -0.1
    assert slopes[1] == pytest.approx(0, abs=1e-4)
    assert slopes[2] > 0.1


def test_learned_gaussian_starts_as_gaussian():
    means, images = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    learned, fixed = LIKELIHOODS["learned_gaussian"](), LIKELIHOODS["gaussian"]()
    torch.testing.assert_close(
        learned(means, images) - learned(images, images), fixed(means, images), rtol=0.06, atol=0
    )


@pytest.mark.parametrize("mean", [-0.7, 0.0, 0.31, 1.0, 1.6])
@pytest.mark.parametrize("scale", [0.002, 0.05, 1.0])
def test_probabilities_of_the_levels_sum_to_one(mean: float, scale: float):
    assert level_probabilities(mean, scale).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("mean", [-0.1, 0.31, 1.0])
@pytest.mark.parametrize("scale", [0.01, 0.05, 1.0])
def test_discretized_logistic_agrees_with_torch_distributions(mean: float, scale: float):
    logistic = TransformedDistribution(
        Uniform(torch.tensor(0.0).double(), 1, validate_args=False),
        [SigmoidTransform().inv, AffineTransform(mean, scale)],
    )
    edges = (torch.arange(255).double() + 0.5) / 255
    inner = logistic.cdf(edges)
    ends = torch.tensor([0.0, 1.0]).double()
    expected = torch.cat([ends[:1], inner, ends[1:]]).diff()
    found = level_probabilities(mean, scale).double()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-9)


def test_discretized_logistic_rounds_means_of_pixels_to_levels():
    likelihood = LIKELIHOODS["discretized_logistic"]()
    means = torch.full((1, 1, 1, 1), 0.4)
    nats = [likelihood(means, torch.full((1, 1, 1, 1), v / 255)) for v in (100.25, 100.0, 100.75)]
    assert nats[0] == nats[1]
    assert nats[2] != nats[1]


@pytest.mark.parametrize("name", LEARNED)
def test_learned_scales_train_and_are_part_of_the_model(name: str):
    torch.manual_seed(0)
    model = LatentModel(ModelConfig(likelihood=name, encoder_width=8, decoder_width=8))
    assert "likelihood.log_scale" in model.state_dict()
    images = torch.rand(4, 3, 64, 64)
    model.reconstruction_loss(model.encode(images), images).mean().backward()
    assert all(p.grad is not None for p in model.likelihood.parameters())


@pytest.mark.parametrize("name", LEARNED)
def test_a_learned_scale_stays_above_its_bound_and_comes_back(name: str):
    torch.manual_seed(0)
    likelihood = LIKELIHOODS[name]()
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.1)
    images = torch.rand(1, 3, 8, 8).mul(255).round() / 255

    def learn(decoded: torch.Tensor) -> float:
        for _ in range(200):
            optimizer.zero_grad()
            likelihood(decoded, images).sum().backward()
            optimizer.step()
        return likelihood.bounded_log_scale().item()

    assert likelihood.log_scale_bound < learn(images) < likelihood.log_scale_bound + 0.5
    assert learn(images + 0.2) > math.log(0.05)
