"""The ladder of baselines: every way to get from what a camera sees to a policy, made alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drl_latent.agents.agent import LatentAgent
from drl_latent.agents.extractor import Mode
from drl_latent.agents.perception import Augmentation, Inputs
from drl_latent.agents.training import train_agent
from drl_latent.data import FrameDataset, collect, open_dataset
from drl_latent.data.collect import Source
from drl_latent.data.dataset import PairKind
from drl_latent.models import ModelConfig
from drl_latent.objectives import OBJECTIVES
from drl_latent.optimization import Optimization
from drl_latent.pretrain import pretrain
from drl_latent.registry import Registry

_SOURCES: dict[PairKind | None, Source] = {
    None: "factors",
    "pairs": "pairs",
    "consecutive": "rollout",
}
_BESIDE: dict[Inputs, Inputs] = {
    "latents": "latents_and_proprioception",
    "pixels": "pixels_and_proprioception",
}


@dataclass(frozen=True)
class Baseline:
    """One way to a policy.

    Args:
        inputs: What the policy acts on.
        pretraining: Name of the objective that the encoder is made with; None for no encoder.
        settings: Settings of that objective.
        mode: What happens to the encoder while the agent is trained.
        objective: Name of the objective that is trained beside the agent.
        augmentation: Of pixels.
        reference: The paper it is from.
    """

    inputs: Inputs = "latents"
    pretraining: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "frozen"
    objective: str | None = None
    augmentation: Augmentation = "none"
    reference: str = ""

    @property
    def source(self) -> Source | None:
        """The kind of data that its encoder is made from, as for `collect`; None for none."""
        if self.pretraining is None:
            return None
        return source_of(self.pretraining)

    def agent_arguments(self, proprioception: bool = False) -> dict[str, Any]:
        """Return the arguments of `train_agent` that make it this baseline, but for the encoder.

        Args:
            proprioception: Whether policies on latents or pixels also get what the robot knows of
                itself.
        """
        inputs = _BESIDE.get(self.inputs, self.inputs) if proprioception else self.inputs
        return {
            "inputs": inputs,
            "mode": self.mode,
            "objective": self.objective,
            "augmentation": self.augmentation,
        }


def source_of(objective: str) -> Source:
    """Return the kind of data that an objective learns from, as for `collect`."""
    return _SOURCES[OBJECTIVES[objective].pair_kind]


BASELINES: Registry[Baseline] = Registry("baseline")
"""Name to baseline. Every objective is one: an encoder pretrained by it, frozen."""

BASELINES["true_state"] = Baseline("state")
BASELINES["true_factors"] = Baseline("factors")
BASELINES["nature_cnn"] = Baseline("pixels", reference="Mnih et al. 2015")
BASELINES["nature_cnn_drq"] = Baseline(
    "pixels", augmentation="random_shift", reference="DrQ, Kostrikov et al. 2021"
)
BASELINES["ted"] = Baseline(
    pretraining="random",
    mode="auxiliary",
    objective="ted",
    reference="TED, Dunion et al. 2023",
)
BASELINES["sac_ae"] = Baseline(
    pretraining="random",
    mode="auxiliary",
    objective="rae",
    reference="SAC-AE, Yarats et al. 2021",
)
for _name in OBJECTIVES:
    if _name not in BASELINES:
        BASELINES[_name] = Baseline(pretraining=_name)


def train_baseline(
    name: str,
    env_id: str,
    out: str | Path,
    *,
    data: FrameDataset | str | Path | None = None,
    frames: int = 50_000,
    pretrain_steps: int = 20_000,
    objective_settings: Mapping[str, Any] | None = None,
    model: ModelConfig | None = None,
    optimization: Optimization | None = None,
    encoder_partition: str = "encoder",
    proprioception: bool = False,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    progress: bool = True,
    **training: Any,
) -> LatentAgent:
    """Make a baseline from nothing: collect frames, pretrain its encoder, train its agent.

    Each piece is kept in `out` and is not made again: ``frames``, ``encoder``, ``agent``.

    Args:
        name: A name in `BASELINES`.
        env_id: A registered environment.
        out: Folder of the pieces.
        data: Frames to make the encoder from, or their folder, shared by baselines of one kind of
            data; collected in `out` unless given.
        frames: Number of frames to collect.
        pretrain_steps: Steps of pretraining.
        objective_settings: Settings of the pretraining objective, beside those of the baseline.
        model: The encoder's architecture; the light one unless given.
        optimization: The other settings of pretraining.
        encoder_partition: Part of the split that frames are collected from.
        proprioception: Whether policies on latents or pixels also get what the robot knows of
            itself.
        seed: Seed of every piece.
        env_kwargs: Keyword arguments of the environment, such as ``split`` and ``partition``.
        progress: Whether to show progress.
        training: Further arguments of `train_agent`.

    Raises:
        ValueError: A name is unknown, or the data is not what the objective needs.
        ArtifactError: A folder holds something made with other settings.
    """
    baseline, folder = BASELINES[name], Path(out)
    kwargs = dict(env_kwargs or {})
    encoder = None
    if baseline.pretraining is not None:
        if data is None:
            own = {**kwargs, "partition": encoder_partition} if "split" in kwargs else kwargs
            assert baseline.source is not None
            data = collect(
                env_id,
                folder / "frames",
                n=frames,
                seed=seed,
                source=baseline.source,
                env_kwargs=own,
                progress=progress,
            )
        encoder = pretrain(
            open_dataset(data) if isinstance(data, (str, Path)) else data,
            baseline.pretraining,
            out=folder / "encoder",
            steps=pretrain_steps,
            seed=seed,
            model=model,
            optimization=optimization,
            progress=progress,
            **{**baseline.settings, **(objective_settings or {})},
        )
    return train_agent(
        env_id,
        folder / "agent",
        encoder=encoder,
        **baseline.agent_arguments(proprioception),
        seed=seed,
        env_kwargs=kwargs,
        progress=progress,
        **training,
    )
