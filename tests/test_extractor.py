"""The frozen encoder stays what it was, whatever Stable-Baselines3 does."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO, SAC, TD3
from torch import nn

from drl_latent import Encoder
from drl_latent.agents import LatentExtractor
from drl_latent.artifacts import ArtifactError
from drl_latent.envs import make_env

SETTINGS = {
    PPO: {"n_steps": 16, "batch_size": 8, "n_epochs": 1},
    A2C: {"n_steps": 8},
    SAC: {"learning_starts": 8, "batch_size": 8, "buffer_size": 64},
    TD3: {"learning_starts": 8, "batch_size": 8, "buffer_size": 64},
}
IMAGES = spaces.Box(0, 255, (3, 64, 64), np.uint8)


def extractors(model) -> list[LatentExtractor]:
    found = [m for m in model.policy.modules() if isinstance(m, LatentExtractor)]
    assert found
    return found


def assert_intact(model, expected: dict[str, torch.Tensor]) -> None:
    for extractor in extractors(model):
        state = extractor.encoder.model.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[k], expected[k]) for k in expected)


@pytest.mark.filterwarnings("ignore:This system does not have apparently enough memory")
@pytest.mark.parametrize("observation", ["pixels", "dict"])
@pytest.mark.parametrize("algorithm", list(SETTINGS), ids=lambda cls: cls.__name__)
def test_weights_are_bit_identical(
    algorithm, observation: str, encoder: Encoder, encoder_folder: str, tmp_path: Path
):
    expected = {k: v.clone() for k, v in encoder.model.state_dict().items()}
    env = make_env("DrlLatent/Reach-v0", observation=observation)
    policy = "CnnPolicy" if observation == "pixels" else "MultiInputPolicy"
    model = algorithm(
        policy,
        env,
        policy_kwargs={
            "features_extractor_class": LatentExtractor,
            "features_extractor_kwargs": {"encoder": encoder_folder, "mode": "frozen"},
            "net_arch": [8],
        },
        seed=0,
        device="cpu",
        **SETTINGS[algorithm],
    )
    assert_intact(model, expected)
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    model.learn(48)
    assert_intact(model, expected)
    after = model.policy.state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before), "the policy did not learn"

    model.save(tmp_path / "agent.zip")
    loaded = algorithm.load(tmp_path / "agent.zip", device="cpu")
    assert_intact(loaded, expected)
    frame, _ = env.reset(seed=1)
    np.testing.assert_array_equal(
        loaded.predict(frame, deterministic=True)[0], model.predict(frame, deterministic=True)[0]
    )
    env.close()


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
    found = extractors(model)
    assert len(found) == 3
    assert len({id(e.encoder) for e in found}) == 1
    assert not any("encoder" in name for name in model.policy.state_dict())
    model.policy.set_training_mode(True)
    assert not found[0].encoder.model.training
    found[0].apply(
        lambda module: nn.init.zeros_(module.weight) if hasattr(module, "weight") else None
    )
    assert_intact(model, encoder.model.state_dict())
    env.close()


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


def test_dict_passes_vectors_on(encoder_folder: str):
    space = spaces.Dict({"camera": IMAGES, "joints": spaces.Box(-1, 1, (4,), np.float32)})
    extractor = LatentExtractor(space, encoder_folder)
    assert extractor.features_dim == 14
    joints = torch.rand(2, 4)
    features = extractor({"camera": torch.rand(2, 3, 64, 64), "joints": joints})
    torch.testing.assert_close(features[:, 10:], joints)


def test_repr_says_what_it_holds(encoder: Encoder, encoder_folder: str):
    text = repr(LatentExtractor(IMAGES, encoder_folder))
    assert all(word in text for word in ("frozen", encoder_folder, encoder.fingerprint))


def test_wrong_requests_say_what_to_do(encoder: Encoder, encoder_folder: str, tmp_path: Path):
    with pytest.raises(ArtifactError, match="There is no encoder folder"):
        LatentExtractor(IMAGES, tmp_path / "absent")
    with pytest.raises(ValueError, match="save it first"):
        LatentExtractor(IMAGES, encoder)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Did you mean 'frozen'"):
        LatentExtractor(IMAGES, encoder_folder, mode="frosen")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="it is another encoder"):
        LatentExtractor(IMAGES, encoder_folder, fingerprint="0" * 16)
    with pytest.raises(ValueError, match="Pretrain at the environment's image_size"):
        LatentExtractor(spaces.Box(0, 255, (3, 84, 84), np.uint8), encoder_folder)
    with pytest.raises(ValueError, match=r"float in \[0, 1\]"):
        LatentExtractor(spaces.Box(0.0, 255.0, (3, 64, 64), np.float32), encoder_folder)
    with pytest.raises(ValueError, match="no image"):
        LatentExtractor(spaces.Box(-1, 1, (4,), np.float32), encoder_folder)
    with pytest.raises(ValueError, match="needs Box observations"):
        LatentExtractor(spaces.Dict({"a": spaces.Discrete(3)}), encoder_folder)
    with pytest.raises(ValueError, match="normalize_images=True"):
        LatentExtractor(IMAGES, encoder_folder)(torch.full((1, 3, 64, 64), 200.0))


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
