"""Do the 95% intervals of metrics contain the score that is known? How often, and if not, why.

    python scripts/check_intervals.py
    python scripts/check_intervals.py --only mig sap --methods

Each repetition draws rows, scores them by a metric's defaults, and looks whether the interval
contains what the score is known to be: where every outcome of a discrete world is scored once, by
a formula, or, for codes of bounded noise, of 200 times the rows. A score of few rows can be biased,
which no width of an interval mends; so the table has the mean of all repetitions too, and how often
the intervals contain that. If they contain the mean but not the known score, it is bias; if they
contain neither, they are too narrow.

`--methods` compares other intervals of the same scores: from other shares of the rows than half,
corrected for bias, or of percentiles.

Each metric's repetitions are kept in the output folder, so an interrupted call goes on where it
stopped. Delete the folder when metrics have changed.
"""

from __future__ import annotations

import os

# One thread each, before numpy is imported: two processes share two cores.
os.environ["OMP_NUM_THREADS"] = "1"

import inspect
import itertools
import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import tyro
from known_scores import FORMULAS, WORLDS, Data, discrete_mig, every_outcome
from matplotlib.figure import Figure
from scipy import stats

from drl_latent.artifacts import write_bytes, write_json
from drl_latent.metrics import METRICS, CorrelatedFactorsWarning, split_inputs
from drl_latent.report.theme import DARK, LIGHT, Theme, draw, name_margin, sized_axes

LARGE = 200
"""Times the rows that stand for all there are, where no formula and no enumeration does."""
SHARES = (0.5, 0.75, 0.9)
DRAWS = 50
_CHUNK = 20


@dataclass(frozen=True)
class Args:
    """What is repeated."""

    only: tuple[str, ...] = ()
    """Names of metrics, or of cases such as "mig, discrete"; all by default."""
    repetitions: int = 200
    """Repetitions of each case."""
    rows: int = 1_000
    """Rows of each, a third of them held out where a predictor is fitted."""
    methods: bool = False
    """Compare methods, instead of checking the intervals that metrics give."""
    jobs: int = 2
    """Repetitions at a time, one core each."""
    out: Path = Path("runs/bench/intervals")
    """Folder of repetitions, table and figure."""


@dataclass(frozen=True)
class Case:
    """A metric of the codes of a world."""

    metric: str
    world: str

    @property
    def name(self) -> str:
        return f"{self.metric}, {self.world}"

    def score(self, codes: np.ndarray, factors: np.ndarray, **options: Any) -> Any:
        """The result of the metric."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CorrelatedFactorsWarning)
            return METRICS[self.metric](codes, factors, floor=False, **options)

    @property
    def fits(self) -> bool:
        """Whether it has held-out rows."""
        return "test" in inspect.signature(METRICS[self.metric]).parameters


def cases(args: Args) -> list[Case]:
    """Every metric in the discrete and the bounded world, and where there is a formula."""
    found = [Case(metric, world) for metric in METRICS for world in ("discrete", "bounded")]
    found += [Case(*each) for each in FORMULAS if each[0] in METRICS and each[1] != "discrete"]
    return [c for c in found if not args.only or {c.metric, c.name} & set(args.only)]


def known_score(case: Case, args: Args) -> tuple[float, str]:
    """The score of all there is, and how it is known."""
    formula = FORMULAS.get((case.metric, case.world))
    if formula:
        return formula(), "formula"
    path = args.out / f"known, {case.name}, {args.rows}.json"
    if not path.exists():
        if case.world == "discrete":
            whole = every_outcome()
            options = {"test": whole} if case.fits else {}
        else:
            rng = np.random.default_rng(0)
            whole, options = WORLDS[case.world](LARGE * args.rows, rng), {}
        write_json(path, case.score(*whole, resamples=0, **options).score)
    how = "every outcome" if case.world == "discrete" else f"{LARGE} times the rows"
    return float(json.loads(path.read_text())), how


def repeat(case: Case, rows: int, repetition: int) -> list[dict[str, float]]:
    """Score and interval of fresh rows, as users get them."""
    rng = np.random.default_rng([1, repetition])
    result = case.score(*WORLDS[case.world](rows, rng), seed=repetition)
    low, high = result.interval or (np.nan, np.nan)
    return [{"repetition": repetition, "score": result.score, "low": low, "high": high}]


def resample(case: Case, rows: int, repetition: int) -> list[dict[str, float]]:
    """What scores of shares of fresh rows are like, one row a share."""
    rng = np.random.default_rng([1, repetition])
    data = WORLDS[case.world](rows, rng)
    parts = [data]
    if case.fits:
        parts = [(p.codes, p.factors) for p in split_inputs(*data, seed=repetition)]

    def score(*chosen: Data) -> float:
        test = {"test": chosen[1]} if len(chosen) > 1 else {}
        value: float = case.score(*chosen[0], resamples=0, seed=repetition, **test).score
        return value

    def share_of(part: Data, share: float) -> Data:
        rows = rng.permutation(len(part[0]))[: round(share * len(part[0]))]
        return part[0][rows], part[1][rows]

    found = []
    for share in SHARES:
        values = [score(*(share_of(part, share) for part in parts)) for _ in range(DRAWS)]
        low, high = np.quantile(values, [0.025, 0.975])
        found.append({"repetition": repetition, "share": share, "score": score(*parts),
                      "mean": np.mean(values), "sd": np.std(values, ddof=1), "low": low,
                      "high": high})  # fmt: skip
    return found


def kept(case: Case, args: Args) -> pd.DataFrame:
    """All repetitions of a case, those that are missing computed now."""
    function, kind = (resample, "shares") if args.methods else (repeat, "intervals")
    path = args.out / f"{kind}, {case.name}, {args.rows}.parquet"
    table = pd.read_parquet(path) if path.exists() else pd.DataFrame({"repetition": []})
    missing = sorted(set(range(args.repetitions)) - set(table["repetition"].astype(int)))
    run = joblib.Parallel(args.jobs)
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        rows = run(joblib.delayed(function)(case, args.rows, i) for i in chunk)
        table = pd.concat([table, pd.DataFrame(itertools.chain(*rows))])
        write_bytes(path, table.to_parquet())
    return table[table["repetition"] < args.repetitions]


def coverage(low: Any, high: Any, target: float) -> dict[str, float]:
    """Share of intervals that contain the target, with Wilson's 95% interval."""
    inside = (low <= target + 1e-9) & (high >= target - 1e-9)
    test = stats.binomtest(int(inside.sum()), len(inside))
    ends = test.proportion_ci(method="wilson")
    return {"covers": float(inside.mean()), "least": ends.low, "most": ends.high}


