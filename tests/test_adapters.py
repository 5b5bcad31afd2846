import functools
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from drl_latent.agents import train_agent
from drl_latent.cli import main
from drl_latent.data import collect
from drl_latent.envs import (
    Factor,
    FactorizedEnv,
    FactorTable,
    discover_factors,
    factorize,
    make_env,
    make_split,
)
from drl_latent.envs.discovery import find_factors
from drl_latent.envs.model_factors import ModelEditor
from drl_latent.envs.rendering import mujoco
from drl_latent.evaluation import evaluate_generalization
from drl_latent.evaluation.agents import RandomAgent
from drl_latent.registry import UnknownNameError

COMMON = ["light_intensity", "camera_azimuth", "mass", "gravity", "friction"]
# What has a hue in each, and the package it comes from.
ADAPTED = {
    "Pusher-v5": ("object", None),
    "HalfCheetah-v5": ("floor", None),
    "Reacher-v5": ("target", None),
    "InvertedPendulum-v5": ("cart", None),
    "FetchReach-v4": ("table0", "gymnasium_robotics"),
    "FetchPush-v4": ("object0", "gymnasium_robotics"),
    "FetchPickAndPlace-v4": ("object0", "gymnasium_robotics"),
    "dm_control/reacher-easy-v0": ("target", "shimmy"),
    "dm_control/cartpole-swingup-v0": ("floor", "shimmy"),
}

pytestmark = [
    # dm_control's own code under the numpy of today.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:dm_control.*"),
]


def adapted(env_id: str, **kwargs) -> FactorizedEnv:
    thing, package = ADAPTED[env_id]
    if package is not None:
        pytest.importorskip(package)
    return factorize(env_id, **{"factors": [f"{thing}_hue", *COMMON], **kwargs})


