"""How often do the 95% intervals of a study contain the truth, with as few seeds as users have?

    python scripts/check_coverage.py
    python scripts/check_coverage.py --repetitions 200 --only methods

Each repetition draws a study whose truth is known. A run succeeds in an episode with probability
Phi(level + encoder + agent + episode), where encoder, agent and episode seeds have normal effects
on the probit scale; so the mean success over all seeds is Phi(level / sqrt(1 + variances)). Then it
looks whether the interval contains that. Three questions:

- `methods`: which interval of the mean success is best with 3, 5 and 10 encoder seeds of 1 or 2
  agents each, with 100 or 200 episodes? The default, Student's t on the logit scale from resamples
  of seeds with a floor; the same without the logit scale and the floor; and resampled percentiles,
  plain and BCa.
- `statistics`: what are the default's intervals of the other statistics worth?
- `episodes`: all runs meet the same episodes, some harder than others. Is it the success on these
  very episodes or on the whole part that the interval is about, and what does it help to draw
  episodes again too?

Repetitions are kept in the output folder, so an interrupted call goes on where it stopped. Delete
the folder when the statistics have changed.
"""

from __future__ import annotations

import os

# One thread each, before numpy is imported: two processes share two cores.
os.environ["OMP_NUM_THREADS"] = "1"

import itertools
import time
import zlib
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure
from scipy import special, stats

from drl_latent.artifacts import write_bytes
from drl_latent.evaluation import interquartile_mean, probability_of_improvement
from drl_latent.evaluation.paired_tests import improvement_interval, paired_difference
from drl_latent.evaluation.run_statistics import OF_A_PART, OF_TWO_PARTS, estimate_statistic
from drl_latent.evaluation.seed_bootstrap import (
    Method,
    Stratum,
    draw_counts,
    draw_episodes,
    wilson,
)
from drl_latent.report.theme import DARK, LIGHT, Theme, draw, series_styles

ENCODER, AGENT, PART, SHARED = 0.5, 0.3, 0.3, 1.0
"""Standard deviations of effects on the probit scale: of encoder seeds, of agent seeds, of agent
seeds on one part alone, and of episodes in `episodes`."""
HARDER = 0.5
"""How much lower the level is out of distribution, and that of the other agent."""
SUCCESS = (0.5, 0.9, 0.99)
SEEDS = (3, 5, 10)
QUESTIONS = ("methods", "statistics", "episodes")
_CHUNK = 100
_POPULATION = 400_000


@dataclass(frozen=True)
class Args:
    """What is repeated."""

    only: tuple[str, ...] = QUESTIONS
    """Questions."""
    repetitions: int = 400
    """Repetitions of each design."""
    draws: int = 1_000
    """Resamples of each interval."""
    jobs: int = 2
    """Repetitions at a time, one core each."""
    out: Path = Path("runs/bench/coverage")
    """Folder of repetitions, tables and figure."""


@dataclass(frozen=True)
class Design:
    """A study: encoder seeds, agent seeds of each, episodes, mean success, number of tasks."""

    question: str
    seeds: int
    agents: int
    episodes: int
    success: float
    tasks: int = 1


def designs(args: Args) -> list[Design]:
    """All designs of the questions."""
    found = []
    for question in args.only:
        if question not in QUESTIONS:
            raise SystemExit(f"Expected some of {QUESTIONS}, got {question!r}.")
        if question == "methods":
            grid = itertools.product(SEEDS, (1, 2), (100, 200), SUCCESS)
            found += [Design(question, *each) for each in grid]
        else:
            tasks = (1, 4) if question == "statistics" else (1,)
            grid = itertools.product(SEEDS, SUCCESS, tasks)
            found += [Design(question, n, 1, 100, p, k) for n, p, k in grid]
    return found


def level_of(design: Design) -> tuple[float, float]:
    """The level that gives the mean success, and the standard deviation of all effects."""
    shared = SHARED if design.question == "episodes" else 0.0
    spread = float(np.sqrt(ENCODER**2 + AGENT**2 + PART**2 + shared**2))
    return float(stats.norm.ppf(design.success)) * float(np.hypot(1, spread)), spread


