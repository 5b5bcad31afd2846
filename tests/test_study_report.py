"""The report of a study: what it says, that it says why not, and that a browser shows all of it."""

from __future__ import annotations

import base64
import dataclasses
import re
import runpy
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drl_latent.artifacts import ArtifactError
from drl_latent.report.study_builder import StudyPage
from drl_latent.report.study_figures import interval_rows, scatter
from drl_latent.report.study_findings import Findings, find
from drl_latent.report.study_headline import headline
from drl_latent.report.study_page import write_study_report
from drl_latent.report.study_tables import number_words, report_table, write_tables
from drl_latent.report.study_words import describe, part_words, sorted_parts, task_words
from drl_latent.report.theme import LIGHT
from drl_latent.study.results import StudyResults

HERE = Path(__file__).parent
EXAMPLE = runpy.run_path(str(HERE / "example_study.py"))
BROWSER = runpy.run_path(str(HERE / "headless_browser.py"))
PROGRAM = BROWSER["find_browser"]()
TASK = EXAMPLE["TASKS"][:1]
SECTIONS = {
    "answer", "set-up", "results", "profiles", "curves", "comparisons", "scores", "relations",
    "forecast", "factors", "moves", "set-back", "traversals", "films", "limits", "provenance",
}  # fmt: skip
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def results() -> StudyResults:
    return EXAMPLE["example_study"](TASK)


@pytest.fixture(scope="module")
def found(results: StudyResults) -> Findings:
    return find(results)


