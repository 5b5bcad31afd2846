"""Frames a second of rendering, against Gymnasium's default on the same environment.

Reproduces the rendering rows of docs/benchmarks.md: 64x64, one process, software rendering, the
same size and camera on both sides, without stepping. Ours is ``quality="fast"``: no multisampling,
no shadows, no reflections, no haze, and fewer faces of round things. The other side is the
environment's own ``render()`` with ``render_mode="rgb_array"``. Rounds alternate between the two
sides, and the ratio is the median of the rounds' ratios. Environments whose package is not
installed are left out.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Column, Table


@dataclass(frozen=True)
class Args:
    """What is measured, and for how long."""

    envs: tuple[str, ...] = (
        "Pusher-v5",
        "HalfCheetah-v5",
        "FetchPush-v4",
        "dm_control/reacher-easy-v0",
    )
    """Adapted environments."""
    rounds: int = 11
    """Rounds of each environment; each has both sides."""
    seconds: float = 0.4
    """Time of one side of a round."""
    image_size: int = 64
    """Height and width of the images, pixels."""
    one_core: bool = True
    """Whether the process is kept on one core, so that the driver's threads change nothing."""
    out: Path | None = None
    """File for the rows: .json, or .md for a table."""


@dataclass(frozen=True)
class Row:
    """What was measured of one environment; frames a second are medians of the rounds."""

    env: str
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    difference: float | None = None
    """Mean absolute difference of the two images, of 255: shadows, but the same view."""


def rate(draw: Callable[[], Any], seconds: float) -> float:
    """Return how often `draw` runs in a second."""
    start, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        draw()
        count += 1
    return count / passed


def original(env_id: str, size: int) -> tuple[Any, Any]:
    """Return the environment that renders itself, and the camera it does that with."""
    import gymnasium as gym

    if env_id.startswith("dm_control/"):
        settings = {"width": size, "height": size, "camera_id": 0}
        return gym.make(env_id, render_mode="rgb_array", render_kwargs=settings), 0
    env = gym.make(env_id, render_mode="rgb_array", width=size, height=size)
    model = env.unwrapped.model
    if "track" in [model.camera(i).name for i in range(model.ncam)]:
        env.close()
        settings = {"width": size, "height": size, "camera_name": "track"}
        return gym.make(env_id, render_mode="rgb_array", **settings), "track"
    config = env.unwrapped.mujoco_renderer.default_cam_config or {}
    free = {"distance": model.stat.extent, "azimuth": 90, "elevation": -45}
    return env, free | {k: v for k, v in config.items() if k != "trackbodyid"}


def compare(env_id: str, args: Args) -> Row:
    """Measure both sides of an adapted environment."""
    import numpy as np

    from drl_latent.envs import factorize
    from drl_latent.envs.simulators import make_original

    make_original(env_id, {}).close()  # registers the environments of its package
    theirs, camera = original(env_id, args.image_size)
    ours = factorize(env_id, factors=["gravity"], camera=camera, render_size=args.image_size)
    theirs.reset(seed=0)
    ours.reset(seed=0, options={"factors": {"gravity": ours.factor_space["gravity"].default}})

    def current() -> None:
        # Gymnasium's viewer draws into whichever context is current: here there are two.
        renderer = getattr(theirs.unwrapped, "mujoco_renderer", None)
        if renderer is not None and renderer.viewer is not None:
            renderer.viewer.make_context_current()

    pictures = []
    for env in (theirs, ours):
        env.render()
        pictures.append(env.render().astype(float))
    rates = []
    for _ in range(args.rounds):
        current()
        rates.append((rate(theirs.render, args.seconds), rate(ours.render, args.seconds)))
    ours.close()
    current()
    theirs.close()
    ratios = [own / other for other, own in rates]
    other, own = np.median(rates, axis=0)
    low, high = np.quantile(ratios, [0.1, 0.9])
    difference = float(np.abs(pictures[0] - pictures[1]).mean())
    return Row(env_id, own, other, float(np.median(ratios)), low, high, difference)


def measure_own(env_id: str, args: Args) -> list[Row]:
    """Measure one of our tasks: the picture as it is, and a new combination of factors each."""
    import numpy as np

    from drl_latent.envs import make_env

    env = make_env(env_id, render_size=args.image_size).unwrapped
    env.reset(seed=0)
    values = env.sample_factor_values(100, np.random.default_rng(0))
    env.render_values(values)
    rates = [
        (rate(env.render, args.seconds), 100 * rate(lambda: env.render_values(values), 0.5))
        for _ in range(args.rounds)
    ]
    env.close()
    same, new = np.median(rates, axis=0)
    return [Row(env_id, same), Row(f"{env_id}, new factors each frame", new)]


def write(rows: list[Row], path: Path) -> None:
    """Write rows as JSON or as a Markdown table."""
    if path.suffix == ".json":
        path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
        return
    lines = [
        "| environment | ours, frames/s | Gymnasium's, frames/s | ratio |",
        "|---|---|---|---|",
    ]
    for row in rows:
        other = "" if row.theirs is None else f"{row.theirs:,.0f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}"
        lines.append(f"| {row.env} | {row.ours:,.0f} | {other} | {ratio} |")
    path.write_text("\n".join(lines) + "\n")


def main(args: Args) -> None:
    if args.one_core and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    elif not args.one_core:
        os.environ["LP_NUM_THREADS"] = str(os.cpu_count())  # the driver's own choice
    from drl_latent.envs import ENVIRONMENTS
    from drl_latent.registry import UnknownNameError

    console, rows = Console(), []
    for env_id in args.envs:
        try:
            rows.append(compare(env_id, args))
        except UnknownNameError as error:
            console.print(f"{env_id} is left out: {error}", markup=False)
    for env_id in ENVIRONMENTS:
        rows += measure_own(env_id, args)
    title = f"Rendering at {args.image_size}x{args.image_size}"
    table = Table(Column("environment", min_width=26), title=title)
    for column in ("ours, frames/s", "Gymnasium's", "ratio", "10% to 90%", "difference"):
        table.add_column(column, justify="right")
    for row in rows:
        cells = [row.env, f"{row.ours:,.0f}"]
        if row.ratio is not None:
            cells += [f"{row.theirs:,.0f}", f"{row.ratio:.1f}"]
            cells += [f"{row.ratio_low:.1f} to {row.ratio_high:.1f}", f"{row.difference:.1f}"]
        table.add_row(*cells)
    console.print(table)
    if args.out is not None:
        write(rows, args.out)


if __name__ == "__main__":
    main(tyro.cli(Args))
