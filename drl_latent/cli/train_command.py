"""``drl-latent train``: train agents, on an encoder or as one of the baselines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from drl_latent.cli.commands import EnvOptions, Flat, parse_settings

if TYPE_CHECKING:
    from drl_latent.agents import LatentAgent


@dataclass(frozen=True)
class Train:
    """Train a Stable-Baselines3 agent on latents, pixels or the true state.

    With --encoder, on an encoder that is there; with --baseline, everything from nothing: frames,
    encoder, agent. Interrupt it when you like: the same command goes on where it stopped.
    """

    out: Path
    """Folder to make; with several seeds, a folder of folders seed-0, seed-1 ..."""
    encoder: Path | None = None
    """Folder of the encoder."""
    baseline: str | None = None
    """One of the ladder instead: true_state, true_factors, nature_cnn, nature_cnn_drq, sac_ae, ted,
    darla, random, ae, supervised, or any other objective, with the encoder that it makes."""
    env: Flat = field(default_factory=EnvOptions)
    partition: str = "policy"
    """Part of the split to train on."""
    inputs: Literal[
        "latents",
        "latents_and_proprioception",
        "pixels",
        "pixels_and_proprioception",
        "factors",
        "state",
    ] = "latents"
    """What the policy acts on."""
    mode: Literal["frozen", "finetune", "auxiliary"] = "frozen"
    """Whether the encoder stays what it is, is trained by the critic's loss, or by that and an
    objective's."""
    objective: str | None = None
    """Objective that --mode auxiliary trains beside the agent."""
    augmentation: Literal["none", "random_shift"] = "none"
    """Of pixels: random_shift moves images as DrQ does."""
    n_stack: int = 1
    """How many last steps the policy sees."""
    algorithm: str = "PPO"
    """PPO, A2C, DQN, SAC, TD3, DDPG; or TQC, CrossQ, QRDQN, RecurrentPPO of sb3-contrib."""
    settings: tuple[str, ...] = ()
    """Settings of the algorithm, e.g. learning_rate=3e-4."""
    extractor: tuple[str, ...] = ()
    """Settings of an encoder that is trained, e.g. encoder_learning_rate=1e-5."""
    steps: int = 100_000
    """Environment steps."""
    n_envs: int = 8
    """Environments, encoded in one batch."""
    env_processes: int = 1
    """Processes that the environments run in; the agent is the same with any number."""
    seed: int = 0
    """Seed of environments, weights and exploration."""
    seeds: tuple[int, ...] = ()
    """Several seeds, one agent each, instead of --seed."""
    evaluate_every: int = 10_000
    """Environment steps between evaluations on the part that is trained on; 0 for none."""
    evaluation_episodes: int = 20
    """Episodes of each evaluation."""
    checkpoint_every: int = 10_000
    """Environment steps between checkpoints."""
    device: str = "auto"
    """Where the agent learns: auto is a GPU, if there is one, for what learns from images."""
    video: bool = False
    """Film episodes of the trained agent, on the part that it was trained on: episodes.gif."""
    data: Path | None = None
    """With --baseline: folder of frames to make the encoder from; collected unless given."""
    frames: int = 50_000
    """With --baseline: number of frames to collect."""
    pretrain_steps: int = 20_000
    """With --baseline: steps of pretraining."""
    proprioception: bool = False
    """With --baseline: policies on latents or pixels also get what the robot knows of itself."""
    objective_settings: tuple[str, ...] = ()
    """With --baseline: settings of the pretraining objective, e.g. beta=8."""

    def run(self) -> int:
        """Train one agent a seed."""
        if self.baseline is not None and self.encoder is not None:
            raise ValueError(
                "--baseline makes its own encoder: give either that or --encoder, not both."
            )
        for seed in self.seeds or (self.seed,):
            out = self.out / f"seed-{seed}" if self.seeds else self.out
            agent = self._train(out, seed)
            print(agent)
            if self.video:
                print(self._film(agent, out))
        return 0

    def _train(self, out: Path, seed: int) -> LatentAgent:
        from drl_latent.agents import train_agent, train_baseline

        shared: dict[str, Any] = {
            "algorithm": self.algorithm,
            "steps": self.steps,
            "n_envs": self.n_envs,
            "env_processes": self.env_processes,
            "n_stack": self.n_stack,
            "seed": seed,
            "env_kwargs": self.env.kwargs(self.partition),
            "settings": parse_settings(self.settings),
            "extractor": parse_settings(self.extractor),
            "evaluate_every": self.evaluate_every,
            "evaluation_episodes": self.evaluation_episodes,
            "checkpoint_every": self.checkpoint_every,
            "device": self.device,
        }
        if self.baseline is not None:
            return train_baseline(
                self.baseline,
                self.env.env,
                out,
                data=self.data,
                frames=self.frames,
                pretrain_steps=self.pretrain_steps,
                proprioception=self.proprioception,
                objective_settings=parse_settings(self.objective_settings),
                **shared,
            )
        return train_agent(
            self.env.env,
            out,
            encoder=self.encoder,
            inputs=self.inputs,
            mode=self.mode,
            objective=self.objective,
            augmentation=self.augmentation,
            **shared,
        )

    def _film(self, agent: LatentAgent, out: Path) -> Path:
        from drl_latent.evaluation import record_episodes

        kwargs = dict(agent.config["env_kwargs"])
        split, part = kwargs.pop("split", None), kwargs.pop("partition", "train")
        film = out / "episodes.gif"
        return record_episodes(agent, self.env.env, split, part, film, env_kwargs=kwargs)