def draw_study(design: Design, rng: np.random.Generator) -> np.ndarray:
    """Success of two agents in and out of distribution: [task, agent, part, encoder, run, episode].

    Agents and parts are 0 and 1.
    """
    level, _ = level_of(design)
    k, n, a, e = design.tasks, design.seeds, design.agents, design.episodes
    effects = level + np.zeros((k, 2, 2, n, a, e))
    effects[:, 1] -= HARDER
    effects[:, :, 1] -= HARDER
    effects += ENCODER * rng.standard_normal((k, 2, 1, n, 1, 1))
    effects += AGENT * rng.standard_normal((k, 2, 1, n, a, 1))
    effects += PART * rng.standard_normal((k, 2, 2, n, a, 1))
    if design.question == "episodes":
        # The same episodes for all runs.
        effects += SHARED * rng.standard_normal((k, 1, 2, 1, 1, e))
    return np.asarray(rng.random(effects.shape) < special.ndtr(effects)).astype(float)


def truths(design: Design) -> dict[str, float]:
    """What the statistics of infinitely many seeds are."""
    level, spread = level_of(design)
    scale = np.hypot(1, spread)
    id_, ood = (float(stats.norm.cdf(x / scale)) for x in (level, level - HARDER))
    # Of the scores of runs, which are means of finitely many episodes.
    rng = np.random.default_rng(0)
    effects = level + spread * rng.standard_normal(_POPULATION)
    one, other = (
        rng.binomial(design.episodes, stats.norm.cdf(effects - shift)) / design.episodes
        for shift in (0, HARDER)
    )
    # The order of independent runs is that of any pairing of them.
    other = rng.permutation(other)
    return {
        "mean": id_,
        "iqm": float(interquartile_mean(one)),
        "optimality_gap": 1 - id_,
        "generalization_gap": id_ - ood,
        "retention": ood / id_,
        "difference": id_ - ood,
        "improvement": float(((one > other) + 0.5 * (one == other)).mean()),
    }


def resampled(
    study: np.ndarray, args: Args, seed: int, *, method: Method = "student",
    with_episodes: bool = False,
) -> list[Stratum]:  # fmt: skip
    """The first agent's runs on each task, both parts, resampled as `summarize_study` does it."""
    _, _, parts, n, a, e = study.shape
    seeds = np.arange(n).repeat(a)
    strata = []
    for number, task in enumerate(study[:, 0]):
        rng = np.random.default_rng([seed, number])
        counts = draw_counts(seeds, args.draws, rng, leave_one_out=method == "student")
        results = task.reshape(parts, n * a, e)
        scores = drawn = tuple(results.mean(axis=2))
        if with_episodes:
            drawn = tuple(draw_episodes(part, args.draws, rng) for part in results)
        strata.append(Stratum(scores, drawn, counts, seeds))
    return strata


def interval(
    strata: list[Stratum], name: str, episodes: int, method: Method = "student"
) -> tuple[float, float]:
    """The interval of a statistic, as `summarize_study` makes it."""
    ranges = [[(0.0, 1.0)] * 2] * len(strata)
    found = estimate_statistic(name, strata, ranges, trials=episodes, method=method)
    return found.low, found.high


