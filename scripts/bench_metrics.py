"""DCI against the field's reference recipe, its fast estimator against the exact one, all metrics.

    python scripts/bench_metrics.py
    python scripts/bench_metrics.py --parts agreement --encoders runs/reproduce/*-0

- speed: scikit-learn's gradient boosting, one factor after the other, as the field's reference
  implementation has it; the same by `metrics.dci` in two threads; the histogram version. Rounds
  take turns, each contender sees the same rows.
- agreement: the histogram version against the exact one on ten synthetic codes, from aligned to
  noise, and on trained encoders where folders are given. Exact scores take minutes, and are kept
  in the output folder for the next call.
- score_all: seconds of each metric in `METRICS`, by its defaults.

All of it with a single-threaded BLAS.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
import tyro
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from threadpoolctl import threadpool_limits

from drl_latent import metrics
from drl_latent.artifacts import write_json

Part = Literal["speed", "agreement", "score_all"]
Data = tuple[np.ndarray, np.ndarray]
"""Codes [N, D] and factors [N, K]."""

LEVELS = (2, 3, 4, 5, 6, 8, 10)
"""Values of each discrete factor; one more factor is continuous."""
CODES = 10
PARTS = ("disentanglement", "completeness", "informativeness")
CONTENDERS = {"ours, exact": "gradient_boosting", "ours, fast": "fast_gradient_boosting"}


@dataclass(frozen=True)
class Args:
    """What is measured, and how large."""

    parts: tuple[Part, ...] = ("speed", "agreement", "score_all")
    """Parts of the benchmark."""
    rows: int = 10_000
    """Samples of speed and score_all, a third of them held out."""
    rounds: int = 1
    """Rounds of speed; the reference takes minutes in each."""
    agreement_rows: int = 3_000
    """Samples of agreement."""
    encoders: tuple[Path, ...] = ()
    """Folders of trained encoders whose codes are compared too."""
    data: Path = Path("runs/reproduce/data/test")
    """Folder of the frames that these encode."""
    jobs: int = 2
    """Models that our side fits at a time."""
    seed: int = 0
    """Seed of the data and of the predictors."""
    out: Path = Path("runs/bench/metrics")
    """Folder of exact scores of agreement."""


def draw_factors(rows: int, rng: np.random.Generator) -> np.ndarray:
    """[N, 8]: independent factors, seven discrete ones and one in [0, 1]."""
    discrete = [rng.integers(levels, size=rows) for levels in LEVELS]
    return np.column_stack([*discrete, rng.random(rows)]).astype(np.float64)


def standardised(factors: np.ndarray) -> np.ndarray:
    """[N, K]: each factor with mean 0 and variance 1."""
    return (factors - factors.mean(axis=0)) / factors.std(axis=0)


def mixed(factors: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """[N, 10]: a code for each factor, moved towards a random rotation, and two of noise."""
    aligned = standardised(factors)
    rotation = np.linalg.qr(rng.standard_normal((aligned.shape[1],) * 2))[0]
    blend = (1 - strength) * np.eye(len(rotation)) + strength * rotation
    noise = rng.standard_normal((len(factors), CODES - aligned.shape[1]))
    return np.column_stack([aligned @ blend + 0.1 * rng.standard_normal(aligned.shape), noise])


def draw_data(args: Args) -> Data:
    """Codes that are mixed as those of a trained encoder are, and factors."""
    rng = np.random.default_rng(args.seed)
    factors = draw_factors(args.rows, rng)
    return mixed(factors, 0.4, rng), factors


def synthetic_codes(factors: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Ten codes [N, 10] of the same factors, by what is particular to each."""
    rows, aligned = len(factors), standardised(factors)
    dead = np.zeros((rows, CODES - aligned.shape[1]))
    permuted = np.column_stack([aligned, dead])[:, rng.permutation(CODES)]
    halves = np.abs(aligned[:, :2])
    weak = mixed(factors, 0.2, rng)
    return {
        "aligned, permuted, two dead": permuted,
        "mixed a little": weak,
        "mixed": mixed(factors, 0.4, rng),
        "mixed strongly": mixed(factors, 0.6, rng),
        "rotated": mixed(factors, 1.0, rng),
        "duplicated": np.column_stack([aligned[:, 3:], aligned[:, 3:]]),
        "warped, two folded": np.column_stack([np.tanh(2 * aligned), halves]),
        "noisy": np.column_stack([aligned, dead]) + rng.standard_normal((rows, CODES)),
        "quantised": np.round(weak),
        "random": rng.standard_normal((rows, CODES)),
    }


def encoded(folder: Path, data: Path, rows: int) -> Data:
    """Codes of a trained encoder, and the factors of the frames."""
    from drl_latent.checkpoint import Encoder
    from drl_latent.data import open_dataset

    frames = open_dataset(data)
    return Encoder.load(folder)(frames.frames[:rows]), frames.factors[:rows]


def reference(codes: np.ndarray, factors: np.ndarray, args: Args) -> dict[str, float]:
    """DCI by the recipe of Locatello et al. 2019, "Challenging Common Assumptions", appendix."""
    fit, held = metrics.split_inputs(codes, factors, seed=args.seed)
    importance, scores = [], []
    for k, is_class in enumerate(fit.discrete):
        model = GradientBoostingClassifier() if is_class else GradientBoostingRegressor()
        model.fit(fit.codes, fit.factors[:, k])
        importance.append(np.abs(model.feature_importances_))
        model.score(fit.codes, fit.factors[:, k])  # it reports that of the rows fitted on too
        scores.append(model.score(held.codes, held.factors[:, k]))
    matrix = np.column_stack(importance)
    width, height = matrix.shape
    by_code = 1 - entropy(matrix.T + 1e-11, base=height)
    by_factor = 1 - entropy(matrix + 1e-11, base=width)
    values = (
        by_code @ matrix.sum(axis=1) / matrix.sum(),
        by_factor @ matrix.sum(axis=0) / matrix.sum(),
        np.mean(scores),
    )
    return {part: float(value) for part, value in zip(PARTS, values, strict=True)}


