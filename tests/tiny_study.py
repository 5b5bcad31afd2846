"""The smallest study, run undisturbed, once for all tests that look at what comes of it."""

from __future__ import annotations

import fcntl
import os
import runpy
from pathlib import Path

import pytest

from drl_latent.study import run_study

CHECK = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "check_kills.py"))
TINY = CHECK["TINY"]


def undisturbed(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the study, which nobody may change; processes that test share it."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "undisturbed"
    with (base / "undisturbed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "results.parquet").exists():
            run_study(TINY, folder, options={"cores": 2})
    return folder
