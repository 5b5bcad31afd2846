"""The model card of an agent: what it acts on, where it was trained, and how well it does.

It is documentation, written from what the agent knows of itself. Nothing reads it again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from drl_latent.artifacts import write_bytes
from drl_latent.sharing import agent_facts, card_facts
from drl_latent.sharing.agent_facts import Evaluation, Success
from drl_latent.sharing.card_text import LIBRARY, render_card

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from drl_latent.agents import LatentAgent
    from drl_latent.report.theme import Theme

FIGURE = "figures/training.png"
"""In the agent's folder; documentation, like the card."""
_FEWEST_EPISODES = 20

_TEMPLATE = """\
# {{ title }}

`{{ agent }}`

A policy of Stable-Baselines3, trained and saved with `drl_latent`, that acts on what the camera or
the simulator shows and brings all that it needs with it.

## Use

```python
from drl_latent.agents import LatentAgent
from drl_latent.envs import make_env

agent = LatentAgent.load("{{ repo_id or "path/of/this/folder" }}")
options = {**agent.config["env_kwargs"], "observation": agent.observation}
env = make_env(agent.config["env"], **options)
observation, info = env.reset(seed=0)
agent.reset()
done = False
while not done:
    observation, reward, terminated, truncated, info = env.step(agent.predict(observation))
    done = terminated or truncated
env.close()
print(info)
```

Only weights, tables and JSON are read, and each file is verified by the SHA-256 in `manifest.json`.

## What it acts on

{{ table(["", ""], acts_on.items()) }}
{% if agent.encoder %}
The encoder in `encoder/` is as it was pretrained, with [a card of its own](encoder/README.md).

{% endif %}
## Environment

{{ environment.about }}

{% if environment.factors %}
{{ table(["factor", "kind", "levels"], environment.factors) }}
{% endif %}
### Held out

{{ environment.held_out }}

{% if environment.parts %}
{{ table(["part", "combinations", "trained on"], environment.parts) }}
{% endif %}
{% if last or has_figure or evaluated %}
## Success

{% endif %}
{% if last %}
**{{ "%.2f" | format(last.rate) }}**: {{ last.about }}.

{% endif %}
{% if has_figure %}
![Success rate against environment steps]({{ figure }})

{% endif %}
{% if evaluated %}
{{ evaluated.about }}

{{ table(evaluated.header, evaluated.rows) }}
{% endif %}
## Training

{{ table(["setting", "value"], training.items()) }}
## Intended use and limits

It is for research on representations and on generalisation in simulation: it has acted in
`{{ environment.id }}` alone, and never on a real robot or before a real camera. It is one agent of
one seed, which does not speak for others, and where something differs from what it was trained on
it may fail without a sign.

## Provenance

{{ table(["", ""], provenance.items()) }}
"""


def agent_card(
    agent: LatentAgent,
    *,
    evaluation: Evaluation | None = None,
    license: str | None = None,
    repo_id: str | None = None,
) -> ModelCard:
    """Return the model card of an agent, with the header that the Hugging Face hub reads.

    Args:
        agent: The agent.
        evaluation: What to show of other combinations of factors.
        license: Identifier of the weights' licence, e.g. ``"apache-2.0"``.
        repo_id: Where it is on the hub.

    Raises:
        ArtifactError: The folder of the evaluation is not what it should be, or of another agent.
        ValueError: The table of the evaluation lacks a column, or has several agents.
    """
    config = agent.config
    title = f"{config['algorithm']} agent of {config['env']}"
    evaluated = None if evaluation is None else agent_facts.evaluated(evaluation, agent)
    last = agent_facts.last_success(agent)
    known = evaluated.successes if evaluated else [last] if last else []
    header = ModelCardData(
        library_name=LIBRARY,
        license=license,
        pipeline_tag="reinforcement-learning",
        tags=[
            "reinforcement-learning",
            "deep-reinforcement-learning",
            "stable-baselines3",
            "robotics",
            "disentanglement",
            config["env"],
        ],
        model_name=(repo_id or title).split("/")[-1] if known else None,
        eval_results=[_result(config["env"], success) for success in known] or None,
    )
    return render_card(
        _TEMPLATE,
        header,
        agent=agent,
        repo_id=repo_id,
        title=title,
        acts_on=agent_facts.acts_on(agent),
        environment=agent_facts.environment(config),
        last=last,
        figure=FIGURE,
        has_figure=_is_drawn(agent),
        evaluated=evaluated,
        training=agent_facts.training(config),
        provenance=card_facts.provenance(agent.fingerprint, agent.made_with),
    )


def _result(env_id: str, success: Success) -> EvalResult:
    return EvalResult(
        task_type="reinforcement-learning",
        task_name="reinforcement-learning",
        dataset_type=env_id,
        dataset_name=env_id,
        dataset_split=success.part,
        metric_type="success_rate",
        metric_name=f"success rate ({success.about})",
        metric_value=round(success.rate, 4),
        verified=False,
    )


def draw_training(agent: LatentAgent, folder: Path) -> None:
    """Write the figure that the card shows of the training into `folder`, if there is one."""
    if not _is_drawn(agent):
        return
    from drl_latent.report.theme import LIGHT, draw  # it takes a second, and few agents need it

    file = folder / FIGURE
    file.parent.mkdir(exist_ok=True)
    # On a ground of its own: the hub goes by its own switch, not by what a <picture> can ask for.
    write_bytes(file, draw(lambda theme: _training_figure(agent, theme), LIGHT, "png"))


def _is_drawn(agent: LatentAgent) -> bool:
    """Return whether there are enough episodes, of a known success, for a curve."""
    episodes = agent.history.episodes
    return episodes is not None and episodes["success"].count() >= _FEWEST_EPISODES


def _training_figure(agent: LatentAgent, theme: Theme) -> Figure:
    """Return success during training against steps, and that of evaluations on top of it."""
    from drl_latent.report.figures import learning_curves

    episodes, checks = agent.history.episodes, agent.history.evaluations
    assert episodes is not None
    figure = learning_curves({"": episodes}, {"": "training, exploring (last 100 episodes)"}, theme)
    (axis,) = figure.axes
    axis.set_ylabel("success rate")
    if checks is not None and checks["success"].notna().any():
        axis.plot(
            checks["steps"] / 1000,
            checks["success"],
            "s",
            color=theme.series[1],
            mec=theme.ground,
            ms=6,
            label=f"evaluations of {agent.config['evaluation_episodes']} episodes",
            clip_on=False,
            zorder=3,
        )
        # The curve's range was fixed before these, and the last one is at the very end.
        axis.set_xlim(0, 1.02 * max(axis.get_xlim()[1], checks["steps"].max() / 1000))
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=2, handlelength=3)
    return figure
