"""Which knob moves what: knob purity and code responses of encoders.

    python scripts/measure_purity.py --encoders runs/reproduce/beta_vae-0 runs/reproduce/pca-0 \
        --data runs/reproduce/data/factors --pairs runs/reproduce/data/pairs

One reader of factors is trained on the labelled frames, about a minute on one core, and used for
all encoders, each of which takes some seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, open_dataset
from drl_latent.interventions.code_responses import CodeResponses, responses_from_pairs
from drl_latent.interventions.purity import KnobPurity, knob_purity
from drl_latent.interventions.readers import FactorReader
from drl_latent.selection import encode_informative


@dataclass(frozen=True)
class Args:
    """What is measured, and on what."""

    encoders: tuple[Path, ...]
    """Folders of encoders."""
    data: Path
    """Folder of rendered frames with their factors, that of which encoders were trained on."""
    pairs: Path | None = None
    """Folder of pairs that differ in one factor; without it, no responses."""
    sample: int = 1_000
    """Frames whose codes give latents their range, and whose reconstructions are read."""
    anchors: int = 100
    """Frames around whose codes latents are turned."""
    most_pairs: int = 2_000
    """Pairs that are encoded."""
    steps: int = 2_000
    """Steps of training the reader."""
    seed: int = 0
    """Seed of the reader, the sample, the anchors and the intervals."""
    matrices: bool = False
    """Print the matrices, too."""


def main(args: Args) -> None:
    """Print tables in Markdown."""
    data = open_dataset(args.data)
    reader = FactorReader.from_dataset(data, steps=args.steps, seed=args.seed)
    print("Reader, on held-out rendered frames: " + named(reader.accuracy) + ".\n")
    rng = np.random.default_rng(args.seed)
    rows = np.sort(rng.choice(len(data), min(args.sample, len(data)), replace=False))
    frames = np.asarray(data.frames[rows])
    pairs = None if args.pairs is None else some_pairs(open_dataset(args.pairs), args.most_pairs)
    heads = ["encoder", "purity", "responses", *reader.names]
    print("\n".join(table_line(cells) for cells in (heads, ["---"] * len(heads))))
    matrices = []
    for folder in args.encoders:
        encoder = Encoder.load(folder)
        purity = knob_purity(encoder, reader, frames, anchors=args.anchors, seed=args.seed)
        responses = None
        if pairs is not None:
            informative = encode_informative(encoder, frames)[1]
            responses = responses_from_pairs(
                encoder, pairs, informative=informative, seed=args.seed
            )
        print(table_line(cells_of(folder.name, purity, responses)), flush=True)
        matrices.append(matrices_of(folder.name, purity, responses))
    print(
        "\nPurity and responses with 95% intervals. Of each factor: the latent that moves it most, "
        "the share of the factor's variance, and, in brackets, how well the factor is read from "
        "reconstructions (accuracy or R2): where that is low, the rest means little."
    )
    if args.matrices:
        print("\n" + "\n\n".join(matrices))


def some_pairs(data: FrameDataset, most: int) -> FrameDataset:
    """The first pairs of a data set."""
    return replace(data, frames=data.frames[: 2 * most], factors=data.factors[: 2 * most])


def cells_of(name: str, purity: KnobPurity, responses: CodeResponses | None) -> list[str]:
    """One row of the table."""
    cells = [name, with_interval(purity)]
    cells.append("" if responses is None else with_interval(responses))
    for k, factor in enumerate(purity.names):
        knob = purity.knobs.get(factor)
        moved = "none" if knob is None else f"z{knob} {purity.matrix[knob, k]:.2f}"
        cells.append(f"{moved} ({purity.faithful[k]:.2f})")
    return cells


def matrices_of(name: str, purity: KnobPurity, responses: CodeResponses | None) -> str:
    """Both matrices as tables, a latent a row."""
    names = list(purity.names)
    lines = [f"{name}: movement of each factor by each latent, and the purity of the latent"]
    lines += ["", table_line(["", *names, "purity"]), table_line(["---"] * (len(names) + 2))]
    for d, row in enumerate(purity.matrix):
        numbers = [f"{value:.2f}" for value in (*row, purity.per_latent[d])]
        lines.append(table_line([f"z{d}", *numbers]))
    if responses is not None:
        names = list(responses.names)
        lines += ["", f"{name}: share of each code's variance that is due to each factor", ""]
        lines += [table_line(["", *names, "purity"]), table_line(["---"] * (len(names) + 2))]
        for d, row in enumerate(responses.matrix.T):
            numbers = [f"{value:.2f}" for value in (*row, responses.per_code[d])]
            lines.append(table_line([f"z{d}", *numbers]))
    return "\n".join(lines)


def with_interval(found: KnobPurity | CodeResponses) -> str:
    low, high = found.interval
    return f"{found.score:.2f} ({low:.2f} to {high:.2f})"


def named(numbers: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())


def table_line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
