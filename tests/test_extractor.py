"""What an extractor makes of observations, and what it refuses; agents: test_policies.py."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack
from torch import nn

from drl_latent import Encoder
from drl_latent.agents.extractor import LatentExtractor
from drl_latent.agents.whitening import measure_whitening
from drl_latent.artifacts import ArtifactError
from drl_latent.data import FrameDataset
from drl_latent.envs import make_env
from drl_latent.models import LatentModel, ModelConfig

IMAGES = spaces.Box(0, 255, (3, 64, 64), np.uint8)


def noise(n: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def unit(array: np.ndarray) -> torch.Tensor:
    """Return frames [N, H, W, C] as a policy preprocesses them, [N, C, H, W]."""
    return torch.tensor(array).permute(0, 3, 1, 2).float() / 255


def trainable(folder: str, **kwargs: Any) -> LatentExtractor:
    return LatentExtractor(IMAGES, folder, **{"mode": "finetune", "critic_only": True, **kwargs})


@pytest.fixture(scope="module")
def quantised_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(LatentModel(ModelConfig(bottleneck="fsq", levels=5)))
    return str(encoder.save(tmp_path_factory.mktemp("encoders") / "quantised"))


def test_copies_share_one_encoder_that_is_not_trained_or_saved(
    encoder: Encoder, encoder_folder: str
):
    env = make_env("DrlLatent/Reach-v0")
    model = SAC(
        "CnnPolicy",
        env,
        policy_kwargs={
            "features_extractor_class": LatentExtractor,
            "features_extractor_kwargs": {"encoder": encoder_folder},
            "net_arch": [8],
        },
        buffer_size=10,
        device="cpu",
    )
    found = [m for m in model.policy.modules() if isinstance(m, LatentExtractor)]
    assert len(found) == 3
    assert len({id(e.encoder) for e in found}) == 1
    assert not any("model" in name or "network" in name for name in model.policy.state_dict())
    model.policy.set_training_mode(True)
    assert not found[0].encoder.model.training
    env.close()


@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_orthogonal_initialisation_skips_the_encoder(
    mode: str, encoder: Encoder, encoder_folder: str
):
    extractor = LatentExtractor(IMAGES, encoder_folder, mode, critic_only=True)  # type: ignore[arg-type]
    parent = nn.Sequential(extractor, nn.Linear(10, 10))
    before = parent[1].weight.clone()
    parent.apply(BasePolicy.init_weights)
    assert not torch.equal(parent[1].weight, before)
    expected = encoder.model.state_dict()
    state = extractor.encoder.model.state_dict()
    assert all(torch.equal(state[k], expected[k]) for k in expected)


def test_an_encoder_that_is_trained_stays_in_evaluation_mode(encoder_folder: str):
    extractor = trainable(encoder_folder)
    extractor.train()
    assert extractor.training
    assert not any(module.training for module in extractor.network.modules())
    assert all(p.requires_grad for p in extractor.trained_parameters())
    assert not any(p.requires_grad for p in extractor.network.decoder.parameters())


def test_copies_of_a_trained_encoder_are_their_own(encoder: Encoder, encoder_folder: str):
    one, other = trainable(encoder_folder), trainable(encoder_folder)
    with torch.no_grad():
        one.network.bottleneck.linear.bias.add_(1.0)
    other_state, expected = other.network.state_dict(), encoder.model.state_dict()
    assert all(torch.equal(other_state[k], expected[k]) for k in expected)
    assert one.encoder.fingerprint != one.start == other.encoder.fingerprint
    copied = copy.deepcopy(one)
    assert copied.encoder.model is copied.network is not one.network
    torch.testing.assert_close(copied(unit(noise())), one(unit(noise())))


@pytest.mark.parametrize(
    "space",
    [
        IMAGES,
        spaces.Box(0, 255, (64, 64, 3), np.uint8),
        spaces.Box(0.0, 1.0, (3, 64, 64), np.float32),
        spaces.Box(0.0, 1.0, (64, 64, 3), np.float32),
    ],
    ids=["uint8 first", "uint8 last", "float first", "float last"],
)
def test_layouts_give_the_encoders_codes(space: spaces.Box, encoder: Encoder, encoder_folder: str):
    frames = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    array = frames if space.shape[2] == 3 else frames.transpose(0, 3, 1, 2)
    extractor = LatentExtractor(space, encoder_folder)
    features = extractor(torch.from_numpy(array.copy()).float() / 255)
    np.testing.assert_allclose(features.numpy(), encoder(frames), atol=1e-5)
    assert extractor.features_dim == 10


@pytest.mark.parametrize("channels", ["first", "last"])
def test_each_frame_of_a_stack_is_encoded_on_its_own(
    channels: str, encoder: Encoder, encoder_folder: str
):
    """Channels of the oldest frame first, as VecFrameStack has them."""
    steps = [noise(2, seed) for seed in range(3)]
    stacked = np.concatenate(steps, axis=3)
    array = stacked if channels == "last" else stacked.transpose(0, 3, 1, 2)
    extractor = LatentExtractor(spaces.Box(0, 255, array.shape[1:], np.uint8), encoder_folder)
    features = extractor(torch.from_numpy(array.copy()).float() / 255)
    expected = np.concatenate([encoder(step) for step in steps], axis=1)
    assert extractor.features_dim == expected.shape[1] == 30
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-5)


def test_the_order_of_frames_is_that_of_stable_baselines(encoder: Encoder, encoder_folder: str):
    venv = VecFrameStack(DummyVecEnv([lambda: make_env("DrlLatent/Reach-v0")]), n_stack=2)
    first = venv.reset()[0, :, :, 3:]
    stacked, *_ = venv.step(np.ones((1, *venv.action_space.shape), np.float32))
    extractor = LatentExtractor(venv.observation_space, encoder_folder)
    features = extractor(torch.from_numpy(stacked).float() / 255)
    newest = stacked[0, :, :, 3:]
    expected = encoder(np.stack([first, newest])).reshape(1, -1)
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-5)
    venv.close()


def test_dicts_of_images_stacks_and_vectors(encoder: Encoder, encoder_folder: str):
    """Every image is encoded, vectors are flattened; in the order of the space."""
    space = spaces.Dict(
        {
            "a_joints": spaces.Box(-1, 1, (4,), np.float32),
            "b_wrist": spaces.Box(0, 255, (6, 64, 64), np.uint8),
            "c_goal": spaces.Box(-1, 1, (), np.float32),
            "d_camera": spaces.Box(0, 255, (64, 64, 3), np.uint8),
        }
    )
    extractor = LatentExtractor(space, encoder_folder)
    joints, goal = torch.rand(2, 4), torch.rand(2, 1)
    old, new, camera = (noise(2, seed) for seed in range(3))
    features = extractor(
        {
            "a_joints": joints,
            "b_wrist": torch.cat([unit(old), unit(new)], dim=1),
            "c_goal": goal,
            "d_camera": torch.from_numpy(camera).float() / 255,
        }
    )
    parts = [joints, encoder(old), encoder(new), goal, encoder(camera)]
    expected = np.concatenate([np.asarray(part) for part in parts], axis=1)
    assert features.shape == (2, extractor.features_dim) == (2, 35)
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-5)


def test_samples_are_drawn_in_losses_only(encoder: Encoder, encoder_folder: str):
    extractor = LatentExtractor(IMAGES, encoder_folder, output="sample")
    one = noise(1)
    images = unit(np.repeat(one, 500, axis=0))
    extractor.eval()
    np.testing.assert_allclose(extractor(images[:1]).numpy(), encoder(one), atol=1e-5)
    extractor.train()
    torch.manual_seed(0)
    drawn = extractor(images)
    mean, log_variance = (torch.from_numpy(part[0]) for part in encoder.posterior(one))
    std = (0.5 * log_variance).exp()
    assert float(((drawn.mean(0) - mean) / std).abs().max()) < 0.2
    torch.testing.assert_close(drawn.std(0), std, rtol=0.2, atol=0)
    torch.manual_seed(0)
    assert torch.equal(extractor(images), drawn)


def test_quantised_codes_have_levels(quantised_folder: str):
    extractor = LatentExtractor(IMAGES, quantised_folder, output="quantised")
    codes = extractor(unit(noise(16)))
    assert set(codes.unique().tolist()) <= {-1.0, -0.5, 0.0, 0.5, 1.0}
    trained = trainable(quantised_folder, output="quantised")
    trained(unit(noise())).sum().backward()
    assert float(trained.network.bottleneck.linear.weight.grad.abs().sum()) > 0


def test_whitening_is_measured(encoder: Encoder, encoder_folder: str, frames: FrameDataset):
    measured = measure_whitening(encoder_folder, frames.path)
    assert measured == measure_whitening(encoder, frames) == json.loads(json.dumps(measured))
    codes = encoder(np.asarray(frames.frames))
    alive = codes.std(0) >= 0.05
    np.testing.assert_allclose(measured["mean"], codes.mean(0), atol=1e-5)
    expected = np.where(alive, codes.std(0), 1.0)
    np.testing.assert_allclose(measured["std"], expected, atol=1e-5)


def test_whitening_is_applied_to_each_frame(encoder: Encoder, encoder_folder: str):
    mean, std = np.arange(10.0), np.arange(1.0, 11.0)
    given = {"mean": mean.tolist(), "std": std.tolist()}
    stacks = spaces.Box(0, 255, (6, 64, 64), np.uint8)
    extractor = LatentExtractor(stacks, encoder_folder, whiten=given)
    old, new = noise(2, 0), noise(2, 1)
    features = extractor(torch.cat([unit(old), unit(new)], dim=1)).numpy()
    expected = np.concatenate([(encoder(part) - mean) / std for part in (old, new)], axis=1)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert "whitened" in repr(extractor)


def test_dead_latents_are_not_scaled(frames: FrameDataset):
    """A latent with a hundredth of the prior's spread, and one with more than its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(LatentModel(ModelConfig(latent_dim=2)))
    before = encoder(np.asarray(frames.frames)).std(0)
    with torch.no_grad():
        scale = torch.tensor([0.01 / before[0], 3.0 / before[1]])
        encoder.model.bottleneck.linear.weight[:2] *= scale[:, None]
    std = measure_whitening(encoder, frames)["std"]
    assert std[0] == 1.0
    assert std[1] == pytest.approx(3.0, rel=0.01)
    few = measure_whitening(encoder, frames, n=20)
    assert few == measure_whitening(encoder, frames, n=20)
    assert few != measure_whitening(encoder, frames, n=20, seed=1)


