"""Our settings as a hyper-parameter file of rl_zoo3."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import pytest
import yaml
from stable_baselines3.common.env_util import make_vec_env

from drl_latent.agents import ALGORITHMS, zoo
from drl_latent.agents.tuned import TUNED
from drl_latent.cli import main
from drl_latent.envs import ENVIRONMENTS, make_env
from drl_latent.registry import UnknownNameError

REACH = "DrlLatent/Reach-v0"


def as_rl_zoo3_does(entry: dict, **env_kwargs):
    """Make a model of an entry in the way of rl_zoo3: what is left goes to the algorithm."""
    from importlib import import_module

    def named(path: str):
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)

    entry = dict(entry)
    del entry["n_timesteps"]
    entry["policy_kwargs"] = eval(entry["policy_kwargs"], {"__builtins__": {"dict": dict}})
    wrapper = named(entry.pop("env_wrapper")) if "env_wrapper" in entry else None
    venv = make_vec_env(
        lambda **kwargs: make_env(REACH, **kwargs),
        entry.pop("n_envs"),
        wrapper_class=wrapper,
        env_kwargs=env_kwargs,
    )
    for path, kwargs in entry.pop("vec_env_wrapper", {}).items():
        venv = named(path)(venv, **kwargs)
    return entry, venv


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_files_make_the_models_that_we_train(algorithm: str, tmp_path: Path):
    file = zoo.write_zoo_file(tmp_path / "file.yml", algorithm)
    entries = yaml.safe_load(file.read_text())
    assert entries == zoo.zoo_hyperparameters(algorithm)
    adapted = {f"factorize/{name}-v5" for name in ("InvertedPendulum", "Pusher", "Reacher")}
    assert set(entries) == {*ENVIRONMENTS, *adapted} <= set(gym.registry)
    rest, venv = as_rl_zoo3_does(entries[REACH], observation="state")
    model = ALGORITHMS[algorithm].cls(env=venv, **rest)
    assert model.n_envs == 8
    expected = {**ALGORITHMS[algorithm].settings, **TUNED.get((REACH, algorithm), {})}
    assert rest["gamma"] == expected["gamma"] == model.gamma
    assert rest["policy_kwargs"] | ALGORITHMS[algorithm].policy_kwargs
    venv.close()


def test_tuned_settings_are_in_the_file_of_their_algorithm(monkeypatch: pytest.MonkeyPatch):
    tuned = {"learning_rate": 1e-5, "policy_kwargs": {"net_arch": {"pi": [8], "vf": [9]}}}
    monkeypatch.setitem(TUNED, (REACH, "PPO"), tuned)
    entries = zoo.zoo_hyperparameters("PPO")
    assert entries[REACH]["learning_rate"] == 1e-5
    assert "net_arch={'pi': [8], 'vf': [9]}" in entries[REACH]["policy_kwargs"]
    assert entries["DrlLatent/Push-v0"]["learning_rate"] != 1e-5
    assert "learning_rate" not in zoo.zoo_hyperparameters("A2C")[REACH]


def test_small_numbers_stay_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """YAML reads the 1e-05 of Python and JSON as a string."""
    monkeypatch.setitem(TUNED, (REACH, "PPO"), {"learning_rate": 1e-5})
    file = zoo.write_zoo_file(tmp_path / "ppo.yml", "PPO")
    assert yaml.safe_load(file.read_text())[REACH]["learning_rate"] == 1e-5


def test_agents_on_latents_need_the_encoder_only(encoder_folder: str, tmp_path: Path):
    file = zoo.write_zoo_file(tmp_path / "ppo.yml", "PPO", encoder=encoder_folder)
    rest, venv = as_rl_zoo3_does(yaml.safe_load(file.read_text())[REACH])
    model = ALGORITHMS["PPO"].cls(env=venv, **rest)
    assert model.observation_space.shape == (10,)
    venv.close()
    assert "--env-kwargs" not in file.read_text()


def test_what_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with pytest.raises(UnknownNameError, match="Did you mean 'PPO'"):
        zoo.write_zoo_file(tmp_path / "ppo.yml", "PP0")
    with pytest.raises(ValueError, match=r"end in \.yml or \.yaml, got .*ppo\.json"):
        zoo.write_zoo_file(tmp_path / "ppo.json", "PPO")
    monkeypatch.setitem(TUNED, (REACH, "PPO"), {"learning_rate": lambda _: 1e-3})
    with pytest.raises(ValueError, match=r"learning_rate=.* cannot be written"):
        zoo.write_zoo_file(tmp_path / "ppo.yml", "PPO")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("algorithm", "name"), [("PPO", "ppo"), ("RecurrentPPO", "ppo_lstm"), ("QRDQN", "qrdqn")]
)
def test_command(algorithm: str, name: str, tmp_path: Path):
    file = tmp_path / "new" / "file.yml"
    with pytest.raises(SystemExit) as stop:
        main(["export-zoo", "--algorithm", algorithm, "--out", str(file)])
    assert stop.value.code == 0
    command, *_ = file.read_text().splitlines()
    assert f"rl_zoo3.train --algo {name} --env DrlLatent/" in command
    assert "observation:\"'state'\" --conf-file file.yml" in command
