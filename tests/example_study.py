"""A study that nobody ran: tables of the right shape with effects that are known."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from drl_latent.study.results import StudyResults

TASKS = (
    ("DrlLatent/Reach-v0", "composition"),
    ("DrlLatent/Push-v0", "composition"),
    ("DrlLatent/Select-v0", "extrapolation"),
)
FACTORS = {"object_hue": 4, "floor_hue": 3, "camera_angle": 2}
# Agent to encoder, mode, success in distribution, and what it loses on ood1 and ood2.
AGENTS = {
    "Ada-GVAE, frozen": ("ada_gvae", "frozen", 0.86, 0.03, 0.08),
    "beta-VAE, frozen": ("beta_vae", "frozen", 0.80, 0.08, 0.22),
    "autoencoder, frozen": ("autoencoder", "frozen", 0.74, 0.15, 0.38),
    "CNN end to end": ("", "end_to_end", 0.83, 0.33, 0.42),
    "true_state": ("", "true_state", 0.95, 0.01, 0.02),
    "random": ("", "", 0.08, 0.0, 0.0),
}
ENCODERS = {"ada_gvae": 0.62, "beta_vae": 0.38, "autoencoder": 0.12}
UNSEEN = "camera_angle"
"""A factor without pairs of frames, so without moves."""
PARTS = ("id", "ood1", "ood2")
_COMMIT = "0123456789abcdef0123456789abcdef01234567"


def example_study(
    tasks: Sequence[tuple[str, str]] = TASKS, seeds: int = 3, episodes: int = 40, seed: int = 0
) -> StudyResults:
    """Return a study in which better disentangled codes lose less on held-out combinations."""
    draw = np.random.default_rng(seed)
    rows, curves, set_back = [], [], []
    for task, (env, split) in enumerate(tasks):
        starts = {part: _starts(episodes, [seed, task, p]) for p, part in enumerate(PARTS)}
        for agent, (encoder, mode, level, *losses) in AGENTS.items():
            for run in range(1 if agent == "random" else seeds):
                name = {
                    "env": env,
                    "split": split,
                    "agent": agent,
                    "encoder": encoder,
                    "algorithm": "ppo" if mode else "",
                    "mode": mode,
                    "encoder_seed": run if encoder else np.nan,
                    "agent_seed": run if mode else 0,
                }
                rate = level - 0.12 * task * (agent != "random") + draw.normal(0, 0.03)
                for part, loss in zip(PARTS, (0.0, *losses), strict=True):
                    part_rate = np.clip(rate - loss, 0.02, 0.99)
                    rows.append(_episodes(name, part, starts[part], part_rate, draw))
                    if encoder:
                        set_back += _set_back(name, part, part_rate, episodes, draw)
                if mode:
                    curves.append(_curve(name, rate, draw))
    encoders = [(*t, e, s) for t in tasks for e in ENCODERS for s in range(seeds)]
    return StudyResults(
        study=_configuration(tasks, seeds, episodes),
        episodes=pd.concat(rows, ignore_index=True).astype({"encoder_seed": "Int64"}),
        scores=pd.concat([_scores(*e, draw) for e in encoders], ignore_index=True),
        curves=pd.concat(curves, ignore_index=True),
        moves=pd.concat([_moves(*e, draw) for e in encoders], ignore_index=True),
        set_back=pd.DataFrame(set_back),
        pieces=_pieces(tasks, seeds),
        pictures=_pictures(tasks),
        provenance={
            "commit": _COMMIT,
            "versions": {"drl-latent": "0.1.0", "torch": "2.13.0", "mujoco": "3.9.0"},
            "python": "3.11.7",
            "platform": "Linux-x86_64",
        },
    )


def _starts(episodes: int, seed: list[int]) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    factors = {f"factor/{n}": draw.integers(k, size=episodes) / 1.0 for n, k in FACTORS.items()}
    seeds = draw.integers(2**31, size=episodes)
    return pd.DataFrame({"episode": np.arange(episodes), "seed": seeds, **factors})


def _episodes(
    name: Mapping[str, Any], part: str, starts: pd.DataFrame, rate: float, draw: np.random.Generator
) -> pd.DataFrame:
    # One hue is harder than the others, for all agents.
    hard = np.where(starts["factor/object_hue"] == 3, 0.6, 1.08)
    success = draw.random(len(starts)) < np.clip(rate * hard, 0, 1)
    length = np.where(success, draw.integers(15, 40, len(starts)), 50)
    gain = success * 10.0 - length / 10
    head = starts.assign(**name, part=part, success=success, length=length)
    return head.assign(**{"return": gain})


def _set_back(
    name: Mapping[str, Any], part: str, rate: float, episodes: int, draw: np.random.Generator
) -> list[dict[str, Any]]:
    rows = []
    for latent, factor in enumerate(FACTORS):
        loss = 0.5 if factor == "object_hue" else 0.02
        success, without = draw.binomial(episodes, [rate, max(rate - loss, 0.01)]) / episodes
        if factor == UNSEEN:
            latent, without = -1, np.nan
        row = {"part": part, "factor": factor, "latent": latent, "success": success}
        rows.append({**name, **row, "success_set_back": without, "episodes": episodes})
    return rows


def _curve(name: Mapping[str, Any], rate: float, draw: np.random.Generator) -> pd.DataFrame:
    # The last episode of a run ends where it does, and bins are shares of the run.
    steps = np.rint(np.arange(1, 21) * (10_000 - draw.random() * 10)).astype(int)
    level = rate * (1 - np.exp(-steps / 50_000))
    success = np.clip(level + draw.normal(0, 0.04, len(steps)), 0, 1)
    table = pd.DataFrame({"steps": steps, "success": success, "episodes": 200})
    return table.assign(**name, **{"return": 10 * success - 4})


def _scores(
    env: str, split: str, encoder: str, seed: int, draw: np.random.Generator
) -> pd.DataFrame:
    level = ENCODERS[encoder]
    metrics = {
        "mig": level * 0.6,
        "dci": level,
        "dci.completeness": level * 0.9,
        "probe": 0.8 + level * 0.2,
        "linear_probe:id": 0.9 + level * 0.1,
        "linear_probe:ood2": 0.45 + level * 0.6,
    }
    value = np.array([*metrics.values()]) + draw.normal(0, 0.03, len(metrics))
    table = pd.DataFrame({"metric": [*metrics], "value": value})
    name = {"env": env, "split": split, "encoder": encoder, "encoder_seed": seed}
    return table.assign(**name, low=value - 0.03, high=value + 0.03)


def _moves(
    env: str, split: str, encoder: str, seed: int, draw: np.random.Generator
) -> pd.DataFrame:
    latents, level = 6, ENCODERS[encoder]
    spread = draw.random((len(FACTORS), latents)) * (1 - level)
    spread[range(len(FACTORS)), draw.permutation(latents)[: len(FACTORS)]] += 1.5 * level
    spread[list(FACTORS).index(UNSEEN)] = np.nan
    rows = [
        {"factor": factor, "latent": d, "move": spread[f, d]}
        for f, factor in enumerate(FACTORS)
        for d in range(latents)
    ]
    return pd.DataFrame(rows).assign(env=env, split=split, encoder=encoder, encoder_seed=seed)


def _configuration(tasks: Sequence[tuple[str, str]], seeds: int, episodes: int) -> dict[str, Any]:
    return {
        "name": "example",
        "question": "Do agents on better disentangled latents lose less on held-out combinations?",
        "environments": [
            {"env": env, "factors": [*FACTORS]} for env in dict.fromkeys(e for e, _ in tasks)
        ],
        "splits": [*dict.fromkeys(s for _, s in tasks)],
        "encoders": [
            {"label": e, "objective": e, "settings": {"beta": 4.0, "latents": 6}} for e in ENCODERS
        ],
        "baselines": ["end_to_end", "true_state"],
        "algorithms": ["ppo"],
        "modes": ["frozen"],
        "encoder_seeds": [*range(seeds)],
        "agent_seeds": [*range(seeds)],
        "budgets": {"frames": 50_000, "encoder_steps": 20_000, "agent_steps": 200_000},
        "episodes": episodes,
    }


def _pieces(tasks: Sequence[tuple[str, str]], seeds: int) -> pd.DataFrame:
    rows = []
    for env, split in tasks:
        for kind, words, seconds in (("frames", "", 60.0), ("encoder", "beta_vae", 400.0)):
            label = f"{env} {split} {words}".strip()
            rows.append(
                {
                    "key": f"{len(rows):016x}",
                    "kind": kind,
                    "label": label,
                    "seconds": seconds,
                    "started": "2026-11-26T03:00:00+00:00",
                    "commit": _COMMIT,
                    "host": "machine",
                }
            )
    return pd.DataFrame(rows)


def _pictures(tasks: Sequence[tuple[str, str]]) -> dict[str, bytes]:
    pictures = {}
    for env, split in tasks:
        place = f"{env.replace('/', '-')}/{split}"
        for encoder in ENCODERS:
            pictures[f"traversals/{place}/{encoder}.png"] = _gradient(7 * 64, 5 * 64, "PNG")
        for agent in ("Ada-GVAE, frozen", "CNN end to end"):
            for what in ("success", "failure"):
                name = f"films/{place}/{agent}/{what}.gif"
                pictures[name] = _gradient(64, 64, "GIF", frames=6)
    return pictures


def _gradient(width: int, height: int, kind: str, frames: int = 1) -> bytes:
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    images = []
    for frame in range(frames):
        blob = np.exp(-60 * ((x - (frame + 1) / (frames + 1)) ** 2 + (y - 0.5) ** 2))
        pixels = np.stack([0.25 + 0.2 * y, 0.3 + 0.5 * blob, 0.35 + 0.6 * blob], -1)
        images.append(Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8)))
    buffer = io.BytesIO()
    if frames == 1:
        images[0].save(buffer, kind)
    else:
        images[0].save(buffer, kind, save_all=True, append_images=images[1:], duration=100, loop=0)
    return buffer.getvalue()
