"""``drl-latent score``: how disentangled a code is, and how much can be read off it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Score:
    """Score an encoder by the metrics of the field, with intervals, and draw figures."""

    encoder: str
    """Folder of the encoder, or its id on the hub."""
    data: Path
    """Folder of labelled frames that it was not trained on."""
    out: Path
    """Folder to make; its figures/ has every figure on light and on dark."""
    metrics: tuple[str, ...] = ()
    """Names of metrics; all unless given."""
    samples: int = 6_000
    """Number of frames."""
    split: str | None = None
    """Kind of transfer split, e.g. composition, or a split's .json file: then linear probes are
    fitted on its policy's part alone, and tested on each."""
    split_seed: int = 0
    """Seed of a split given by kind."""
    resamples: int | None = None
    """Draws that each interval is made from, 0 for none; each metric's default unless given."""
    seed: int = 0
    """Seed of held-out rows, predictors and draws."""
    jobs: int = 2
    """Models fitted at a time; it changes no result."""

    def run(self) -> int:
        """Score, and print the table."""
        from drl_latent.cli.tables import print_scores
        from drl_latent.data import open_dataset
        from drl_latent.metrics import METRICS
        from drl_latent.report import draw_scores
        from drl_latent.scoring import score_encoder

        for name in self.metrics:
            METRICS[name]  # an unknown one is refused before anything is read
        data = open_dataset(self.data)
        table = score_encoder(
            self.encoder,
            data,
            self.out,
            metrics=self.metrics or tuple(METRICS),
            samples=self.samples,
            split=self._split(data.factor_space),
            resamples=self.resamples,
            seed=self.seed,
            n_jobs=self.jobs,
        )
        draw_scores(self.out)
        print_scores(table)
        print(self.out / "figures")
        return 0

    def _split(self, space: Any) -> Any:
        from drl_latent.envs import Split, make_transfer_split

        if self.split is None:
            return None
        if self.split.endswith(".json"):
            return Split.load(self.split)
        return make_transfer_split(self.split, space, seed=self.split_seed)
