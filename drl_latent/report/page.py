"""The report of a run: figures and one self-contained page, from files alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drl_latent.artifacts import ArtifactError, read_manifest
from drl_latent.evaluation.summary import summarize
from drl_latent.report import figures
from drl_latent.report.matrices import matrix_heat_map
from drl_latent.report.score_figures import probe_bars
from drl_latent.report.theme import DARK, LIGHT, Theme, data_uri, draw
from drl_latent.report.traversal_sheet import traversal_sheet
from drl_latent.study.results import RESULTS, STUDY

PAGE = "report.html"
_VISIBLE_CHANGE = 0.003
"""Mean change of a pixel, of 1, below which a traversal shows nothing to the eye."""
AGENT_NAMES = {
    "latents": "PPO on latents",
    "true_state": "PPO on the true state",
    "random": "random actions",
}


@dataclass
class Section:
    """A part of the page."""

    name: str
    title: str
    text: list[str] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    table: dict[str, Any] | None = None


class _Page:
    """Collects sections, and writes each figure as a file of its own beside."""

    def __init__(self, run: Path) -> None:
        self.sections: list[Section] = []
        self._folder = run / "figures"

    def section(self, name: str, title: str, *text: str) -> Section:
        self.sections.append(Section(name, title, list(text)))
        return self.sections[-1]

    def figure(
        self,
        name: str,
        make: Callable[[Theme], Figure],
        caption: str,
        kind: str = "svg",
    ) -> None:
        light, dark = draw(make, LIGHT, kind), draw(make, DARK, kind)
        self._folder.mkdir(exist_ok=True)
        (self._folder / f"{name}.{kind}").write_bytes(light)
        self.sections[-1].figures.append(
            {
                "light": data_uri(light, kind),
                "dark": data_uri(dark, kind),
                "alt": caption,
                "caption": caption,
            }
        )

    def animation(self, path: Path, caption: str) -> None:
        self.sections[-1].figures.append(
            {
                "light": data_uri(path.read_bytes(), path.suffix[1:]),
                "alt": caption,
                "caption": caption,
                "pixels": True,
            }
        )


def write_report(run: str | Path) -> Path:
    """Write ``report.html`` and ``figures/`` into a run's folder, from what the folder holds.

    Parts that the folder has no files for are left out. That of a study has ``tables/`` instead,
    see `drl_latent.report.write_study_report`.

    Args:
        run: A folder that `drl-latent quickstart` wrote, or one laid out like it; or one of
            `drl-latent study`.

    Returns:
        The page.

    Raises:
        ArtifactError: The folder holds nothing to report.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise ArtifactError(f"There is no run folder at {folder}.")
    if (folder / STUDY).is_file():
        # Imported here: its page is built from parts of this module.
        from drl_latent.report.study_page import write_study_report

        return write_study_report(folder / RESULTS, folder)
    page = _Page(folder)
    _scene(page, folder)
    _knobs(page, folder)
    _scores(page, folder)
    _success(page, folder)
    _provenance(page, folder)
    if not any(section.figures for section in page.sections):
        raise ArtifactError(
            f"{folder} holds nothing to report: no scores, results or scene. Give the folder of a "
            "run, as `drl-latent quickstart` writes it."
        )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("drl_latent.report"), autoescape=True, trim_blocks=True
    )
    html = environment.get_template("report.html.j2").render(
        title="From pixels to knobs to unseen combinations",
        subtitle=_subtitle(folder),
        headline=_headline(folder),
        sections=page.sections,
    )
    path = folder / PAGE
    path.write_text(html, encoding="utf-8")
    return path


