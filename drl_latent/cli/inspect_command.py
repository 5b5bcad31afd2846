"""``drl-latent inspect``: what each latent of an encoder does, and what moves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro


@dataclass(frozen=True)
class Inspect:
    """Turn each latent of an encoder and measure what changes; draw traversals and edits."""

    encoder: tyro.conf.Positional[str]
    """Folder of the encoder, or its id on the hub."""
    data: Path
    """Folder of labelled frames, 10,000 or more; of a rollout, actions are followed too."""
    out: Path
    """Folder to make; its figures/ has every figure on light and on dark."""
    anchors: int = 3
    """Frames around which latents are moved in the traversals."""
    samples: int = 2_000
    """Frames that ranges of latents and knobs are taken from."""
    pairs: int = 200
    """Pairs of images a factor for the responses of codes."""
    reader_steps: int = 2_000
    """Steps that the reader of factors is trained for; about a minute on one core."""
    knob: str | None = None
    """How edits find what to turn: latent, or direction for entangled codes; by purity if none."""
    seed: int = 0
    """Seed of the reader and of every draw."""

    def run(self) -> int:
        """Inspect, and print the tables."""
        from drl_latent.inspection import inspect_encoder
        from drl_latent.report import draw_inspection

        found = inspect_encoder(
            self.encoder,
            self.data,
            self.out,
            anchors=self.anchors,
            samples=self.samples,
            pairs=self.pairs,
            reader_steps=self.reader_steps,
            knob=self.knob,
            seed=self.seed,
        )
        draw_inspection(self.out)
        print_inspection(found)
        print(self.out / "figures")
        return 0


def print_inspection(found: dict[str, Any]) -> None:
    """Print what `inspect_encoder` found: a line a latent, and a line a factor."""
    from rich.table import Table

    from drl_latent.progress import console

    purity, responses = found["purity"], found.get("responses")
    low, high = purity["interval"]
    console.print(f"Knob purity {purity['score']:.2f}, 95% interval {low:.2f} to {high:.2f}")
    knobs = Table("latent", title="Latents", title_justify="left")
    knobs.add_column("moves most", no_wrap=True)
    knobs.add_column("purity", justify="right")
    for d, (moved, pure) in enumerate(zip(purity["moved"], purity["per_latent"], strict=True)):
        knobs.add_row(f"z{d}", moved or "nothing", "" if pure is None else f"{pure:.2f}")
    console.print(knobs)
    factors = Table(title="Factors", title_justify="left")
    factors.add_column("factor", no_wrap=True)
    for column in ("its knob", "moved by it alone", "drawn faithfully", "read from frames"):
        factors.add_column(column, justify="right")
    if responses:
        factors.add_column("moves most", justify="right")
    for k, name in enumerate(purity["names"]):
        knob = purity["knobs"].get(name)
        cells = [
            "none" if knob is None else f"z{knob}",
            _number(purity["per_factor"][k]),
            _number(purity["faithful"][k]),
            f"{found['reader'][name]:.2f}",
        ]
        if responses:
            code = responses["codes"].get(name)
            cells.append("nothing" if code is None else f"z{code}")
        factors.add_row(name, *cells)
    console.print(factors)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
