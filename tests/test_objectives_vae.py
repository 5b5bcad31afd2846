"""Known answers of the objectives that add one term to the evidence lower bound."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Laplace, Normal, kl_divergence

from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives import (
    DIPVAEI,
    DIPVAEII,
    VAE,
    AdaGVAE,
    AdaMLVAE,
    AnnealedVAE,
    BetaTCVAE,
    BetaVAE,
    FactorVAE,
    InfoVAE,
    SlowVAE,
)
from drl_latent.objectives.ada_vae import (
    geometric_mean,
    kl_between,
    mean_of_moments,
    shared_latents,
)
from drl_latent.objectives.base import Batch, Objective, Terms
from drl_latent.objectives.dip_vae import (
    covariance_of_codes,
    covariance_of_means,
    distance_to_identity,
)
from drl_latent.objectives.info_vae import kernel_matrix, squared_mmd
from drl_latent.objectives.slow_vae import laplace_cross_entropy, transition_kl
from drl_latent.objectives.vae import Posterior

SMALL = ModelConfig(encoder_width=8, decoder_width=16)


@pytest.fixture(autouse=True)
def fixed_draws() -> None:
    torch.manual_seed(0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_posterior(n: int, d: int, seed: int = 0) -> Posterior:
    generator = seeded(seed)
    return Posterior(torch.randn(n, d, generator=generator), torch.randn(n, d, generator=generator))


def random_batch(n: int = 8, step: int = 50) -> Batch:
    images = torch.rand(n, 3, 64, 64, generator=seeded(0))
    return Batch(images, step, 100, 1000, seeded(1), torch.zeros(n, 0))


def terms_of(objective: Objective, batch: Batch) -> Terms:
    """The first player's terms, of an untrained model that is always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LatentModel(objective.architecture(SMALL))
        torch.nn.init.normal_(model.bottleneck.linear.bias)  # some nats of KL
        networks = objective.networks(SMALL, None)  # type: ignore[arg-type]
    return objective.players(model, networks)["model"].loss(replace(batch, generator=seeded(1)))


@pytest.mark.parametrize(
    ("neutral", "plain"),
    [
        (BetaVAE(beta=1), VAE()),
        (AnnealedVAE(gamma=1, c_max=0), VAE()),
        (BetaTCVAE(beta=1), VAE()),
        (BetaTCVAE(beta=1, estimator="mws"), VAE()),
        (DIPVAEI(lambda_od=0), VAE()),
        (DIPVAEII(lambda_od=0), VAE()),
        (InfoVAE(alpha=0, lambda_prior=1), VAE()),
        (InfoVAE(alpha=-3, lambda_prior=4), BetaVAE(beta=4)),
        (SlowVAE(beta=2, gamma=0), VAE()),
    ],
)
def test_neutral_settings_are_the_plain_objective(neutral: Objective, plain: Objective):
    batch = random_batch()
    assert terms_of(neutral, batch)["loss"] == terms_of(plain, batch)["loss"]


def test_factor_vae_without_its_penalty_is_the_vae_on_the_first_half():
    batch = random_batch()
    first = replace(batch, images=batch.images[:4])
    assert terms_of(FactorVAE(gamma=0), batch)["loss"] == terms_of(VAE(), first)["loss"]


@pytest.mark.parametrize("ada", [AdaGVAE(beta=3), AdaMLVAE(beta=3)])
def test_a_pair_of_equal_images_is_two_single_images(ada: Objective):
    half = random_batch(4)
    batch = replace(half, images=half.images.repeat(2, 1, 1, 1))
    torch.testing.assert_close(
        terms_of(ada, batch)["loss"], terms_of(BetaVAE(beta=3), batch)["loss"]
    )


def test_capacity_rises_over_a_share_of_the_run():
    objective = AnnealedVAE(c_max=20, anneal_share=0.5)
    assert [objective.capacity(step, 100) for step in (0, 25, 50, 99)] == [0, 10, 20, 20]
    terms = terms_of(AnnealedVAE(gamma=7, c_max=20, anneal_share=1), random_batch(step=50))
    assert terms["capacity"] == 10
    expected = terms["reconstruction"] + 7 * (terms["kl"] - 10).abs()
    torch.testing.assert_close(terms["loss"], expected)


# DIP-VAE


def test_dip_covariances_agree_with_numpy():
    posterior = random_posterior(32, 5)
    means, variances = posterior.mean.numpy(), posterior.variance.numpy()
    expected = np.cov(means.T, bias=True)
    np.testing.assert_allclose(covariance_of_means(posterior), expected, atol=1e-5)
    expected += np.diag(variances.mean(0))
    np.testing.assert_allclose(covariance_of_codes(posterior), expected, atol=1e-5)