def test_repr_says_what_it_holds(encoder: Encoder, encoder_folder: str, tmp_path: Path):
    text = repr(LatentExtractor(IMAGES, encoder_folder))
    file = str(Path(encoder_folder) / "model.safetensors")
    assert all(w in text for w in ("random weights, frozen", file, encoder.fingerprint))
    pretrained = Encoder(copy.deepcopy(encoder.model), {"objective_name": "beta_vae"})
    extractor = trainable(str(pretrained.save(tmp_path / "beta")))
    assert "pretrained by beta_vae, trainable (finetune, 0 updates so far)" in repr(extractor)


def test_wrong_requests_say_what_to_do(encoder: Encoder, encoder_folder: str, tmp_path: Path):
    with pytest.raises(ArtifactError, match="There is no encoder folder"):
        LatentExtractor(IMAGES, tmp_path / "absent")
    with pytest.raises(ValueError, match="save it first"):
        LatentExtractor(IMAGES, encoder)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Did you mean 'frozen'"):
        LatentExtractor(IMAGES, encoder_folder, mode="frosen")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"latent_policy\(SAC\)"):
        LatentExtractor(IMAGES, encoder_folder, mode="finetune")
    with pytest.raises(ValueError, match="a frozen encoder takes no steps"):
        LatentExtractor(IMAGES, encoder_folder, encoder_learning_rate=1e-4)
    with pytest.raises(ValueError, match="a frozen encoder takes no steps"):
        LatentExtractor(IMAGES, encoder_folder, warmup_updates=10)
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        trainable(encoder_folder, encoder_learning_rate=0)
    with pytest.raises(ValueError, match="0 or more, got -1"):
        trainable(encoder_folder, warmup_updates=-1)
    with pytest.raises(ValueError, match="it is another encoder"):
        LatentExtractor(IMAGES, encoder_folder, fingerprint="0" * 16)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Box(0, 255, (3, 84, 84), np.uint8), "Pretrain at the environment's image_size"),
        (spaces.Box(0, 255, (4, 64, 64), np.uint8), "a multiple of 3 channels"),
        (spaces.Box(0, 255, (2, 64, 64, 3), np.uint8), "stack frames with VecFrameStack"),
        (spaces.Box(0, 255, (64, 64), np.uint8), "Pretrain at"),
        (spaces.Box(0.0, 255.0, (3, 64, 64), np.float32), r"float in \[0, 1\]"),
        (spaces.Box(0, 100, (3, 64, 64), np.uint8), r"uint8 in \[0, 255\]"),
        (spaces.Box(-1, 1, (4,), np.float32), "no image"),
        (spaces.Dict({"a": spaces.Discrete(3)}), "needs Box observations; observation 'a'"),
    ],
)
def test_wrong_observations_say_what_to_do(space: spaces.Space, message: str, encoder_folder: str):
    with pytest.raises(ValueError, match=message):
        LatentExtractor(space, encoder_folder)


