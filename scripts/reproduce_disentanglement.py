"""Every objective on Reach at one budget of images: how disentangled, how precise, how long.

    python scripts/reproduce_disentanglement.py

The scene is the quickstart's (`DrlLatent/Reach-v0`; hue and size of the object and hue of the floor
vary, and where effector and object are): seven factors. Each objective sees the same number of
images, with the same network, optimiser, likelihood and 10 latents, from 30,000 independent
frames, or 15,000 pairs that differ in one factor, or 30,000 frames along rollouts, whichever it
learns from. Scores are of 5,000 other, independent frames.

Weights are the papers' times `SCALE`: they were set for a Bernoulli likelihood of 64x64 pixels,
whose curvature at p = 0.2 is about 6 a pixel, 24 for the four pixels of one of 32x32, where our
Gaussian of scale 0.1 has 100. Nothing is selected: every run is in the table.

Each run is a folder of its own, so an interrupted call goes on where it stopped. Seeds are the
outer loop. Two runs at a time, each on one core.
"""

from __future__ import annotations

import os

# One thread each, before torch is imported: two runs share two cores.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import tyro
from scipy import stats

from drl_latent.artifacts import read_manifest, write_json
from drl_latent.checkpoint import Encoder
from drl_latent.data import collect, open_dataset
from drl_latent.data.collect import Source
from drl_latent.data.dataset import PairKind
from drl_latent.objectives import OBJECTIVES
from drl_latent.pretrain import Optimization, default_model, pretrain
from drl_latent.scoring import score_encoder

ENV_ID = "DrlLatent/Reach-v0"
ENV_KWARGS = {"factors": ["object_hue", "object_size", "floor_hue"]}
SOURCES: dict[PairKind | None, Source] = {
    None: "factors",
    "pairs": "pairs",
    "consecutive": "rollout",
}
SCALE = 4.0
SETTINGS: dict[str, dict[str, Any]] = {
    "vae": {},
    "beta_vae": {"beta": 4 * SCALE},
    "annealed_vae": {},  # its capacity is in nats, whatever the likelihood
    "factor_vae": {"gamma": 35 * SCALE},
    "beta_tcvae": {"beta": 6 * SCALE},
    "dip_vae_ii": {"lambda_od": 10 * SCALE},
    "info_vae": {"lambda_prior": 1_000 * SCALE},
    "ada_gvae": {"beta": SCALE},
    "slow_vae": {"beta": SCALE, "gamma": 10 * SCALE},
    "qlae": {},
    "tripod": {},
    "supervised": {},
    "pca": {},
    "random": {},
}
"""Settings of each objective; likelihood, network and optimisation are the same for all."""


@dataclass(frozen=True)
class Args:
    """What is run, and how large."""

    out: Path = Path("runs/reproduce")
    """Folder of the runs; results.parquet and table.md in it hold the table."""
    objectives: tuple[str, ...] = tuple(SETTINGS)
    """Names of objectives."""
    seeds: int = 3
    """Seeds, from 0."""
    steps: int = 2_000
    """Steps of 32 images."""
    frames: int = 30_000
    """Frames of each data set to learn from."""
    jobs: int = 2
    """Runs at a time, one core each."""


