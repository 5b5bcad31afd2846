"""Agents of all ten algorithms on one encoder: frozen, or trained by the critic alone."""

from __future__ import annotations

import copy
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.utils import update_learning_rate
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from drl_latent import Encoder
from drl_latent.agents.extractor import LatentExtractor
from drl_latent.agents.policies import latent_policy, learned_extractor
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.registry import UnknownNameError

ON_POLICY = ("PPO", "A2C", "RecurrentPPO")
VALUES = ("DQN", "QRDQN")
ACTOR_CRITICS = ("SAC", "TD3", "DDPG", "TQC", "CrossQ")
ALGORITHMS = (*ON_POLICY, *VALUES, *ACTOR_CRITICS)
PLAIN = {"CrossQ": "MlpPolicy", "RecurrentPPO": "CnnLstmPolicy"}
SETTINGS: dict[str, dict[str, Any]] = {
    "PPO": {"n_steps": 8, "batch_size": 8, "n_epochs": 1},
    "A2C": {"n_steps": 8},
    "RecurrentPPO": {"n_steps": 8, "batch_size": 8, "n_epochs": 1},
}
OFF_POLICY = {"learning_starts": 8, "batch_size": 8, "buffer_size": 64, "tau": 0.5}
pytestmark = pytest.mark.filterwarnings("ignore:This system does not have apparently enough memory")


class Frames(gym.Env):
    """Noise to look at, of 16x16, alone or beside a vector."""

    def __init__(self, discrete: bool = False, with_vector: bool = False) -> None:
        image = spaces.Box(0, 255, (16, 16, 3), np.uint8)
        vector = spaces.Box(-1, 1, (2,), np.float32)
        self.with_vector = with_vector
        self.observation_space: spaces.Space = (
            spaces.Dict({"camera": image, "joints": vector}) if with_vector else image
        )
        self.action_space = spaces.Discrete(3) if discrete else spaces.Box(-1, 1, (2,), np.float32)

    def _look(self) -> Any:
        image = self.np_random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        vector = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return {"camera": image, "joints": vector} if self.with_vector else image

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self._look(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self._look(), float(self.np_random.normal()), False, self.steps == 5, {}


@pytest.fixture(scope="module")
def small() -> Encoder:
    """An untrained encoder of 16x16 frames."""
    config = ModelConfig((16, 16, 3), 4, encoder_width=8, decoder_width=8, decoded_size=16)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Encoder(LatentModel(config))


@pytest.fixture(scope="module")
def folder(small: Encoder, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(small.save(tmp_path_factory.mktemp("encoders") / "small"))


def algorithm(name: str) -> Any:
    if hasattr(stable_baselines3, name):
        return getattr(stable_baselines3, name)
    return getattr(pytest.importorskip("sb3_contrib"), name)


def make(
    name: str,
    folder: str,
    mode: str = "finetune",
    policy: Any = None,
    env: Any = None,
    policy_kwargs: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    **extractor: Any,
) -> Any:
    """Return an agent; its policy is that of `latent_policy` unless another is given."""
    cls = algorithm(name)
    kwargs: dict[str, Any] = {
        "net_arch": [8],
        "features_extractor_class": LatentExtractor,
        "features_extractor_kwargs": {"encoder": folder, "mode": mode, **extractor},
        **(policy_kwargs or {}),
    }
    if name == "RecurrentPPO":
        kwargs["lstm_hidden_size"] = 8
    own = dict(SETTINGS.get(name, OFF_POLICY))
    if name == "CrossQ":
        del own["tau"]
    return cls(
        policy or latent_policy(cls),
        env or Frames(discrete=name in VALUES),
        policy_kwargs=kwargs,
        seed=0,
        device="cpu",
        **{**own, **(settings or {})},
    )


def extractors(model: Any) -> list[LatentExtractor]:
    return [m for m in model.policy.modules() if isinstance(m, LatentExtractor)]


def weights(extractor: LatentExtractor) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in extractor.encoder.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[k], other[k]) for k in one)


