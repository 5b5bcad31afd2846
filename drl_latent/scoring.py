"""Score a trained encoder on a data set: metrics, and traversals to look at, in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from drl_latent.artifacts import Stage, read_manifest
from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, open_dataset
from drl_latent.interventions import traverse
from drl_latent.metrics import METRICS, score_each, tabulate

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
        seed: Seed of the held-out rows and of the predictors.
        n_jobs: Models fitted at a time; it changes no result.

    Returns:
        The table of `drl_latent.metrics.score_all`.

    Raises:
        ValueError: A metric is unknown, the frames do not fit the encoder, or they have no labels.
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
    stage = Stage(out, KIND, request)
    if not stage.is_complete:
        frames = data.frames[:samples]
        codes, factors = encoder(frames), data.factors[:samples]
        names = data.factor_space.names
        results = score_each(codes, factors, metrics=metrics, names=names, seed=seed, n_jobs=n_jobs)
        tabulate(results, seed).to_parquet(stage.folder / TABLE)
        if "dci" in results and results["dci"].matrix is not None:
            np.save(stage.folder / IMPORTANCE, results["dci"].matrix)
        shown = traverse(encoder, frames[:1_000])
        np.savez_compressed(
            stage.folder / TRAVERSALS,
            images=shown.images,
            values=shown.values,
            change=shown.change,
            order=shown.order,
        )
        stage.finish(
            {
                "factor_names": list(names),
                "n": len(codes),
                "left_out": {k: list(r.left_out) for k, r in results.items()},
                "results": {k: r.to_dict() for k, r in results.items()},
            }
        )
    return read_scores(out)


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read the table that `score_encoder` wrote.

    Raises:
        ArtifactError: The folder is not what it should be.
    """
    read_manifest(path, KIND)
    return pd.read_parquet(Path(path) / TABLE)
