"""What a model card says of an encoder, as words and rows of tables.

Objectives, factors and scores are imported where they are told of: it takes seconds, and an encoder
may have nothing to tell of them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
from torch import nn

from drl_latent.artifacts import ArtifactError, read_manifest

if TYPE_CHECKING:
    from drl_latent.checkpoint import Encoder

Scores: TypeAlias = pd.DataFrame | str | Path
"""A table of `drl_latent.metrics.score_all`, or a folder of `drl_latent.scoring.score_encoder`."""

_COLUMNS = ("metric", "part", "factor", "value", "n", "n_test")
_SOURCES = {
    "factors": "each an independent draw of all factors",
    "pairs": "in pairs that share most factors",
    "rollout": "along episodes of random actions",
    "images": "imported from files of images",
    "minari": "imported from Minari",
}


def architecture(encoder: Encoder) -> dict[str, str]:
    """Return the networks and their sizes."""
    model, config = encoder.model, encoder.config

    def count(*parts: nn.Module) -> str:
        return f"{sum(p.numel() for part in parts for p in part.parameters()):,} parameters"

    return {
        "encoder": f"{config.encoder}, {count(model.encoder, model.bottleneck)}",
        "bottleneck": f"{config.bottleneck}, {config.latent_dim} latents",
        "decoder": f"{config.decoder}, {count(model.decoder)}, to {config.decoded_size} pixels",
        "likelihood": config.likelihood,
        "widths": f"{config.encoder_width} (encoder), {config.decoder_width} (decoder)",
    }


def objective(name: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the objective's settings, and what its docstring says that it is and who wrote it."""
    from drl_latent.objectives import OBJECTIVES

    # It may be somebody's own, which is not registered here.
    text = inspect.getdoc(OBJECTIVES[name]) or "" if name in OBJECTIVES else ""
    about, _, _ = text.partition("\nArgs:")
    return {
        "name": name,
        "about": about.replace("``", "`").strip(),
        "settings": training.get("objective", {}),
    }


def data(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the manifest of the frames says."""
    about = f"{config['n']:,} frames" if "n" in config else "Frames"
    about += f" of `{config['env']}`" if "env" in config else ""
    source = config.get("source", "")
    about += f", {_SOURCES.get(source, source)}" if source else ""
    told = ("n", "env", "source", "partition")
    settings = {k: v for k, v in config.items() if k not in told and isinstance(v, str | int)}
    kwargs = config.get("env_kwargs", {})
    settings |= {k: v for k, v in kwargs.items() if k not in ("split", "split_seed", "partition")}
    listed = [f"{name} `{json.dumps(value)}`" for name, value in settings.items()]
    shown: dict[str, Any] = {
        "about": f"{about}, with {', '.join(listed)}." if listed else f"{about}.",
        "factors": [],
        "parts": [],
        "held_out": "Nothing by a split of ours.",
    }
    if config.get("factor_space"):
        from drl_latent.envs.factor_space import FactorSpace

        space = FactorSpace.from_dict(config["factor_space"])
        shown["factors"] = [(f.name, f.kind, f.describe()) for f in space]
    if config.get("split"):
        shown |= held_out(config["split"], config["partition"])
    return shown


def held_out(saved: Mapping[str, Any], partition: str) -> dict[str, Any]:
    """Return which combinations of factors a part of a split has, and which it lacks."""
    from drl_latent.envs import Split

    split = Split.from_dict(saved)
    members = {name: set(split.ids(name).tolist()) for name in split.members}
    trained, support = set(split.ids(partition).tolist()), split.support(partition)
    settings = "".join(f", {name} {json.dumps(v)}" for name, v in split.settings.items())
    text = (
        f"Split `{split.kind}` (seed {split.seed}{settings}), part `{partition}`: "
        f"{len(trained):,} of {split.factor_space.size:,} combinations of the factors "
        f"{', '.join(f'`{name}`' for name in split.factor_space.names)}. They have "
        f"{support['values']:.0%} of the single values and {support['pairs']:.0%} of the pairs of "
        "values."
    )
    for name, values in support["missing"].items():
        listed = ", ".join(str(value) for value in values)
        text += f" Never seen of `{name}`: {listed}."
    if split.weights.get(partition):
        text += " Some combinations were drawn more often than others."
    parts = [(n, len(ids), "yes" if ids <= trained else "no") for n, ids in members.items()]
    return {"held_out": text, "parts": parts}


def scores(given: Scores, encoder: Encoder) -> dict[str, Any]:
    """Return the rows of two tables of scores: of whole codes, and of single factors.

    Raises:
        ArtifactError: The folder is not what it should be, or has the scores of another encoder.
        ValueError: The table lacks a column.
    """
    about, table = "Measured by `drl_latent.metrics`.", given
    if not isinstance(table, pd.DataFrame):
        from drl_latent.scoring import KIND, read_scores

        request = read_manifest(table, KIND)["request"]
        if request["encoder"] != encoder.fingerprint:
            raise ArtifactError(
                f"{table} holds scores of the encoder {request['encoder']}, not of this one, "
                f"{encoder.fingerprint}. Score this one into another folder."
            )
        about = f"{about[:-1]} on the frames `{request['data']}`, seed {request['seed']}."
        table = read_scores(table)
    if missing := [name for name in _COLUMNS if name not in table]:
        raise ValueError(
            f"The table of scores has no column {', '.join(missing)}: give one of "
            "drl_latent.metrics.score_all."
        )
    of_one = table[table["factor"] != ""]
    by_factor = of_one.pivot_table("value", ["metric", "part"], "factor", sort=False, dropna=False)
    by_factor = by_factor.dropna(how="all")
    return {
        "about": about,
        "whole": [
            (row.metric, row.part, _share(row.value), row.n + row.n_test, row.n_test)
            for row in table[table["factor"] == ""].itertuples()
        ],
        "factors": list(by_factor.columns),
        "by_factor": [
            (*names, *map(_share, values))
            for names, values in zip(by_factor.index, by_factor.to_numpy(), strict=True)
        ],
    }


def _share(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def provenance(fingerprint: str, made_with: Mapping[str, Any]) -> dict[str, str]:
    """Return what an encoder or an agent was made with."""
    versions = {k: v for k, v in made_with.get("versions", {}).items() if v is not None}
    return {
        "fingerprint": fingerprint,
        "git commit": made_with.get("commit") or "unknown",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "Python": made_with.get("python", "unknown"),
        "platform": made_with.get("platform", "unknown"),
    }
