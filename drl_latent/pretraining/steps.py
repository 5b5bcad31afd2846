"""One step of training: a player's optimiser, and how it lowers the player's loss."""

from __future__ import annotations

from pathlib import Path

import torch

from drl_latent.objectives.base import Batch, Player, Terms
from drl_latent.optimization import Optimization


def make_optimizer(player: Player) -> torch.optim.Optimizer:
    """Return the optimiser of a player's parameters, of which matrices and kernels decay."""
    kernels = [p for p in player.parameters if p.ndim > 1]
    others = [p for p in player.parameters if p.ndim <= 1]
    decays = ((kernels, player.weight_decay), (others, 0.0))
    groups = [{"params": found, "weight_decay": decay} for found, decay in decays if found]
    return torch.optim.AdamW(groups, betas=player.betas, fused=True)


def take_step(
    name: str,
    player: Player,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    plan: Optimization,
    checkpoint: Path | None = None,
) -> Terms | None:
    """Let one player lower its loss on a batch; return its terms, or None if it sat out.

    Args:
        name: What the player is called, for messages.
        player: Who takes the step.
        optimizer: The one of `make_optimizer`.
        batch: What it sees.
        plan: Learning rate, precision and clipping.
        checkpoint: Where training can be resumed from, for messages.

    Raises:
        FloatingPointError: The loss or its gradient is not finite; no weight was changed.
    """
    device = plan.torch_device.type
    is_bfloat16 = plan.precision == "bfloat16"
    with torch.autocast(device, torch.bfloat16, enabled=is_bfloat16):
        terms = player.loss(batch)
    if terms is None:
        return None
    optimizer.zero_grad(set_to_none=True)
    if torch.isfinite(terms["loss"]):
        terms["loss"].backward(inputs=list(player.parameters))
        norm = torch.nn.utils.clip_grad_norm_(player.parameters, plan.clip_norm)
        if torch.isfinite(norm):
            own = player.learning_rate
            peak = plan.learning_rate if own is None else own
            for group in optimizer.param_groups:
                group["lr"] = peak * plan.rate(batch.step)
            optimizer.step()
            return {key: value.detach() for key, value in terms.items()}
    shown = ", ".join(f"{key} {value.item():g}" for key, value in terms.items())
    is_kept = checkpoint is not None and checkpoint.exists()
    kept = f"The last good checkpoint is {checkpoint}. " if is_kept else ""
    raise FloatingPointError(
        f"The loss of {name!r} or its gradient is not finite at step {batch.step} ({shown}). "
        f"{kept}A lower learning rate or clip_norm may help."
    )
