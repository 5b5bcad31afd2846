"""Choose among trained encoders without labels: rank them by UDR."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from drl_latent.artifacts import Stage, digest, read_manifest
from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, open_dataset
from drl_latent.metrics.base import BoolArray
from drl_latent.metrics.inputs import varying_columns
from drl_latent.objectives.base import kl_to_standard_normal
from drl_latent.optimization import INCIDENTAL
from drl_latent.udr import MIN_ROWS, SIMILARITIES, UDRResult, udr

__all__ = ["UDRResult", "encode_informative", "read_selection", "select_encoder", "udr"]

KIND = "selection"
TABLE = "selection.parquet"
MIN_KL = 0.01
"""Nats: a latent whose mean KL divergence from the prior is above this is informative."""
MIN_SPREAD = 0.05
"""The same for codes without a distribution: standard deviation over the largest of the code."""
RECOMMENDED_RUNS = 5

# Where a run was computed and how it was watched are no part of what it learned.
_INCIDENTAL = {"seed", "device", *INCIDENTAL}


def select_encoder(
    encoders: Sequence[Encoder | str | Path],
    dataset: FrameDataset | str | Path,
    *,
    out: str | Path | None = None,
    samples: int = 2_000,
    similarity: str = "spearman",
    seed: int = 0,
) -> pd.DataFrame:
    """Rank encoders by unsupervised disentanglement ranking; see `drl_latent.udr.udr`.

    An encoder is compared with those that differ from it only in seed: same architecture,
    objective and settings, optimisation and data. That takes at least 2 such runs; 5 or more are
    recommended. Scores of different settings are comparable, so all are ranked in one table.

    Args:
        encoders: The encoders, or their folders; at least 2.
        dataset: The data set to encode, or its folder; its factors are not read.
        out: A folder to make, with the table in ``selection.parquet``.
        samples: Number of frames, drawn without replacement; all if there are fewer.
        similarity: A name in `drl_latent.udr.SIMILARITIES`.
        seed: Seed of the draw of frames.

    Returns:
        One row an encoder, the best first: ``path`` ("" for an `Encoder` that was given as such),
        ``fingerprint``, ``objective``, ``settings``, ``seed``, ``group`` (a number that the runs
        which are compared share), ``runs`` (their number), ``informative`` (latents of
        `encode_informative`), ``udr`` from 0, ``rank`` from 1, equal for ties, and ``note``.
        ``udr`` and ``rank`` are missing where no run differs only in seed; ``note`` says so.

    Raises:
        ValueError: There are fewer than 2 encoders or `MIN_ROWS` frames, two encoders are the
            same, or the frames do not fit one.
        UnknownNameError: There is no such similarity.
        ArtifactError: A folder is not what it should be.
    """
    SIMILARITIES[similarity]
    runs = [_Run.open(encoder) for encoder in encoders]
    data = dataset if isinstance(dataset, FrameDataset) else open_dataset(dataset)
    _check(runs, data, samples)

    def rank() -> pd.DataFrame:
        drawn = np.random.default_rng(seed).permutation(len(data))[:samples]
        # In the order of the file, which is read from disk.
        return _rank(runs, data.frames[np.sort(drawn)], similarity)

    if out is None:
        return rank()
    request = {
        "encoders": sorted(run.fingerprint for run in runs),
        "data": data.fingerprint,
        "samples": samples,
        "similarity": similarity,
        "seed": seed,
    }
    stage = Stage(out, KIND, request)
    if not stage.is_complete:
        table = rank()
        table.to_parquet(stage.folder / TABLE)
        stage.finish({"order": list(table["fingerprint"])})
    return read_selection(out)


def read_selection(path: str | Path) -> pd.DataFrame:
    """Read the table that `select_encoder` wrote.

    Raises:
        ArtifactError: The folder is not what it should be.
    """
    read_manifest(path, KIND)
    return pd.read_parquet(Path(path) / TABLE)


def encode_informative(
    encoder: Encoder, frames: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], BoolArray]:
    """Encode frames, uint8 [N, H, W, C], and find which latents say something about them.

    Where codes are means of q(z|x), a latent is informative if KL(q(z_d|x) || N(0, 1)), averaged
    over the frames, is above `MIN_KL`: the indicator I_KL of Duan et al. 2020. Other codes have no
    prior to compare with; there a latent is informative if its standard deviation is above
    `MIN_SPREAD` times that of the code's most variable latent. Constant latents never are.

    Returns:
        Codes, float32 [N, D], and D bools.

    Raises:
        ValueError: The frames do not fit the encoder.
    """
    if encoder.has_posterior:
        codes, log_variances = encoder.posterior(frames)
        kl = kl_to_standard_normal(torch.from_numpy(codes), torch.from_numpy(log_variances))
        informs = kl.mean(0).numpy() > MIN_KL
    else:
        codes = encoder(frames)
        spread = codes.std(axis=0)
        informs = spread > MIN_SPREAD * spread.max()
    return codes, informs & varying_columns(codes.astype(np.float64))


@dataclasses.dataclass(frozen=True)
class _Run:
    """An encoder, and what it is to be called."""

    encoder: Encoder
    path: str
    fingerprint: str

    @classmethod
    def open(cls, encoder: Encoder | str | Path) -> _Run:
        is_path = isinstance(encoder, (str, Path))
        loaded = Encoder.load(encoder) if isinstance(encoder, (str, Path)) else encoder
        return cls(loaded, str(encoder) if is_path else "", loaded.fingerprint)

    @property
    def seed(self) -> int | None:
        seed: int | None = self._trained("optimization").get("seed")
        return seed

    @property
    def settings(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self._trained("objective").items())

    @property
    def objective(self) -> str:
        return str(self.encoder.training.get("objective_name", "untrained"))

    @property
    def group(self) -> str:
        """A hash of everything but the seed."""
        optimization = self._trained("optimization").items()
        return digest(
            [
                dataclasses.asdict(self.encoder.config),
                self.objective,
                self._trained("objective"),
                {key: value for key, value in optimization if key not in _INCIDENTAL},
                self._trained("data").get("fingerprint"),
            ]
        )

    def _trained(self, part: str) -> dict[str, Any]:
        return dict(self.encoder.training.get(part) or {})


def _check(runs: Sequence[_Run], data: FrameDataset, samples: int) -> None:
    if len(runs) < 2:
        raise ValueError(
            f"UDR compares encoders that were trained alike with other seeds: got {len(runs)}; "
            f"give at least 2, and {RECOMMENDED_RUNS} or more of each kind for a sound choice."
        )
    if min(samples, len(data)) < MIN_ROWS:
        raise ValueError(
            f"Got {samples} samples of {len(data)} frames; expected at least {MIN_ROWS}, and a few "
            "thousand for a score that means something."
        )
    known: dict[str, str] = {}
    for i, run in enumerate(runs):
        name = run.path or f"encoder {i}"
        if run.fingerprint in known:
            raise ValueError(
                f"{name} is the same encoder as {known[run.fingerprint]}, which would agree with "
                "itself. Give each encoder once, trained with a seed of its own."
            )
        known[run.fingerprint] = name
        try:
            run.encoder.check(data.image_shape, str(data.frames.dtype))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def _rank(runs: Sequence[_Run], frames: NDArray[np.uint8], similarity: str) -> pd.DataFrame:
    groups: dict[str, list[_Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    rows = []
    for number, members in enumerate(groups.values()):
        codes, informative = zip(
            *(encode_informative(run.encoder, frames) for run in members), strict=True
        )
        scores = np.full(1, np.nan)
        if len(members) > 1:
            scores = udr(codes, informative, similarity=similarity).scores
        for run, mask, score in zip(members, informative, scores, strict=True):
            rows.append(
                {
                    "path": run.path,
                    "fingerprint": run.fingerprint,
                    "objective": run.objective,
                    "settings": run.settings,
                    "seed": run.seed,
                    "group": number,
                    "runs": len(members),
                    "informative": int(mask.sum()),
                    "udr": score,
                    "note": _note(len(members), int(mask.sum())),
                }
            )
    table = pd.DataFrame(rows).astype({"seed": "Int64"})
    ranks = table["udr"].rank(method="min", ascending=False).astype("Int64")
    table.insert(table.columns.get_loc("udr") + 1, "rank", ranks)
    return table.sort_values("rank", kind="stable", na_position="last", ignore_index=True)


def _note(runs: int, informative: int) -> str:
    notes = []
    if runs == 1:
        notes.append(
            "no other run differs only in seed: UDR needs at least 2 such runs, "
            f"{RECOMMENDED_RUNS} or more are recommended"
        )
    elif runs < RECOMMENDED_RUNS:
        notes.append(f"{runs} runs: {RECOMMENDED_RUNS} or more are recommended")
    if informative == 0:
        notes.append("no latent is informative")
    return "; ".join(notes)
