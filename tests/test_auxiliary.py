"""An objective that is trained beside an agent moves the encoder, and nothing else's gradient."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import polyak_update
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from drl_latent import Encoder
from drl_latent.agents.auxiliary import JointObjective
from drl_latent.agents.image_buffer import FrameReplayBuffer
from drl_latent.agents.policies import latent_policy, learned_extractor
from drl_latent.agents.replayed_frames import ReplayedFrames, of_replay, of_rollout
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives import OBJECTIVES, VAE
from drl_latent.registry import UnknownNameError

SMALL = ModelConfig(
    image_shape=(32, 32, 3), latent_dim=4, encoder_width=8, decoder_width=8, decoded_size=16
)
SETTINGS: dict[type[BaseAlgorithm], dict[str, Any]] = {
    SAC: {"learning_starts": 16, "batch_size": 8, "buffer_size": 200},
    PPO: {"n_steps": 32, "batch_size": 8, "n_epochs": 2},
    A2C: {"n_steps": 16},
}
LIGHT = {"factor_vae": {"discriminator_width": 16}}
"""Settings of objectives whose own would take long."""
EPISODE = 10


class Dot(gym.Env):
    """A bright square that is pushed about; its red tells the episode, its green the time."""

    observation_space = spaces.Box(0, 255, (32, 32, 3), np.uint8)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, number: int = 0) -> None:
        self.episode = 50 * number

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.place, self.time = self.np_random.uniform(4, 28, 2), 0
        self.episode += 1
        return self._image(), {}

    def step(self, action):
        self.place = np.clip(self.place + 3 * np.asarray(action), 4, 28)
        self.time += 1
        return self._image(), -float(abs(self.place - 16).mean()), False, self.time == EPISODE, {}

    def _image(self) -> np.ndarray:
        image = np.full((32, 32, 3), 30, np.uint8)
        image[0, 0] = (self.episode, self.time, 0)
        row, column = self.place.astype(int)
        image[row - 3 : row + 3, column - 3 : column + 3] = (220, 160, 40)
        return image


def dots(n: int = 1, stack: int = 1):
    venv = DummyVecEnv([partial(Dot, number) for number in range(n)])
    return VecFrameStack(venv, stack) if stack > 1 else venv


def encoder_for(objective: str, folder: Path) -> str:
    """An untrained encoder of the architecture that an objective needs."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LatentModel(OBJECTIVES[objective]().architecture(SMALL))
    return str(Encoder(model).save(folder / objective))


def agent(
    algorithm: type[BaseAlgorithm], encoder: str, mode: str = "auxiliary", venv=None, **settings
) -> BaseAlgorithm:
    kwargs = {"features_extractor_kwargs": {"encoder": encoder, "mode": mode}, "net_arch": [8]}
    settings = {**SETTINGS[algorithm], **settings}
    model = algorithm(
        latent_policy(algorithm), venv or dots(), policy_kwargs=kwargs, seed=0, device="cpu",
        **settings,
    )  # fmt: skip
    model.set_logger(configure(None, []))
    return model


def remember_frames(joint: JointObjective) -> list[ReplayedFrames]:
    """A list that will hold what the callback trains on."""
    seen: list[ReplayedFrames] = []
    real = joint.train

    def train(frames: ReplayedFrames, n: int) -> None:
        seen.append(frames)
        real(frames, n)

    joint.train = train  # type: ignore[method-assign]
    return seen


