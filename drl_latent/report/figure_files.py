"""Figures of the folders that `score_encoder` and `inspect_encoder` wrote, each as files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drl_latent.artifacts import read_manifest, write_bytes
from drl_latent.report.figures import image_sheet
from drl_latent.report.matrices import hinton_diagram, matrix_heat_map
from drl_latent.report.score_figures import probe_bars, score_bars, score_radar
from drl_latent.report.theme import DARK, LIGHT, Theme, draw
from drl_latent.report.traversal_sheet import traversal_sheet

FOLDER = "figures"


class _Files:
    """Writes figures into a folder, on light and on dark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[Path] = []
        folder.mkdir(exist_ok=True)

    def add(self, name: str, make: Callable[[Theme], Figure], kind: str = "svg") -> None:
        """Write ``<name>.<kind>`` and ``<name>-dark.<kind>``."""
        for theme, suffix in ((LIGHT, ""), (DARK, "-dark")):
            path = self.folder / f"{name}{suffix}.{kind}"
            write_bytes(path, draw(make, theme, kind))
            self.paths.append(path)


def draw_scores(scores: str | Path) -> list[Path]:
    """Draw what `drl_latent.scoring.score_encoder` wrote, into ``figures/`` in its folder.

    All scores with intervals beside what a random code gets, as bars and as a radar; the matrix
    of each metric that has one, as a heat map and as a Hinton diagram; what probes read.

    Returns:
        The files, each figure on light and on dark.

    Raises:
        ArtifactError: The folder is not what it should be.
    """
    folder = Path(scores)
    config = read_manifest(folder, "scores")["config"]
    table = pd.read_parquet(folder / "scores.parquet")
    files = _Files(folder / FOLDER)
    heads = table[table["factor"] == ""].drop_duplicates("metric")
    files.add("scores", lambda theme: score_bars(heads, theme))
    if len(heads) > 2:
        files.add("radar", lambda theme: score_radar({folder.name: heads}, theme))
    for metric, result in config["results"].items():
        if result["matrix"] is None:
            continue
        matrix = _array(result["matrix"])
        rows = [f"z{d}" for d in range(len(matrix))]
        words = (rows, config["factor_names"], metric)
        name, label = metric.replace(":", "-"), result["matrix_holds"]
        inside = bool(np.nanmax(matrix) <= 1 and np.nanmin(matrix) >= 0)
        limits = (0.0, 1.0) if inside else None
        _add_matrix(files, name, matrix, words, label, limits)
    for metric in ("probe", "linear_probe"):
        probes = table[(table["metric"] == metric) & (table["factor"] != "")]
        if len(probes) and probes["low"].notna().all():
            files.add(metric, lambda theme, rows=probes: probe_bars(rows, theme))  # type: ignore[misc]
    return files.paths


def draw_inspection(inspection: str | Path) -> list[Path]:
    """Draw what `drl_latent.inspection.inspect_encoder` wrote, into ``figures/`` in its folder.

    Traversals, edits, and the matrices of knob purity, responses and the influence of actions.

    Returns:
        The files, each figure on light and on dark.

    Raises:
        ArtifactError: The folder is not what it should be.
    """
    folder = Path(inspection)
    found = read_manifest(folder, "inspection")["config"]
    files = _Files(folder / FOLDER)
    purity = found["purity"]
    latents = [f"z{d}" for d in range(len(purity["matrix"]))]
    with np.load(folder / "traversals.npz", allow_pickle=False) as saved:
        images, values, order = saved["images"], saved["values"], saved["order"]
    labels = [_knob_label(purity, int(d)) for d in order]
    # Adding 0 turns -0 into 0.
    captions = [[f"{round(float(v), 1) + 0:.1f}" for v in values[d]] for d in order]
    files.add(
        "traversals",
        lambda theme: traversal_sheet(images[:, order], labels, theme, captions),
        "png",
    )
    with np.load(folder / "edits.npz", allow_pickle=False) as saved:
        names = [str(name) for name in saved["names"]]
        rows = [list(saved[f"images_{i}"]) for i in range(len(names))]
        words = [[str(word) for word in saved[f"captions_{i}"]] for i in range(len(names))]
    files.add("edits", lambda theme: image_sheet(rows, names, theme, words), "png")
    title = f"Knob purity {_score(purity)}"
    label = "movement of the factor by the latent"
    _add_matrix(files, "purity", _array(purity["matrix"]), (latents, purity["names"], title), label)
    if responses := found.get("responses"):
        title = f"Selectivity of factors {_score(responses)}"
        label = "share of the latent's variance due to the factor"
        matrix = _array(responses["matrix"])
        _add_matrix(files, "responses", matrix, (responses["names"], latents, title), label)
    if influence := found.get("influence"):
        title, label = "Influence of actions", "share of the latent's change due to the action"
        matrix, actions = _array(influence["matrix"]), influence["action_names"]
        # Where an action does nothing, its estimate is as often below 0 as above.
        limits = (min(0.0, float(np.nanmin(matrix))), max(1.0, float(np.nanmax(matrix))))
        _add_matrix(files, "influence", matrix, (actions, influence["names"], title), label, limits)
    return files.paths


def _add_matrix(
    files: _Files,
    name: str,
    matrix: np.ndarray,
    words: tuple[list[str], list[str], str],
    label: str,
    limits: tuple[float, float] | None = (0.0, 1.0),
) -> None:
    """Add a heat map and a Hinton diagram; `words` name rows, columns and the whole."""
    rows, columns, title = words
    files.add(
        name,
        lambda theme: matrix_heat_map(
            matrix, rows, columns, title, theme, label=label, limits=limits
        ),
    )
    files.add(
        f"{name}-hinton",
        lambda theme: hinton_diagram(matrix, rows, columns, title, theme, label=label),
    )


def _array(values: list[list[float | None]]) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def _score(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['score']:.2f} [{low:.2f}, {high:.2f}]"


def _knob_label(purity: Mapping[str, Any], latent: int) -> str:
    """Name a latent with the factor that it moves most, and its purity."""
    moved, pure = purity["moved"][latent], purity["per_latent"][latent]
    if moved is None or pure is None or math.isnan(pure):
        return f"z{latent}  moves nothing"
    return f"z{latent}  {moved}, {pure:.2f}"
