"""Known answers of beta-TCVAE's estimators and of its loss."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal

from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives import VAE, BetaTCVAE, BetaVAE
from drl_latent.objectives.base import Batch, sample_posterior
from drl_latent.objectives.beta_tcvae import (
    aggregate_log_densities,
    aggregate_weights,
    decompose_kl,
)
from drl_latent.objectives.vae import Posterior


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(n: int, d: int, seed: int = 0) -> tuple[torch.Tensor, Posterior]:
    """A posterior for each of n images, and a code from each."""
    generator = seeded(seed)
    mean = 2 * torch.randn(n, d, generator=generator).double()
    log_variance = torch.randn(n, d, generator=generator).double()
    return sample_posterior(mean, log_variance, generator), Posterior(mean, log_variance)


def rows(posterior: Posterior, indices: list[int]) -> Posterior:
    return Posterior(posterior.mean[indices], posterior.log_variance[indices])


def exact(codes: torch.Tensor, posterior: Posterior) -> tuple[torch.Tensor, torch.Tensor]:
    """q(z) and each q(z_j) at the codes, by enumeration of the whole data set."""
    normal = Normal(posterior.mean, posterior.variance.sqrt())
    densities = torch.stack([normal.log_prob(code).exp() for code in codes])
    return densities.prod(2).mean(1), densities.mean(1)


def test_weights_lie_on_the_diagonal():
    # Peers strided by N where the diagonal is N + 1 apart, and wrote two columns instead.
    weights = aggregate_weights(5, 1000, "mss")
    torch.testing.assert_close(weights.diagonal(), torch.full((5,), 1 / 1000))
    assert (weights[~torch.eye(5, dtype=torch.bool)] > 0.2).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    torch.testing.assert_close(aggregate_weights(5, 1000, "mws"), torch.full((5, 5), 1 / 5000))


def test_weights_are_the_mean_of_the_papers_over_the_image_it_singles_out():
    n, m = 1000, 4  # the paper's M is the number of other images
    expected = torch.zeros(5, 5)
    for i in range(5):
        others = [j for j in range(5) if j != i]
        expected[i, i] = 1 / n
        for last in others:
            for j in others:
                weight = (n - m) / (n * m) if j == last else 1 / m
                expected[i, j] += weight / len(others)
    torch.testing.assert_close(aggregate_weights(5, n, "mss"), expected)


@pytest.mark.parametrize("estimator", ["mss", "mws"])
def test_decomposition_agrees_with_loops(estimator: str):
    n, d, dataset_size = 6, 3, 50
    codes, posterior = draw(n, d)
    total = dict.fromkeys(("mutual_information", "total_correlation", "dimension_wise_kl"), 0.0)
    for i in range(n):

        def density(j: int, k: int, i: int = i) -> float:
            deviation = math.exp(posterior.log_variance[j, k].item() / 2)
            normal = Normal(posterior.mean[j, k].item(), deviation)
            return normal.log_prob(codes[i, k]).exp().item()

        def weight(j: int, i: int = i) -> float:
            if estimator == "mws":
                return 1 / (n * dataset_size)
            return 1 / dataset_size if i == j else (1 - 1 / dataset_size) / (n - 1)

        joint = sum(weight(j) * math.prod(density(j, k) for k in range(d)) for j in range(n))
        product = math.prod(sum(weight(j) * density(j, k) for j in range(n)) for k in range(d))
        conditional = math.prod(density(i, k) for k in range(d))
        prior = math.exp(Normal(0.0, 1.0).log_prob(codes[i]).sum().item())
        total["mutual_information"] += math.log(conditional / joint) / n
        total["total_correlation"] += math.log(joint / product) / n
        total["dimension_wise_kl"] += math.log(product / prior) / n
    found = decompose_kl(codes, posterior, dataset_size, estimator)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(total, rel=1e-5)


@given(
    n=st.integers(1, 8),
    d=st.integers(1, 5),
    dataset_size=st.integers(1, 10_000),
    estimator=st.sampled_from(["mss", "mws"]),
    seed=st.integers(0, 100),
)
def test_parts_sum_to_the_kl_at_the_codes(
    n: int, d: int, dataset_size: int, estimator: str, seed: int
):
    codes, posterior = draw(n, d, seed)
    parts = decompose_kl(codes, posterior, dataset_size, estimator)
    conditional = Normal(posterior.mean, posterior.variance.sqrt()).log_prob(codes)
    expected = (conditional - Normal(0.0, 1.0).log_prob(codes)).sum(1).mean()
    torch.testing.assert_close(sum(parts.values()), expected)


@pytest.mark.parametrize("batch_size", [2, 3, 4])
def test_stratified_sampling_is_unbiased(batch_size: int):
    """The mean over all batches that hold an image is the exact density of its code."""
    codes, posterior = draw(5, 2)
    joints, marginals = exact(codes, posterior)
    for i in range(5):
        others = [j for j in range(5) if j != i]
        batches = [[i, *chosen] for chosen in itertools.combinations(others, batch_size - 1)]
        found = [
            aggregate_log_densities(codes[batch], rows(posterior, batch), 5, "mss")
            for batch in batches
        ]
        joint = torch.stack([a[0].exp() for a, _ in found]).mean()
        marginal = torch.stack([b[0].exp() for _, b in found]).mean(0)
        torch.testing.assert_close(joint, joints[i])
        torch.testing.assert_close(marginal, marginals[i])


def test_the_whole_data_set_as_a_batch_is_exact_when_stratified_and_low_when_weighted():
    codes, posterior = draw(7, 3)
    joint, marginals = exact(codes, posterior)
    found = aggregate_log_densities(codes, posterior, 7, "mss")
    torch.testing.assert_close(found[0], joint.log())
    torch.testing.assert_close(found[1], marginals.log())
    found = aggregate_log_densities(codes, posterior, 7, "mws")
    torch.testing.assert_close(found[0], (joint / 7).log())
    torch.testing.assert_close(found[1], (marginals / 7).log())


@pytest.mark.parametrize(
    ("d", "variance", "batch_size", "bias_allowed"),
    [
        # Bias of MSS, mean of 600 batches: 0.00, 0.01, -0.05, -0.17 (standard error 0.03). That of
        # MWS less its constant: 0.00, 0.03, 0.05, 0.30.
        (2, 0.3, 256, 0.05),
        (4, 0.3, 256, 0.05),
        (2, 0.05, 256, 0.1),
        (10, 0.3, 32, 0.4),
    ],
)
def test_total_correlation_of_gaussians(
    d: int, variance: float, batch_size: int, bias_allowed: float
):
    """q(z) is a Gaussian of unit variances and correlations 0.6: its TC is -log det / 2.

    MSS is biased by the logarithm alone, and low: where posteriors are narrow or the batch is
    small, few images contribute to q(z). MWS is high by about (D - 1) log N, 9 to 83 nats here, a
    constant that no gradient sees.
    """
    dataset_size, generator = 10_000, seeded(0)
    covariance = 0.6 + 0.4 * torch.eye(d)
    spread = torch.linalg.cholesky(covariance - variance * torch.eye(d))
    data = torch.randn(dataset_size, d, generator=generator) @ spread.T
    found: dict[str, list[float]] = {"mss": [], "mws": []}
    for _ in range(60):
        mean = data[torch.randperm(dataset_size, generator=generator)[:batch_size]]
        posterior = Posterior(mean, torch.full_like(mean, math.log(variance)))
        codes = sample_posterior(mean, posterior.log_variance, generator)
        for estimator, values in found.items():
            parts = decompose_kl(codes, posterior, dataset_size, estimator)  # type: ignore[arg-type]
            values.append(parts["total_correlation"].item())
    truth = -torch.logdet(covariance).item() / 2
    constant = (d - 1) * math.log(dataset_size)
    mss, mws = (sum(values) / len(values) for values in found.values())
    assert mss == pytest.approx(truth, abs=bias_allowed)
    assert mws - constant == pytest.approx(truth, abs=bias_allowed)


@pytest.mark.parametrize("estimator", ["mss", "mws"])
def test_beta_weighs_the_total_correlation_beyond_the_bound(estimator: str):
    # A peer took beta KL + (beta - 1) TC.
    torch.manual_seed(0)
    model = LatentModel(ModelConfig(encoder_width=8, decoder_width=16))
    torch.nn.init.normal_(model.bottleneck.linear.bias)  # some nats of KL
    batch = Batch(torch.rand(8, 3, 64, 64), 0, 1, 1000, seeded(0), torch.zeros(8, 0))
    fresh = lambda: replace(batch, generator=seeded(1))  # noqa: E731
    plain = VAE().loss(model, fresh())["loss"]
    for beta in (0.0, 1.0, 6.0):
        terms = BetaTCVAE(beta=beta, estimator=estimator).loss(model, fresh())  # type: ignore[arg-type]
        expected = plain + (beta - 1) * terms["total_correlation"]
        torch.testing.assert_close(terms["loss"], expected)
    assert terms["loss"] != BetaVAE(beta=6.0).loss(model, fresh())["loss"]