def test_images_that_are_not_scaled_are_refused(encoder_folder: str):
    with pytest.raises(ValueError, match="normalize_images=True"):
        LatentExtractor(IMAGES, encoder_folder)(torch.full((1, 3, 64, 64), 200.0))


def test_outputs_that_an_encoder_does_not_have(encoder_folder: str, quantised_folder: str):
    with pytest.raises(ValueError, match=r"needs an encoder whose latents have levels.*'gaussian'"):
        LatentExtractor(IMAGES, encoder_folder, output="quantised")
    with pytest.raises(ValueError, match=r"needs an encoder with a distribution.*'fsq'"):
        LatentExtractor(IMAGES, quantised_folder, output="sample")
    with pytest.raises(ValueError, match="Did you mean 'sample'"):
        LatentExtractor(IMAGES, encoder_folder, output="sampled")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("runs/frames", r"measure_whitening\(encoder, data\)"),
        ({"mean": [0.0] * 10}, r"measure_whitening\(encoder, data\)"),
        ({"mean": [0.0] * 10, "std": [1.0] * 9}, "each of 10 latents"),
        ({"mean": [0.0] * 10, "std": [0.0] * 10}, "positive stds"),
        ({"mean": [np.nan] * 10, "std": [1.0] * 10}, "finite means"),
        ({"mean": [0.0] * 10, "std": [1.0] * 10, "fingerprint": "0" * 16}, "Measure it again"),
    ],
)
def test_wrong_whitening_says_what_to_do(given: Any, message: str, encoder_folder: str):
    with pytest.raises(ValueError, match=message):
        LatentExtractor(IMAGES, encoder_folder, whiten=given)


