"""Score a trained encoder on a data set: metrics, and traversals to look at, in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drl_latent.artifacts import Stage, read_manifest
from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, open_dataset
from drl_latent.envs import Split
from drl_latent.interventions import traverse
from drl_latent.metrics import METRICS, probe_by_part, score_each, tabulate

KIND = "scores"
TABLE = "scores.parquet"
IMPORTANCE = "importance.npy"
TRAVERSALS = "traversals.npz"
DEFAULT_METRICS = ("mig", "dci", "probe", "linear_probe")


def score_encoder(
    encoder: Encoder | str | Path,
    dataset: FrameDataset | str | Path,
    out: str | Path,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    samples: int = 6_000,
    split: Split | None = None,
    resamples: int | None = None,
    seed: int = 0,
    n_jobs: int = 2,
) -> pd.DataFrame:
    """Score the code of a data set that the encoder was not trained on, and save the scores.

    Args:
        encoder: The encoder, or its folder.
        dataset: The data set, or its folder.
        out: The folder to make: ``scores.parquet``, DCI's importance matrix and traversals.
        metrics: Names in `drl_latent.metrics.METRICS`.
        samples: Number of frames, the first of the data set; all if there are fewer.
        split: Of the data set's factors: then linear probes are fitted on the rows of its part
            "policy" (or "train"), and tested on held-out ones and on every other part. They are
            the metrics "linear_probe:id", "linear_probe:ood1"...
        resamples: Draws that each interval is made from; each metric's default if None.
        seed: Seed of the held-out rows and of the predictors.
        n_jobs: Models fitted at a time; it changes no result.

    Returns:
        The table of `drl_latent.metrics.score_all`.

    Raises:
        ValueError: A metric is unknown, the frames do not fit the encoder, they have no labels, or
            the split is of other factors.
        ArtifactError: A folder is not what it should be.
    """
    for name in metrics:
        METRICS[name]
    encoder = Encoder.load(encoder) if isinstance(encoder, (str, Path)) else encoder
    data = dataset if isinstance(dataset, FrameDataset) else open_dataset(dataset)
    if not len(data.factor_space):
        raise ValueError(
            f"{data.path} has no factors to score against. Import it with a table of labels, or "
            "choose among encoders without labels: `drl-latent select`."
        )
    request = {
        "encoder": encoder.fingerprint,
        "data": data.fingerprint,
        "metrics": list(metrics),
        "samples": samples,
        "seed": seed,
    }
    parts = None
    if split is not None:
        parts = _parts(data, split, samples)
        request["split"] = split.to_dict()
    if resamples is not None:
        request["resamples"] = resamples
    stage = Stage(out, KIND, request)
    if not stage.is_complete:
        frames = data.frames[:samples]
        codes, factors = encoder(frames), data.factors[:samples]
        about = facts_for_metrics(data, np.arange(len(codes))) | (
            {} if resamples is None else {"resamples": resamples}
        )
        results = score_each(codes, factors, metrics=metrics, seed=seed, n_jobs=n_jobs, **about)
        if parts is not None:
            train = "policy" if "policy" in parts else "train"
            probes = probe_by_part(codes, factors, parts, train=train, seed=seed, **about)
            results |= {f"linear_probe:{part}": result for part, result in probes.items()}
        tabulate(results, seed).to_parquet(stage.folder / TABLE)
        if "dci" in results and results["dci"].matrix is not None:
            np.save(stage.folder / IMPORTANCE, results["dci"].matrix)
        shown = traverse(encoder, frames[:1_000])
        np.savez_compressed(
            stage.folder / TRAVERSALS,
            images=shown.images[0],
            values=shown.values,
            change=shown.change,
            order=shown.order,
        )
        stage.finish(
            {
                "factor_names": list(data.factor_space.names),
                "n": len(codes),
                "left_out": {k: list(r.left_out) for k, r in results.items()},
                "results": {k: r.to_dict() for k, r in results.items()},
            }
        )
    return read_scores(out)


def facts_for_metrics(data: FrameDataset, rows: NDArray[np.integer]) -> dict[str, Any]:
    """Return what metrics have to know of the factors and of some rows of a data set."""
    periods = [
        factor.high - factor.low
        if factor.circular and factor.low is not None and factor.high is not None
        else 0.0
        for factor in data.factor_space
    ]
    groups = None if data.episode is None else data.episode[rows]
    return {"names": data.factor_space.names, "periods": periods, "groups": groups}


def _parts(data: FrameDataset, split: Split, rows: int) -> list[str]:
    """The part of a split that each of the first rows of a data set is in, "" for none."""
    space = data.factor_space
    if split.factor_space != space.reset:
        raise ValueError(
            f"The split is over {list(split.factor_space.names)} but the data set varies "
            f"{list(space.reset.names)}, or their levels differ; give a split of these factors."
        )
    if split.weights:
        raise ValueError(
            f"Split {split.kind!r} shifts how often combinations occur, so a frame is in no part "
            "alone; give a split that holds combinations out, such as composition."
        )
    columns = [space.column(name) for name in split.factor_space.names]
    flat = split.factor_space.to_flat(split.factor_space.indices(data.factors[:rows, columns]))
    found = np.full(len(flat), "", dtype=object)
    for part in ("train", "policy", "ood1", "ood2", "test"):
        if part in split.parts:
            found[np.isin(flat, split.ids(part))] = part
    return [str(part) for part in found]


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read the table that `score_encoder` wrote.

    Raises:
        ArtifactError: The folder is not what it should be.
    """
    read_manifest(path, KIND)
    return pd.read_parquet(Path(path) / TABLE)
