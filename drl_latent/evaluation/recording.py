"""Films of an agent, to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drl_latent.envs import Split, make_env
from drl_latent.evaluation.agents import Agent
from drl_latent.evaluation.generalization import stack_observations

_MILLISECONDS = 80
_PAUSE = 8
"""Frames for which the last image stands before the film starts again."""
_MOST_FRAMES = 150
"""A longer film shows every second of its frames, or every third ..."""


def record_episodes(
    agent: Agent,
    env_id: str,
    split: Split | Mapping[str, Any] | str | None,
    part: str,
    path: Path,
    *,
    episodes: int = 5,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
    size: int = 128,
    env_kwargs: dict[str, Any] | None = None,
) -> Path:
    """Film episodes side by side as an animated GIF.

    Args:
        agent: The agent.
        env_id: A registered environment, whose episodes all end at the time limit.
        split: The split, as an environment takes it; None for all combinations.
        part: The part of it that episodes come from.
        path: The file to write.
        episodes: Number of episodes.
        seed: Seed of the first; each gets the next.
        seeds: The seeds instead, one an episode, such as those in a table of
            `evaluate_generalization`, whose episodes are then shown.
        size: Height and width of each film, pixels.
        env_kwargs: Further keyword arguments of the environment.
    """
    kwargs = {
        **(env_kwargs or {}),
        "split": split,
        "partition": part,
        "observation": agent.observation,
        "render_size": size,
    }
    seeds = range(seed, seed + episodes) if seeds is None else seeds
    envs = [make_env(env_id, **kwargs) for _ in seeds]
    try:
        observations = [env.reset(seed=s)[0] for env, s in zip(envs, seeds, strict=True)]
        agent.reset()
        frames, over = [], False
        while not over:
            frames.append(np.concatenate([np.asarray(env.render()) for env in envs], axis=1))
            actions = agent.predict(stack_observations(observations))
            steps = [env.step(action) for env, action in zip(envs, actions, strict=True)]
            observations = [step[0] for step in steps]
            over = any(step[2] or step[3] for step in steps)
    finally:
        for env in envs:
            env.close()
    return save_film(frames, path)


def save_film(frames: Sequence[NDArray[np.uint8]], path: Path) -> Path:
    """Write frames, uint8 [H, W, 3], as an animated GIF that pauses before it starts again.

    Long films go faster: they have every so many frames.
    """
    frames = frames[:: -(-len(frames) // _MOST_FRAMES)]
    shown = [*frames, *[frames[-1]] * _PAUSE]
    # The usual palette goes by area, and turns what is small and of its own colour grey.
    cover = Image.Quantize.MAXCOVERAGE
    images = [Image.fromarray(frame).quantize(256, cover) for frame in shown]
    images[0].save(path, save_all=True, append_images=images[1:], duration=_MILLISECONDS, loop=0)
    return path
