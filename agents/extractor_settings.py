"""What a `LatentExtractor` can be asked for, and which of that does not go together."""

from __future__ import annotations

from typing import Literal, get_args

from drl_latent.checkpoint import Encoder
from drl_latent.models.bottlenecks import QuantizedBottleneck
from drl_latent.registry import UnknownNameError

Mode = Literal["frozen", "finetune", "auxiliary"]
Output = Literal["mean", "sample", "quantised"]


def check_mode(
    mode: str, encoder_learning_rate: float | None, warmup_updates: int, critic_only: bool
) -> None:
    """Raise ValueError unless an extractor can have this mode, and its settings are of it."""
    if mode not in get_args(Mode):
        raise UnknownNameError("mode of the extractor", mode, get_args(Mode))
    if encoder_learning_rate is not None and not encoder_learning_rate > 0:
        raise ValueError(
            f'encoder_learning_rate must be above 0, got {encoder_learning_rate}; mode="frozen" '
            "leaves the encoder as it is."
        )
    if warmup_updates < 0:
        raise ValueError(f"warmup_updates must be 0 or more, got {warmup_updates}.")
    if mode == "frozen":
        if encoder_learning_rate is not None or warmup_updates:
            raise ValueError(
                'encoder_learning_rate and warmup_updates are for mode="finetune" and '
                '"auxiliary": a frozen encoder takes no steps.'
            )
    elif not critic_only:
        raise ValueError(
            f'mode="{mode}" needs a policy that trains the encoder by the critic alone, at its own '
            "rate, which Stable-Baselines3's own do not: give latent_policy(SAC), or that of your "
            'algorithm, in place of "CnnPolicy" or "MultiInputPolicy".'
        )


def check_output(output: str, encoder: Encoder) -> None:
    """Raise ValueError unless the encoder can give this output."""
    if output not in get_args(Output):
        raise UnknownNameError("output of the extractor", output, get_args(Output))
    bottleneck = encoder.config.bottleneck
    if output == "sample" and not encoder.has_posterior:
        raise ValueError(
            f'output="sample" needs an encoder with a distribution q(z|x), but this one has the '
            f'bottleneck {bottleneck!r}: take output="mean", or pretrain a VAE.'
        )
    if output == "quantised" and not isinstance(encoder.model.bottleneck, QuantizedBottleneck):
        raise ValueError(
            f'output="quantised" needs an encoder whose latents have levels, but this one has the '
            f'bottleneck {bottleneck!r}: take output="mean", or pretrain "qlae" or "tripod".'
        )