def observations(n: int = 6) -> torch.Tensor:
    """Frames as the algorithms give them to a policy, [N, C, H, W] of bytes."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 3, 16, 16), generator=generator, dtype=torch.uint8)


def critic_loss(model: Any) -> torch.Tensor:
    """Return a loss of all that values, as the algorithm computes them."""
    policy, seen = model.policy, observations()
    if isinstance(model, stable_baselines3.DQN) or hasattr(policy, "quantile_net"):
        return getattr(policy, policy.network)(seen).square().mean()
    if hasattr(policy, "actor"):
        values = policy.critic(seen, torch.zeros(len(seen), 2))
        return sum(value.square().mean() for value in values)
    values, _, _ = evaluate(model)
    return values.square().mean()


def actor_loss(model: Any) -> torch.Tensor:
    """Return a loss of the actor, as the algorithm computes it."""
    policy, seen = model.policy, observations()
    if not hasattr(policy, "actor"):
        _, log_prob, entropy = evaluate(model)
        return (log_prob + entropy).mean()
    actions = policy.actor(seen)
    if isinstance(model, stable_baselines3.TD3):
        return policy.critic.q1_forward(seen, actions).mean()
    return sum(value.mean() for value in policy.critic(seen, actions))


def evaluate(model: Any) -> Any:
    seen = observations()
    actions = torch.zeros(len(seen), 2)
    if "Recurrent" not in type(model).__name__:
        return model.policy.evaluate_actions(seen, actions)
    types = importlib.import_module("sb3_contrib.common.recurrent.type_aliases")
    state = (torch.zeros(1, 1, 8), torch.zeros(1, 1, 8))
    states = types.RNNStates(state, state)
    return model.policy.evaluate_actions(seen, actions, states, torch.zeros(len(seen)))


def gradients(extractor: LatentExtractor) -> list[torch.Tensor]:
    return [p.grad for p in extractor.encoder.model.parameters() if p.grad is not None]


@pytest.mark.parametrize("policy", ["plain", "latent"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_frozen_encoder_is_bit_identical(
    name: str, policy: str, small: Encoder, folder: str, tmp_path: Path
):
    plain = PLAIN.get(name, "CnnPolicy") if policy == "plain" else None
    model = make(name, folder, "frozen", plain)
    expected = {k: v.clone() for k, v in small.model.state_dict().items()}
    assert all(same(weights(e), expected) for e in extractors(model))
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    model.learn(24)
    after = model.policy.state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before), "the policy did not learn"
    assert not any("network" in key for key in after), "the encoder was saved"

    model.save(tmp_path / "agent.zip")
    loaded = algorithm(name).load(tmp_path / "agent.zip", device="cpu")
    for agent in (model, loaded):
        assert extractors(agent)
        assert all(same(weights(e), expected) for e in extractors(agent))
        assert not any(e.encoder.model.training for e in extractors(agent))
    frames = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16), dtype=np.uint8)
    np.testing.assert_array_equal(
        loaded.predict(frames, deterministic=True)[0], model.predict(frames, deterministic=True)[0]
    )


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_trained_encoder_starts_pretrained_and_is_saved(
    name: str, small: Encoder, folder: str, tmp_path: Path
):
    model = make(name, folder)
    pretrained = {k: v.clone() for k, v in small.model.state_dict().items()}
    assert all(same(weights(e), pretrained) for e in extractors(model))
    model.learn(24)
    learned = learned_extractor(model)
    assert not same(weights(learned), pretrained)
    assert same(small.model.state_dict(), pretrained), "others see the change"
    decoder = {k: v for k, v in weights(learned).items() if k.startswith("decoder")}
    assert all(torch.equal(v, pretrained[k]) for k, v in decoder.items())
    assert int(learned.updates) > 0

    model.save(tmp_path / "agent.zip")
    loaded = algorithm(name).load(
        tmp_path / "agent.zip", env=Frames(discrete=name in VALUES), device="cpu"
    )
    for mine, theirs in zip(extractors(model), extractors(loaded), strict=True):
        assert same(weights(mine), weights(theirs))
    assert int(learned_extractor(loaded).updates) == int(learned.updates)
    frames = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16), dtype=np.uint8)
    np.testing.assert_array_equal(
        loaded.predict(frames, deterministic=True)[0], model.predict(frames, deterministic=True)[0]
    )
    # The optimiser's moments are there, and training goes on.
    at_load = weights(learned_extractor(loaded))
    loaded.learn(24)
    assert int(learned_extractor(loaded).updates) > int(learned.updates)
    assert not same(weights(learned_extractor(loaded)), at_load)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_only_the_critics_loss_reaches_the_encoder(name: str, folder: str):
    model = make(name, folder)
    model.policy.set_training_mode(True)
    learned = learned_extractor(model)
    assert not learned.encoder.model.training, "the agent would act on other features"
    critic_loss(model).backward()
    assert len(gradients(learned)) > 4
    assert all(float(g.abs().sum()) > 0 for g in gradients(learned)[:1])
    if name in VALUES:
        return
    model.policy.zero_grad(set_to_none=True)
    actor_loss(model).backward()
    assert not gradients(learned)
    head = model.policy.actor if name in ACTOR_CRITICS else model.policy.action_net
    assert all(p.grad is not None for p in head.parameters() if p.ndim > 1)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_nothing_is_held_or_saved_twice(name: str, folder: str):
    model = make(name, folder)
    found = extractors(model)
    assert len({id(e.encoder.model) for e in found}) == len(found)
    has_target = name not in (*ON_POLICY, "CrossQ")
    assert len(found) == (2 if has_target else 1)
    pointers = [v.data_ptr() for v in model.policy.state_dict().values() if v.ndim]
    assert len(pointers) == len(set(pointers))
    if name in ACTOR_CRITICS:
        owned = {id(p) for p in found[0].encoder.model.parameters()}
        assert not owned & {id(p) for p in model.policy.actor.parameters()}
        assert not any("network" in key for key in model.policy.actor.state_dict())


@pytest.mark.parametrize("name", ["SAC", "TD3", "DDPG", "TQC"])
def test_targets_follow_the_critics_encoder_by_polyak(name: str, folder: str):
    model = make(name, folder, settings={"learning_starts": 8, "gradient_steps": 1})
    # TD3 moves its targets at every second update.
    model.policy_delay = 1
    model.learn(8)
    target = model.policy.critic_target.features_extractor
    before = weights(target)
    assert not any(p.grad is not None for p in target.parameters())
    model.train(gradient_steps=1, batch_size=8)
    assert_follows(before, weights(target), weights(learned_extractor(model)), model.tau)


@pytest.mark.parametrize("name", VALUES)
def test_targets_of_values_follow_by_polyak(name: str, folder: str):
    model = make(name, folder, settings={"target_update_interval": 1})
    model.learn(16)
    target = getattr(model.policy, f"{model.policy.network}_target").features_extractor
    before = weights(target)
    model.train(gradient_steps=1, batch_size=8)
    model._on_step()
    assert_follows(before, weights(target), weights(learned_extractor(model)), model.tau)


def assert_follows(
    before: dict[str, torch.Tensor],
    after: dict[str, torch.Tensor],
    live: dict[str, torch.Tensor],
    tau: float,
) -> None:
    key = "bottleneck.linear.weight"
    assert not torch.equal(before[key], live[key])
    for name in before:
        torch.testing.assert_close(after[name], (1 - tau) * before[name] + tau * live[name])


def test_actors_look_through_the_extractor_of_their_critic(folder: str):
    policy = make("TD3", folder).policy
    seen = observations().float() / 255
    for actor, critic in (
        (policy.actor, policy.critic),
        (policy.actor_target, policy.critic_target),
    ):
        with torch.no_grad():
            critic.features_extractor.encoder.model.bottleneck.linear.bias.add_(1.0)
        features = actor.features_extractor(seen)
        assert not features.requires_grad
        torch.testing.assert_close(features, critic.features_extractor(seen))


def optimizer_of(model: Any) -> torch.optim.Optimizer:
    policy = model.policy
    return policy.critic.optimizer if hasattr(policy, "actor") else policy.optimizer


def update(model: Any) -> None:
    """Take a step on the critic's loss, as the algorithm does."""
    optimizer_of(model).zero_grad()
    critic_loss(model).backward()
    optimizer_of(model).step()


