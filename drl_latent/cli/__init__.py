"""The command line: ``drl-latent COMMAND``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

# Before torch is imported: threads that spin while they wait bring training to a crawl as soon as
# another process needs a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tyro

from drl_latent.cli.commands import Collect, Evaluate, Report
from drl_latent.cli.data_commands import ExportData, ImportData
from drl_latent.cli.doctor import Doctor
from drl_latent.cli.export_command import Export
from drl_latent.cli.factors_command import Factors
from drl_latent.cli.inspect_command import Inspect
from drl_latent.cli.pretrain_command import Pretrain
from drl_latent.cli.quickstart import Quickstart
from drl_latent.cli.score_command import Score
from drl_latent.cli.select_command import Select
from drl_latent.cli.show import Show
from drl_latent.cli.study_command import StudyCommand
from drl_latent.cli.train_command import Train
from drl_latent.cli.zoo_command import ExportZoo

COMMANDS: dict[str, Callable[..., Any]] = {
    "quickstart": Quickstart,
    "collect": Collect,
    "import-data": ImportData,
    "pretrain": Pretrain,
    "score": Score,
    "inspect": Inspect,
    "select": Select,
    "train": Train,
    "evaluate": Evaluate,
    "study": StudyCommand,
    "report": Report,
    "export": Export,
    "export-data": ExportData,
    "export-zoo": ExportZoo,
    "show": Show,
    "factors": Factors,
    "doctor": Doctor,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit with 0 for success, 1 for a refused request, 130 if interrupted."""
    command = tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="drl-latent",
        description="Disentangled representations of robot camera images for Stable-Baselines3.",
        args=arguments,
    )
    try:
        code = command.run()
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where this one stopped.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not _is_refusal(error) or os.environ.get("DRL_LATENT_TRACEBACK"):
            raise
        message = " ".join(str(error).split())
        print(f"drl-latent: {message}", file=sys.stderr)
        sys.exit(1)
    sys.exit(code)


def _is_refusal(error: Exception) -> bool:
    """Return whether an error tells the user what to change, rather than that we have a bug."""
    import gymnasium

    kinds = (
        ValueError,
        FloatingPointError,
        RuntimeError,
        ImportError,
        OSError,
        gymnasium.error.Error,
    )
    return isinstance(error, kinds)