class Losses(BaseCallback):
    """Collects what JointObjective logs."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, list[float]] = {}

    def _on_step(self) -> bool:
        for key, value in self.logger.name_to_value.items():
            if key.startswith("auxiliary/"):
                self.values.setdefault(key, []).append(value)
        return True


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def moved(before: dict[str, torch.Tensor], module: torch.nn.Module) -> bool:
    return any(not torch.equal(before[k], v) for k, v in module.state_dict().items())


@pytest.mark.parametrize("algorithm", list(SETTINGS), ids=lambda cls: cls.__name__)
def test_the_objectives_loss_falls_and_moves_encoder_and_decoder(algorithm, tmp_path: Path):
    model = agent(algorithm, encoder_for("rae", tmp_path))
    live = learned_extractor(model).encoder.model
    before, decoder = weights(live.encoder), weights(live.decoder)
    joint = JointObjective("rae", updates_per_step=2, batch_size=16, learning_rate=3e-3)
    means: list[float] = []
    real = joint.train

    def watched(frames, n: int) -> None:
        joint.logger.name_to_value.clear()
        joint.logger.name_to_count.clear()
        real(frames, n)
        means.append(joint.logger.name_to_value["auxiliary/loss"])

    joint.train = watched  # type: ignore[method-assign]
    model.learn(64, joint)
    assert moved(before, live.encoder)
    assert moved(decoder, live.decoder)
    assert means[-1] < 0.8 * means[0], means
    starts = 16 if algorithm is SAC else 0
    assert joint.step == 2 * (64 - starts) == joint.steps


def test_by_default_it_goes_on_as_the_encoder_was_pretrained(tmp_path: Path):
    fresh = encoder_for("beta_vae", tmp_path)
    training = {"objective_name": "beta_vae", "objective": {"beta": 9.0}}
    pretrained = str(Encoder(Encoder.load(fresh).model, training).save(tmp_path / "pretrained"))

    def begun(encoder: str, name: str, **settings) -> JointObjective:
        joint = JointObjective(name, **settings)
        joint.init_callback(agent(PPO, encoder))
        return joint

    found = begun(pretrained, "beta_vae")
    assert found.objective.beta == 9.0
    assert found.plan.learning_rate == 1e-4, "so that the policy can follow"
    changed = begun(pretrained, "beta_vae", beta=2.0, learning_rate=3e-4)
    assert (changed.objective.beta, changed.plan.learning_rate) == (2.0, 3e-4)
    assert begun(pretrained, "beta_tcvae").objective == OBJECTIVES["beta_tcvae"]()
    unlearned = begun(fresh, "beta_vae")
    assert unlearned.objective == OBJECTIVES["beta_vae"]()
    assert unlearned.plan.learning_rate == 1e-3


def test_by_default_there_is_a_step_for_each_update_of_the_agent(tmp_path: Path):
    encoder = encoder_for("rae", tmp_path)
    for algorithm, settings, expected in (
        (SAC, {}, 48 - 16),
        (SAC, {"train_freq": 4, "gradient_steps": 2}, (48 - 16) // 2),
        (PPO, {}, 2 * (2 * 32 // 8)),
        (A2C, {}, 3),
    ):
        joint = JointObjective("rae", batch_size=4)
        agent(algorithm, encoder, **settings).learn(48, joint)
        assert joint.step == expected, (algorithm, settings)
    episodic = agent(SAC, encoder, train_freq=(1, "episode"), gradient_steps=5)
    with pytest.raises(ValueError, match="give updates_per_step"):
        episodic.learn(20, JointObjective("rae"))


@pytest.mark.parametrize("algorithm", [SAC, PPO], ids=lambda cls: cls.__name__)
def test_only_critic_and_objective_reach_the_encoder(algorithm, tmp_path: Path):
    model = agent(algorithm, encoder_for("rae", tmp_path))
    joint = JointObjective("rae", batch_size=8)
    seen = remember_frames(joint)
    model.learn(32, joint)
    live = learned_extractor(model).encoder.model
    parameters = list(live.encoder.parameters())

    def reaches(loss: torch.Tensor) -> bool:
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        return any(g is not None and bool(g.any()) for g in found)

    assert all(p.grad is None for p in live.parameters()), "left for the agent's optimisers"
    observations = torch.from_numpy(
        np.stack([dots().reset()[0].transpose(2, 0, 1) for _ in range(4)])
    )
    if algorithm is SAC:
        actions, log_prob = model.actor.action_log_prob(observations)
        values = torch.cat(model.critic(observations, actions), dim=1)
        assert not reaches((log_prob - values.min(1).values).mean())
        assert reaches(torch.cat(model.critic(observations, actions.detach()), dim=1).sum())
    else:
        actions = torch.zeros(4, 2)
        values, log_prob, _ = model.policy.evaluate_actions(observations, actions)
        assert reaches(values.sum())
        assert not reaches(log_prob.sum())
    assert reaches(joint._players["model"].loss(joint._batch(seen[-1]))["loss"])


def test_the_target_encoder_follows(tmp_path: Path):
    model = agent(SAC, encoder_for("rae", tmp_path), tau=0.25)
    target = model.policy.critic_target.features_extractor.encoder.model
    start = weights(target.encoder)
    joint = JointObjective("rae", batch_size=8)
    model.learn(40, joint)
    assert moved(start, target.encoder)
    live, before = learned_extractor(model).encoder.model, weights(target.encoder)
    polyak_update(model.critic.parameters(), model.critic_target.parameters(), 0.25)
    for name, now in live.encoder.named_parameters():
        expected = 0.75 * before[name] + 0.25 * now
        torch.testing.assert_close(target.encoder.state_dict()[name], expected)


PAIRED = [n for n, cls in OBJECTIVES.items() if cls.trains and cls.pair_kind is not None]


@pytest.mark.parametrize("name", ["vae", "factor_vae", "dae", "qlae", *PAIRED])
def test_objectives_train_beside_an_agent(name: str, tmp_path: Path):
    model = agent(PPO, encoder_for(name, tmp_path), venv=dots(2), n_steps=16)
    live = learned_extractor(model).encoder.model
    before, decoder, losses = weights(live.encoder), weights(live.decoder), Losses()
    joint = JointObjective(name, updates_per_step=0.25, batch_size=16, **LIGHT.get(name, {}))
    model.learn(64, [joint, losses])
    assert joint.step == 16
    assert moved(before, live.encoder)
    assert moved(decoder, live.decoder)
    several = len(joint._players) > 1
    logged = "auxiliary/model/loss" if several else "auxiliary/loss"
    assert np.isfinite(losses.values[logged]).all()


def test_a_gaussian_code_does_for_an_objective_without_noise(tmp_path: Path):
    model = agent(PPO, encoder_for("vae", tmp_path))
    joint = JointObjective("rae", batch_size=8)
    model.learn(32, joint)
    assert joint.step == 8


@pytest.mark.parametrize("algorithm", [SAC, PPO], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("name", ["factor_vae", "ted"])
def test_resume_restores_exactly(algorithm, name: str, tmp_path: Path):
    encoder = encoder_for(name, tmp_path)
    model = agent(algorithm, encoder)
    joint = JointObjective(name, updates_per_step=0.25, batch_size=8, seed=3, **LIGHT.get(name, {}))
    seen = remember_frames(joint)
    model.learn(64, joint)
    joint.save_state(tmp_path / "joint.safetensors")

    again = agent(algorithm, encoder)
    other = JointObjective(name, updates_per_step=0.25, batch_size=8, seed=3, **LIGHT.get(name, {}))
    again._total_timesteps = model._total_timesteps
    other.init_callback(again)
    other.load_state(tmp_path / "joint.safetensors")
    assert other.step == joint.step > 0
    for callback in (joint, other):
        callback.train(seen[-1], 3)
    for mine, theirs in zip(joint._modules().values(), other._modules().values(), strict=True):
        assert mine.state_dict().keys() == theirs.state_dict().keys()
        assert not moved(weights(mine), theirs)
    # What is restored survives that `learn` sets the callback up again.
    again.num_timesteps = 64
    again.learn(1, other, reset_num_timesteps=False)
    assert other.step > joint.step - 1


def test_the_agents_own_draws_stay_what_they_are(tmp_path: Path):
    # The objective has generators of its own.
    encoder = encoder_for("vae", tmp_path)
    states = []
    for callback in (None, JointObjective("vae", learning_rate=1e-12, batch_size=8)):
        model = agent(SAC, encoder)
        model.learn(40, callback)
        states.append((np.random.get_state()[1].copy(), torch.get_rng_state()))  # noqa: NPY002
    np.testing.assert_array_equal(states[0][0], states[1][0])
    assert torch.equal(states[0][1], states[1][1])


# Frames of buffers


def filled(buffer_class: type[ReplayBuffer], steps: int, **kwargs: Any) -> ReplayBuffer:
    """A replay buffer of two environments, of which one is four steps ahead."""
    venv = dots(2)
    venv.reset()
    for _ in range(4):
        venv.envs[1].step(np.zeros(2))
    space = spaces.Box(0, 255, (3, 32, 32), np.uint8)
    buffer = buffer_class(60, space, venv.action_space, "cpu", n_envs=2, **kwargs)
    first = lambda images: images.transpose(0, 3, 1, 2)  # noqa: E731
    before = np.stack([env.unwrapped._image() for env in venv.envs])
    for _ in range(steps):
        actions = np.stack([venv.action_space.sample() for _ in range(2)])
        after, rewards, dones, infos = venv.step(actions)
        final = [i.get("terminal_observation", o) for o, i in zip(after, infos, strict=True)]
        buffer.add(first(before), first(np.stack(final)), actions, rewards, dones, infos)
        before = after
    return buffer


def marks(images: np.ndarray) -> np.ndarray:
    """Episode and time of each image [N, 3, 32, 32]."""
    return images[:, :2, 0, 0].astype(int)


@pytest.mark.parametrize("steps", [22, 47])
@pytest.mark.parametrize(
    ("buffer_class", "kwargs"),
    [
        (ReplayBuffer, {}),
        (ReplayBuffer, {"optimize_memory_usage": True, "handle_timeout_termination": False}),
        (FrameReplayBuffer, {}),
    ],
)
def test_replayed_pairs_follow_each_other(buffer_class, kwargs, steps: int):
    frames = of_replay(filled(buffer_class, steps, **kwargs))
    rng = np.random.default_rng(0)
    images = frames.draw(400, "", rng, in_pairs=True, same_episode=True)
    (episode, time), (episode_after, time_after) = (marks(i).T for i in np.split(images, 2))
    np.testing.assert_array_equal(episode_after, episode)
    np.testing.assert_array_equal(time_after, time + 1)
    kept = 30 if steps > 30 else steps
    assert len(np.unique(frames.draw(3_000, "", rng, False, False), axis=0)) >= 2 * kept - 2
    # The second half of the pairs are others of the episodes of the first, where these are long
    # enough to have some that share no frame.
    known = {(e, t) for e, t in zip(episode, time, strict=True)}
    is_long = np.array([sum(e == other for other, _ in known) >= 4 for e in episode[:100]])
    assert is_long.mean() > 0.8
    np.testing.assert_array_equal(episode[100:][is_long], episode[:100][is_long])
    apart = np.abs(time[100:] - time[:100])[is_long]
    assert set(apart) == set(range(2, EPISODE - 1))


def test_pairs_of_a_rollout_do_not_cross_episodes():
    venv = dots(3)
    buffer = RolloutBuffer(
        24, spaces.Box(0, 255, (3, 32, 32), np.uint8), venv.action_space, n_envs=3
    )
    observations, starts = venv.reset(), np.ones(3)
    for _ in range(24):
        images = observations.transpose(0, 3, 1, 2)
        actions = np.zeros((3, 2), np.float32)
        value = torch.zeros(3)
        buffer.add(images, actions, np.zeros(3), starts, value, value)
        observations, _, starts, _ = venv.step(actions)
    frames = of_rollout(buffer)
    next(buffer.get(8))  # flattens what is in the buffer
    buffer.reset()
    images = frames.draw(400, "", np.random.default_rng(0), in_pairs=True, same_episode=False)
    (episode, time), (episode_after, time_after) = (marks(i).T for i in np.split(images, 2))
    np.testing.assert_array_equal(episode_after, episode)
    np.testing.assert_array_equal(time_after, time + 1)
    assert set(time) == set(range(EPISODE - 1)), "the last frame of an episode is not stored"


def test_the_encoder_sees_the_newest_frame_of_a_stack(tmp_path: Path):
    encoder = encoder_for("rae", tmp_path)
    model = agent(SAC, encoder, venv=dots(1, stack=3))
    joint = JointObjective("rae", batch_size=64)
    model.learn(30, joint)
    batch = joint._batch(of_replay(model.replay_buffer))
    assert batch.images.shape == (64, 3, 32, 32)
    assert float(batch.images.max()) == pytest.approx(220 / 255)
    stored = model.replay_buffer.observations[:30, 0, -3:]
    found = {image.tobytes() for image in (batch.images * 255).round().byte().numpy()}
    assert found <= {image.tobytes() for image in stored}
    assert batch.factors.shape == (64, 0)


# Refusals


def test_wrong_requests_say_what_to_do(tmp_path: Path):
    point, gaussian = encoder_for("rae", tmp_path), encoder_for("vae", tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'beta_vae'"):
        JointObjective("beta_va")
    with pytest.raises(UnknownNameError, match="Did you mean 'beta'"):
        JointObjective("beta_vae", bet=3.0)
    with pytest.raises(ValueError, match="beside an objective object"):
        JointObjective(VAE(), beta=3.0)
    for name in ("random", "pca"):
        with pytest.raises(ValueError, match="takes no steps of training"):
            JointObjective(name)
    with pytest.raises(ValueError, match="updates_per_step must be above 0"):
        JointObjective("vae", updates_per_step=0)
    with pytest.raises(ValueError, match="give a multiple of 4"):
        JointObjective("ted", batch_size=6)
    with pytest.raises(ValueError, match="call init_callback"):
        JointObjective("vae").save_state(tmp_path / "state")
    with pytest.raises(ValueError, match="trains no encoder"):
        agent(PPO, point, mode="frozen").learn(32, JointObjective("rae"))
    with pytest.raises(ValueError, match="'finetune': give it mode='auxiliary'"):
        agent(PPO, point, mode="finetune").learn(32, JointObjective("rae"))
    with pytest.raises(ValueError, match="bottleneck 'point', not 'gaussian'"):
        agent(PPO, point).learn(32, JointObjective("vae"))
    with pytest.raises(ValueError, match="likelihood 'gaussian', not 'bernoulli'"):
        agent(PPO, gaussian).learn(32, JointObjective(VAE(likelihood="bernoulli")))
    with pytest.raises(ValueError, match="needs factor values, and the replay buffer has none"):
        agent(PPO, point).learn(32, JointObjective("supervised"))
    short = agent(PPO, encoder_for("slow_vae", tmp_path), n_steps=2, batch_size=2)
    short.rollout_buffer.buffer_size = 1
    frames = of_rollout(short.rollout_buffer)
    with pytest.raises(ValueError, match="No two frames of one episode"):
        frames.draw(4, "", np.random.default_rng(0), True, False)
