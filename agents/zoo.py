r"""Our settings as a hyper-parameter file of rl_zoo3, Stable-Baselines3's own trainer.

The file of PPO, from ``write_zoo_file("ppo.yml", "PPO")`` or
``drl-latent export-zoo --algorithm PPO --out ppo.yml``, is used by::

    python -m rl_zoo3.train --algo ppo --env DrlLatent/Reach-v0 \
        --gym-packages drl_latent.envs --env-kwargs observation:"'state'" --conf-file ppo.yml

The environments show pixels unless told otherwise, so that an agent on the true state needs the
``--env-kwargs``. One on latents needs an `encoder` in the file, and no ``--env-kwargs``; one on
pixels, with settings that were not measured for it, ``-params policy:"'CnnPolicy'"``. rl_zoo3
draws all combinations of factors; give it a part of a split by
``--env-kwargs split:"'composition'" partition:"'train'"``.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import yaml
from stable_baselines3.common.vec_env import VecEnv

from drl_latent.agents.actions import discretized
from drl_latent.agents.algorithms import ALGORITHMS
from drl_latent.agents.latent_vec_env import VecLatent
from drl_latent.agents.perception import Perception
from drl_latent.agents.training import train_agent
from drl_latent.agents.tuned import ADAPTED_TRIED, tuned_settings
from drl_latent.artifacts import write_bytes
from drl_latent.checkpoint import Encoder
from drl_latent.envs import ENVIRONMENTS
from drl_latent.envs.base import ADAPTED

_NAMES = {"RecurrentPPO": "ppo_lstm"}
"""What rl_zoo3 calls algorithms that it does not call by our name in lower case."""


def zoo_name(algorithm: str) -> str:
    """Return what rl_zoo3 calls an algorithm.

    Raises:
        UnknownNameError: We have none of this name.
    """
    assert ALGORITHMS[algorithm]
    return _NAMES.get(algorithm, algorithm.lower())


def zoo_hyperparameters(
    algorithm: str, encoder: str | Path | None = None
) -> dict[str, dict[str, Any]]:
    """Return what an agent is trained with in our environments and adapted ones, for rl_zoo3.

    Args:
        algorithm: A name in `ALGORITHMS`.
        encoder: Folder of an encoder, or its name on the hub, for agents on its latents; those on
            the true state need none.

    Returns:
        Id of the environment with Gymnasium to what rl_zoo3 reads: ``n_envs``, ``n_timesteps``,
        ``policy``, the keyword arguments of the algorithm, ``policy_kwargs`` as the Python
        expression that rl_zoo3 evaluates, and what wraps the environments, if anything has to.

    Raises:
        UnknownNameError: There is no algorithm of this name.
        ValueError: A setting is no plain number, string or list of these.
    """
    chosen = ALGORITHMS[algorithm]
    perception = Perception("state" if encoder is None else "latents")
    defaults = inspect.signature(train_agent).parameters
    found = {}
    for env_id in (*ENVIRONMENTS, *ADAPTED_TRIED):
        settings = chosen.merged(tuned_settings(env_id, algorithm, perception), perception)
        policy_kwargs = settings.pop("policy_kwargs")
        entry: dict[str, Any] = {
            "n_envs": defaults["n_envs"].default,
            "n_timesteps": defaults["steps"].default,
            "policy": "MlpLstmPolicy" if "Recurrent" in algorithm else "MlpPolicy",
            **{name: _plain(name, value) for name, value in settings.items()},
        }
        written = {name: _plain(name, value) for name, value in policy_kwargs.items()}
        listed = ", ".join(f"{name}={value!r}" for name, value in written.items())
        entry["policy_kwargs"] = f"dict({listed})"
        if chosen.needs_discrete_actions:
            entry["env_wrapper"] = _path_of(discretized)
        if encoder is not None:
            entry["vec_env_wrapper"] = {_path_of(vec_latent): {"encoder": str(encoder)}}
        found[env_id.replace(ADAPTED, "factorize/")] = entry
    return found


def write_zoo_file(path: str | Path, algorithm: str, encoder: str | Path | None = None) -> Path:
    """Write `zoo_hyperparameters` as the YAML file that ``rl_zoo3.train --conf-file`` takes.

    Raises:
        UnknownNameError: There is no algorithm of this name.
        ValueError: The file is not called ``.yml`` or ``.yaml``, as rl_zoo3 asks for, or a setting
            cannot be written.
    """
    out = Path(path)
    if out.suffix not in (".yml", ".yaml"):
        raise ValueError(f"rl_zoo3 reads files that end in .yml or .yaml, got {out}.")
    entries = zoo_hyperparameters(algorithm, encoder)
    observed = "" if encoder is not None else " --env-kwargs observation:\"'state'\""
    command = (
        f"# python -m rl_zoo3.train --algo {zoo_name(algorithm)} --env {next(iter(entries))} "
        f"--gym-packages drl_latent.envs{observed} --conf-file {out.name}\n"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, (command + yaml.safe_dump(entries, sort_keys=False)).encode())
    return out


def vec_latent(venv: VecEnv, encoder: str) -> VecLatent:
    """Wrap environments as `VecLatent` does, with an encoder by its name: YAML has no objects.

    Raises:
        ArtifactError: There is no such encoder.
        ValueError: The images do not fit the encoder.
    """
    return VecLatent(venv, Encoder.load(encoder))


def _plain(name: str, value: Any) -> Any:
    """Return a setting as it comes back from JSON."""
    try:
        return json.loads(json.dumps(value))
    except TypeError as error:
        raise ValueError(
            f"The setting {name}={value!r} cannot be written into a file of rl_zoo3, which takes "
            "numbers, strings and lists."
        ) from error


def _path_of(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"
