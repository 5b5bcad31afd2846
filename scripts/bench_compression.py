"""A trajectory as latents, PNG and H.264: bits a frame, and how far decoded frames are off.

    python -m pip install 'drl-latent[video]'
    python scripts/bench_compression.py --encoder runs/quickstart/encoder

Episodes of random actions in the environment that the encoder was trained on, with its settings;
they are collected into the output folder where no folder of rollouts is given. Each episode is one
stream. See `drl_latent.interventions.rate_distortion` for what is compared, and what that does not
say. Writes rate_distortion.parquet, table.md and the figure, light and dark.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, collect, open_dataset
from drl_latent.interventions.rate_distortion import rate_distortion
from drl_latent.report.compression_figure import rate_distortion_figure
from drl_latent.report.theme import DARK, LIGHT, draw

NAMES = {"latents": "latents, step", "h264": "H.264, crf", "png": "PNG"}


@dataclass(frozen=True)
class Args:
    """What is compared."""

    encoder: Path = Path("runs/quickstart/encoder")
    """Folder of the encoder."""
    data: Path | None = None
    """Folder of rollouts; collected into `out` unless given."""
    out: Path = Path("runs/compression")
    """Folder of the results."""
    episodes: int = 15
    """Number of episodes."""
    seed: int = 2_000
    """Seed of the rollouts, where they are collected."""


def main(args: Args) -> None:
    """Collect what is missing, compare, and write table and figure."""
    encoder = Encoder.load(args.encoder)
    data = rollouts(args, encoder) if args.data is None else open_dataset(args.data)
    episodes = first_episodes(data, args.episodes)
    begin = time.perf_counter()
    table = rate_distortion(encoder, episodes)
    args.out.mkdir(parents=True, exist_ok=True)
    table.to_parquet(args.out / "rate_distortion.parquet")
    for theme in (LIGHT, DARK):
        for kind in ("svg", "png"):
            figure = draw(lambda theme: rate_distortion_figure(table, theme), theme, kind)
            (args.out / f"rate_distortion_{theme.name}.{kind}").write_bytes(figure)
    frames, decoder = sum(map(len, episodes)), int(table["shared_bytes"].max())
    text = (
        f"{encoder}: {len(episodes)} episodes, {frames} frames of {data.config.get('env')}; "
        f"the decoder's weights, {decoder:,} bytes, are not in the rates.\n\n{markdown(table)}"
    )
    (args.out / "table.md").write_text(text, encoding="utf-8")
    print(f"{text}\n{time.perf_counter() - begin:.0f} s; figure and table in {args.out}")


def rollouts(args: Args, encoder: Encoder) -> FrameDataset:
    """Collect rollouts of what the encoder was trained on, unless they are there."""
    trained_on = encoder.training.get("data", {})
    if "env" not in trained_on:
        raise SystemExit(
            f"{args.encoder} does not say which environment it was trained on. Give --data, a "
            "folder of rollouts."
        )
    return collect(
        trained_on["env"],
        args.out / "rollouts",
        # Episodes of the tasks last at most 50 steps.
        n=51 * args.episodes,
        seed=args.seed,
        source="rollout",
        env_kwargs=trained_on.get("env_kwargs"),
    )


def first_episodes(data: FrameDataset, count: int) -> list[np.ndarray]:
    """Return the frames of the first episodes."""
    if data.episode is None:
        raise SystemExit(f'{data.path} has no episodes. Collect with source="rollout".')
    starts = np.flatnonzero(np.diff(data.episode, prepend=data.episode[0] - 1))
    ends = [*starts[1:], len(data)]
    spans = list(zip(starts, ends, strict=True))[:count]
    return [np.array(data.frames[start:end]) for start, end in spans]


def markdown(table: pd.DataFrame) -> str:
    """One row a method and setting, for both sizes side by side."""
    sizes = sorted(table["size"].unique())
    heads = ["method"]
    for size in sizes:
        heads += [f"bits a frame ({size}x{size})", "bits a pixel", "PSNR, dB"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for (method, setting), rows in table.groupby(["method", "setting"], sort=False, dropna=False):
        cells = [NAMES[method] + ("" if np.isnan(setting) else f" {setting:g}")]
        for size in sizes:
            row = rows.set_index("size").loc[size]
            psnr = "lossless" if np.isinf(row["psnr"]) else f"{row['psnr']:.1f}"
            cells += [f"{row['bits_per_frame']:,.0f}", f"{row['bits_per_pixel']:.4f}", psnr]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