def test_dip_ii_keeps_the_mean_variance_of_each_latent():
    # A peer took the diagonal of [N, D] for that of each row: one number for all latents.
    log_variance = torch.tensor([0.1, 1.0, 4.0]).log().expand(8, 3)
    covariance = covariance_of_codes(Posterior(torch.zeros(8, 3), log_variance))
    torch.testing.assert_close(covariance, torch.tensor([0.1, 1.0, 4.0]).diag())


def test_dip_ii_is_the_covariance_of_draws():
    posterior = random_posterior(4, 3)
    draws = Normal(posterior.mean, posterior.variance.sqrt()).sample((100_000,)).flatten(0, 1)
    covariance = covariance_of_codes(posterior)
    np.testing.assert_allclose(np.cov(draws.numpy().T), covariance, atol=0.05)


def test_distance_to_identity_by_hand():
    covariance = torch.tensor([[2.0, 0.5], [0.5, 0.0]])
    assert distance_to_identity(covariance, 10, 3) == 10 * 2 * 0.25 + 3 * 2
    assert distance_to_identity(torch.eye(4), 10, 3) == 0


@pytest.mark.parametrize(("kind", "lambda_d"), [(DIPVAEI, 20), (DIPVAEII, 2)])
def test_dip_weights_variances_as_its_kind_does(kind: type[Objective], lambda_d: float):
    assert kind(lambda_od=2).lambda_d_factor * 2 == lambda_d
    batch = random_batch()
    terms = terms_of(kind(lambda_od=2), batch)
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + terms["kl"] + terms["dip"])


# InfoVAE


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_agrees_with_brute_force(kernel: str):
    x, y = torch.randn(5, 3), torch.randn(7, 3) + 1

    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        r = float((a - b) @ (a - b)) / (2 * 3 * 0.7**2)
        return 1 / (1 + r) if kernel == "imq" else np.exp(-r)

    def mean(a: torch.Tensor, b: torch.Tensor) -> float:
        return np.mean([k(p, q) for p, q in itertools.product(a, b)])

    expected = mean(x, x) + mean(y, y) - 2 * mean(x, y)
    assert squared_mmd(x, y, kernel, 0.7).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
@given(n=st.integers(1, 12), d=st.integers(1, 6), seed=st.integers(0, 1000))
def test_mmd_is_zero_for_equal_samples_and_never_below(kernel: str, n: int, d: int, seed: int):
    x = torch.randn(n, d, generator=seeded(seed))
    y = torch.randn(n, d, generator=seeded(seed + 1))
    assert abs(squared_mmd(x, x.flip(0), kernel)) < 1e-6
    assert squared_mmd(x, y, kernel) > -1e-6


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_bias_of_mmd_is_as_documented(kernel: str):
    generator = seeded(0)
    draw = lambda n: torch.randn(n, 10, generator=generator)  # noqa: E731
    found = np.mean([squared_mmd(draw(32), draw(32), kernel).item() for _ in range(200)])
    between = kernel_matrix(draw(1000), draw(1000), kernel).mean().item()
    assert found == pytest.approx((1 - between) * 2 / 32, rel=0.03)
    assert squared_mmd(draw(32) + 1, draw(32), kernel) > 3 * found


# Ada-VAE


def test_kl_between_agrees_with_torch_distributions():
    first, second = random_posterior(6, 4, 0), random_posterior(6, 4, 1)
    expected = kl_divergence(
        Normal(first.mean, first.variance.sqrt()), Normal(second.mean, second.variance.sqrt())
    )
    torch.testing.assert_close(kl_between(first, second), expected)


@given(data=st.data(), d=st.integers(2, 12), n=st.integers(1, 5))
def test_mask_is_exactly_what_the_pair_shares(data: st.DataObject, d: int, n: int):
    """Shared latents differ by up to 0.1 deviations, changed ones by 2.5 to 3."""
    kinds = st.lists(st.booleans(), min_size=d, max_size=d).filter(lambda row: len(set(row)) == 2)
    expected = torch.tensor([data.draw(kinds) for _ in range(n)])
    generator = seeded(data.draw(st.integers(0, 1000)))
    first = Posterior(torch.randn(n, d, generator=generator), torch.zeros(n, d))
    noise = 0.1 * torch.rand(n, d, generator=generator)
    jump = 2.5 + 0.5 * torch.rand(n, d, generator=generator)
    second = replace(first, mean=first.mean + torch.where(expected, noise, jump))
    torch.testing.assert_close(shared_latents(first, second), expected)


def test_mask_divides_at_the_middle_of_each_pair_alone():
    """KL is half the squared difference here: 0, 0.5, 2 and 4.5 in one pair, a ninth in another."""
    second = Posterior(torch.tensor([[0.0, 1, 2, 3], [0, 1 / 3, 2 / 3, 1]]), torch.zeros(2, 4))
    first = Posterior(torch.zeros(2, 4), torch.zeros(2, 4))
    expected = torch.tensor([[True, True, True, False]]).repeat(2, 1)
    torch.testing.assert_close(shared_latents(first, second), expected)


