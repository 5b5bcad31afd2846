"""The model card of an encoder: what it is, what it was trained on, and how good it is.

It is documentation, written from what the encoder knows of itself. Nothing reads it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingface_hub import ModelCard, ModelCardData

from drl_latent.sharing import card_facts
from drl_latent.sharing.card_facts import Scores
from drl_latent.sharing.card_text import LIBRARY, render_card

if TYPE_CHECKING:
    from drl_latent.checkpoint import Encoder

_TEMPLATE = """\
# {{ title }}

Turns camera frames, uint8 [N, {{ encoder.image_shape | join(", ") }}], into codes, float32
[N, {{ encoder.latent_dim }}], for agents of Stable-Baselines3 that act on codes in place of pixels.
Made with `drl_latent`, which trains codes to be disentangled: ideally a latent for each factor of
the scene.

## Use

```python
from drl_latent import Encoder

encoder = Encoder.load("{{ repo_id or "path/of/this/folder" }}")
codes = encoder(frames)
images = encoder.decode(codes)
```

Only weights and JSON are read, and each file is verified by the SHA-256 in `config.json`.

## Architecture

{{ table(["", ""], architecture.items()) }}
{% if objective %}
## Objective

`{{ objective.name }}`

{{ objective.about }}

{{ table(["setting", "value"], objective.settings.items()) }}
{% endif %}
{% if data %}
## Training data

{{ data.about }}

{% if data.factors %}
{{ table(["factor", "kind", "levels"], data.factors) }}
{% endif %}
### Held out

{{ data.held_out }}

{% if data.parts %}
{{ table(["part", "combinations", "trained on"], data.parts) }}
{% endif %}
{% endif %}
{% if optimization %}
## Optimisation

{{ table(["setting", "value"], optimization.items()) }}
{% endif %}
{% if scores %}
## Scores

{{ scores.about }}

{{ table(["metric", "part", "value", "rows", "of them held out"], scores.whole) }}
{% if scores.by_factor %}
{{ table(["metric", "part"] + scores.factors, scores.by_factor) }}
{% endif %}
{% endif %}
## Provenance

{{ table(["", ""], provenance.items()) }}
"""


def model_card(
    encoder: Encoder,
    *,
    scores: Scores | None = None,
    license: str | None = None,
    repo_id: str | None = None,
) -> ModelCard:
    """Return the model card of an encoder, with the header that the Hugging Face hub reads.

    Args:
        encoder: The encoder.
        scores: What to show of its quality.
        license: Identifier of the weights' licence, e.g. ``"apache-2.0"``.
        repo_id: Where it is on the hub.

    Raises:
        ArtifactError: The folder of scores is not what it should be, or of another encoder.
        ValueError: The table of scores lacks a column.
    """
    training = encoder.training
    objective, data = training.get("objective_name"), training.get("data", {})
    header = ModelCardData(
        library_name=LIBRARY,
        license=license,
        pipeline_tag="image-feature-extraction",
        tags=[
            "disentanglement",
            "representation-learning",
            "reinforcement-learning",
            "robotics",
            *([objective.replace("_", "-")] if objective else []),
        ],
    )
    return render_card(
        _TEMPLATE,
        header,
        encoder=encoder,
        repo_id=repo_id,
        title=f"{objective or 'Untrained'} encoder"
        + (f" of {data['env']}" if "env" in data else ""),
        architecture=card_facts.architecture(encoder),
        objective=card_facts.objective(objective, training) if objective else None,
        data=card_facts.data(data) if data else None,
        optimization=training.get("optimization"),
        scores=None if scores is None else card_facts.scores(scores, encoder),
        provenance=card_facts.provenance(encoder.fingerprint, encoder.made_with),
    )
