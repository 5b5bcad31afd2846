"""Contract of every registered environment, and what is particular to each task."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.env_util import make_vec_env

from drl_latent.envs import ENVIRONMENTS, FactorEnv, arm_reach, make_env, make_split
from drl_latent.envs.base import NAMESPACE
from drl_latent.envs.rendering import OffscreenRenderer, choose_gl_backend
from drl_latent.envs.sheets import factor_sheet
from drl_latent.registry import UnknownNameError

IDS = list(ENVIRONMENTS)
REACH = "DrlLatent/Reach-v0"


def make(env_id: str, **kwargs) -> FactorEnv:
    base = make_env(env_id, **kwargs).unwrapped
    assert isinstance(base, FactorEnv)
    return base


@pytest.fixture(params=IDS, scope="module")
def env(request: pytest.FixtureRequest):
    base = make(request.param)
    yield base
    base.close()


@pytest.mark.parametrize("observation", ["pixels", "dict", "factors", "state"])
@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.filterwarnings("ignore:.*A Box observation space m:UserWarning")
@pytest.mark.filterwarnings("ignore:.*is -inf:UserWarning")
def test_passes_both_checkers(env_id: str, observation: str):
    base = make(env_id, observation=observation)
    gymnasium_check(base)
    sb3_check(base)
    base.close()


def test_ids_are_in_our_namespace():
    assert all(env_id.startswith(f"{NAMESPACE}/") for env_id in IDS)


def test_same_seed_same_episode(env: FactorEnv):
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


def test_every_factor_is_set_read_back_and_seen(env: FactorEnv):
    space = env.factor_space
    rows = np.tile(space.defaults, (1, 1))
    before = env.render_factors(rows)[0]
    for k, factor in enumerate(space):
        other = rows.copy()
        other[0, k] = 0 if factor.default != 0 else factor.size - 1
        changed = env.render_factors(other)[0]
        # How heavy a thing is shows when it moves, not in the first image.
        seen = factor.kind != "dynamics"
        assert (changed != before).any() == seen, f"{factor.name} shows: {not seen}"
        env.reset(seed=0, options={"factors": {factor.name: int(other[0, k])}})
        np.testing.assert_allclose(
            env.factor_values[k], factor.numbers[other[0, k]], atol=1e-5, err_msg=factor.name
        )
    np.testing.assert_array_equal(env.render_factors(rows)[0], before)


def test_rendering_factors_leaves_the_episode_alone(env: FactorEnv):
    env.reset(seed=3)
    action = np.ones(env.action_space.shape, np.float32)
    env.step(action)
    values, picture = env.factor_values, env.render()
    rng = np.random.default_rng(0)
    images = env.render_factors(env.factor_space.sample(5, rng))
    assert images.shape == (5, 64, 64, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(env.factor_values, values)
    np.testing.assert_array_equal(env.render(), picture)
    after = env.step(action)[0]
    env.reset(seed=3)
    env.step(action)
    np.testing.assert_array_equal(env.step(action)[0], after)


def test_rendering_is_exact(env: FactorEnv):
    frame, _ = env.reset(seed=5)
    np.testing.assert_array_equal(env.render_values(env.factor_values[None])[0], frame)


def test_resets_never_leave_the_partition(env: FactorEnv):
    split = make_split("composition", env.factor_space, seed=1)
    columns = [env.factor_space.column(name) for name in split.factor_space.names]
    for part in ("train", "test"):
        inside = set(split.ids(part).tolist())
        limited = type(env)(split=split, partition=part, observation="state")
        limited.reset(seed=0)
        for _ in range(300):
            _, info = limited.reset()
            row = split.factor_space.indices(info["factors"][None, columns])
            assert split.factor_space.to_flat(row)[0] in inside
        values = limited.sample_factor_values(300, np.random.default_rng(0))
        rows = split.factor_space.indices(values[:, columns])
        assert set(split.factor_space.to_flat(rows).tolist()) <= inside
        limited.close()


def test_held_out_combination_is_refused_in_training(env: FactorEnv):
    split = make_split("composition", env.factor_space, seed=1)
    limited = type(env)(split=split, partition="train", observation="state")
    row = split.indices("test")[0]
    asked = {name: int(i) for name, i in zip(split.factor_space.names, row, strict=True)}
    with pytest.raises(ValueError, match="has no combination with"):
        limited.reset(options={"factors": asked})


@pytest.mark.parametrize(
    "resets", [1_000, pytest.param(100_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_auto_resets_of_vector_environments_stay_inside(resets: int):
    split = make_split("composition", make(REACH).factor_space, seed=1)
    kwargs = {"split": split, "partition": "train", "observation": "state"}
    # Episodes of one step: each step is an auto-reset.
    venv = make_vec_env(REACH, 8, env_kwargs=kwargs | {"max_episode_steps": 1})
    space = venv.get_attr("factor_space")[0]
    columns = [space.column(name) for name in split.factor_space.names]
    still = np.zeros((8, *venv.action_space.shape), np.float32)
    venv.reset()
    seen = np.empty((resets // 8, 8, len(columns)), np.float32)
    for row in seen:
        *_, dones, infos = venv.step(still)
        assert dones.all()
        row[:] = [info["factors"][columns] for info in infos]
    venv.close()
    ids = split.factor_space.to_flat(split.factor_space.indices(seen.reshape(-1, len(columns))))
    assert np.isin(ids, split.ids("train")).all()
    if resets == 100_000:
        assert len(np.unique(ids)) == len(split.ids("train")), "each combination should occur"


def test_two_environments_do_not_share_factors(env: FactorEnv):
    other = type(env)()
    name = next(f.name for f in env.factor_space.reset if f.kind != "dynamics")
    env.reset(seed=0, options={"factors": {name: 0}})
    frame = env.render()
    other.reset(seed=0, options={"factors": {name: 1}})
    other.render()
    np.testing.assert_array_equal(env.render(), frame)
    other.close()


def test_only_asked_factors_vary(env: FactorEnv):
    name = env.factor_space.reset.names[-1]
    few = type(env)(factors=[name], observation="state")
    assert few.factor_space.reset.names == (name,)
    defaults = {f.name: f.level(f.default) for f in few.FACTORS.reset if f.name != name}
    for _ in range(10):
        few.reset()
        assert {k: few._values[k] for k in defaults} == defaults


@pytest.mark.parametrize("size", [64, 84, 128])
def test_image_sizes(size: int):
    base = make(IDS[0], image_size=size)
    assert base.reset(seed=0)[0].shape == (size, size, 3)
    base.close()


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"image_size": 63}, "image_size must be one of"),
        ({"observation": "pixel"}, "Did you mean 'pixels'"),
        ({"reward": "dens"}, "Did you mean 'dense'"),
        ({"factors": ["object_hu"]}, "Did you mean 'object_hue'"),
        ({"factors": "object_hue"}, "list of names"),
        ({"split": "compositio"}, "Did you mean 'composition'"),
        ({"split": "composition", "partition": "odd1"}, "Did you mean 'ood1'"),
        ({"quality": "ful", "image_size": 64}, "Did you mean 'full'"),
        ({"render_mode": "human"}, "Choose from: rgb_array"),
    ],
)
def test_wrong_arguments_say_what_to_do(kwargs: dict, says: str):
    with pytest.raises(ValueError, match=says):
        ENVIRONMENTS["DrlLatent/Reach-v0"](**kwargs).reset()


def test_wrong_reset_options_say_what_to_do(env: FactorEnv):
    first = next(iter(env.factor_space))
    for options, says in (
        ({"factor": {}}, "Did you mean 'factors'"),
        ({"factors": {first.name[:-1]: 0}}, f"Did you mean '{first.name}'"),
        ({"factors": {first.name: first.size}}, f"index from 0 to {first.size - 1}"),
        ({"factors": [1]}, "maps names to levels"),
    ):
        with pytest.raises(ValueError, match=says):
            env.reset(options=options)


def test_unknown_environment_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'DrlLatent/Reach-v0'"):
        make_env("DrlLatent/Raech-v0")


@pytest.mark.parametrize("wrong", [np.zeros((1, 2), int), np.zeros((1, 9))])
def test_wrong_factor_arrays_are_refused(env: FactorEnv, wrong: np.ndarray):
    with pytest.raises(ValueError, match="int level indices"):
        env.render_factors(wrong)


def test_wrong_actions_are_refused(env: FactorEnv):
    env.reset(seed=0)
    (size,) = env.action_space.shape or ()
    for wrong in (np.full(size, np.nan), np.zeros(size + 1), np.zeros((1, size))):
        with pytest.raises(ValueError, match="finite array of shape"):
            env.step(wrong)


def test_closed_renderer_says_so(env: FactorEnv):
    with pytest.raises(UnknownNameError, match="Did you mean 'overhead'"):
        OffscreenRenderer(env.model, 64, "overhed")
    renderer = OffscreenRenderer(env.model, 64, env.CAMERA)
    renderer.close()
    renderer.close()
    with pytest.raises(RuntimeError, match="was closed"):
        renderer.render(env.data)


def test_gl_backend_is_left_to_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert choose_gl_backend() == "osmesa"


def test_sheet_has_a_row_a_factor(env: FactorEnv):
    sheet = factor_sheet(env)
    assert sheet.names == env.factor_space.names
    assert all(len(i) == len(c) for i, c in zip(sheet.images, sheet.captions, strict=True))


@pytest.mark.parametrize("env_id", IDS)
def test_expert_succeeds_and_chance_does_not(env_id: str):
    env = make_env(env_id, observation="state", reward="sparse")
    base = env.unwrapped
    rng = np.random.default_rng(0)

    def rate(choose, seeds: int) -> float:
        wins = 0
        for seed in range(seeds):
            env.reset(seed=seed)
            over = False
            while not over:
                action = choose()
                assert env.action_space.contains(action)
                *_, over, info = env.step(action)
            wins += info["is_success"]
        return wins / seeds

    assert rate(base.expert_action, 100) >= 0.95
    low, high = env.action_space.low, env.action_space.high
    assert rate(lambda: rng.uniform(low, high).astype(np.float32), 60) <= 0.15
    env.close()


def test_expert_reads_the_state_and_changes_nothing(env: FactorEnv):
    env.reset(seed=0)
    values = env.factor_values
    first = env.expert_action()
    np.testing.assert_array_equal(env.expert_action(), first)
    np.testing.assert_array_equal(env.factor_values, values)


@pytest.mark.parametrize("env_id", IDS)
def test_rewards_say_what_success_is(env_id: str):
    dense, sparse = (make(env_id, observation="state", reward=r) for r in ("dense", "sparse"))
    dense_rewards, successes = [], []
    for seed in range(3):
        dense.reset(seed=seed)
        sparse.reset(seed=seed)
        for _ in range(gym.spec(env_id).max_episode_steps or 0):
            action = dense.expert_action()
            _, shaped, *_, info = dense.step(action)
            _, plain, *_ = sparse.step(action)
            assert plain == (0.0 if info["is_success"] else -1.0)
            dense_rewards.append(shaped)
            successes.append(info["is_success"])
    done = np.array(successes)
    assert done.any()
    assert not done.all()
    assert np.array(dense_rewards)[done].min() > np.array(dense_rewards)[~done].max()


def test_base_without_an_expert_says_so():
    env = make("DrlLatent/Reach-v0", observation="state")
    with pytest.raises(NotImplementedError, match="ReachEnv has no scripted expert"):
        FactorEnv.expert_action(env)


def test_reach_rewards():
    for reward in ("dense", "sparse"):
        env = make("DrlLatent/Reach-v0", observation="state", reward=reward)
        far = {"effector_x": 0, "effector_y": 0, "object_x": 17, "object_y": 17}
        env.reset(options={"factors": far})
        _, away, *_, info = env.step(np.zeros(2))
        assert not info["is_success"]
        env.reset(options={"factors": far | {"effector_x": 17, "effector_y": 17}})
        _, there, *_, info = env.step(np.zeros(2))
        assert info["is_success"]
        assert there > away
        assert reward == "dense" or (away, there) == (-1.0, 0.0)


def test_arm_angles_and_hand_positions_agree():
    rng = np.random.default_rng(0)
    env = make("DrlLatent/ArmReach-v0", observation="state")
    for _ in range(20):
        env.reset(seed=int(rng.integers(1_000)))
        hand = env.data.body("hand").xpos[:2]
        np.testing.assert_allclose(arm_reach.hand_position(*env.data.qpos), hand, atol=1e-9)
        np.testing.assert_allclose(arm_reach.joint_angles(hand), env.data.qpos, atol=1e-6)
    stretched = arm_reach.joint_angles(np.array([0.0, 5.0]))
    np.testing.assert_allclose(stretched, [0, 0], atol=1e-12)


def test_drive_gain_scales_speed():
    env = make("DrlLatent/ArmReach-v0", observation="state")
    turned = []
    for gain in range(3):
        start = {"drive_gain": gain, "shoulder": -0.8, "elbow": 1.0}
        env.reset(seed=0, options={"factors": start})
        for _ in range(5):
            env.step(np.array([0.0, 0.5]))
        turned.append(env.data.joint("elbow").qpos[0] - 1.0)
    np.testing.assert_allclose(np.array(turned) / turned[1], [0.6, 1.0, 1.4], rtol=0.05)


def glide(env: FactorEnv, **factors: int | str) -> float:
    """How far the object slides on after it was given a push."""
    start = {"object_x": -0.2, "object_y": 0.0, "effector_x": 0.4, "effector_y": 0.4}
    env.reset(seed=0, options={"factors": start | factors})
    env.data.joint("object_x").qvel[0] = 1.0
    for _ in range(20):
        env.step(np.zeros(2))
    return float(env.data.joint("object_x").qpos[0]) + 0.2


def test_friction_stops_the_object():
    env = make("DrlLatent/Push-v0", observation="state")
    # v^2 / (2 mu g), whatever the mass, the shape and the size, but for a step of the simulation,
    # in which it goes 1 cm at first.
    for level, mu in enumerate((0.5, 1.0, 1.5)):
        for other in ({"object_mass": 0}, {"object_mass": 2, "object_shape": "cross"}):
            slid = glide(env, object_friction=level, **other)
            assert slid == pytest.approx(1 / (2 * mu * 9.81), abs=0.01)


def test_heavy_objects_slow_the_tool():
    env = make("DrlLatent/Push-v0", observation="state")
    start = {"object_x": 0.0, "object_y": 0.0, "effector_x": -0.16, "effector_y": 0.0}
    places = []
    for mass in range(3):
        fixed = {"object_mass": mass, "object_friction": 2, "object_shape": 0, "object_size": 2}
        env.reset(seed=0, options={"factors": start | fixed})
        for _ in range(6):
            env.step(np.array([0.6, 0.0]))
        places.append(env.factor_values[env.factor_space.column("object_x")])
    assert places[0] > places[1] + 0.005 > places[2] + 0.01


def test_only_the_shape_that_is_shown_is_pushed():
    env = make("DrlLatent/Push-v0", observation="state")
    # The tool is between two arms of the cross, where a box and a cylinder have substance.
    corner = {"object_x": 0.0, "object_y": 0.0, "effector_x": -0.1, "effector_y": -0.1}
    corner |= {"object_size": 2}
    for shape, is_hit in (("box", True), ("cylinder", True), ("cross", False)):
        env.reset(seed=0, options={"factors": corner | {"object_shape": shape}})
        pairs = [{env.model.geom(g).name for g in pair} for pair in env.data.contact.geom]
        assert any("tool" in pair for pair in pairs) == is_hit
        assert all(any(name.startswith("object_") for name in pair) for pair in pairs)


def test_select_goes_by_shape_alone():
    env = make("DrlLatent/Select-v0", observation="state")
    for target_hue, other_hue in ((0, 2), (2, 0), (1, 1)):
        hues = {"target_hue": target_hue, "distractor_hue": other_hue}
        env.reset(seed=0, options={"factors": hues})
        for _ in range(20):
            *_, info = env.step(env.expert_action())
        assert info["is_success"]
        assert not info["at_distractor"]
    at = {"effector_x": 0.2, "effector_y": 0.2, "distractor_x": 0.2, "distractor_y": 0.2}
    env.reset(options={"factors": at | {"target_x": -0.2, "target_y": -0.2}})
    *_, info = env.step(np.zeros(2))
    assert info["at_distractor"]
    assert not info["is_success"]


@pytest.mark.parametrize("env_id", IDS)
def test_true_factors_are_scaled_to_their_ranges(env_id: str):
    env = make(env_id, observation="factors")
    space = env.factor_space
    seen = np.stack([env.reset(seed=seed)[0] for seed in range(30)])
    assert seen.shape == (30, len(space))
    assert (np.abs(seen) <= 1 + 1e-5).all()
    for k, factor in enumerate(space):
        if factor.is_range or factor.size == 1:
            continue
        for index, expected in ((factor.order[0], -1.0), (factor.order[-1], 1.0)):
            observed, _ = env.reset(options={"factors": {factor.name: int(index)}})
            assert observed[k] == pytest.approx(expected, abs=1e-5)
    env.close()


def test_a_scene_is_told_by_its_fingerprint():
    def fingerprint(env_id: str, **kwargs: object) -> str:
        env = make_env(env_id, **kwargs)
        env.close()
        return env.unwrapped.fingerprint

    reach = fingerprint("DrlLatent/Reach-v0")
    assert reach == fingerprint("DrlLatent/Reach-v0", split="composition", image_size=84)
    assert reach != fingerprint("DrlLatent/Reach-v0", factors=["light"])
    assert reach != fingerprint("DrlLatent/Push-v0")