def repeat(design: Design, args: Args, repetition: int) -> list[dict[str, Any]]:
    """Intervals of one study, one row each."""
    rng = np.random.default_rng([zlib.crc32(repr(astuple(design)).encode()), repetition])
    study = draw_study(design, rng)
    strata, episodes = resampled(study, args, repetition), study[:, 0, 0].size
    rows = []

    def keep(method: str, statistic: str, ends: tuple[float, float]) -> None:
        rows.append({"repetition": repetition, "method": method, "statistic": statistic,
                     "low": ends[0], "high": ends[1]})  # fmt: skip

    if design.question == "methods":
        first = study[0, 0, 0]
        seeds = first.mean(axis=(1, 2))
        reach, _ = paired_difference([seeds])[1:]
        keep("default", "mean", interval(strata, "mean", episodes))
        # Alike seeds have no width here; elsewhere they have no interval.
        reach = 0.0 if np.isnan(reach) else reach
        keep("t of seeds", "mean", (seeds.mean() - reach, seeds.mean() + reach))
        plain = resampled(study, args, repetition, method="percentile")
        keep("percentile", "mean", interval(plain, "mean", episodes, "percentile"))
        keep("BCa", "mean", bca(seeds, args.draws, rng))
        keep("Wilson of episodes", "mean", wilson(first.mean(), first.size))
    elif design.question == "episodes":
        more = resampled(study, args, repetition, with_episodes=True)
        for name in ("mean", "generalization_gap"):
            keep("of seeds", name, interval(strata, name, episodes))
            keep("of seeds and episodes", name, interval(more, name, episodes))
    else:
        for name in (*OF_A_PART, *OF_TWO_PARTS):
            keep("default", name, interval(strata, name, episodes))
        one, other = study[:, :, 0].mean(axis=(4,)).swapaxes(0, 1)
        value, reach, _ = paired_difference(list((one - other).mean(axis=2)))
        keep("default", "difference", (value - reach, value + reach))
        pairs = [(x.ravel(), y.ravel()) for x, y in zip(one, other, strict=True)]
        chance = float(np.mean([probability_of_improvement(x, y) for x, y in pairs]))
        sizes = [(design.seeds, design.seeds)] * design.tasks
        keep("default", "improvement", improvement_interval(chance, sizes))
        keep("percentile", "improvement", resampled_improvement(pairs, args.draws, rng))
    return rows


