"""How a model card is written: a header that the Hugging Face hub reads, and Markdown below it."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import pandas as pd
from huggingface_hub import ModelCard, ModelCardData

LIBRARY = "drl-latent"
_TABLE = """\
{% macro table(header, rows) %}
| {{ header | map("cell") | join(" | ") }} |
|{{ " --- |" * header | length }}
{% for row in rows %}
| {{ row | map("cell") | join(" | ") }} |
{% endfor %}
{% endmacro %}
"""


def render_card(template: str, header: ModelCardData, **facts: Any) -> ModelCard:
    """Return a card.

    Args:
        template: Of the Markdown, in Jinja's language, with ``table(header, rows)`` in it.
        header: What the hub reads.
        facts: What the template tells.
    """
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["cell"] = _cell
    body = environment.from_string(_TABLE + template).render(**facts)
    return ModelCard(f"---\n{header.to_yaml()}\n---\n\n{body.strip()}\n")


def _cell(value: Any) -> str:
    """Return a value as one cell of a Markdown table."""
    if isinstance(value, float):
        text = "" if pd.isna(value) else f"{value:.6g}"
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    return " ".join(text.split()).replace("|", "\\|")
