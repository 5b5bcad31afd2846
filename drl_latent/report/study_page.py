"""The report of a study: one self-contained page; its tables and figures beside it as files."""

from __future__ import annotations

from pathlib import Path

import jinja2

from drl_latent.artifacts import ArtifactError, write_bytes
from drl_latent.report.figure_files import FOLDER as FIGURES
from drl_latent.report.page import PAGE
from drl_latent.report.study_builder import StudyPage
from drl_latent.report.study_codes import moves_section, scores_section, set_back_section
from drl_latent.report.study_factors import factors_section
from drl_latent.report.study_findings import find
from drl_latent.report.study_headline import headline
from drl_latent.report.study_record import (
    films_section,
    limits_section,
    provenance_section,
    set_up_section,
    traversals_section,
)
from drl_latent.report.study_relations import forecast_section, relations_section
from drl_latent.report.study_runs import comparisons_section, curves_section, profiles_section
from drl_latent.report.study_success import results_section
from drl_latent.report.study_tables import FOLDER, write_tables
from drl_latent.report.study_words import RANDOM, task_words, tasks_of
from drl_latent.study.results import StudyResults


def write_study_report(results: StudyResults | str | Path, out: str | Path) -> Path:
    """Write ``report.html``, which needs no other file, ``tables`` and ``figures``.

    Each table is there as CSV and as LaTeX, each figure as SVG, on light and on dark.

    The same results give the same bytes. What the results hold no rows for is said in its place.

    Args:
        results: The results of a study, or its ``results.parquet``.
        out: Folder to write into; files of these names in it are replaced.

    Returns:
        The page.

    Raises:
        ArtifactError: The file is not the results of a study, or there are no episodes in it.
    """
    if not isinstance(results, StudyResults):
        results = StudyResults.load(results)
    if results.episodes.empty:
        raise ArtifactError(
            "The results have no episodes, so there is nothing to report. Run the study first: "
            "`drl-latent study`."
        )
    found = find(results)
    page = StudyPage()
    first = headline(page, found)
    set_up_section(page, results)
    results_section(page, found)
    profiles_section(page, found)
    curves_section(page, found)
    comparisons_section(page, found)
    scores_section(page, results)
    relations_section(page, found)
    forecast_section(page, found)
    factors_section(page, found)
    moves_section(page, results)
    set_back_section(page, found)
    traversals_section(page, results)
    films_section(page, results)
    limits_section(page, results)
    provenance_section(page, results)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(page.tables, folder / FOLDER)
    (folder / FIGURES).mkdir(exist_ok=True)
    for name, drawing in page.drawings.items():
        write_bytes(folder / FIGURES / name, drawing)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("drl_latent.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("study.html.j2").render(
        title=_title(results),
        subtitle=_subtitle(results),
        headline=first,
        sections=page.sections,
    )
    path = folder / PAGE
    write_bytes(path, html.encode())
    return path


def _title(results: StudyResults) -> str:
    name = results.study.get("title") or results.study.get("name")
    return f"Study: {name}" if name else "Study: does disentanglement transfer?"


def _subtitle(results: StudyResults) -> str:
    episodes = results.episodes
    trained = episodes[episodes["agent"] != RANDOM]
    keys = ["env", "split", "agent", "encoder_seed", "agent_seed"]
    return (
        f"{'; '.join(map(task_words, tasks_of(episodes)))}. "
        f"{trained['agent'].nunique()} kinds of agents, {len(trained[keys].drop_duplicates())} "
        f"trained in all, {len(episodes):,} episodes of evaluation."
    )