def main(args: Args) -> None:
    """Run what is not there yet, and print the table."""
    for source in {SOURCES[OBJECTIVES[name].pair_kind] for name in args.objectives}:
        folder = args.out / "data" / source
        collect(ENV_ID, folder, n=args.frames, seed=0, source=source, env_kwargs=ENV_KWARGS)
    collect(ENV_ID, args.out / "data" / "test", n=5_000, seed=1_000, env_kwargs=ENV_KWARGS)
    work = [(name, seed) for seed in range(args.seeds) for name in args.objectives]
    parallel = joblib.Parallel(args.jobs, return_as="generator_unordered")
    runs = parallel(joblib.delayed(run)(args, *each) for each in work)
    for done, (name, seed) in enumerate(runs, 1):
        print(f"{done} of {len(work)}: {name}, seed {seed}", flush=True)
    table = results(args, work)
    table.to_parquet(args.out / "results.parquet")
    text = markdown(table)
    (args.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


def run(args: Args, name: str, seed: int) -> tuple[str, int]:
    """Train and score one encoder, unless its folders are there."""
    data = open_dataset(args.out / "data" / SOURCES[OBJECTIVES[name].pair_kind])
    folder = args.out / f"{name}-{seed}"
    scores = folder.with_name(folder.name + ".scores")
    if scores.exists():
        return name, seed
    with timed(folder.with_suffix(".seconds.json")):
        encoder = pretrain(
            data,
            OBJECTIVES[name](**{"likelihood": "salient_gaussian", **SETTINGS[name]}),
            out=folder,
            steps=args.steps,
            seed=seed,
            model=default_model(data.image_shape),
            optimization=Optimization(monitor_every=0),
            progress=False,
        )
    test = open_dataset(args.out / "data" / "test")
    score_encoder(encoder, test, scores, samples=5_000, seed=seed, n_jobs=1)
    return name, seed


@contextmanager
def timed(path: Path) -> Iterator[None]:
    """Add the time that the body took to a file, also when it is interrupted."""
    before = json.loads(path.read_text()) if path.exists() else {"wall": 0.0, "cpu": 0.0}
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        write_json(path, {key: before[key] + value for key, value in spent.items()})


def reconstruction_error(encoder: Encoder, frames: np.ndarray) -> float:
    """Root mean squared error of a pixel, white being 1, at the decoder's size."""
    import torch

    from drl_latent.models import to_unit_images

    with torch.inference_mode():
        truth = encoder.model.target(to_unit_images(torch.from_numpy(frames)))
        shown = encoder.model.likelihood.images(
            encoder.model.decode(torch.from_numpy(encoder(frames)))
        )
        return float((shown - truth).square().mean().sqrt())


def results(args: Args, work: list[tuple[str, int]]) -> pd.DataFrame:
    """One row a run."""
    frames = np.array(open_dataset(args.out / "data" / "test").frames[:1_000])
    rows = []
    for name, seed in work:
        folder = args.out / f"{name}-{seed}"
        scores = read_manifest(folder.with_name(folder.name + ".scores"), "scores")["config"]
        found = scores["results"]
        row = {
            "objective": name,
            "seed": seed,
            "mig": found["mig"]["score"],
            "dci_d": found["dci"]["score"],
            "rmse": reconstruction_error(Encoder.load(folder), frames),
        }
        row |= json.loads(folder.with_suffix(".seconds.json").read_text())
        probe = found["probe"]["factor_parts"]
        for part in probe.values():
            row |= {f"probe/{factor}": value for factor, value in part.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """One row an objective: means over seeds, of scores with an interval.

    Differences to beta-VAE are taken seed by seed: the same seed is the same initial weights.
    """
    probes = [column for column in table.columns if column.startswith("probe/")]
    heads = [
        "objective",
        "MIG",
        "DCI-D",
        "above beta-VAE's",
        *(p.removeprefix("probe/") for p in probes),
    ]
    heads += ["RMSE", "wall s", "CPU s"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    peer = table[table["objective"] == "beta_vae"].set_index("seed")["dci_d"]
    for name, group in table.groupby("objective", sort=False):
        above = group.set_index("seed")["dci_d"] - peer
        cells = [str(name), interval(group["mig"]), interval(group["dci_d"])]
        cells.append("" if name == "beta_vae" or above.isna().any() else interval(above))
        cells += [f"{group[column].mean():.3f}" for column in [*probes, "rmse"]]
        cells += [f"{group[column].mean():.0f}" for column in ("wall", "cpu")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def interval(values: pd.Series) -> str:
    """Mean and Student's 95% interval over seeds."""
    n = len(values)
    if n < 2 or values.std() == 0:
        return f"{values.mean():.2f}"
    width = stats.t.ppf(0.975, n - 1) * values.sem()
    return f"{values.mean():.2f} ± {width:.2f}"


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