def bca(seeds: np.ndarray, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """BCa of the mean over seeds, from scipy; of no width where all are alike."""
    if np.ptp(seeds) == 0:
        return float(seeds[0]), float(seeds[0])
    found = stats.bootstrap((seeds,), np.mean, n_resamples=draws, method="BCa", random_state=rng)
    return found.confidence_interval.low, found.confidence_interval.high


def resampled_improvement(
    pairs: list[tuple[np.ndarray, np.ndarray]], draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Percentiles of the probability of improvement over resamples of seeds."""
    chances = []
    for one, other in pairs:
        better = (one[:, None] > other) + 0.5 * (one[:, None] == other)
        rows, columns = rng.integers(len(one), size=(2, draws, len(one)))
        chances.append(better[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2)))
    low, high = np.quantile(np.mean(chances, axis=0), [0.025, 0.975])
    return float(low), float(high)


def kept(design: Design, args: Args) -> pd.DataFrame:
    """All repetitions of a design, those that are missing computed now."""
    path = args.out / ", ".join(str(x) for x in (*astuple(design), args.draws))
    path = path.with_name(path.name + ".parquet")
    table = pd.read_parquet(path) if path.exists() else pd.DataFrame({"repetition": []})
    missing = sorted(set(range(args.repetitions)) - set(table["repetition"].astype(int)))
    run = joblib.Parallel(args.jobs)
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        rows = run(joblib.delayed(repeat)(design, args, i) for i in chunk)
        table = pd.concat([table, pd.DataFrame(itertools.chain(*rows))])
        write_bytes(path, table.to_parquet())
    return table[table["repetition"] < args.repetitions]


def check(design: Design, args: Args) -> list[dict[str, Any]]:
    """What the intervals of one design are worth; one that is missing does not cover."""
    known = truths(design)
    rows = []
    for (method, name), table in kept(design, args).groupby(["method", "statistic"], sort=False):
        inside = (table["low"] <= known[name] + 1e-12) & (table["high"] >= known[name] - 1e-12)
        ends = stats.binomtest(int(inside.sum()), len(inside)).proportion_ci(method="wilson")
        rows.append({
            "question": design.question, "seeds": design.seeds, "agents": design.agents,
            "episodes": design.episodes, "tasks": design.tasks, "success": design.success,
            "statistic": name, "method": method, "known": known[name],
            "covers": float(inside.mean()), "least": ends.low, "most": ends.high,
            "missing": float(table["low"].isna().mean()),
            "width": float((table["high"] - table["low"]).median()),
        })  # fmt: skip
    return rows


def coverage_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row a design, one column a method: coverage, and the median width in brackets."""
    cells = table.assign(cell=[f"{c:.2f} ({w:.2f})" for c, w in table[["covers", "width"]].values])
    where = [c for c in ("statistic", "success", "seeds", "agents", "episodes", "tasks")
             if table[c].nunique() > 1]  # fmt: skip
    if table["method"].nunique() == 1:
        return cells[[*where, "cell"]]
    wide = cells.pivot(index=where, columns="method", values="cell").reset_index()
    return wide[[*where, *table["method"].unique()]]


def statistics_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row a design, one column a statistic: coverage, and the share without an interval."""
    cells = table.assign(
        cell=[f"{c:.2f}" + (f" (none: {m:.2f})" if m else "")
              for c, m in table[["covers", "missing"]].values],
        what=[s if m == "default" else f"{s}, {m}"
              for s, m in table[["statistic", "method"]].values],
    )  # fmt: skip
    wide = cells.pivot(index=["tasks", "success", "seeds"], columns="what", values="cell")
    return wide.reset_index()[["tasks", "success", "seeds", *cells["what"].unique()]]


def methods_figure(table: pd.DataFrame, theme: Theme) -> Figure:
    """Coverage by seeds, one panel a success, one line a method: mean and range of designs."""
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    panels = figure.subplots(1, len(SUCCESS), sharey=True)
    methods = list(table["method"].unique())
    styles = series_styles(theme, len(methods))
    for panel, success in zip(panels, SUCCESS, strict=True):
        panel.axhline(0.95, color=theme.text, lw=0.8, ls=":")
        for number, (method, style) in enumerate(zip(methods, styles, strict=True)):
            rows = table[(table["success"] == success) & (table["method"] == method)]
            cover = rows.groupby("seeds")["covers"].agg(["mean", "min", "max"])
            places = np.arange(len(cover)) + 0.06 * (number - 2)
            panel.vlines(places, cover["min"], cover["max"], color=style.colour, lw=1.4)
            panel.plot(places, cover["mean"], color=style.colour, marker=style.marker,
                       ls=style.dash, ms=5, lw=1.2, label=method)  # fmt: skip
        panel.set_xticks(range(len(SEEDS)), [str(n) for n in SEEDS])
        panel.set_title(f"mean success {success}")
        panel.set_xlabel("encoder seeds")
        panel.grid(axis="y", lw=0.6)
        panel.set_ylim(0, 1.02)
    panels[0].set_ylabel("95% intervals that contain it")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def markdown(table: pd.DataFrame) -> str:
    """The table, as Markdown."""
    body = table.map(str).to_numpy().tolist()
    lines = [list(table.columns), ["---"] * len(table.columns), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def main(args: Args) -> None:
    """Compute what is missing, and write tables and figure."""
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for design in designs(args):
        begin = time.perf_counter()
        rows += check(design, args)
        print(f"{design}: {time.perf_counter() - begin:.0f} s", flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(args.out / "coverage.csv", index=False)
    for question, part in table.groupby("question", sort=False):
        shape = statistics_table if question == "statistics" else coverage_table
        text = markdown(shape(part))
        (args.out / f"{question}.md").write_text(text, encoding="utf-8")
        print(f"\n{question}, {args.repetitions} repetitions\n\n{text}")
        if question == "methods":
            for theme in (LIGHT, DARK):
                figure = draw(lambda theme, part=part: methods_figure(part, theme), theme)
                (args.out / f"coverage_{theme.name}.svg").write_bytes(figure)
    short = table[(table["most"] < 0.95) & table["method"].isin(["default", "of seeds"])]
    worst = short.sort_values("covers").head(10)
    print(f"The default falls short of 0.95 in {len(short)} rows; the worst:")
    columns = ["statistic", "success", "seeds", "agents", "episodes", "tasks", "covers", "missing"]
    print(markdown(worst[columns]))


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
