"""The optimiser of a critic that trains an encoder: the encoder's own rate, and its steps."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch.optim import Optimizer

from drl_latent.agents.extractor import LatentExtractor

# Kept in the parameter group, so that the optimiser's state says how it was trained.
_RATIO, _AGENTS_RATE = "encoder_rate_ratio", "agents_rate"
_PRETRAINED = 0.1
"""Learning rate of a pretrained encoder, as a ratio to the agent's, where none is given."""


def separate_encoder(optimizer: Optimizer, extractor: LatentExtractor) -> None:
    """Move the extractor's encoder into a parameter group of its own, with its learning rate.

    Stable-Baselines3 sets one rate for all groups whenever it trains, so the encoder's is a ratio
    to that, which is applied while the optimiser takes a step. It follows the agent's schedule.

    Raises:
        ValueError: The agent's learning rate starts at zero, so that there is no such ratio.
    """
    group = optimizer.param_groups[0]
    rate = extractor.encoder_learning_rate
    if rate is not None and not group["lr"]:
        raise ValueError(
            "encoder_learning_rate needs a learning_rate of the agent that does not start at 0, "
            "since it follows that one's schedule."
        )
    owned = {id(p) for p in extractor.encoder.model.parameters()}
    group["params"] = [p for p in group["params"] if id(p) not in owned]
    settings = {k: v for k, v in group.items() if k != "params"}
    if rate is not None:
        ratio = rate / group["lr"]
    else:
        ratio = _PRETRAINED if extractor.encoder.is_pretrained else 1.0
    own = {"params": extractor.trained_parameters(), _RATIO: ratio}
    optimizer.add_param_group(settings | own)


def watch_steps(optimizer: Optimizer, extractor: LatentExtractor) -> None:
    """Apply the encoder's rate at each step, and count the steps in ``extractor.updates``.

    To be called again for a copied or unpickled optimiser, which loses its hooks.
    """
    optimizer.register_step_pre_hook(_use_encoders_rate)
    optimizer.register_step_post_hook(partial(_finish_step, extractor))


def _use_encoders_rate(optimizer: Optimizer, *_: Any) -> None:
    for group in optimizer.param_groups:
        if _RATIO in group:
            group[_AGENTS_RATE] = group["lr"]
            group["lr"] = group["lr"] * group[_RATIO]


def _finish_step(extractor: LatentExtractor, optimizer: Optimizer, *_: Any) -> None:
    for group in optimizer.param_groups:
        if _AGENTS_RATE in group:
            group["lr"] = group.pop(_AGENTS_RATE)
    extractor.updates += 1