def check(case: Case, args: Args) -> dict[str, Any]:
    """What the intervals of one case are worth."""
    table = kept(case, args).dropna()
    known, how = known_score(case, args)
    spread = table["score"].std()
    widths = table["high"] - table["low"]
    return {
        "case": case.name,
        "known": known,
        "how": how,
        "mean": table["score"].mean(),
        **coverage(table["low"], table["high"], known),
        "covers_mean": coverage(table["low"], table["high"], table["score"].mean())["covers"],
        "width": widths.mean(),
        # Of a normal interval whose standard error is right, this is 1.
        "relative_width": widths.mean() / (2 * 1.96 * spread),
        "relative_bias": (table["score"].mean() - known) / spread,
    }


def compare(case: Case, args: Args) -> list[dict[str, Any]]:
    """Coverage of other intervals, by the share of rows that they come from."""
    known, _ = known_score(case, args)
    rows = []
    for share, table in kept(case, args).groupby("share"):
        score, reach = table["score"], stats.t.ppf(0.975, DRAWS - 1) * table["sd"]
        # Variance of the scores of shares, to that of the score; bias likewise.
        ratio = share / (1 - share)
        bias = (table["mean"] - score) * ratio
        far = np.sqrt(ratio)
        ends = {
            "normal": (score - far * reach, score + far * reach),
            "corrected": (score - bias - far * reach, score - bias + far * reach),
            "widened": (
                score - far * reach - np.maximum(bias, 0),
                score + far * reach - np.minimum(bias, 0),
            ),
            "percentile": (
                score + far * (table["low"] - score),
                score + far * (table["high"] - score),
            ),
        }
        row = {"case": case.name, "share": share}
        row |= {name: coverage(*pair, known)["covers"] for name, pair in ends.items()}
        mean = score.mean()
        row |= {f"{name}, mean": coverage(*pair, mean)["covers"] for name, pair in ends.items()}
        rows.append(row)
    return rows


def coverage_figure(table: pd.DataFrame, theme: Theme) -> Figure:
    """Coverage of each case as a point with its interval, and the band that it should be in."""
    figure, axis = sized_axes(3.6, 0.24 * len(table) + 0.2, left=name_margin(table["case"]))
    places = np.arange(len(table))[::-1]
    axis.axvspan(0.90, 0.99, color=theme.magnitude[1], alpha=0.35, lw=0)
    axis.axvline(0.95, color=theme.text, lw=0.8, ls=":")
    axis.hlines(places, table["least"], table["most"], color=theme.series[0], lw=1.8)
    axis.plot(table["covers"], places, "o", ms=5, color=theme.series[0])
    axis.plot(table["covers_mean"], places, "d", ms=5, mfc="none", color=theme.series[1])
    axis.set_yticks(places, list(table["case"]))
    axis.set_xlim(min(0.7, table["least"].min() - 0.02), 1.005)
    axis.set_xlabel("intervals that contain the known score (o), or the mean score (diamond)")
    axis.grid(axis="x", lw=0.6)
    return figure


def markdown(table: pd.DataFrame) -> str:
    """The table, numbers with 3 digits."""
    body = table.map(lambda v: f"{v:.3f}" if isinstance(v, float) else str(v))
    lines = [list(table.columns), ["---"] * len(table.columns), *body.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main(args: Args) -> None:
    """Compute what is missing, and write table and figure."""
    args.out.mkdir(parents=True, exist_ok=True)
    scored = Case("mig", "discrete").score(*every_outcome(), resamples=0).score
    if abs(scored - discrete_mig()) > 1e-9:
        raise SystemExit(f"MIG of every outcome is {scored}, by the formula {discrete_mig()}.")
    rows: list[dict[str, Any]] = []
    for case in cases(args):
        begin = time.perf_counter()
        rows += compare(case, args) if args.methods else [check(case, args)]
        print(f"{case.name}: {time.perf_counter() - begin:.0f} s", flush=True)
    table = pd.DataFrame(rows)
    name = "methods" if args.methods else "coverage"
    (args.out / f"{name}.md").write_text(markdown(table), encoding="utf-8")
    print(markdown(table))
    if not args.methods:
        for theme in (LIGHT, DARK):
            figure = draw(lambda theme: coverage_figure(table, theme), theme)
            (args.out / f"coverage_{theme.name}.svg").write_bytes(figure)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
