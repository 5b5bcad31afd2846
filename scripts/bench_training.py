"""Training on latents side by side with Stable-Baselines3 on pixels: speed and replay memory.

    python scripts/bench_training.py

- sac: environment steps a second of SAC with batch 256 on Reach at 64x64, one gradient step each,
  after the random steps at the start: Stable-Baselines3's CnnPolicy on pixels with its replay
  buffer, and the same heads on 10 latents by `VecLatent`, with either replay buffer. Rounds take
  turns. The encoder is untrained: its speed does not depend on what it learned. Bytes are those of
  the buffers' arrays.
- ppo: environment steps a second of PPO on latents with our settings, eight environments in this
  process or in several, rendering, encoding and learning included.
- replay: milliseconds of drawing a batch, and bytes of a transition, of Stable-Baselines3's
  `ReplayBuffer` and of `FrameReplayBuffer` on the same images, without a stack and with one.

Prints tables, and writes all rounds as results.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from gymnasium import spaces
from rich.console import Console
from rich.table import Column, Table
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from drl_latent.agents import ALGORITHMS, FrameReplayBuffer, ProcessVecEnv, VecLatent
from drl_latent.agents.perception import Perception
from drl_latent.artifacts import write_json
from drl_latent.checkpoint import Encoder
from drl_latent.envs import make_env
from drl_latent.models import LatentModel, ModelConfig

Part = Literal["sac", "ppo", "replay"]
Rounds = dict[str, list[float]]
"""By contender, one figure a round."""
PIXELS = "pixels, CnnPolicy"
LATENTS = Perception()


@dataclass(frozen=True)
class Args:
    """What is measured, and for how long."""

    parts: tuple[Part, ...] = ("sac", "ppo", "replay")
    """Parts of the benchmark."""
    env: str = "DrlLatent/Reach-v0"
    """Environment."""
    rounds: int = 3
    """Rounds of each part."""
    pixel_steps: int = 50
    """Steps of SAC on pixels in a round."""
    latent_steps: int = 600
    """Steps of SAC on latents in a round."""
    start: int = 300
    """Random steps before SAC learns; not timed."""
    ppo_envs: int = 8
    """Environments of PPO."""
    ppo_processes: int = 2
    """Processes that they run in, where it is not this one."""
    ppo_steps: int = 6_144
    """Steps of PPO in a round, over all environments."""
    capacity: int = 5_000
    """Transitions in each replay buffer."""
    batch: int = 256
    """Transitions in a batch, of SAC and of drawing."""
    draws: int = 40
    """Batches drawn in a round, of each buffer."""
    episode: int = 50
    """Steps of an episode in the buffers that are drawn from."""
    threads: int = 2
    """Threads of torch."""
    seed: int = 0
    """Seed of everything."""
    out: Path = Path("runs/bench/training")
    """Folder of the results."""


def untrained(args: Args) -> Encoder:
    """An encoder of 10 latents with our default architecture."""
    torch.manual_seed(args.seed)
    return Encoder(LatentModel(ModelConfig(latent_dim=10)))


def environments(args: Args, n: int, **options: Any) -> VecEnv:
    return make_vec_env(partial(make_env, args.env), n, seed=args.seed, **options)


def in_turn(args: Args, contenders: dict[str, Callable[[], float]]) -> Rounds:
    """Let the contenders take turns; the first of a round is the last of the next."""
    found: Rounds = {name: [] for name in contenders}
    for turn in range(args.rounds):
        order = list(contenders)
        for name in order if turn % 2 == 0 else reversed(order):
            found[name].append(contenders[name]())
            print(f"round {turn + 1}, {name}: {found[name][-1]:.4g}", flush=True)
    return found


def steps_per_second(model: BaseAlgorithm, steps: int) -> float:
    """Learn for so many steps more; an episode that has begun goes on."""
    before, begin = model.num_timesteps, time.perf_counter()
    model.learn(steps, reset_num_timesteps=False)
    return (model.num_timesteps - before) / (time.perf_counter() - begin)


def buffer_bytes(buffer: ReplayBuffer) -> dict[str, float]:
    """Bytes of a transition, of the observations alone and of all that is stored."""
    plain = (buffer.actions, buffer.rewards, buffer.dones, buffer.timeouts)
    others = sum(array.nbytes for array in plain)
    if isinstance(buffer, FrameReplayBuffer):
        observed = buffer.nbytes - others
    else:
        observed = buffer.observations.nbytes + buffer.next_observations.nbytes
    size = buffer.buffer_size * buffer.n_envs
    return {"observations": observed / size, "all": (observed + others) / size}


def measure_sac(args: Args) -> dict[str, Any]:
    """SAC on pixels and on latents."""
    algorithm = ALGORITHMS["SAC"]
    overrides = {
        "batch_size": args.batch,
        "buffer_size": args.capacity,
        "learning_starts": args.start,
    }
    contenders: dict[str, tuple[str, type[ReplayBuffer] | None]] = {
        PIXELS: ("CnnPolicy", None),
        "latents": ("MlpPolicy", None),
        "latents, FrameReplayBuffer": ("MlpPolicy", FrameReplayBuffer),
    }
    models: dict[str, Any] = {}
    for name, (policy, buffer) in contenders.items():
        venv = environments(args, 1)
        models[name] = algorithm.cls(
            policy,
            venv if name == PIXELS else VecLatent(venv, untrained(args)),
            replay_buffer_class=buffer,
            seed=args.seed,
            device="cpu",
            **algorithm.merged(overrides, LATENTS),
        )
        models[name].learn(args.start + 5)
    steps = {name: args.latent_steps for name in models} | {PIXELS: args.pixel_steps}
    rates = in_turn(args, {k: lambda k=k: steps_per_second(models[k], steps[k]) for k in models})
    sizes = {name: buffer_bytes(model.replay_buffer) for name, model in models.items()}
    for model in models.values():
        model.get_env().close()
    times = {name: np.divide(found, rates[PIXELS]).tolist() for name, found in rates.items()}
    return {"steps_per_second": rates, "times_as_fast": times, "bytes": sizes}


def measure_ppo(args: Args) -> dict[str, Any]:
    """PPO on latents."""
    algorithm = ALGORITHMS["PPO"]
    several = {"vec_env_cls": ProcessVecEnv, "vec_env_kwargs": {"processes": args.ppo_processes}}
    contenders: dict[str, dict[str, Any]] = {
        "this process": {},
        f"{args.ppo_processes} processes": several,
    }
    models = {}
    for name, options in contenders.items():
        venv = VecLatent(environments(args, args.ppo_envs, **options), untrained(args))
        models[name] = algorithm.make(venv, algorithm.merged({}, LATENTS), args.seed, LATENTS)
        models[name].learn(1)  # one rollout, and learning from it
    rates = in_turn(
        args, {k: lambda k=k: steps_per_second(models[k], args.ppo_steps) for k in models}
    )
    for model in models.values():
        model.get_env().close()
    return {"steps_per_second": rates}


def filled(args: Args, n_stack: int) -> tuple[ReplayBuffer, FrameReplayBuffer]:
    """Both buffers, full of the same random images in episodes with a time limit."""
    rng = np.random.default_rng(args.seed)
    space = spaces.Box(0, 255, (3 * n_stack, 64, 64), np.uint8)
    action_space = spaces.Box(-1, 1, (2,), np.float32)
    plain = ReplayBuffer(args.capacity, space, action_space, "cpu")
    once = FrameReplayBuffer(args.capacity, space, action_space, "cpu", n_stack=n_stack)
    for step in range(args.capacity):
        if step % args.episode == 0:
            stack = np.zeros((1, *space.shape), np.uint8)
            stack[:, -3:] = rng.integers(0, 256, (3, 64, 64), dtype=np.uint8)
        frame = rng.integers(0, 256, (1, 3, 64, 64), dtype=np.uint8)
        after = np.concatenate([stack[:, 3:], frame], axis=1)
        is_over = (step + 1) % args.episode == 0
        for buffer in (plain, once):
            buffer.add(
                stack,
                after,
                rng.uniform(-1, 1, (1, 2)),
                np.zeros(1),
                np.array([is_over]),
                [{"TimeLimit.truncated": is_over}],
            )
        stack = after
    return plain, once


def milliseconds(buffer: ReplayBuffer, args: Args) -> float:
    """Median time of drawing a batch."""
    spent = []
    for _ in range(args.draws):
        begin = time.perf_counter()
        buffer.sample(args.batch)
        spent.append(time.perf_counter() - begin)
    return 1_000 * float(np.median(spent))


def measure_replay(args: Args) -> dict[str, Any]:
    """Both replay buffers, without a stack and with one."""
    found: dict[str, Any] = {}
    for n_stack in (1, 4):
        np.random.seed(args.seed)  # noqa: NPY002 - what the buffers draw by
        plain, once = filled(args, n_stack)
        for buffer in (plain, once):
            buffer.sample(args.batch)
        times = in_turn(
            args,
            {
                "ReplayBuffer": lambda buffer=plain: milliseconds(buffer, args),
                "FrameReplayBuffer": lambda buffer=once: milliseconds(buffer, args),
            },
        )
        found[f"stack of {n_stack}"] = {
            "milliseconds": times,
            "ratios": np.divide(times["FrameReplayBuffer"], times["ReplayBuffer"]).tolist(),
            "bytes": {
                "ReplayBuffer": buffer_bytes(plain)["all"],
                "FrameReplayBuffer": buffer_bytes(once)["all"],
            },
        }
    return found


def spread(values: list[float], digits: int = 1) -> str:
    """The median, with the least and the greatest."""
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def table(title: str, heads: list[str], rows: list[list[str]]) -> Table:
    first, *others = heads
    columns = [Column(first), *(Column(head, justify="right") for head in others)]
    shown = Table(*columns, title=title)
    for row in rows:
        shown.add_row(*row)
    return shown


def show_sac(found: dict[str, Any]) -> Table:
    rows, most = [], found["bytes"][PIXELS]
    for name, rates in found["steps_per_second"].items():
        sizes = found["bytes"][name]
        rows.append([name, spread(rates), spread(found["times_as_fast"][name])])
        for part in ("observations", "all"):
            rows[-1].append(f"{sizes[part]:,.1f} (1/{most[part] / sizes[part]:.0f})")
    heads = ["", "steps/s", "times as fast", "bytes of observations", "bytes of a transition"]
    return table("SAC, batch 256", heads, rows)


def show_ppo(found: dict[str, Any]) -> Table:
    rows = [[name, spread(rates, 0)] for name, rates in found["steps_per_second"].items()]
    return table("PPO", ["rendering included, environments in", "steps/s"], rows)


def show_replay(found: dict[str, Any]) -> Table:
    rows = []
    for stack, figures in found.items():
        for name, times in figures["milliseconds"].items():
            size = figures["bytes"][name]
            # A million transitions, in 10^9 bytes.
            rows.append([stack, name, spread(times, 2), f"{size:,.0f}", f"{size / 1e3:.1f}"])
        rows.append([stack, "ratio", spread(figures["ratios"], 2), "", ""])
    heads = ["images", "buffer", "ms a batch", "bytes a transition", "GB a million"]
    return table("Replay buffers", heads, rows)


MEASURES: dict[Part, tuple[Callable[[Args], dict[str, Any]], Callable[[Any], Table]]] = {
    "sac": (measure_sac, show_sac),
    "ppo": (measure_ppo, show_ppo),
    "replay": (measure_replay, show_replay),
}


def main(args: Args) -> None:
    """Measure the parts, print their tables, and write all of it."""
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"args": asdict(args)}
    for part in args.parts:
        measure, show = MEASURES[part]
        results[part] = measure(args)
        Console(width=110).print(show(results[part]))
    write_json(args.out / "results.json", results)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