def ours(codes: np.ndarray, factors: np.ndarray, args: Args, estimator: str) -> dict[str, float]:
    """DCI by this library: the score alone, without interval and floor."""
    options = {"n_jobs": args.jobs, "seed": args.seed, "resamples": 0, "floor": False}
    return metrics.dci(codes, factors, estimator=estimator, **options).parts


def compare_speed(args: Args) -> str:
    """Rounds in turn; seconds, scores and the ratios of each round."""
    codes, factors = draw_data(args)
    warm_up = slice(300)
    contenders: dict[str, Callable[[np.ndarray, np.ndarray], dict[str, float]]] = {
        "reference": lambda z, y: reference(z, y, args),
        **{
            name: lambda z, y, estimator=estimator: ours(z, y, args, estimator)
            for name, estimator in CONTENDERS.items()
        },
    }
    for run in contenders.values():
        run(codes[warm_up], factors[warm_up])  # imports and threads are not timed
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    found: dict[str, dict[str, float]] = {}
    for turn in range(args.rounds):
        for name, run in contenders.items():
            begin = time.perf_counter()
            found[name] = run(codes, factors)
            seconds[name].append(time.perf_counter() - begin)
            print(f"round {turn + 1}, {name}: {seconds[name][-1]:.1f} s", flush=True)
    rows = []
    for name, spent in seconds.items():
        ratios = np.divide(seconds["reference"], spent)
        gap = found[name]["disentanglement"] - found["reference"]["disentanglement"]
        scores = [f"{found[name][part]:.4f}" for part in PARTS]
        times = ", ".join(f"{s:.1f}" for s in spent)
        rows.append([name, times, ", ".join(f"{r:.2f}" for r in ratios), *scores, f"{gap:+.4f}"])
    return table(["", "seconds, by round", "times as fast", *PARTS, "D off by"], rows)


def compare_agreement(args: Args) -> str:
    """Exact and fast scores of varied codes."""
    rng = np.random.default_rng(args.seed)
    factors = draw_factors(args.agreement_rows, rng)
    data = {name: (z, factors) for name, z in synthetic_codes(factors, rng).items()}
    data |= {path.name: encoded(path, args.data, args.agreement_rows) for path in args.encoders}
    rows, gaps = [], []
    for name, (codes, own) in data.items():
        exact = kept_exact(args, codes, own)
        fast = ours(codes, own, args, "fast_gradient_boosting")
        gap = {part: fast[part] - exact[part] for part in PARTS}
        gaps.append(gap["disentanglement"])
        cells = [(f"{exact[p]:.3f}", f"{fast[p]:.3f}", f"{gap[p]:+.3f}") for p in PARTS]
        rows.append([name, *sum(cells, ())])
        print(f"{name}: D off by {gaps[-1]:+.4f}", flush=True)
    heads = [f"{letter} {what}" for letter in "DCI" for what in ("exact", "fast", "off by")]
    worst = f"Largest difference of D: {np.abs(gaps).max():.4f} over {len(gaps)} codes."
    return f"{table(['codes', *heads], rows)}\n{worst}\n"


def kept_exact(args: Args, codes: np.ndarray, factors: np.ndarray) -> dict[str, float]:
    """The exact scores, from the output folder if these rows were scored before."""
    path = args.out / f"exact-{joblib.hash([codes, factors, args.seed])}.json"
    if not path.exists():
        args.out.mkdir(parents=True, exist_ok=True)
        write_json(path, ours(codes, factors, args, "gradient_boosting"))
    scores: dict[str, float] = json.loads(path.read_text())
    return scores


def time_metrics(args: Args) -> str:
    """Seconds of all metrics by their defaults, together and each alone."""
    codes, factors = draw_data(args)
    shared: dict[str, Any] = {"n_jobs": args.jobs, "seed": args.seed}
    begin = time.perf_counter()
    metrics.score_all(codes, factors, **shared)
    together = time.perf_counter() - begin
    print(f"together: {together:.1f} s", flush=True)
    rows: list[list[Any]] = [["all together", f"{together:.1f}", "", "", ""]]
    for name in metrics.METRICS:
        begin = time.perf_counter()
        scored = metrics.score_all(codes, factors, metrics=[name], **shared).iloc[0]
        spent = time.perf_counter() - begin
        ends = f"{scored['low']:.3f} to {scored['high']:.3f}"
        rows.append(
            [name, f"{spent:.1f}", f"{scored['value']:.3f}", ends, f"{scored['floor']:.3f}"]
        )
        print(f"{name}: {spent:.1f} s", flush=True)
    return table(["metric", "seconds", "score", "95% interval", "random code"], rows)


def table(heads: list[str], rows: list[list[Any]]) -> str:
    """Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


MEASURES: dict[Part, Callable[[Args], str]] = {
    "speed": compare_speed,
    "agreement": compare_agreement,
    "score_all": time_metrics,
}


def main(args: Args) -> None:
    """Measure the parts, and print their tables."""
    with threadpool_limits(1):
        for part in args.parts:
            print(f"\n## {part}\n\n{MEASURES[part](args)}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