def output_bias(model: Any) -> torch.Tensor:
    """Return a parameter of the critic that is not the encoder's."""
    policy = model.policy
    if hasattr(policy, "actor"):
        return policy.critic.qf0[-1].bias
    if hasattr(policy, "value_net"):
        return policy.value_net.bias
    network = getattr(policy, policy.network)
    return getattr(network, policy.network)[-1].bias


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_encoder_has_a_rate_of_its_own(name: str, folder: str, tmp_path: Path):
    """With plain gradient descent, a step is the rate times the gradient."""
    plain = {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {}}
    rate, own = 0.1, 0.02
    model = make(
        name,
        folder,
        policy_kwargs=plain,
        settings={"learning_rate": rate},
        encoder_learning_rate=own,
    )
    copied = make(name, folder)
    copied.policy = copy.deepcopy(model.policy)

    def check(agent: Any, agents_rate: float, encoders_rate: float) -> None:
        optimizer = optimizer_of(agent)
        update_learning_rate(optimizer, agents_rate)
        encoders = learned_extractor(agent).encoder.model.bottleneck.linear.weight
        parameters = {encoders_rate: encoders, agents_rate: output_bias(agent)}
        before = {by: p.detach().clone() for by, p in parameters.items()}
        update(agent)
        for by, parameter in parameters.items():
            assert float(parameter.grad.abs().sum()) > 0
            torch.testing.assert_close(parameter.detach(), before[by] - by * parameter.grad)
        assert {group["lr"] for group in optimizer.param_groups} == {agents_rate}

    check(model, rate, own)
    check(model, rate / 2, own / 2)  # a schedule
    model.save(tmp_path / "agent.zip")
    check(algorithm(name).load(tmp_path / "agent.zip", device="cpu"), rate, own)
    check(copied, rate, own)