@pytest.fixture(scope="module")
def page(results: StudyResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study whose every table has rows, from results.parquet alone."""
    folder = tmp_path_factory.mktemp("study")
    return write_study_report(results.save(folder / "results.parquet"), folder / "report")


@pytest.fixture(scope="module")
def bare(results: StudyResults) -> StudyResults:
    """Two agents, one seed each, in distribution alone, and nothing else."""
    episodes = results.episodes
    kept = episodes["agent"].isin(["CNN end to end", "random"]) & (episodes["part"] == "id")
    kept &= episodes["agent_seed"] == 0
    tables = ("scores", "curves", "moves", "set_back", "pieces")
    nothing = {name: getattr(results, name).iloc[:0] for name in tables}
    factors = [c for c in episodes if c.startswith("factor/")]
    return dataclasses.replace(
        results, episodes=episodes[kept].drop(columns=factors), pictures={}, **nothing
    )


def text(page: Path) -> str:
    """The words of a page, without tags."""
    html = page.read_text(encoding="utf-8")
    return unescape(
        re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.S))
    )


def test_each_figure_has_a_text_for_those_who_cannot_see_it_and_a_caption_that_counts(page: Path):
    html = page.read_text(encoding="utf-8")
    figures = re.findall(r'<figure id="figure-([^"]+)".*?</figure>', html, flags=re.S)
    assert len(figures) == len(set(figures)) > 20
    for name, figure in re.findall(r'<figure id="figure-([^"]+)"(.*?)</figure>', html, flags=re.S):
        assert all(len(alt) > 20 for alt in re.findall(r'alt="([^"]*)"', figure)), name
        caption = re.search(r"<figcaption>(.*?)</figcaption>", figure, flags=re.S)
        assert caption is not None
        assert re.search(r"\d|\bone\b", caption[1]), name


def test_every_section_is_there_and_in_the_list_of_contents(page: Path):
    html = page.read_text(encoding="utf-8")
    assert set(re.findall(r'<section id="([^"]+)"', html)) == SECTIONS
    assert set(re.findall(r'<a href="#([^"]+)"', html)) == SECTIONS


def test_the_main_table_says_what_the_episodes_say(page: Path, results: StudyResults):
    table = pd.read_csv(page.parent / "tables" / "results-reach-composition.csv")
    episodes = results.episodes
    own = episodes[(episodes["agent"] == "beta-VAE, frozen") & (episodes["part"] == "ood2")]
    row = table[
        (table["agent"] == "beta-VAE, frozen")
        & (table["part"] == "ood2")
        & (table["statistic"] == "mean")
    ].iloc[0]
    assert row["value"] == pytest.approx(own["success"].mean())
    words = number_words(row["value"], row["low"], row["high"])
    assert words in text(page)
    latex = (page.parent / "tables" / "results-reach-composition.tex").read_text()
    assert words in latex.replace("$-$", MINUS)


def test_parts_are_told_apart_in_each_table_of_success(page: Path):
    for name in ("results", "more", "factors", "comparisons"):
        table = pd.read_csv(page.parent / "tables" / f"{name}-reach-composition.csv")
        assert set(table["part"]) == {"id", "ood1", "ood2"}, name


def test_pairs_of_values_are_heat_maps_of_what_the_table_holds(page: Path):
    table = pd.read_csv(page.parent / "tables" / "pairs-reach-composition.csv")
    html = page.read_text(encoding="utf-8")
    for part in ("id", "ood1", "ood2"):
        maps = re.findall(
            rf'id="heat-pairs-reach-composition-{part}-\d+">(.*?)</table>', html, flags=re.S
        )
        rows = table[(table["part"] == part) & (table["agent"] != "random")]
        titles = [re.search("<caption>(.*?)</caption>", shown)[1] for shown in maps]
        assert [unescape(title) for title in titles] == list(dict.fromkeys(rows["agent"]))
        for title, shown in zip(titles, maps, strict=True):
            cells = re.findall(r"--rate:\d+\">([\d.]+)<small>(\d+)</small>", shown)
            own = rows[rows["agent"] == unescape(title)]
            expected = zip(
                own["success"].map("{:.2f}".format), own["episodes"].map(str), strict=True
            )
            assert sorted(cells) == sorted(expected)


def test_where_nobody_says_what_success_is_the_page_is_about_returns(
    results: StudyResults, tmp_path: Path
):
    episodes = results.episodes.assign(success=np.nan)
    # With what does a return lie apart from success: it falls below 0.
    silent = dataclasses.replace(
        results,
        episodes=episodes.assign(**{"return": episodes["return"] - 20}),
        curves=results.curves.assign(success=np.nan),
        set_back=results.set_back.assign(
            success=np.nan, success_set_back=np.nan, return_set_back=1.0, **{"return": 3.0}
        ),
    )
    page = write_study_report(silent.save(tmp_path / "results.parquet"), tmp_path)
    words = text(page)
    assert "Highest return on OOD2" in words
    assert "returns stand for it" in words
    for wrong in ("Most success", "success rate", "success lost", "mean success"):
        assert wrong not in words, wrong
    html = page.read_text(encoding="utf-8")
    kinds = {name.split("-")[0] for name in re.findall(r'<figure id="figure-([^"]+)"', html)}
    with_success = write_study_report(results, tmp_path / "success").read_text(encoding="utf-8")
    assert kinds == {
        name.split("-")[0] for name in re.findall(r'<figure id="figure-([^"]+)"', with_success)
    }
    table = pd.read_csv(tmp_path / "tables" / "results-reach-composition.csv")
    assert set(table["measure"]) == {"return"}
    kept = table[(table["statistic"] == "retention") & (table["agent"] != "random")]
    assert set(kept["scale"]) == {"normalized"}, "returns have no zero"
    factors = pd.read_csv(tmp_path / "tables" / "factors-reach-composition.csv")
    own = silent.episodes.query("agent == 'true_state' and part == 'ood2'")
    row = factors.query("agent == 'true_state' and part == 'ood2'").iloc[0]
    at_value = own[np.isclose(own[f"factor/{row['factor']}"], row["value"])]
    assert row["return"] == pytest.approx(at_value["return"].mean())


def test_a_factor_alone_has_no_pairs(results: StudyResults, tmp_path: Path):
    columns = [c for c in results.episodes if c.startswith("factor/")]
    alone = results.episodes.drop(columns=columns[1:])
    page = write_study_report(dataclasses.replace(results, episodes=alone), tmp_path)
    assert "there are no two factors to pair" in text(page)
    assert not list((tmp_path / "tables").glob("pairs-*"))


def test_each_table_is_csv_and_latex(page: Path):
    files = sorted((page.parent / "tables").iterdir())
    assert {f.suffix for f in files} == {".csv", ".tex"}
    names = {f.stem for f in files}
    shown = set(re.findall(r'<table id="table-([^"]+)"', page.read_text(encoding="utf-8")))
    long = {"pairs-reach-composition"}
    assert names == shown | long
    for name in names:
        assert len(pd.read_csv(page.parent / "tables" / f"{name}.csv")), name
        latex = (page.parent / "tables" / f"{name}.tex").read_text()
        assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1, name
        assert r"\caption{" in latex, name


def test_each_figure_is_a_file_on_light_and_on_dark(page: Path):
    files = {f.name: f.read_bytes() for f in (page.parent / "figures").iterdir()}
    light = {name for name in files if not name.endswith("-dark.svg")}
    assert light
    assert {f"{name.removesuffix('.svg')}-dark.svg" for name in light} == set(files) - light
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/svg+xml;base64,") == len(files)
    for name, drawing in files.items():
        assert base64.b64encode(drawing).decode() in html, name


def test_provenance_has_commit_versions_seeds_hashes_and_wall_time(page: Path):
    words = text(page)
    for needed in (
        "0123456789abcdef0123456789abcdef01234567",
        "2.13.0",
        "seeds of encoders 0, 1, 2",
        "SHA-256 of the episodes",
        "wall time of all pieces",
    ):
        assert needed in words, needed


def test_the_same_results_give_the_same_bytes_from_a_file_or_not(
    bare: StudyResults, tmp_path: Path
):
    again = write_study_report(bare.save(tmp_path / "results.parquet"), tmp_path / "again")
    first = write_study_report(bare, tmp_path / "first")
    files = sorted(p.relative_to(first.parent) for p in first.parent.rglob("*") if p.is_file())
    assert Path("report.html") in files
    for file in files:
        assert (first.parent / file).read_bytes() == (again.parent / file).read_bytes(), file


def test_what_is_missing_is_said_and_not_drawn(bare: StudyResults, tmp_path: Path):
    page = write_study_report(bare, tmp_path)
    words = text(page)
    for needed in (
        "Whether disentanglement transfers is not known",
        "There is no gap",
        "There are no learning curves",
        "There are no pairs",
        "There are no scores",
        "Nothing to relate",
        "There is no forecast",
        "There are no values to tell apart",
        "It was not measured: the results hold no moves of latents",
        "no episodes in which a latent was set back",
        "There are no traversals",
        "There are no films",
        "no wall time",
        "Some agents have one run",
    ):
        assert needed in words, needed
    html = page.read_text(encoding="utf-8")
    assert set(re.findall(r'<figure id="figure-([a-z]+)', html)) == {"success", "profiles"}


def test_names_are_text_wherever_they_come_from(bare: StudyResults, tmp_path: Path):
    name = "<script>alert(1)</script> 50% of_a & b"
    episodes = bare.episodes.replace({"agent": {"CNN end to end": name}})
    page = write_study_report(dataclasses.replace(bare, episodes=episodes), tmp_path)
    assert "<script" not in page.read_text(encoding="utf-8")
    assert name in text(page).replace("  ", " ")
    latex = (tmp_path / "tables" / "results-reach-composition.tex").read_text()
    assert r"50\% of\_a \& b" in latex


def test_results_that_cannot_be_reported_are_refused(bare: StudyResults, tmp_path: Path):
    with pytest.raises(ArtifactError, match="no episodes"):
        write_study_report(dataclasses.replace(bare, episodes=bare.episodes.iloc[:0]), tmp_path)
    with pytest.raises(ArtifactError, match="not there"):
        write_study_report(tmp_path / "results.parquet", tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.9, -0.2, "Yes, as far as this study can tell"),
        (0.1, 0.8, "No, the opposite"),
        (-0.9, 0.8, "It cannot be told"),
    ],
)
def test_the_headline_is_what_the_interval_says(
    found: Findings, low: float, high: float, verdict: str
):
    relations = found.relations.assign(low=low, high=high, rho=(low + high) / 2)
    sentence, best = headline(StudyPage(), dataclasses.replace(found, relations=relations))
    assert sentence.startswith(verdict)
    assert number_words((low + high) / 2, low, high) in sentence
    assert "DCI" in sentence
    assert "OOD2" in sentence
    assert "CNN end to end" in best


def test_the_headline_counts_tasks_where_they_differ(found: Findings):
    push = found.relations.assign(env="DrlLatent/Push-v0", low=-1.0, high=0.5)
    both = pd.concat([found.relations.assign(low=-0.9, high=-0.2), push], ignore_index=True)
    sentence, *_ = headline(StudyPage(), dataclasses.replace(found, relations=both))
    assert "of 2 tasks" in sentence
    assert "less on 1, and on 1 it cannot be told" in sentence


def test_points_stand_in_groups_in_the_order_of_the_table():
    table = pd.DataFrame(
        {
            "group": ["b", "b", "a"],
            "series": ["ID", "OOD2", "OOD2"],
            "value": [0.5, -0.001, np.nan],
            "low": [0.4, np.nan, np.nan],
            "high": [0.7, np.nan, np.nan],
        }
    )
    figure = interval_rows(table, LIGHT, label="success", reference=0.0)
    axis = figure.axes[0]
    words = [t.get_text() for t in axis.texts]
    assert words == ["0.50 [0.40, 0.70]", "0.00", "no value", "b", "a"]
    heights = [t.xy[1] for t in axis.texts[:3]]  # type: ignore[attr-defined]
    assert heights == sorted(heights)
    legend = axis.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["ID", "OOD2"]


def test_figures_without_rows_are_refused():
    columns = ["group", "series", "value", "low", "high", "x", "y"]
    empty = pd.DataFrame(columns=columns)
    with pytest.raises(ValueError, match="no rows"):
        interval_rows(empty, LIGHT, label="")
    with pytest.raises(ValueError, match="no rows"):
        scatter(empty, LIGHT, x_label="", y_label="")


def test_numbers_in_words():
    assert number_words(-0.25, -0.5, 0.001) == f"{MINUS}0.25 [{MINUS}0.50, 0.00]"
    assert number_words(-0.001, np.nan, np.nan) == "0.00"
    assert number_words(np.nan, 0.1, 0.2) == "no value"


def test_two_tables_of_one_name_are_refused(tmp_path: Path):
    table = report_table("a", "Twice.", pd.DataFrame({"x": [1.5]}))
    with pytest.raises(ValueError, match="twice"):
        write_tables([table, table], tmp_path)


def test_words_of_the_study():
    assert task_words(("DrlLatent/Push-v0", "composition")) == "Push, composition"
    assert sorted_parts(["ood/hue", "ood2", "id", "ood1"]) == ["id", "ood1", "ood2", "ood/hue"]
    assert part_words("ood/hue") == "OOD in hue"
    assert describe({"label": "b", "beta": 4.0, "none": None}) == "b (beta 4.0)"
    recipe = {"label": "", "objective": "vae", "latents": 10}
    assert describe([recipe, {**recipe, "label": "other"}]) == (
        "vae (latents 10); other (latents 10, objective vae)"
    )
    assert describe([1, 20_000]) == "1, 20,000"


_FIGURES = """
[...document.images].map(i => ({
  alt: i.alt, drawn: i.complete && i.naturalWidth > 0 && i.getBoundingClientRect().width > 40,
  dark: i.parentElement.querySelector('source') !== null
        && i.currentSrc === i.parentElement.querySelector('source').srcset,
}))
"""


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium here: apt-get install chromium")
def test_a_browser_shows_every_figure_and_asks_for_nothing_else(page: Path):
    html = page.read_text(encoding="utf-8")
    with BROWSER["browser"](PROGRAM) as tab:
        for width, dark in ((1200, False), (1200, True), (390, False)):
            tab.show(width, dark=dark, phone=width < 500)
            tab.open(page)
            figures = tab.evaluate(_FIGURES)
            assert len(figures) == html.count("<img ")
            assert not [f["alt"] for f in figures if not f["drawn"]]
            in_both = [f["dark"] for f in figures if f["dark"] or not dark]
            assert any(in_both) == dark
            assert tab.complaints == []
            asked = [url for url in tab.requests if not url.startswith("data:")]
            assert asked == [page.resolve().as_uri()]
            # Wide tables scroll by themselves: the page does not move sideways.
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(13, 17, 23)") == dark
