"""Agents on the Hugging Face hub, which is a folder here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelHubMixin

from drl_latent import Encoder
from drl_latent.agents import LatentAgent, train_agent
from drl_latent.artifacts import ArtifactError
from drl_latent.envs import make_env

if TYPE_CHECKING:
    from conftest import FakeHub

ENV = "DrlLatent/Reach-v0"
SHORT = {
    "PPO": {"n_steps": 16, "batch_size": 16, "n_epochs": 1},
    "RecurrentPPO": {"n_steps": 16, "batch_size": 16, "n_epochs": 1},
    "DQN": {"learning_starts": 8, "batch_size": 8, "buffer_size": 60},
}
WAYS: dict[str, dict[str, Any]] = {
    "frozen": {},
    "stacked latents": {"inputs": "latents_and_proprioception", "n_stack": 3},
    "finetuned": {"mode": "finetune", "n_stack": 2, "settings": {"learning_rate": 0.05}},
    "recurrent": {"algorithm": "RecurrentPPO"},
    "discrete": {"algorithm": "DQN"},
    "state": {"inputs": "state", "encoder": None},
}


@pytest.fixture(scope="module")
def agents(encoder_folder: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of some agents."""
    root = tmp_path_factory.mktemp("agents")
    made = {}
    for name, way in WAYS.items():
        given = {"algorithm": "PPO", "encoder": encoder_folder, "inputs": "latents", **way}
        settings = {**SHORT[given["algorithm"]], **way.get("settings", {})}
        settings["policy_kwargs"] = {"net_arch": [16]}
        made[name] = root / name
        rest = {"steps": 64, "n_envs": 2, "evaluate_every": 32, "evaluation_episodes": 1}
        train_agent(ENV, made[name], **{**given, "settings": settings}, **rest, progress=False)
    return made


def actions(agent: LatentAgent) -> np.ndarray:
    """The actions of an episode's first steps."""
    env = make_env(ENV, observation=agent.observation)
    observation, _ = env.reset(seed=0)
    agent.reset()
    taken = []
    for _ in range(4):
        taken.append(agent.predict(observation))
        observation, *_ = env.step(taken[-1])
    env.close()
    return np.stack(taken)


@pytest.mark.parametrize("name", WAYS)
def test_comes_back_with_bit_identical_actions(hub: FakeHub, agents: dict[str, Path], name: str):
    agent = LatentAgent.load(agents[name])
    address = agent.push_to_hub("somebody/reach-agent", license="mit", private=True)
    assert address == "https://huggingface.co/somebody/reach-agent/commit/1"
    assert hub.calls[0]["private"] is True
    found = LatentAgent.load("somebody/reach-agent")
    np.testing.assert_array_equal(actions(found), actions(agent))
    assert found.fingerprint == agent.fingerprint
    assert found.config == agent.config
    assert found.made_with == agent.made_with
    for table in ("episodes", "evaluations"):
        ours, theirs = (getattr(a.history, table) for a in (agent, found))
        pd.testing.assert_frame_equal(theirs, ours)
    pinned = LatentAgent.from_pretrained("somebody/reach-agent", revision="v1", token="secret")
    assert pinned.fingerprint == agent.fingerprint
    assert hub.calls[-1] | {"revision": "v1", "token": "secret"} == hub.calls[-1]


def test_a_finetuned_encoder_is_not_the_pretrained_one(agents: dict[str, Path], encoder: Encoder):
    agent = LatentAgent.load(agents["finetuned"])
    trained = agent.policy.features_extractor.encoder  # type: ignore[union-attr]
    assert agent.encoder is not None
    assert agent.encoder.fingerprint == encoder.fingerprint != trained.fingerprint


def test_what_is_on_the_hub(hub: FakeHub, agents: dict[str, Path]):
    LatentAgent.load(agents["frozen"]).push_to_hub("somebody/reach-agent")
    repository = hub.root / "somebody/reach-agent"
    files = {p.relative_to(repository).as_posix() for p in repository.rglob("*") if p.is_file()}
    assert files == {
        ".gitattributes",
        "README.md",
        "manifest.json",
        "policy.safetensors",
        "episodes.parquet",
        "evaluations.parquet",
        "encoder/README.md",
        "encoder/config.json",
        "encoder/model.safetensors",
    }
    assert 'LatentAgent.load("somebody/reach-agent")' in (repository / "README.md").read_text()


def test_of_folders_that_were_uploaded_by_hand_only_what_is_ours_is_fetched(
    hub: FakeHub, agents: dict[str, Path]
):
    repository = hub.root / "somebody/by-hand"
    shutil.copytree(agents["frozen"], repository)
    assert list((repository / "logs").iterdir())
    (repository / "payload.pkl").write_bytes(b"not ours")
    (repository / "encoder" / "pytorch_model.bin").write_bytes(b"not ours")
    found = LatentAgent.load("somebody/by-hand")
    assert found.fingerprint == LatentAgent.load(agents["frozen"]).fingerprint
    fetched = {p.name for p in (hub.root / "cache" / "somebody/by-hand").rglob("*")}
    assert not fetched & {"payload.pkl", "pytorch_model.bin", "logs"}


