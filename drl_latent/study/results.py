"""What a study found, as tables and pictures in one Parquet file."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from drl_latent.artifacts import write_bytes
from drl_latent.manifest import ArtifactError

STUDY = "study.json"
RESULTS = "results.parquet"
FORMAT = 1
_TABLES = ("scores", "curves", "moves", "set_back", "pieces")
_KEY = b"drl_latent.study"

TASK = ("env", "split")
"""Columns that name a task: an environment and a split of its factors."""
AGENT = (*TASK, "agent", "encoder", "algorithm", "mode", "encoder_seed", "agent_seed")
"""Columns that name one trained agent."""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "episodes": (*AGENT, "part", "episode", "seed", "return", "success", "length"),
    "scores": (*TASK, "encoder", "encoder_seed", "metric", "value", "low", "high"),
    "curves": (*AGENT, "steps", "return", "success", "episodes"),
    "moves": (*TASK, "encoder", "encoder_seed", "factor", "latent", "move"),
    "set_back": (*AGENT, "part", "factor", "latent", "success", "success_set_back", "episodes"),
    "pieces": ("key", "kind", "label", "seconds", "started", "commit", "host"),
}
"""Table to the columns that it has at least."""


@dataclass(frozen=True)
class StudyResults:
    """The tables of a study.

    In the file ``results.parquet`` the rows are `episodes`, for any reader of Parquet; the other
    tables and the pictures lie in the file's metadata, so that it is all that a report needs.

    Args:
        study: The configuration, `Study.to_dict`.
        episodes: One row an episode of evaluation. ``agent`` is the label of the method, the same
            for all its seeds, and ``"random"`` for random actions; ``encoder`` is the label of the
            encoder, "" for none; ``part`` is "id", "ood1" and "ood2" (or "id" and "ood") or a part
            by axis, "ood/<factor>"; ``seed`` is the episode's, the same for all agents;
            ``success`` is NaN where the environment does not say what it is; and each factor that
            was drawn is a column ``factor/<name>``, NaN where a task has no such one.
        scores: One row a score of an encoder: ``metric`` is its name, such as "mig", "dci",
            "dci.completeness", "linear_probe:id", "linear_probe:ood2"; ``low`` and ``high`` are
            NaN where there is no interval.
        curves: One row a part of training, in bins of environment ``steps``: mean ``return`` and
            ``success`` of the ``episodes`` that ended in it.
        moves: One row a factor and latent: mean absolute change of the latent when the factor
            alone changes, in standard deviations of the latent.
        set_back: One row an agent, part and factor: success, and success when the latent that the
            factor moves most is set back to its mean, over the same ``episodes``.
        pieces: One row a finished piece of the study: ``seconds`` that it took, and where.
        pictures: Name to PNG or GIF: ``traversals/<env>/<split>/<encoder>.png``,
            ``films/<env>/<split>/<agent>/success.gif`` and ``failure.gif``.
        provenance: Versions, commit and platform, see `drl_latent.artifacts.provenance`.
    """

    study: Mapping[str, Any]
    episodes: pd.DataFrame
    scores: pd.DataFrame
    curves: pd.DataFrame
    moves: pd.DataFrame
    set_back: pd.DataFrame
    pieces: pd.DataFrame
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, columns in COLUMNS.items():
            if missing := [c for c in columns if c not in getattr(self, name)]:
                raise ValueError(f"The table {name!r} of a study lacks the columns {missing}.")

    def __repr__(self) -> str:
        agents, encoders = self.episodes["agent"].nunique(), self.scores["encoder"].nunique()
        return (
            f"StudyResults({len(self.episodes):,} episodes of {agents} agents, "
            f"{encoders} encoders scored, {len(self.pieces)} pieces)"
        )

    def save(self, path: str | Path) -> Path:
        """Write ``results.parquet``."""
        path = Path(path)
        about = {
            "format": FORMAT,
            "study": dict(self.study),
            "provenance": dict(self.provenance),
            "tables": {
                name: json.loads(getattr(self, name).to_json(orient="split", index=False))
                for name in _TABLES
            },
            "pictures": {
                name: base64.b64encode(picture).decode() for name, picture in self.pictures.items()
            },
        }
        table = pa.Table.from_pandas(self.episodes, preserve_index=False)
        table = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), _KEY: json.dumps(about, sort_keys=True).encode()}
        )
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression="zstd")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, buffer.getvalue())
        return path

    @classmethod
    def load(cls, path: str | Path) -> StudyResults:
        """Read what `save` wrote.

        Raises:
            ArtifactError: The file is missing or is not the results of a study.
        """
        path = Path(path)
        if not path.is_file():
            raise ArtifactError(
                f"{path} is not there. `drl-latent study export` writes the results of a study."
            )
        try:
            table = parquet.read_table(path)
            about = json.loads((table.schema.metadata or {})[_KEY])
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            raise ArtifactError(
                f"{path} is not the results of a study; expected what `drl-latent study export` "
                "writes."
            ) from error
        if about["format"] != FORMAT:
            raise ArtifactError(
                f"{path} has format {about['format']}, this version reads {FORMAT}. Export the "
                "study again with this version, or read it with the one that wrote it."
            )
        tables = {
            name: pd.DataFrame(content["data"], columns=content["columns"])
            for name, content in about["tables"].items()
        }
        return cls(
            study=about["study"],
            episodes=table.to_pandas(),
            pictures={k: base64.b64decode(v) for k, v in about["pictures"].items()},
            provenance=about["provenance"],
            **tables,
        )