@pytest.fixture(params=ADAPTED, scope="module")
def env_id(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def env(env_id: str):
    made = adapted(env_id)
    yield made
    made.close()


@pytest.fixture
def pusher():
    made = adapted("Pusher-v5")
    yield made
    made.close()


def arrays(model: mujoco.MjModel) -> dict[str, np.ndarray]:
    """Copy all that a compiled model holds."""
    found = {}
    for part, prefix in (
        (model, ""),
        (model.opt, "opt."),
        (model.vis.headlight, "vis.headlight."),
        (model.vis.quality, "vis.quality."),
        (model.vis.global_, "vis.global."),
        (model.stat, "stat."),
    ):
        for name in dir(part):
            value = None if name.startswith("_") else getattr(part, name)
            if isinstance(value, (np.ndarray, int, float)):
                found[prefix + name] = np.array(value)
    return found


def assert_same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    different = [n for n in first if not np.array_equal(first[n], second[n], equal_nan=True)]
    assert not different


def others(env: FactorizedEnv) -> dict[str, int]:
    """Return a level other than the default for each factor."""
    return {f.name: (f.default + 1) % f.size for f in env.factor_space}


def defaults(env: FactorizedEnv) -> dict[str, int]:
    return {f.name: f.default for f in env.factor_space}


@pytest.mark.filterwarnings("ignore:.*A Box observation space m:UserWarning")
@pytest.mark.filterwarnings("ignore:.*is -inf:UserWarning")
@pytest.mark.filterwarnings("ignore:.*is infinity:UserWarning")
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Not able to test alternative render modes:UserWarning")
def test_passes_both_checkers(env_id: str):
    for observation in ("pixels", "dict", "factors", "state"):
        if observation == "dict" and env_id.startswith("FetchReach"):
            continue
        made = adapted(env_id, observation=observation)
        if observation != "pixels":
            made.spec = None  # one way of making it again is enough
        gymnasium_check(made, skip_render_check=observation != "pixels")
        sb3_check(made)
        made.close()


def test_same_seed_same_episode(env: FactorizedEnv):
    def episode() -> list[np.ndarray]:
        frame, info = env.reset(seed=7)
        env.action_space.seed(7)
        seen = [frame, info["factors"]]
        for _ in range(5):
            frame, reward, *_, info = env.step(env.action_space.sample())
            seen += [frame, np.array(reward), info["factors"]]
        return seen

    for first, second in zip(episode(), episode(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_at_its_defaults_the_environment_is_what_it_was(env: FactorizedEnv, env_id: str):
    """The same observations and rewards to the bit, rendered or not."""
    original = gym.make(env_id)
    before, _ = original.reset(seed=3)
    env.reset(seed=3, options={"factors": defaults(env)})
    original.action_space.seed(3)
    for _ in range(8):
        np.testing.assert_array_equal(env._true_state(), env._states(before))
        action = original.action_space.sample().astype(np.float32)
        before, reward, *_ = original.step(action.astype(original.action_space.dtype))
        _, ours, *_ = env.step(action)
        assert ours == reward
        env.render_factors(env.factor_space.defaults[None])
    original.close()


def test_factors_are_set_read_back_and_seen_if_they_can_be(env: FactorizedEnv):
    space = env.factor_space
    before, _ = env.reset(seed=0, options={"factors": defaults(env)})
    for k, factor in enumerate(space):
        level = others(env)[factor.name]
        asked = defaults(env) | {factor.name: level}
        frame, info = env.reset(seed=0, options={"factors": asked})
        assert info["factors"][k] == factor.numbers[level]
        np.testing.assert_array_equal(env.factor_values, info["factors"])
        seen = factor.kind != "dynamics"
        assert (frame != before).any() == seen, f"{factor.name} shows: {not seen}"
        row = np.array([list(asked.values())])
        np.testing.assert_array_equal(env.render_factors(row)[0], frame)


def test_dynamics_factors_change_what_happens(pusher: FactorizedEnv):
    for name, asked in (("mass", {}), ("friction", {}), ("gravity", {})):
        states = []
        for level in (0, 2):
            asked = defaults(pusher) | {name: level}
            pusher.reset(seed=0, options={"factors": asked})
            for _ in range(30):
                pusher.step(np.full(7, 0.5, np.float32))
            states.append(pusher._true_state())
        # Nothing touches anything here, so friction alone makes no difference.
        assert (states[0] != states[1]).any() == (name != "friction"), name


def test_factors_are_undone_exactly(env: FactorizedEnv):
    env.reset(seed=1, options={"factors": defaults(env)})
    before = arrays(env.model)
    env.reset(seed=1, options={"factors": others(env)})
    changed = arrays(env.model)
    assert any((before[n] != changed[n]).any() for n in ("body_mass", "opt.gravity"))
    env.step(env.action_space.sample())
    env.render_factors(env.factor_space.sample(3, np.random.default_rng(0)))
    assert_same(changed, arrays(env.model))
    env.reset(seed=1, options={"factors": defaults(env)})
    assert_same(before, arrays(env.model))


def test_rendering_leaves_the_episode_alone(env: FactorizedEnv):
    def episode(look: bool) -> list[np.ndarray]:
        env.reset(seed=4, options={"factors": defaults(env)})
        env.action_space.seed(4)
        seen = []
        for _ in range(5):
            seen.append(env.step(env.action_space.sample())[0])
            if look:
                env.render_factors(env.factor_space.sample(4, np.random.default_rng(1)))
                env.render()
            seen.append(np.array(env.data.qpos))
            seen.append(np.array(env.data.qacc_warmstart))
        return seen

    for first, second in zip(episode(False), episode(True), strict=True):
        np.testing.assert_array_equal(first, second)


def test_two_environments_do_not_share_factors(env: FactorizedEnv, env_id: str):
    env.reset(seed=0, options={"factors": defaults(env)})
    before, frame = arrays(env.model), env.render()
    other = adapted(env_id, observation="state")
    other.reset(seed=0, options={"factors": others(env)})
    other.render()
    assert_same(before, arrays(env.model))
    np.testing.assert_array_equal(env.render(), frame)
    other.close()


def test_resets_and_draws_stay_within_the_partition(env: FactorizedEnv, env_id: str):
    split = make_split("composition", env.factor_space, seed=1)
    for part in ("train", "test"):
        inside = set(split.ids(part).tolist())
        limited = adapted(env_id, split=split, partition=part, observation="state")
        for seed in range(10):
            _, info = limited.reset(seed=seed)
            ids = split.factor_space.to_flat(split.factor_space.indices(info["factors"][None]))
            assert ids[0] in inside
        values = limited.sample_factor_values(300, np.random.default_rng(0))
        ids = split.factor_space.to_flat(split.factor_space.indices(values))
        assert set(ids.tolist()) <= inside
        limited.close()


def test_success_is_passed_on_where_there_is_any(env: FactorizedEnv, env_id: str):
    env.reset(seed=0)
    *_, info = env.step(env.action_space.sample())
    assert isinstance(info.get("is_success"), bool) == env_id.startswith("Fetch")


def test_gymnasium_makes_adapted_environments_by_ids_of_their_own():
    ours = factorize("Reacher-v5", factors=["gravity"], observation="state")
    theirs = gym.make("factorize/Reacher-v5", factors=["gravity"], observation="state")
    action = np.ones(2, np.float32)
    for first, second in zip(
        (*ours.reset(seed=3), *ours.step(action)),
        (*theirs.reset(seed=3), *theirs.step(action)),
        strict=True,
    ):
        np.testing.assert_equal(first, second)
    ours.close()
    theirs.close()
    versions = {spec.version for id_, spec in gym.registry.items() if id_.startswith("factorize/")}
    assert versions == {5}


def test_shows_what_the_environment_shows():
    ours = factorize("HalfCheetah-v5", factors=["floor_hue"], quality="full", camera="track")
    image, _ = ours.reset(seed=2, options={"factors": {"floor_hue": 0}})
    ours.close()
    size = {"width": 64, "height": 64, "camera_name": "track"}
    original = gym.make("HalfCheetah-v5", render_mode="rgb_array", **size)
    original.reset(seed=2)
    theirs = original.render().astype(float)
    original.close()
    assert np.abs(theirs - image).mean() < 1


def test_factors_of_everything_and_of_a_part_compose(pusher: FactorizedEnv):
    table = discover_factors("Pusher-v5")
    chosen = table.select(["mass", "object_mass", "light_intensity", "light0_intensity"])
    before = arrays(pusher.model)
    editor = ModelEditor(pusher.model, chosen)
    body = pusher.model.body("object").id
    editor.set({"mass": 2.0, "object_mass": 0.5, "light_intensity": 0.7, "light0_intensity": 0.4})
    np.testing.assert_allclose(pusher.model.body_mass[body], before["body_mass"][body])
    np.testing.assert_allclose(pusher.model.body_mass[1:body], 2 * before["body_mass"][1:body])
    np.testing.assert_allclose(
        pusher.model.light_diffuse, 0.28 * before["light_diffuse"], rtol=1e-5
    )
    editor.set({"mass": 1.0, "light_intensity": 1.0})
    assert pusher.model.body_mass[body] == before["body_mass"][body] * 0.5
    editor.set({"object_mass": 1.0, "light0_intensity": 1.0})
    assert_same(before, arrays(pusher.model))


def test_what_follows_from_masses_is_what_compiling_gives():
    def compiled(mass: float) -> mujoco.MjModel:
        return mujoco.MjModel.from_xml_string(
            f'<mujoco><worldbody><body name="a"><joint type="hinge" axis="0 1 0"/>'
            f'<geom type="capsule" fromto="0 0 0 1 0 0" size=".1" mass="{mass}"/>'
            f'<body name="b" pos="1 0 0"><joint type="slide"/><geom size=".2" mass="{3 * mass}"/>'
            f"</body></body></worldbody></mujoco>"
        )

    model = compiled(1)
    mass = FactorTable(tuple(find_factors(model))).select(["mass"])
    ModelEditor(model, mass).set({"mass": 2.0})
    heavy = compiled(2)
    for name in ("body_mass", "body_subtreemass", "body_invweight0", "dof_M0", "dof_invweight0"):
        np.testing.assert_allclose(getattr(model, name), getattr(heavy, name), err_msg=name)


def test_state_factors_place_joints_and_are_observed():
    names = ["target_hue", "joint0_position", "joint1_position"]
    env = factorize("Reacher-v5", factors=names, observation="state")
    assert env.factor_space.state.names == ("joint0_position", "joint1_position")
    asked = {"joint0_position": 1.0, "joint1_position": -0.5}
    state, info = env.reset(seed=0, options={"factors": asked})
    np.testing.assert_allclose(info["factors"][1:], [1.0, -0.5], atol=1e-6)
    np.testing.assert_allclose(state[:2], np.cos([1.0, -0.5]), atol=1e-6)
    values = env.sample_factor_values(8, np.random.default_rng(0))
    images = env.render_values(values)
    assert len({image.tobytes() for image in images}) == 8
    np.testing.assert_array_equal(env.factor_values, info["factors"])
    env.close()


def test_goals_are_part_of_the_state():
    env = adapted("FetchPush-v4", observation="state")
    state, _ = env.reset(seed=0)
    assert state.shape == (25 + 3,)
    np.testing.assert_allclose(state[-3:], env.env.unwrapped.goal, rtol=1e-6)
    env.close()


def test_without_a_list_it_takes_what_shows_most_and_all_dynamics():
    table = discover_factors("HalfCheetah-v5")
    env = factorize("HalfCheetah-v5", observation="state")
    assert env.factor_space.names == table.defaults
    assert {"floor_hue", "mass", "gravity", "actuator_gain", "camera_distance"} <= {
        *env.factor_space.names
    }
    assert 0 < table.pixels["floor_hue"] <= 1
    assert "floor_hue" in str(table)
    for found in table:
        level = found.factor.level(found.factor.default)
        assert level == found.neutral or found.factor.kind == "state"
    env.close()


def test_factors_with_levels_of_ones_own():
    gravity = Factor("gravity", "dynamics", values=(3.7, 9.81))
    as_dict = Factor("torso_hue", "appearance", low=0, high=1, bins=4).to_dict()
    env = factorize("HalfCheetah-v5", factors=[gravity, as_dict], observation="state")
    assert env.factor_space["gravity"] == gravity
    assert env.factor_space["torso_hue"].is_range
    env.reset(seed=0, options={"factors": {"gravity": 3.7}})
    np.testing.assert_allclose(env.model.opt.gravity, [0, 0, -3.7])
    env.close()


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"factors": ["objct_hue"]}, "Did you mean 'object_hue'"),
        ({"factors": "object_hue"}, "list of names"),
        ({"factors": ["gravity", "gravity"]}, "distinct"),
        ({"factors": [Factor("gravity", "appearance", values=(1.0,))]}, "kind 'dynamics'"),
        ({"factors": [Factor("gravity", "dynamics", values=("low",))]}, "numbers as levels"),
        ({"camera": "trak"}, "Unknown camera"),
        ({"camera": 3}, "none numbered 3"),
        ({"camera": {"azimut": 3}}, "Did you mean 'azimuth'"),
        ({"observation": "pixel"}, "Did you mean 'pixels'"),
        ({"image_size": 63}, "image_size must be one of"),
        ({"split": "compositio"}, "Did you mean 'composition'"),
    ],
)
def test_wrong_arguments_say_what_to_do(kwargs: dict, says: str):
    with pytest.raises(ValueError, match=says):
        factorize("Pusher-v5", **{"factors": ["object_hue", "gravity"], **kwargs})