@pytest.mark.parametrize(
    "file",
    [
        "policy.safetensors",
        "episodes.parquet",
        "encoder/config.json",
        "encoder/model.safetensors",
    ],
)
def test_what_was_changed_on_the_hub_is_refused(hub: FakeHub, agents: dict[str, Path], file: str):
    LatentAgent.load(agents["finetuned"]).push_to_hub("somebody/reach-agent")
    target = hub.root / "somebody/reach-agent" / file
    content = target.read_bytes()
    target.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    says = (
        r"'somebody/reach-agent' on the .*hub.* SHA-256.*LatentAgent\.from_pretrained.*fetches it"
    )
    with pytest.raises(ArtifactError, match=says):
        LatentAgent.load("somebody/reach-agent")
    target.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        LatentAgent.load("somebody/reach-agent")


@pytest.mark.parametrize("file", ["policy.safetensors", "encoder/config.json"])
def test_weights_that_cannot_be_verified_are_refused(
    agents: dict[str, Path], tmp_path: Path, file: str
):
    folder = shutil.copytree(agents["frozen"], tmp_path / "agent")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"][file]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=f"lists no {file} to verify"):
        LatentAgent.load(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"algorithm": "PP0"}, "Did you mean 'PPO'"),
        ({"perception": {"inputs": "latent"}}, "Did you mean 'latents'"),
        ({"spaces": {}}, "it lacks 'environment_action'"),
        ({"settings": {"policy_kwargs": {"net_arch": [17]}}}, "size mismatch"),
        ({"settings": {"policy_kwargs": {"net_arc": 1}}}, "net_arc"),
    ],
)
def test_manifests_of_something_else_are_refused(
    agents: dict[str, Path], tmp_path: Path, change: dict, says: str
):
    folder = shutil.copytree(agents["frozen"], tmp_path / "agent")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"] |= change
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=f"does not hold a usable agent.*{says}"):
        LatentAgent.load(folder)


def test_folders_win_and_a_path_is_a_folder(hub: FakeHub, agents: dict[str, Path]):
    LatentAgent.load(agents["state"]).save("somebody/reach-agent")
    assert LatentAgent.load("somebody/reach-agent").encoder is None
    with pytest.raises(
        ArtifactError, match=r"Did you mean somebody/reach-agent.*hub was not asked"
    ):
        LatentAgent.load("somebody/raech-agent")
    for given in (Path("others/reach-agent"), "reach-agent", "./others/reach-agent"):
        with pytest.raises(ArtifactError, match="There is no agent folder"):
            LatentAgent.load(given)
    assert not hub.calls


def test_pushing_fails_early_and_with_advice(hub: FakeHub, agents: dict[str, Path], tmp_path: Path):
    agent = LatentAgent.load(agents["state"])
    with pytest.raises(ValueError, match="named owner/name, got 'reach'"):
        agent.push_to_hub("reach")
    with pytest.raises(ArtifactError, match="There is no evaluation folder"):
        agent.push_to_hub("somebody/reach-agent", evaluation=tmp_path / "absent")
    with pytest.raises(TypeError, match="scores"):
        agent.push_to_hub("somebody/reach-agent", scores=tmp_path)
    assert not hub.calls


def test_saving_again_keeps_what_is_there(hub: FakeHub, agents: dict[str, Path], tmp_path: Path):
    agent, other = LatentAgent.load(agents["frozen"]), LatentAgent.load(agents["state"])
    assert isinstance(agent, ModelHubMixin)
    folder = tmp_path / "copy"
    assert agent.save_pretrained(folder) is None
    before = (folder / "manifest.json").read_bytes()
    (folder / "README.md").write_text("edited on the hub")
    assert agent.save(folder) == folder
    assert (folder / "README.md").read_text() == "edited on the hub"
    agent.save(folder, license="mit")
    assert "license: mit" in (folder / "README.md").read_text()
    assert (folder / "manifest.json").read_bytes() == before
    assert agent.save(agents["frozen"]) == agents["frozen"]
    with pytest.raises(ArtifactError, match="holds another agent"):
        other.save(folder)
    with pytest.raises(ArtifactError, match="is not a agent folder"):
        other.save(agents["frozen"] / "encoder")
    options = {"push_to_hub": True, "repo_id": "somebody/reach-agent"}
    assert "somebody/reach-agent" in str(agent.save_pretrained(folder, **options))


def test_without_its_tables_an_agent_still_acts(agents: dict[str, Path], tmp_path: Path):
    agent = LatentAgent.load(agents["frozen"])
    bare = LatentAgent(
        agent.policy, agent.encoder, agent.config, agent.observation_space, agent.action_space
    )
    again = LatentAgent.load(bare.save(tmp_path / "bare"))
    assert again.history.episodes is None
    assert again.fingerprint == agent.fingerprint
    np.testing.assert_array_equal(actions(again), actions(agent))
