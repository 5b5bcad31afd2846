"""The model card of a saved agent."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from PIL import Image

from drl_latent.agents import LatentAgent, train_agent
from drl_latent.agents.history import History
from drl_latent.artifacts import ArtifactError
from drl_latent.evaluation import evaluate_saved
from drl_latent.sharing.agent_card import FIGURE

ENV = "DrlLatent/Reach-v0"


def train(out: Path, **kwargs) -> LatentAgent:
    settings = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "policy_kwargs": {"net_arch": [16]}}
    given = {"inputs": "state", "steps": 32, "n_envs": 2, "settings": settings, "seed": 11}
    return train_agent(ENV, out, **{**given, **kwargs}, progress=False)


@pytest.fixture(scope="module")
def agent(encoder_folder: str, tmp_path_factory: pytest.TempPathFactory) -> LatentAgent:
    """A short agent on latents, trained on a part of a split, which is told a long history."""
    short = train(
        tmp_path_factory.mktemp("agents") / "agent",
        encoder=encoder_folder,
        inputs="latents",
        env_kwargs={"split": "composition", "partition": "train", "split_seed": 3},
        evaluate_every=32,
        evaluation_episodes=2,
    )
    return with_history(short, history(400))


def history(episodes: int) -> History:
    rng = np.random.default_rng(0)
    steps = np.arange(1, episodes + 1) * 50
    success = (rng.random(episodes) < steps / steps[-1]).astype(float)
    trained = pd.DataFrame({"steps": steps, "return": success - 1, "success": success})
    checks = pd.DataFrame(
        {"steps": [0, 10_000, 20_000], "return": [-1.0, 0, 1], "success": [0.1, 0.55, 0.85]}
    )
    return History(trained, checks)


def with_history(agent: LatentAgent, told: History | None, **config) -> LatentAgent:
    """The agent with another history, and another record of itself."""
    shapes = (agent.observation_space, agent.action_space)
    made_with = {"commit": "c0ffee", "versions": {"torch": "9.9"}, "python": "3.99"}
    config = {**agent.config, **config}
    return LatentAgent(agent.policy, agent.encoder, config, *shapes, told, made_with)


def table(*agents: str) -> pd.DataFrame:
    """Ten episodes on each of two parts: 8 and 3 of them succeed."""
    rows = [
        {"agent": agent, "part": part, "return": float(i), "success": i < wins}
        for agent in agents
        for part, wins in (("id", 8), ("ood", 3))
        for i in range(10)
    ]
    return pd.DataFrame(rows)


def test_tells_what_it_is_and_how_it_was_trained(agent: LatentAgent):
    text = str(agent.generate_model_card())
    assert agent.encoder is not None
    for said in (
        "# PPO agent of DrlLatent/Reach-v0",
        f"`{agent!r}`",
        "| algorithm | PPO |",
        "| inputs of the policy | latents |",
        f"| encoder | {agent.encoder!r}, frozen |",
        f"| fingerprint of the encoder | {agent.encoder.fingerprint} |",
        "| observations | uint8 [N, 64, 64, 3], 0 to 255 |",
        "| actions | float32 [N, 2], -1 to 1 |",
        "(encoder/README.md)",
        "| object_hue | appearance |",
        "Split `composition` (seed 3",
        "| train | ",
        "**0.85**: mean of the same 2 episodes, deterministic actions, after 20,000 steps",
        f"]({FIGURE})",
        "| environment steps | 32 |",
        "| seed | 11 |",
        "| n_steps | 16 |",
        '| policy_kwargs | {"net_arch": [16], "log_std_init": -0.5} |',
        "never on a real robot",
        "torch 9.9",
        "| git commit | c0ffee |",
        f"| fingerprint | {agent.fingerprint} |",
    ):
        assert said in text, said
    assert "\n\n\n" not in text


def test_tells_how_its_encoder_was_trained_on(agent: LatentAgent):
    seen = {"mode": "auxiliary", "n_stack": 2, "extractor": {"encoder_learning_rate": 1e-5}}
    perception = {**agent.config["perception"], **seen}
    settings = {"objective": "vae", "objective_settings": {"updates_per_step": 0.25}}
    text = str(with_history(agent, None, perception=perception, **settings).generate_model_card())
    for said in (
        "trained on by the critic's loss and its own |",
        "| steps that it sees | the last 2 |",
        "| objective of the encoder | vae |",
        "| encoder: encoder_learning_rate | 1e-05 |",
        "| objective: updates_per_step | 0.25 |",
    ):
        assert said in text, said


def test_header_is_what_the_hub_reads(agent: LatentAgent, tmp_path: Path):
    folder = agent.save(tmp_path / "agent", license="mit", repo_id="somebody/reach-agent")
    text = (folder / "README.md").read_text()
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["library_name"] == "drl-latent"
    assert header["license"] == "mit"
    assert header["pipeline_tag"] == "reinforcement-learning"
    tags = {"reinforcement-learning", "stable-baselines3", "robotics", "disentanglement"}
    assert tags <= set(header["tags"])
    (model,) = header["model-index"]
    assert model["name"] == "reach-agent"
    (result,) = model["results"]
    assert result["task"]["type"] == "reinforcement-learning"
    assert result["dataset"] == {"name": ENV, "type": ENV, "split": "train"}
    assert result["metrics"][0]["type"] == "success_rate"
    assert result["metrics"][0]["value"] == 0.85
    assert ModelCard.load(folder / "README.md").data.to_dict()["tags"] == header["tags"]


def test_an_evaluation_is_a_table_and_results(agent: LatentAgent):
    card = agent.generate_model_card(evaluation=table("mine", "random"))
    text = str(card)
    # Wilson's interval of 8 and of 3 out of 10.
    assert "| this agent | id | 10 | 0.80 | 0.49 to 0.94 | 4.50 |" in text
    assert "| this agent | ood | 10 | 0.30 | 0.11 to 0.60 | 4.50 |" in text
    assert "| random actions | id |" in text
    results = [(r.dataset_split, r.metric_value) for r in card.data.eval_results]
    assert results == [("id", 0.8), ("ood", 0.3)]


def test_an_evaluation_of_something_else_is_refused(agent: LatentAgent, tmp_path: Path):
    with pytest.raises(ValueError, match="no column part"):
        agent.save(tmp_path / "a", evaluation=table("mine").drop(columns="part"))
    with pytest.raises(ValueError, match=r"has the agents \['mine', 'other'\]"):
        agent.save(tmp_path / "a", evaluation=table("mine", "other"))
    with pytest.raises(ArtifactError, match="There is no evaluation folder"):
        agent.save(tmp_path / "a", evaluation=tmp_path / "absent")
    assert not list(tmp_path.iterdir())


def test_a_trained_folder_gets_its_evaluation(tmp_path: Path):
    kwargs = {"env_kwargs": {"split": "composition", "partition": "train"}}
    agent = train(tmp_path / "agent", **kwargs)
    card = tmp_path / "agent" / "README.md"
    assert "## Success" not in card.read_text()
    evaluate_saved(agent, tmp_path / "evaluation", episodes=2, progress=False)
    assert agent.save(tmp_path / "agent", evaluation=tmp_path / "evaluation")
    text = card.read_text()
    assert "| seen by policy |" in text
    assert "| this agent | ood | 2 |" in text
    LatentAgent.load(tmp_path / "agent")

    other = train(tmp_path / "other", **kwargs, n_envs=1)
    with pytest.raises(ArtifactError, match="evaluation of another agent"):
        other.save(tmp_path / "copy", evaluation=tmp_path / "evaluation")
    assert not (tmp_path / "copy").exists()


def test_its_example_runs(agent: LatentAgent, tmp_path: Path):
    folder = agent.save(tmp_path / "agent", repo_id="somebody/reach-agent")
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert 'LatentAgent.load("somebody/reach-agent")' in code
    with redirect_stdout(io.StringIO()) as printed:
        exec(code.replace("somebody/reach-agent", str(folder)), {})
    assert "is_success" in printed.getvalue()


def test_figure_is_a_picture_beside_it(agent: LatentAgent, tmp_path: Path):
    folder = agent.save(tmp_path / "agent")
    with Image.open(folder / FIGURE) as picture:
        assert picture.size[0] > 600
        # A ground of its own: text that is dark is read on dark pages as well.
        assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    (folder / FIGURE).write_bytes(b"drawn anew")
    assert LatentAgent.load(folder).fingerprint == agent.fingerprint


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (None, None),
        (History(), None),
        (History(history(5).episodes), "mean of the last 5 episodes of training, exploring"),
        (History(history(300).episodes), "mean of the last 100 episodes of training, exploring"),
        (History(history(30).episodes.assign(success=np.nan)), None),
    ],
)
def test_knows_how_to_leave_out(agent: LatentAgent, tmp_path: Path, told, says: str | None):
    folder = with_history(agent, told).save(tmp_path / "agent")
    text = (folder / "README.md").read_text()
    assert ("## Success" in text) == (says is not None)
    assert says is None or says in text
    assert ("model-index" in text) == (says is not None)
    is_drawn = told is not None and told.episodes is not None and len(told.episodes) == 300
    assert (folder / FIGURE).exists() == (FIGURE in text) == is_drawn


def test_an_environment_that_is_not_here_is_told_by_name(agent: LatentAgent):
    kwargs = {"split": "composition", "partition": "train", "split_seed": 3}
    elsewhere = with_history(agent, None, env="Their/Robot-v3", env_kwargs=kwargs)
    text = str(elsewhere.generate_model_card())
    assert "Split `composition` (seed 3), part `train`." in text
    assert "| factor |" not in text


def test_a_card_that_cannot_be_written_loses_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("drl_latent.sharing.agent_card.agent_card", fail)
    with pytest.raises(KeyError, match="a bug"):
        train(tmp_path / "agent")
    assert LatentAgent.load(tmp_path / "agent").config["seed"] == 11


def test_split_objects_and_unsplit_environments_are_told(tmp_path: Path):
    agent = train(tmp_path / "agent", env_kwargs={"factors": ["object_hue"]})
    text = (tmp_path / "agent" / "README.md").read_text()
    assert 'with factors `["object_hue"]`' in text
    assert "Nothing: trained on all combinations" in text
    assert "| floor_hue |" not in text
    assert agent.encoder is None
    assert "encoder/README.md" not in text
