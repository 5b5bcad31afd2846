from __future__ import annotations

import pytest
import torch

from drl_latent.models import DECODERS, ENCODERS, LatentModel, ModelConfig
from drl_latent.registry import UnknownNameError


@pytest.mark.parametrize("size", [64, 84, 128])
@pytest.mark.parametrize("channels", [3, 9])
@pytest.mark.parametrize("decoder", list(DECODERS))
@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_shapes(encoder: str, decoder: str, channels: int, size: int):
    config = ModelConfig((size, size, channels), 7, encoder, decoder, decoded_size=size // 2)
    model = LatentModel(config)
    images = torch.rand(2, channels, size, size)
    mean, log_variance = model.encode(images)
    assert mean.shape == log_variance.shape == (2, 7)
    assert model.decode(mean).shape == model.target(images).shape
    assert model.target(images).shape == (2, channels, size // 2, size // 2)


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_a_code_depends_on_its_own_image_alone(encoder: str):
    model = LatentModel(ModelConfig(encoder=encoder)).eval()
    images = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        together, alone = model.encode(images)[0][2], model.encode(images[2:3])[0][0]
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_position_reaches_the_code(encoder: str):
    torch.manual_seed(0)
    model = LatentModel(ModelConfig(encoder=encoder)).eval()
    images = torch.zeros(2, 3, 64, 64)
    images[0, :, 8:16, 8:16] = 1
    images[1, :, 40:48, 40:48] = 1
    with torch.no_grad():
        first, second = model.encode(images)[0]
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"encoder": "ptach"}, "Did you mean 'patch'"),
        ({"decoder": "brodcast"}, "Did you mean 'broadcast'"),
        ({"latent_dim": 0}, "latent_dim must be 1 or more"),
        ({"image_shape": (64, 32, 3)}, "square frames"),
        ({"decoded_size": 48}, "does not divide"),
    ],
)
def test_wrong_configurations_are_refused(arguments: dict, says: str):
    with pytest.raises(ValueError, match=says) as caught:
        ModelConfig(**arguments)
    assert isinstance(caught.value, UnknownNameError) == ("Did you" in says)