def test_a_damaged_encoder_is_an_error(encoder: Encoder, tmp_path: Path):
    folder = encoder.save(tmp_path / "encoder")
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.safetensors"):
        LatentExtractor(IMAGES, folder)
    file.unlink()
    with pytest.raises(ArtifactError, match=r"model\.safetensors"):
        LatentExtractor(IMAGES, folder)


@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_states_of_another_encoder_are_refused(
    mode: str, encoder: Encoder, encoder_folder: str, tmp_path: Path
):
    other = copy.deepcopy(encoder.model)
    with torch.no_grad():
        other.bottleneck.linear.bias.add_(1.0)
    folder = str(Encoder(other).save(tmp_path / "other"))
    one, another = (
        LatentExtractor(IMAGES, path, mode, critic_only=True)  # type: ignore[arg-type]
        for path in (encoder_folder, folder)
    )
    one.load_state_dict(one.state_dict())
    with pytest.raises(RuntimeError, match=f"{encoder.fingerprint}.*it was replaced since"):
        another.load_state_dict(one.state_dict())


def test_unscaled_images_are_refused_by_the_policy(encoder_folder: str):
    env: gym.Env = make_env("DrlLatent/Reach-v0")
    kwargs = {
        "features_extractor_class": LatentExtractor,
        "features_extractor_kwargs": {"encoder": encoder_folder},
        "normalize_images": False,
    }
    model = PPO("CnnPolicy", env, policy_kwargs=kwargs, n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match="normalize_images=True"):
        model.learn(8)
    env.close()