@pytest.mark.parametrize(("objective", "ratio"), [("random", 1.0), ("vae", 0.1)])
def test_by_default_a_pretrained_encoder_learns_at_a_tenth_of_the_agents_rate(
    objective: str, ratio: float, small: Encoder, tmp_path: Path
):
    folder = Encoder(small.model, {"objective_name": objective}).save(tmp_path / "encoder")
    plain = {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {}}
    model = make("PPO", str(folder), policy_kwargs=plain, settings={"learning_rate": 0.1})
    weight = learned_extractor(model).encoder.model.bottleneck.linear.weight
    before = weight.detach().clone()
    update(model)
    assert float(weight.grad.abs().sum()) > 0
    torch.testing.assert_close(weight.detach(), before - 0.1 * ratio * weight.grad)


@pytest.mark.parametrize("name", ["PPO", "TD3", "DQN"])
def test_warm_up_leaves_the_encoder_alone_and_survives_saving(
    name: str, folder: str, tmp_path: Path
):
    model = make(name, folder, warmup_updates=3)
    learned = learned_extractor(model)
    start = weights(learned)

    update(model)
    update(model)
    assert same(weights(learned), start)
    state = optimizer_of(model).state
    assert not any(p in state for p in learned.trained_parameters()), "moments of nothing"
    model.save(tmp_path / "agent.zip")
    loaded = algorithm(name).load(tmp_path / "agent.zip", device="cpu")
    learned = learned_extractor(loaded)
    update(loaded)
    assert int(learned.updates) == 3
    assert same(weights(learned), start)
    update(loaded)
    assert not same(weights(learned), start)