def _read_json(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return data


def _subtitle(folder: Path) -> str:
    config = _read_json(folder / "run.json")
    if not config:
        return str(folder.name)
    smoke = " Smoke run: too short to learn anything." if config.get("smoke") else ""
    return f"{config.get('env', '')}, seed {config.get('seed', 0)}.{smoke}"


def _headline(folder: Path) -> list[dict[str, str]]:
    summary = _read_json(folder / "summary.json")
    if not summary:
        return []
    success, minutes = summary["success"], summary["wall_seconds"] / 60
    items = [
        (f"{success['id']:.2f}", "success in distribution"),
        (f"{success['ood1']:.2f}", "success, OOD1"),
        (f"{success['ood2']:.2f}", "success, OOD2"),
        (f"{summary['metrics']['mig']:.2f}", "MIG"),
        (f"{summary['metrics']['dci_disentanglement']:.2f}", "DCI disentanglement"),
        (f"{minutes:.1f} min", "in all"),
    ]
    return [{"value": value, "label": label} for value, label in items]


def _scene(page: _Page, folder: Path) -> None:
    path = folder / "scene.npz"
    if not path.exists():
        return
    with np.load(path, allow_pickle=False) as saved:
        rows = [list(saved[f"images_{i}"]) for i in range(len(saved["names"]))]
        captions = [[str(c) for c in saved[f"captions_{i}"]] for i in range(len(rows))]
        names = [str(name) for name in saved["names"]]
    page.section(
        "scene",
        "What the robot's camera sees",
        "Each row changes one factor of variation and holds the others. The agent gets these "
        "pixels and nothing else.",
    )
    page.figure(
        "scene",
        lambda theme: figures.image_sheet(rows, names, theme, captions),
        "Frames at the resolution that the encoder sees.",
        "png",
    )


def _knobs(page: _Page, folder: Path) -> None:
    path = folder / "scores" / "traversals.npz"
    if not path.exists():
        return
    with np.load(path, allow_pickle=False) as saved:
        images, values, order = saved["images"], saved["values"], saved["order"]
        change = saved["change"]
    labels = [_latent_label(folder, int(d), float(change[d])) for d in order]
    page.section(
        "traversals",
        "What each latent dimension does",
        "One frame is encoded; each row decodes it with one latent moved from its 5th to its 95th "
        "percentile and the others held. Latents that change the image most come first; each is "
        "named with the factor that depends on it most, by DCI importance.",
    )
    page.figure(
        "traversals",
        lambda theme: traversal_sheet(
            images[None, order],
            labels,
            theme,
            [[f"{v:.1f}" for v in values[d]] for d in order],
        ),
        "Latent traversals, decoded at half the camera's resolution.",
        "png",
    )


def _latent_label(folder: Path, latent: int, change: float) -> str:
    path = folder / "scores" / "importance.npy"
    if change < _VISIBLE_CHANGE:
        return f"z{latent}  (unused)"
    if not path.exists():
        return f"z{latent}"
    names = read_manifest(folder / "scores", "scores")["config"]["factor_names"]
    row = np.nan_to_num(np.load(path, allow_pickle=False)[latent])
    return f"z{latent}  {names[int(row.argmax())]}"


def _scores(page: _Page, folder: Path) -> None:
    if not (folder / "scores" / "scores.parquet").exists():
        return
    table = pd.read_parquet(folder / "scores" / "scores.parquet")
    config = read_manifest(folder / "scores", "scores")["config"]
    whole = table[table["factor"] == ""]
    section = page.section(
        "scores",
        "How disentangled the code is",
        f"Scores of {config['n']:,} frames that the encoder was not trained on. MIG and DCI are 1 "
        "for a code with one latent a factor; a probe tells whether a factor can be read off the "
        "whole code at all.",
    )
    section.table = {
        "head": ["metric", "score"],
        "rows": [[_metric_words(r), f"{r['value']:.3f}"] for _, r in whole.iterrows()],
    }
    matrix = folder / "scores" / "importance.npy"
    if matrix.exists():
        importance = np.load(matrix, allow_pickle=False)
        importance = importance / np.maximum(importance.sum(0, keepdims=True), 1e-12)
        latents = [f"z{d}" for d in range(len(importance))]
        page.figure(
            "importance",
            lambda theme: matrix_heat_map(
                importance,
                latents,
                config["factor_names"],
                "Importance of each latent",
                theme,
                label="share of a factor's importance",
            ),
            "How much each latent matters for predicting each factor (DCI importance; columns sum "
            "to 1). A disentangled code has one strong cell a row.",
        )
    probes = table[(table["metric"] == "probe") & (table["factor"] != "")]
    if len(probes):
        page.figure(
            "probe",
            lambda theme: probe_bars(probes, theme),
            "Probe: how well a small network reads each factor off the code of frames it has not "
            "seen.",
        )


def _metric_words(row: Mapping[str, Any]) -> str:
    """Name a part of a metric in words."""
    names = {"mig": "MIG", "dci": "DCI", "probe": "probe", "linear_probe": "linear probe"}
    parts = {"r2": "mean R² of continuous factors", "accuracy": "mean accuracy of discrete factors",
             "informativeness": "informativeness, held out",
             "informativeness_train": "informativeness, training rows"}  # fmt: skip
    metric = names.get(row["metric"], row["metric"])
    if row["part"] == row["metric"]:
        return metric if row["metric"] in ("mig",) else f"{metric}: mean over factors"
    return f"{metric}: {parts.get(row['part'], row['part'])}"


def _success(page: _Page, folder: Path) -> None:
    path = folder / "results.parquet"
    if not path.exists():
        return
    episodes = pd.read_parquet(path)
    summary = summarize(episodes)
    names = {k: v for k, v in AGENT_NAMES.items() if k in set(summary["agent"])}
    names |= {k: k for k in summary["agent"].unique() if k not in names}
    section = page.section(
        "generalisation",
        "Zero-shot generalisation to combinations that were held out",
        "The policy is trained on some combinations of the factors and then runs, unchanged, on "
        "others. In distribution: combinations it was trained on. OOD1: the encoder saw them, the "
        "policy did not. OOD2: neither did.",
        "Success is being on the object at the end of the episode. Intervals are 95% over the "
        "episodes of one trained agent; other seeds of the training would differ more.",
    )
    section.table = _success_table(summary, names)
    page.figure(
        "success",
        lambda theme: figures.success_by_part(summary, names, theme),
        "Success rate by part of the split. All agents meet the same episodes.",
    )
    curves = {
        name: pd.read_parquet(folder / "agents" / name / "episodes.parquet")
        for name in names
        if (folder / "agents" / name / "episodes.parquet").exists()
    }
    if curves:
        page.figure(
            "learning",
            lambda theme: figures.learning_curves(curves, names, theme),
            "Success during training, on the policy's combinations.",
        )
    for animation in sorted(folder.glob("episodes-*.gif")):
        part = animation.stem.removeprefix("episodes-").upper()
        page.animation(animation, f"The agent in five episodes on {part} combinations.")


def _success_table(summary: pd.DataFrame, names: Mapping[str, str]) -> dict[str, Any]:
    parts = list(dict.fromkeys(summary["part"]))
    rows = []
    for agent, words in names.items():
        by_part = summary[summary["agent"] == agent].set_index("part")
        cells = [
            f"{by_part.loc[p, 'success']:.2f} "
            f"[{by_part.loc[p, 'success_low']:.2f}, {by_part.loc[p, 'success_high']:.2f}]"
            for p in parts
        ]
        rows.append([words, *cells])
    episodes = int(summary["episodes"].iloc[0])
    head = [f"success, {episodes} episodes each", *(p.upper() if p != "id" else p for p in parts)]
    return {"head": head, "rows": rows}


def _provenance(page: _Page, folder: Path) -> None:
    rows: list[list[str]] = []
    for name in ("encoder", "agents/latents"):
        manifest = _read_json(folder / name / "config.json") or _read_json(
            folder / name / "manifest.json"
        )
        if not manifest:
            continue
        made = manifest["provenance"]
        rows.append([f"{name}: commit", str(made["commit"] or "not a checkout")])
        if name == "encoder":
            rows.append(["encoder: fingerprint", manifest["config"]["fingerprint"]])
            rows += [[package, str(v)] for package, v in made["versions"].items()]
            rows.append(["Python", made["python"]])
    for stage, seconds in _read_json(folder / "timing.json").get("seconds", {}).items():
        rows.append([f"time: {stage}", f"{seconds:.0f} s"])
    if rows:
        section = page.section("provenance", "Where this comes from")
        section.table = {"head": ["what", "value"], "rows": rows}
