"""The reference study: does disentanglement transfer, on Reach and on Push?

    python scripts/reproduce_study.py --study reach
    python scripts/reproduce_study.py --study push

The studies are in drl_latent/study/library.py. The whole takes many hours on two cores; interrupt
it when you like, the same command goes on. What is committed under results/ is there already: it is
not made again, and no weights are needed for it. `--fresh` begins from nothing, in another folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from drl_latent.cli.study_command import Run


@dataclass(frozen=True)
class Args:
    """Which study, and where."""

    study: str = "reach"
    """reach or push."""
    fresh: Path | None = None
    """Folder to make everything in anew; results/STUDY, where a part is there, unless given."""
    cores: int = 2


def main(args: Args) -> int:
    """Run what is missing, and write the report."""
    out = args.fresh or Path("results") / args.study
    return Run(options=(f"cores={args.cores}",), study=args.study, out=out).run()


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