def test_wrong_environments_say_what_to_do():
    with pytest.raises(UnknownNameError, match="Did you mean 'Pusher-v5'"):
        make_env("factorize:Pushr-v5")
    with pytest.raises(ValueError, match="has no MuJoCo model"):
        factorize("CartPole-v1")
    with gym.make("Reacher-v5") as made, pytest.raises(ValueError, match="is made already"):
        factorize(made, frame_skip=2)


def test_settings_go_to_the_environment():
    env = make_env("factorize:Reacher-v5", factors=["gravity"], reward_control_weight=5)
    assert env.env.unwrapped._reward_control_weight == 5
    env.close()


def test_wrong_actions_are_refused(pusher: FactorizedEnv):
    pusher.reset(seed=0)
    with pytest.raises(ValueError, match="finite array of shape"):
        pusher.step(np.full(7, np.nan))


def test_it_goes_through_the_whole_library(tmp_path):
    env_id = "factorize:Reacher-v5"
    kwargs = {"factors": ["target_hue", "ground_hue", "gravity"]}
    base = make_env(env_id, **kwargs)
    split = make_split("composition", base.factor_space, seed=0)
    base.close()
    in_train = {**kwargs, "split": split, "partition": "train"}
    for source in ("factors", "rollout"):
        call = functools.partial(collect, n=30, source=source, env_kwargs=in_train, progress=False)
        data = call(env_id, tmp_path / source)
        assert data.frames.shape == (30, 64, 64, 3)
        again = call(env_id, tmp_path / f"{source}_again")
        np.testing.assert_array_equal(data.frames, again.frames)
    agent = train_agent(
        env_id,
        tmp_path / "agent",
        inputs="state",
        steps=64,
        n_envs=2,
        env_kwargs=in_train,
        settings={"n_steps": 32, "batch_size": 32},
        progress=False,
    )
    table = evaluate_generalization(
        {"agent": agent, "random": RandomAgent(base.action_space, 0)},
        env_id,
        split,
        episodes=2,
        n_envs=2,
        env_kwargs=kwargs,
        progress=False,
    )
    assert len(table) == 8
    assert table["success"].isna().all(), "it does not say what success is"
    assert json.loads((tmp_path / "agent" / "manifest.json").read_text())


@pytest.mark.parametrize("name", ["Reacher-v5", "factorize:Reacher-v5", "DrlLatent/Reach-v0"])
def test_the_command_line_lists_factors(name: str, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as done:
        main(["factors", name])
    assert not done.value.code
    shown = "".join(capfd.readouterr())
    assert "hue" in shown
    assert "Factors of" in shown
