"""Contract of every registered environment, and what is particular to each task."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.env_util import make_vec_env

from drl_latent.envs import ENVIRONMENTS, FactorEnv, make_env, make_split
from drl_latent.envs.base import NAMESPACE
from drl_latent.envs.rendering import OffscreenRenderer, choose_gl_backend
from drl_latent.envs.sheets import factor_sheet
from drl_latent.registry import UnknownNameError

IDS = list(ENVIRONMENTS)


def make(env_id: str, **kwargs) -> FactorEnv:
    base = make_env(env_id, **kwargs).unwrapped
    assert isinstance(base, FactorEnv)
    return base


@pytest.fixture(params=IDS, scope="module")
def env(request: pytest.FixtureRequest):
    base = make(request.param)
    yield base
    base.close()


@pytest.mark.parametrize("observation", ["pixels", "dict", "state"])
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
        assert (changed != before).any(), f"{factor.name} does not show"
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


def test_auto_resets_of_vector_environments_stay_inside():
    split = make_split("composition", make(IDS[0]).factor_space, seed=1)
    venv = make_vec_env(
        IDS[0], 2, env_kwargs={"split": split, "partition": "train", "observation": "state"}
    )
    inside = set(split.ids("train").tolist())
    space = venv.get_attr("factor_space")[0]
    columns = [space.column(name) for name in split.factor_space.names]
    venv.reset()
    resets = 0
    for _ in range(200):
        *_, dones, infos = venv.step(np.zeros((2, *venv.action_space.shape), np.float32))
        for info in infos:
            row = split.factor_space.indices(info["factors"][None, columns])
            assert split.factor_space.to_flat(row)[0] in inside
        resets += int(dones.sum())
    venv.close()
    assert resets >= 8


def test_two_environments_do_not_share_factors(env: FactorEnv):
    other = type(env)()
    name = env.factor_space.reset.names[0]
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


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"factor": {}}, "Did you mean 'factors'"),
        ({"factors": {"object_hu": 0}}, "Did you mean 'object_hue'"),
        ({"factors": {"object_hue": 9}}, "index from 0 to 4"),
        ({"factors": [1]}, "maps names to levels"),
    ],
)
def test_wrong_reset_options_say_what_to_do(env: FactorEnv, options: dict, says: str):
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
    with pytest.raises(ValueError, match="finite array of shape"):
        env.step(np.array([np.nan, 0.0]))


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


def test_reach_is_solved_from_true_state_and_not_by_chance():
    env = gym.make("DrlLatent/Reach-v0", observation="state")

    def rate(policy) -> float:
        wins = 0
        for seed in range(60):
            state, _ = env.reset(seed=seed)
            over = False
            while not over:
                state, _, _, over, info = env.step(policy(state))
            wins += info["is_success"]
        return wins / 60

    rng = np.random.default_rng(0)
    assert rate(lambda s: np.clip((s[4:] - s[:2]) * 10, -1, 1)) >= 0.95
    assert rate(lambda s: rng.uniform(-1, 1, 2)) <= 0.15
    env.close()


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
