"""Create, use and close many rendering contexts, and exit with 1 if files or memory leak.

Reproduces the claim that closed contexts leave nothing behind: 10,000 cycles, as it runs.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from drl_latent.envs.rendering import OffscreenRenderer, mujoco

XML = "<mujoco><worldbody><light/><geom size='.1'/></worldbody></mujoco>"


@dataclass(frozen=True)
class Args:
    """Cycles, and what counts as a leak."""

    cycles: int = 10_000
    """Contexts to create and close."""
    megabytes: float = 16.0
    """Growth of resident memory, after a fifth of the cycles, above which it is a leak."""
    image_size: int = 64
    """Height and width of the images, pixels."""


def measure() -> tuple[int, float]:
    """Return open file descriptors, and resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(args: Args) -> int:
    model = mujoco.MjModel.from_xml_string(XML)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    warm = max(1, args.cycles // 5)
    files, memory = 0, 0.0
    for cycle in range(args.cycles):
        renderer = OffscreenRenderer(model, args.image_size)
        renderer.render(data)
        renderer.close()
        if cycle == warm - 1:
            files, memory = measure()
    files_after, memory_after = measure()
    print(f"{args.cycles} contexts, {files} to {files_after} open files,", end=" ")
    print(f"{memory:.0f} to {memory_after:.0f} MB from the {warm}th to the last")
    return int(files_after > files or memory_after - memory > args.megabytes)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Args)))
