"""Sections on how a study was made: its question, pictures, limits, and where numbers come from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import PurePosixPath

import pandas as pd

from drl_latent.artifacts import digest
from drl_latent.report.study_builder import StudyPage
from drl_latent.report.study_tables import ReportTable, report_table, slug
from drl_latent.report.study_words import (
    PARTS_EXPLAINED,
    RANDOM,
    describe,
    env_words,
    main_parts,
    part_words,
    sorted_agents,
    sorted_parts,
)
from drl_latent.study.results import StudyResults

_APART = ("name", "question", "title")
"""Settings that stand elsewhere on the page."""
_FILMED = {"best": "of the highest return", "worst": "of the lowest return"}


def set_up_section(page: StudyPage, results: StudyResults) -> None:
    """Tell the question, what was compared, and what the parts are."""
    page.section("set-up", "Question and set-up")
    if question := results.study.get("question"):
        page.say(str(question))
    parts = main_parts(results.episodes["part"])
    page.say("Parts are never pooled. " + "; ".join(PARTS_EXPLAINED[p] for p in parts) + ".")
    rows = [
        (key.replace("_", " "), words)
        for key, value in sorted(results.study.items())
        if key not in _APART and (words := describe(value))
    ]
    rows += _found(results.episodes)
    page.table(
        report_table(
            "set-up",
            "What was compared: the configuration of the study, and what its results hold.",
            pd.DataFrame(rows, columns=["setting", "value"]),
        )
    )


def _found(episodes: pd.DataFrame) -> list[tuple[str, str]]:
    counts = episodes.groupby(["env", "split", "agent", "part"], sort=False).size()
    least, most = int(counts.min()), int(counts.max())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return [
        ("agents in the results", "; ".join(sorted_agents(episodes["agent"]))),
        ("parts in the results", ", ".join(map(part_words, sorted_parts(episodes["part"])))),
        ("episodes in the results", f"{len(episodes):,}; {each} an agent, task and part"),
    ]


def traversals_section(page: StudyPage, results: StudyResults) -> None:
    """Show what each latent of the encoders does."""
    page.section(
        "traversals",
        "What each latent does",
        "One frame is encoded; each row decodes it with one latent moved across its range and the "
        "others held. In a disentangled code one thing changes along a row.",
    )
    found, words = _pictures(results, "traversals", 3), _env_words(results)
    if not found:
        page.missing("There are no traversals: the results hold no pictures of them.")
    for (env, split, encoder), path in found.items():
        task = f"{words.get(env, env)}, {split.replace('_', ' ')}"
        page.pictures(
            slug("traversals", env, split, encoder),
            [
                (
                    results.pictures[path],
                    PurePosixPath(path).suffix[1:],
                    f"Latent traversals of {encoder} on {task}: a row of decoded frames a latent.",
                    "",
                )
            ],
            f"{encoder} on {task}: traversals of one encoder, from one frame.",
        )


def films_section(page: StudyPage, results: StudyResults) -> None:
    """Show an episode that succeeded and one that failed, of each agent; or the best and worst."""
    page.section(
        "films",
        "Success and failure on film",
        "At the resolution that the agent sees. One episode each, chosen for its outcome: films "
        "show how agents succeed and fail, not how often.",
    )
    words = _env_words(results)
    by_agent: dict[tuple[str, str, str], dict[str, str]] = {}
    for (env, split, agent, what), path in _pictures(results, "films", 4).items():
        by_agent.setdefault((env, split, agent), {})[what] = path
    if not by_agent:
        page.missing("There are no films: the results hold none.")
    for (env, split, agent), films in by_agent.items():
        task = f"{words.get(env, env)}, {split.replace('_', ' ')}"
        kinds = ("best", "worst") if {"best", "worst"} & set(films) else ("success", "failure")
        shown = [what for what in kinds if what in films]
        lacking = [what for what in kinds if what not in films]
        words_of = {what: _FILMED.get(what, what) for what in kinds}
        page.pictures(
            slug("film", env, split, agent),
            [
                (
                    results.pictures[films[what]],
                    PurePosixPath(films[what]).suffix[1:],
                    f"Film of an episode of {agent} on {task}: {words_of[what]}.",
                    words_of[what].removeprefix("of the "),
                )
                for what in shown
            ],
            f"{agent} on {task}: " + " and ".join(f"one {words_of[what]}" for what in shown)
            + "".join(f"; no {what} was filmed" for what in lacking) + ".",
            films=True,
        )  # fmt: skip


def _env_words(results: StudyResults) -> dict[str, str]:
    """Return what environments are called, by their ids with and without a slash."""
    ids = [str(env) for env in results.episodes["env"].unique()]
    return {name: env_words(env) for env in ids for name in (env, env.replace("/", "-"))}


def _pictures(results: StudyResults, kind: str, parts: int) -> dict[tuple[str, ...], str]:
    """Return the parts of the names of pictures, the environment's id as one, to the names.

    An environment's id may have a slash; the other parts of a name have none.
    """
    found = {}
    for name in sorted(results.pictures):
        head, _, rest = name.partition("/")
        pieces = rest.rsplit(".", 1)[0].rsplit("/", parts - 1)
        if head == kind and len(pieces) == parts:
            found[tuple(pieces)] = name
    return found


def limits_section(page: StudyPage, results: StudyResults) -> None:
    """Say what the numbers do not tell."""
    page.section("limits", "Limits")
    episodes = results.episodes[results.episodes["agent"] != RANDOM]
    for words in _limits(results, episodes):
        page.say(words)


def _limits(results: StudyResults, episodes: pd.DataFrame) -> Iterable[str]:
    runs = _runs(episodes)
    least, most = (int(runs.min()), int(runs.max())) if len(runs) else (0, 0)
    count = str(least) if least == most else f"{least} to {most}"
    word = "run" if most == 1 else "runs"
    yield (
        f"Each agent was trained in {count} {word} a task (a run is a seed of the encoder and one "
        "of the agent). Intervals over seeds say what other seeds of the training would give on "
        "these very episodes: they aim at holding the truth in 95 of 100 studies like this, which "
        "is hard to reach with few seeds. They do not speak for other tasks, budgets or tunings."
    )
    if least < 2:
        yield (
            "Some agents have one run: their intervals speak for the episodes of that run alone, "
            "and another seed of the training may differ by more."
        )
    encoders = results.scores["encoder"].nunique()
    yield (
        f"Relations between scores and success are over {encoders} "
        f"{'encoder' if encoders == 1 else 'encoders'} (each with its seeds), and say what went "
        "together here, not what caused what. Of many pairs of scores and outcomes some look "
        "strong by chance."
    )
    yield (
        "All tasks are simulated, with factors that are known and set exactly; nothing here was "
        "measured on a robot."
    )


def _runs(episodes: pd.DataFrame) -> pd.Series:
    """Return how many runs each agent has on each task."""
    keys = ["env", "split", "agent", "encoder_seed", "agent_seed"]
    return episodes[keys].drop_duplicates().groupby(keys[:3], sort=False).size()


def provenance_section(page: StudyPage, results: StudyResults) -> None:
    """Tell commit, versions, seeds, hashes, and how long each piece took."""
    page.section("provenance", "Where this comes from")
    page.table(
        report_table(
            "provenance",
            "What made the results. The hash of the episodes is the SHA-256 of their table as CSV "
            "(pandas, without an index).",
            pd.DataFrame(_provenance(results), columns=["what", "value"]),
        )
    )
    if results.pieces.empty:
        page.missing("There are no pieces of work in the results, so no wall time.")
        return
    page.table(_time_table(results.pieces))
    page.table(_pieces_table(results.pieces), folded=True)


def _provenance(results: StudyResults) -> list[tuple[str, str]]:
    made, episodes = results.provenance, results.episodes
    with_encoder = episodes[episodes["encoder"].fillna("") != ""]
    trained = episodes[episodes["agent"] != RANDOM]
    rows = [
        ("commit", str(made.get("commit") or "not a checkout")),
        *((str(k), str(v or "not installed")) for k, v in sorted(made.get("versions", {}).items())),
        *((k, str(made[k])) for k in ("python", "platform") if k in made),
        ("seeds of encoders", _seeds(with_encoder["encoder_seed"])),
        ("seeds of agents", _seeds(trained["agent_seed"])),
        ("hash of the configuration", digest(dict(results.study))),
        ("SHA-256 of the episodes", _sha256(episodes)),
    ]
    if len(results.pieces):
        rows.append(("wall time of all pieces", _duration(float(results.pieces["seconds"].sum()))))
    return rows


def _seeds(column: pd.Series) -> str:
    seeds = sorted(int(seed) for seed in column.dropna().unique())
    return ", ".join(map(str, seeds)) or "none"


def _sha256(table: pd.DataFrame) -> str:
    content = table.to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(content.encode()).hexdigest()


def _time_table(pieces: pd.DataFrame) -> ReportTable:
    kinds = pieces.groupby("kind", sort=False)["seconds"].agg(["size", "sum", "max"]).reset_index()
    kinds.columns = ["kind", "pieces", "seconds", "longest_seconds"]
    words = pd.DataFrame(
        {
            "kind": kinds["kind"],
            "pieces": kinds["pieces"].map(str),
            "wall time": kinds["seconds"].map(_duration),
            "longest": kinds["longest_seconds"].map(_duration),
        }
    )
    caption = f"Wall time of {len(pieces)} pieces of work by kind, added up over all of them."
    return report_table("wall-time", caption, kinds, words)


def _pieces_table(pieces: pd.DataFrame) -> ReportTable:
    columns = ["kind", "label", "seconds", "key", "commit", "host", "started"]
    words = pd.DataFrame(
        {
            "label": pieces["label"].astype(str),
            "kind": pieces["kind"].astype(str),
            "wall time": pieces["seconds"].map(_duration),
            "hash": pieces["key"].astype(str),
            "commit": pieces["commit"].map(lambda c: str(c or "")[:12]),
            "host": pieces["host"].astype(str),
        }
    )
    caption = f"All {len(pieces)} pieces of work: wall time, hash of the settings, and where."
    return report_table("pieces", caption, pieces[columns], words)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
