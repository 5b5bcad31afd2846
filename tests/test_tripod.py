"""Known answers of Tripod's two penalties."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives import Tripod
from drl_latent.objectives.base import Batch
from drl_latent.objectives.tripod import hessian_ratio, multi_information, spread

SMALL = ModelConfig(encoder_width=8, decoder_width=16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian_codes(n: int, correlation: float) -> Tensor:
    first, noise = torch.randn(2, n, generator=seeded(1))
    second = correlation * first + math.sqrt(1 - correlation**2) * noise
    return torch.stack([first, second], dim=1)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_multi_information_of_gaussians(correlation: float):
    """The estimate is a Gaussian as well, of covariances C + h^2: its log-ratio has a mean."""
    n = 2000
    h = n ** (-1 / 6)
    true = torch.tensor([[1, correlation], [correlation, 1]])
    estimate = true + h**2 * torch.eye(2)
    expected = 0.5 * (
        2 * math.log(1 + h**2)
        - torch.logdet(estimate)
        - torch.trace(torch.linalg.solve(estimate, true))
        + 2 / (1 + h**2)
    )
    codes = gaussian_codes(n, correlation)
    found = multi_information(codes, spread(codes)).item()
    assert found == pytest.approx(expected.item(), abs=0.05)


def test_multi_information_tells_copies_from_independent_latents():
    codes = torch.rand(300, 3, generator=seeded())
    copies = codes[:, :1].expand(-1, 3)
    independent = multi_information(codes, spread(codes)).item()
    assert independent < 0.15
    assert multi_information(copies, spread(copies)).item() > independent + 1


def test_multi_information_does_not_depend_on_scale_and_place():
    codes = gaussian_codes(200, 0.7)
    moved = codes * torch.tensor([0.1, 30.0]) + torch.tensor([5.0, -2.0])
    torch.testing.assert_close(
        multi_information(codes, spread(codes)),
        multi_information(moved, spread(moved)),
        rtol=1e-3,
        atol=1e-4,
    )


def test_a_constant_latent_has_no_information_and_finite_gradients():
    codes = torch.cat([gaussian_codes(50, 0.0), torch.ones(50, 1)], dim=1).requires_grad_()
    multi_information(codes, spread(codes)).backward()
    assert codes.grad is not None
    assert torch.isfinite(codes.grad).all()
    constant = torch.ones(50, 3)
    assert multi_information(constant, spread(constant)).item() == pytest.approx(0, abs=1e-5)


def additive(codes: Tensor) -> Tensor:
    return torch.stack([codes.sin().sum(1), (codes**3).sum(1), codes[:, 0].exp()], dim=1)


def product(codes: Tensor) -> Tensor:
    return codes.prod(1, keepdim=True)


def mixed(codes: Tensor) -> Tensor:
    """Hessian [[2, 1], [1, 0]]: squares of the off-diagonal sum to 2, of all to 6."""
    return codes[:, :1] ** 2 + product(codes)


@pytest.mark.parametrize(("decode", "share"), [(additive, 0.0), (product, 1.0), (mixed, 1 / 3)])
def test_hessian_ratio_is_the_share_of_the_off_diagonal(decode, share: float):
    codes = torch.randn(4, 2, generator=seeded(), dtype=torch.float64)
    found = hessian_ratio(decode, codes, torch.ones(2), seeded(3), draws=5000, step=0.01)
    assert found.item() == pytest.approx(share, abs=0.03)


def test_hessian_ratio_does_not_depend_on_scale():
    codes, scale = torch.randn(4, 2, generator=seeded()).double(), torch.tensor([0.5, 2.0]).double()
    factor = torch.tensor([10.0, 0.1])

    def stretched(points: Tensor) -> Tensor:
        return mixed(points / factor)

    first = hessian_ratio(mixed, codes, scale, seeded(3))
    second = hessian_ratio(stretched, codes * factor, scale * factor, seeded(3))
    torch.testing.assert_close(first, second)


def test_a_linear_decoder_has_no_hessian():
    def linear(codes: Tensor) -> Tensor:
        return codes @ torch.ones(3, 5)

    codes = torch.randn(4, 3, generator=seeded())
    assert hessian_ratio(linear, codes.round(), torch.ones(3), seeded(), step=1.0).isfinite()
    zero = hessian_ratio(lambda codes: 0 * linear(codes), codes, torch.ones(3), seeded())
    assert zero == 0


def test_hessian_is_taken_in_full_precision():
    codes, scale = torch.randn(4, 2, generator=seeded()), torch.ones(2)
    weights = torch.randn(2, 16, generator=seeded(1))

    def decode(points: Tensor) -> Tensor:
        return (points @ weights).sin()

    exact = hessian_ratio(decode, codes, scale, seeded(3))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(hessian_ratio(decode, codes, scale, seeded(3)), exact)


def test_penalties_are_weighed_and_reach_encoder_and_decoder():
    torch.manual_seed(0)
    images = torch.rand(8, 3, 64, 64)

    def terms_of(**settings: float) -> dict[str, Tensor]:
        batch = Batch(images, 0, 100, 1000, seeded(), torch.zeros(8, 0))
        return Tripod(**settings).loss(model, batch)  # type: ignore[arg-type]

    model = LatentModel(Tripod().architecture(SMALL))
    terms = terms_of(multi_information=3.0, hessian=5.0)
    expected = terms["reconstruction"] + 3 * terms["multi_information"] + 5 * terms["hessian"]
    torch.testing.assert_close(terms["loss"], expected)
    terms["hessian"].backward()
    for part in (model.encoder, model.decoder):
        assert sum(p.grad.abs().sum() for p in part.parameters() if p.grad is not None) > 0
    assert "hessian" not in terms_of(hessian=0.0)
    with pytest.raises(ValueError, match="hessian_codes must be 1 or more"):
        Tripod(hessian_codes=0)