def test_auxiliary_gives_the_live_model_with_its_decoder(folder: str, tmp_path: Path):
    model = make("SAC", folder, "auxiliary")
    learned = learned_extractor(model)
    assert learned is model.policy.critic.features_extractor
    live = learned.encoder.model
    assert all(p.requires_grad for p in live.parameters())
    in_optimizers = {
        id(p)
        for optimizer in (model.actor.optimizer, model.critic.optimizer)
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert not in_optimizers & {id(p) for p in live.decoder.parameters()}
    images = observations().float() / 255
    live.reconstruction_loss(live.encode(images), images).mean().backward()
    assert all(p.grad is not None for p in live.decoder.parameters())
    with torch.no_grad():
        for parameter in live.parameters():
            parameter -= 0.01
    model.save(tmp_path / "agent.zip")
    loaded = stable_baselines3.SAC.load(tmp_path / "agent.zip", device="cpu")
    assert same(weights(learned_extractor(loaded)), weights(learned))
    saved = Encoder.load(learned.encoder.save(tmp_path / "learned"))
    assert saved.fingerprint == learned.encoder.fingerprint != learned.start
    assert saved.training["trained_on_from"] == learned.start


@pytest.mark.parametrize("mode", ["frozen", "finetune"])
@pytest.mark.parametrize("name", [n for n in ALGORITHMS if n != "CrossQ"])
def test_dicts_of_stacked_images_and_vectors(name: str, mode: str, folder: str):
    env = VecFrameStack(
        DummyVecEnv([lambda: Frames(name in VALUES, with_vector=True)] * 2), n_stack=2
    )
    model = make(name, folder, mode, env=env)
    model.learn(16)
    assert extractors(model)[0].features_dim == 2 * 4 + 2 * 2


def test_images_stacked_for_an_agent(folder: str):
    env = VecFrameStack(DummyVecEnv([lambda: Frames()] * 2), n_stack=3)
    model = make("PPO", folder, env=env)
    model.learn(16)
    assert extractors(model)[0].features_dim == 12


@pytest.mark.slow
def test_agents_load_in_a_fresh_process(folder: str, tmp_path: Path):
    """Without the script that trained them, and without importing this library first."""
    pytest.importorskip("sb3_contrib")
    frames = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    expected = []
    for name in ("SAC", "TQC"):
        model = make(name, folder)
        model.learn(16)
        model.save(tmp_path / f"{name}.zip")
        expected.append(model.predict(frames, deterministic=True)[0])
    code = (
        "import numpy as np, stable_baselines3 as a, sb3_contrib as b\n"
        "frames = np.load('frames.npy')\n"
        "agents = [c.load(c.__name__ + '.zip', device='cpu') for c in (a.SAC, b.TQC)]\n"
        "np.save('actions.npy', [m.predict(frames, deterministic=True)[0] for m in agents])\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "actions.npy"), expected, atol=1e-6)


def test_a_policy_is_loaded_without_its_algorithm(folder: str, tmp_path: Path):
    model = make("SAC", folder, encoder_learning_rate=1e-4)
    model.learn(16)
    model.policy.save(tmp_path / "policy.pt")
    loaded = latent_policy("SAC").load(tmp_path / "policy.pt", device="cpu")
    frames = observations().numpy()
    np.testing.assert_array_equal(
        loaded.predict(frames, deterministic=True)[0], model.predict(frames, deterministic=True)[0]
    )


@pytest.mark.parametrize("name", ["PPO", "SAC", "DQN"])
@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_a_replaced_encoder_is_noticed_at_load(
    name: str, mode: str, small: Encoder, folder: str, tmp_path: Path
):
    place = tmp_path / "encoder"
    small.save(place)
    make(name, str(place), mode).save(tmp_path / "agent.zip")
    place.rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"no encoder folder.*custom_objects"):
        algorithm(name).load(tmp_path / "agent.zip", device="cpu")
    moved = {
        "net_arch": [8],
        "features_extractor_class": LatentExtractor,
        "features_extractor_kwargs": {"encoder": str(tmp_path / "moved"), "mode": mode},
    }
    algorithm(name).load(
        tmp_path / "agent.zip", device="cpu", custom_objects={"policy_kwargs": moved}
    )
    other = copy.deepcopy(small.model)
    with torch.no_grad():
        other.bottleneck.linear.bias.add_(1.0)
    Encoder(other).save(place)
    with pytest.raises(RuntimeError, match="it was replaced since"):
        algorithm(name).load(tmp_path / "agent.zip", device="cpu")


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("mode", ["finetune", "auxiliary"])
def test_plain_policies_refuse_to_train_an_encoder(name: str, mode: str, folder: str):
    with pytest.raises(ValueError, match=r"latent_policy\(SAC\)"):
        make(name, folder, mode, policy=PLAIN.get(name, "CnnPolicy"))


def test_wrong_requests_say_what_to_do(folder: str):
    with pytest.raises(UnknownNameError, match="Did you mean 'SAC'"):
        latent_policy("SAK")
    with pytest.raises(UnknownNameError, match="Choose from"):
        latent_policy(stable_baselines3.common.base_class.BaseAlgorithm)
    with pytest.raises(ValueError, match="needs an encoder"):
        stable_baselines3.PPO(latent_policy("PPO"), Frames(), device="cpu")
    flat = stable_baselines3.common.torch_layers.FlattenExtractor
    with pytest.raises(ValueError, match="leave features_extractor_class out"):
        make("PPO", folder, policy_kwargs={"features_extractor_class": flat})
    for name in ("PPO", "SAC"):
        with pytest.raises(ValueError, match="which the critic trains"):
            make(name, folder, policy_kwargs={"share_features_extractor": True})
    with pytest.raises(ValueError, match="does not start at 0"):
        make("PPO", folder, encoder_learning_rate=1e-4, settings={"learning_rate": 0.0})
    with pytest.raises(ValueError, match="trains no encoder"):
        learned_extractor(make("SAC", folder, "frozen"))
    with pytest.raises(ValueError, match="trains no encoder"):
        learned_extractor(stable_baselines3.A2C("MlpPolicy", Frames(), device="cpu"))


def test_wrong_requests_of_contrib_say_what_to_do(folder: str, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("sb3_contrib")
    with pytest.raises(ValueError, match="shared_lstm=True"):
        make("RecurrentPPO", folder, policy_kwargs={"shared_lstm": True})
    with pytest.raises(ValueError, match="CrossQ takes no Dict"):
        make("CrossQ", folder, env=Frames(with_vector=True))
    module = "drl_latent.agents.contrib_policies"
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delattr(module, raising=False)
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    monkeypatch.setitem(sys.modules, "sb3_contrib.common.recurrent.policies", None)
    with pytest.raises(ImportError, match=r"drl-latent\[contrib\]"):
        latent_policy("TQC")


def test_subclasses_have_the_policy_of_their_parent():
    class MySAC(stable_baselines3.SAC):
        pass

    assert latent_policy(MySAC) is latent_policy("SAC")
    assert latent_policy("DDPG") is latent_policy(stable_baselines3.TD3)
