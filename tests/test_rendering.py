import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from drl_latent.envs import make_env
from drl_latent.envs.cameras import Orbit, make_camera
from drl_latent.envs.rendering import OffscreenRenderer, mujoco, pose
from drl_latent.registry import UnknownNameError

SCRIPTS = Path(__file__).parents[1] / "scripts"
XML = """
<mujoco>
  <visual><global offwidth="32" offheight="32"/></visual>
  <worldbody>
    <light pos="0 0 3"/>
    <camera name="side" pos="0 -2 0.5" xyaxes="1 0 0 0 0.2 1"/>
    <geom type="plane" size="2 2 .1" rgba=".3 .3 .3 1"/>
    <body name="ball" pos="0 0 .3">
      <camera name="follow" mode="trackcom" pos="0 -2 .5" xyaxes="1 0 0 0 .2 1"/>
      <joint name="x" type="slide" axis="1 0 0"/>
      <geom size=".2" rgba="1 0 0 1"/>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture
def scene():
    model = mujoco.MjModel.from_xml_string(XML)
    data = mujoco.MjData(model)
    pose(model, data)
    return model, data


def where_red(image: np.ndarray) -> np.ndarray:
    """Return the mean row and column, and the count, of red pixels."""
    red = (image[..., 0] > 90) & (image[..., 1] < 60)
    rows, columns = np.nonzero(red)
    return np.array([rows.mean(), columns.mean(), len(rows)])


@pytest.mark.parametrize("quality", ["fast", "full"])
def test_the_model_is_left_as_it_was(scene, quality: str):
    model, data = scene
    quality_of = model.vis.quality
    before = [getattr(quality_of, name) for name in dir(quality_of) if name[0] in "ons"]
    renderer = OffscreenRenderer(model, 64, "side", quality)
    assert renderer.render(data).shape == (64, 64, 3)
    renderer.close()
    assert [getattr(quality_of, name) for name in dir(quality_of) if name[0] in "ons"] == before
    assert (model.vis.global_.offwidth, model.vis.global_.offheight) == (32, 32)


@pytest.mark.parametrize("camera", ["side", "follow", {"elevation": -10, "distance": 2}])
def test_orbits_keep_what_the_camera_looks_at(scene, camera):
    model, data = scene
    renderer = OffscreenRenderer(model, 64, camera)
    still = where_red(renderer.render(data))
    np.testing.assert_array_equal(
        renderer.render(data, orbit=Orbit()), renderer.render(data, orbit=None)
    )
    turned = where_red(renderer.render(data, orbit=Orbit(azimuth=90)))
    near = where_red(renderer.render(data, orbit=Orbit(distance=0.5)))
    above = renderer.render(data, orbit=Orbit(elevation=40))
    renderer.close()
    np.testing.assert_allclose(turned[:2], still[:2], atol=4)
    np.testing.assert_allclose(near[1], still[1], atol=2)
    assert near[2] > 2 * still[2]
    # From higher up the horizon rises, and with it the share of floor.
    assert (above.max(axis=-1) > 0).mean() > 0.9


def test_cameras_that_are_not_there_are_refused(scene):
    model, _ = scene
    with pytest.raises(UnknownNameError, match="Did you mean 'side'"):
        make_camera(model, "sid")
    with pytest.raises(ValueError, match="has 2 cameras"):
        make_camera(model, 2)
    with pytest.raises(UnknownNameError, match="Did you mean 'lookat'"):
        make_camera(model, {"look_at": (0, 0, 0)})


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_contexts_are_closed():
    """In a process of its own, where nothing else uses memory; 10,000 cycles are for by hand."""
    command = [sys.executable, str(SCRIPTS / "check_contexts.py"), "--cycles", "200"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("env_id", ["DrlLatent/Reach-v0", "factorize:HalfCheetah-v5"])
def test_processes_render_what_one_process_does(env_id: str):
    kwargs = {"factors": ["floor_hue"], "image_size": 64}
    frames = []
    for kind in (DummyVecEnv, SubprocVecEnv):
        venv = kind([functools.partial(make_env, env_id, **kwargs)] * 2)
        venv.seed(3)
        seen = [venv.reset()]
        for _ in range(3):
            action = np.full((2, *venv.action_space.shape), 0.5, np.float32)
            seen.append(venv.step(action)[0])
        venv.close()
        frames.append(np.stack(seen))
    assert frames[0].shape == (4, 2, 64, 64, 3)
    np.testing.assert_array_equal(frames[0], frames[1])
    assert os.environ["MUJOCO_GL"]