def test_averages_of_posteriors_by_hand():
    first = Posterior(torch.tensor([[0.0]]), torch.tensor([[1.0]]).log())
    second = Posterior(torch.tensor([[4.0]]), torch.tensor([[3.0]]).log())
    moments, geometric = mean_of_moments(first, second), geometric_mean(first, second)
    assert (moments.mean.item(), moments.variance.item()) == pytest.approx((2, 2))
    # Precisions 1 and 1/3: the second mean counts for a quarter.
    assert (geometric.mean.item(), geometric.variance.item()) == pytest.approx((1, 1.5))


@pytest.mark.parametrize("average", [mean_of_moments, geometric_mean])
def test_equal_posteriors_are_their_own_average(average):
    posterior = random_posterior(6, 4)
    found = average(posterior, posterior)
    torch.testing.assert_close(found.mean, posterior.mean)
    torch.testing.assert_close(found.log_variance, posterior.log_variance)


@pytest.mark.parametrize("ada", [AdaGVAE(), AdaMLVAE()])
def test_sharing_replaces_shared_latents_of_both_and_nothing_else(ada: AdaGVAE | AdaMLVAE):
    posterior = random_posterior(8, 5)
    found, shared = ada.share(posterior)
    (first, second), (before_1, before_2) = found.pairs(), posterior.pairs()
    average = ada.average(before_1, before_2)
    assert shared.any()
    assert not shared.all()
    for after, before in ((first, before_1), (second, before_2)):
        assert (after.mean[shared] == average.mean[shared]).all()
        assert (after.log_variance[shared] == average.log_variance[shared]).all()
        assert (after.mean[~shared] == before.mean[~shared]).all()
        assert (after.log_variance[~shared] == before.log_variance[~shared]).all()


# SlowVAE


@pytest.mark.parametrize("rate", [0.5, 6.0])
def test_laplace_cross_entropy_agrees_with_monte_carlo(rate: float):
    mean, variance = torch.tensor([0.0, 0.3, -2.0]), torch.tensor([1.0, 0.01, 3.0])
    draws = Normal(mean, variance.sqrt()).sample((400_000,))
    expected = -Laplace(0.0, 1 / rate).log_prob(draws).mean(0)
    torch.testing.assert_close(
        laplace_cross_entropy(mean, variance, rate), expected, atol=0.02, rtol=0.01
    )


def test_laplace_cross_entropy_of_a_point_is_the_density():
    found = laplace_cross_entropy(torch.tensor([-1.5, 2.0]), torch.full((2,), 1e-8), 6.0)
    torch.testing.assert_close(found, -Laplace(0.0, 1 / 6).log_prob(torch.tensor([1.5, 2.0])))


def test_transition_agrees_with_monte_carlo_of_both_directions():
    first, second = random_posterior(3, 4, 0), random_posterior(3, 4, 1)
    one = Normal(first.mean, first.variance.sqrt())
    other = Normal(second.mean, second.variance.sqrt())

    def direction(before: Normal, after: Normal) -> torch.Tensor:
        starts, ends = before.sample((200_000,)), after.sample((200_000,))
        prior = Laplace(starts, 1 / 6).log_prob(ends)
        return (after.log_prob(ends) - prior).mean(0).sum(1)

    expected = (direction(one, other) + direction(other, one)) / 2
    torch.testing.assert_close(transition_kl(first, second, 6.0), expected, rtol=0.01, atol=0.05)
    torch.testing.assert_close(transition_kl(second, first, 6.0), transition_kl(first, second, 6.0))


def test_slow_vae_weighs_its_terms():
    terms = terms_of(SlowVAE(beta=3, gamma=5), random_batch())
    expected = terms["reconstruction"] + (3 * terms["kl"] + 5 * terms["transition"]) / 2
    torch.testing.assert_close(terms["loss"], expected)


# Settings


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AnnealedVAE(gamma=-1), "gamma must be 0 or more"),
        (lambda: AnnealedVAE(anneal_share=0), "anneal_share must be in"),
        (lambda: BetaTCVAE(beta=-1), "beta must be 0 or more"),
        (lambda: BetaTCVAE(estimator="msss"), "Did you mean 'mss'"),  # type: ignore[arg-type]
        (lambda: FactorVAE(discriminator_width=0), "discriminator_width must be 1 or more"),
        (lambda: DIPVAEI(lambda_od=-1), "lambda_od must be 0 or more"),
        (lambda: InfoVAE(alpha=2), "alpha must be 1 or less"),
        (lambda: InfoVAE(bandwidth=0), "bandwidth must be above 0"),
        (lambda: InfoVAE(kernel="rfb"), "Did you mean 'rbf'"),  # type: ignore[arg-type]
        (lambda: AdaGVAE(beta=-1), "beta must be 0 or more"),
        (lambda: SlowVAE(rate=0), "rate must be above 0"),
    ],
)
def test_wrong_settings_are_refused(make, message: str):
    with pytest.raises((ValueError, KeyError), match=message):
        make()
