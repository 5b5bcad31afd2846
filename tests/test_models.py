"""Networks: what holds for each that is registered, and the published sizes of the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from drl_latent.models import DECODERS, ENCODERS, LatentModel, ModelConfig
from drl_latent.pretrain import default_model
from drl_latent.registry import UnknownNameError


def narrow(size: int = 64, channels: int = 3, **arguments: Any) -> ModelConfig:
    """A small model of frames of this size, which decodes at half of it unless told otherwise."""
    settings = {"latent_dim": 7, "encoder_width": 8, "decoder_width": 8, "decoded_size": size // 2}
    return ModelConfig((size, size, channels), **{**settings, **arguments})


@pytest.mark.parametrize("size", [64, 84, 128])
@pytest.mark.parametrize("channels", [3, 9])
@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_encodes(encoder: str, channels: int, size: int):
    model = LatentModel(narrow(size, channels, encoder=encoder))
    images = torch.rand(2, channels, size, size)
    with torch.no_grad():
        codes = model.encode(images)
        assert model.encoder(images).shape == (2, model.encoder.out_features)
    assert codes.shape == (2, 7)
    assert codes.dtype == torch.float32


@pytest.mark.parametrize("share", [1, 2])
@pytest.mark.parametrize("size", [64, 84, 128])
@pytest.mark.parametrize("channels", [3, 9])
@pytest.mark.parametrize("decoder", list(DECODERS))
def test_decodes(decoder: str, channels: int, size: int, share: int):
    model = LatentModel(narrow(size, channels, decoder=decoder, decoded_size=size // share))
    images = torch.rand(2, channels, size, size)
    with torch.no_grad():
        decoded = model.decode(torch.randn(2, 7))
    assert decoded.shape == model.target(images).shape
    assert decoded.shape == (2, channels, size // share, size // share)


@pytest.mark.parametrize("shape", [(64, 64, 3), (84, 84, 9), (128, 128, 3)])
def test_default_model_takes_usual_frames(shape: tuple[int, int, int]):
    config = default_model(shape)
    assert (config.encoder, config.decoder) == ("keypoint", "broadcast")
    assert config.decoded_size == shape[0] // 2
    LatentModel(config)


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_a_code_depends_on_its_own_image_alone(encoder: str):
    model = LatentModel(narrow(encoder=encoder)).train()
    images = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        together, alone = model.encode(images)[2], model.encode(images[2:3])[0]
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("decoder", list(DECODERS))
def test_a_decoded_image_depends_on_its_own_code_alone(decoder: str):
    model = LatentModel(narrow(decoder=decoder)).train()
    codes = torch.randn(4, 7)
    with torch.no_grad():
        together, alone = model.decode(codes)[2], model.decode(codes[2:3])[0]
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(
    "kinds",
    [{"encoder": name} for name in ENCODERS] + [{"decoder": name} for name in DECODERS],
    ids=lambda kinds: "-".join(*kinds.items()),
)
def test_training_mode_changes_nothing(kinds: dict[str, str]):
    # Agents switch to it what they hold, and what is encoded must not change by that.
    model, images = LatentModel(narrow(**kinds)), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        codes = model.train().encode(images)
        decoded = model.decode(codes)
        torch.testing.assert_close(model.eval().encode(images), codes, rtol=0, atol=0)
        torch.testing.assert_close(model.decode(codes), decoded, rtol=0, atol=0)


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_position_reaches_the_code(encoder: str):
    torch.manual_seed(0)
    model = LatentModel(narrow(encoder=encoder)).eval()
    images = torch.zeros(2, 3, 64, 64)
    images[0, :, 8:16, 8:16] = 1
    images[1, :, 40:48, 40:48] = 1
    with torch.no_grad():
        first, second = model.encode(images)
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("size", [64, 84])
@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_every_pixel_reaches_the_code(encoder: str, size: int):
    torch.manual_seed(0)
    model = LatentModel(narrow(size, encoder=encoder))
    images = torch.rand(1, 3, size, size, requires_grad=True)
    model.encode(images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum((0, 1)).min() > 0


@pytest.mark.parametrize("size", [64, 84])
@pytest.mark.parametrize("decoder", list(DECODERS))
def test_the_code_reaches_every_pixel(decoder: str, size: int):
    torch.manual_seed(0)
    model = LatentModel(narrow(size, decoder=decoder, decoded_size=size))
    with torch.no_grad():
        images = model.decode(torch.randn(8, 7))
    assert images.std(0).min() > 0


def test_reference_has_the_published_number_of_parameters():
    model = LatentModel(
        ModelConfig((64, 64, 3), 10, encoder="reference", decoder="reference", decoded_size=64)
    )

    def count(*modules: torch.nn.Module) -> int:
        return sum(p.numel() for module in modules for p in module.parameters())

    # Each layer: kernel area x channels in x channels out + biases.
    convolutions = (
        (16 * 3 * 32 + 32) + (16 * 32 * 32 + 32) + (16 * 32 * 64 + 64) + (16 * 64 * 64 + 64)
    )
    assert convolutions == 116_416
    hidden, moments = 4 * 4 * 64 * 256 + 256, 256 * 20 + 20
    assert count(model.encoder, model.bottleneck) == convolutions + hidden + moments == 383_956
    transposed = (16 * 64 * 64 + 64) + (16 * 64 * 32 + 32) + (16 * 32 * 32 + 32) + (16 * 32 * 3 + 3)
    hidden = (10 * 256 + 256) + (256 * 4 * 4 * 64 + 4 * 4 * 64)
    assert count(model.decoder) == transposed + hidden == 382_339


def test_reference_has_one_more_layer_at_128():
    def strides(size: int) -> tuple[int, int]:
        config = narrow(size, encoder="reference", decoder="reference", decoded_size=size)
        layers = list(LatentModel(config).modules())
        down = sum(isinstance(layer, torch.nn.Conv2d) for layer in layers)
        return down, sum(isinstance(layer, torch.nn.ConvTranspose2d) for layer in layers)

    assert [strides(size) for size in (64, 84, 128)] == [(4, 4), (4, 4), (5, 5)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"encoder": "ptach"}, "Did you mean 'patch'"),
        ({"decoder": "brodcast"}, "Did you mean 'broadcast'"),
        ({"bottleneck": "gausian"}, "Did you mean 'gaussian'"),
        ({"likelihood": "bernouli"}, "Did you mean 'bernoulli'"),
        ({"latent_dim": 0}, "latent_dim must be 1 or more"),
        ({"image_shape": (64, 32, 3)}, "square frames"),
        ({"image_shape": (64, 64, 0)}, "image_shape must be 1 or more"),
        ({"decoded_size": 48}, "does not divide the frames' size 64.* choose from: 64, 32, 16"),
        ({"image_shape": (90, 90, 3)}, "'keypoint' cannot take .* 90; it takes multiples of 4"),
        ({"image_shape": (6, 6, 3), "encoder": "reference"}, "it takes all sizes from 8 up"),
        (
            {"image_shape": (84, 84, 3), "decoded_size": 21},
            "21 is not one that the decoder 'broadcast' .* choose from: 84, 42, 28, 14",
        ),
        ({"decoder": "reference", "decoded_size": 4}, "choose from: 64, 32, 16, 8."),
    ],
)
def test_wrong_configurations_are_refused(arguments: dict, says: str):
    with pytest.raises(ValueError, match=says) as caught:
        ModelConfig(**arguments)
    assert isinstance(caught.value, UnknownNameError) == ("Did you" in says)
