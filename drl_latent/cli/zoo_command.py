"""``drl-latent export-zoo``: our settings for Stable-Baselines3's own trainer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExportZoo:
    """Write our settings as a hyper-parameter file of rl_zoo3 (rl_zoo3.train --conf-file)."""

    out: Path
    """File to write, .yml; its first line is a command that uses it."""
    algorithm: str = "PPO"
    """PPO, A2C, DQN, SAC, TD3, DDPG; or TQC, CrossQ, QRDQN, RecurrentPPO of sb3-contrib."""
    encoder: str | None = None
    """Folder of an encoder, or owner/name on the hub, for agents on its latents; without one they
    act on the true state."""

    def run(self) -> int:
        """Write the file."""
        from drl_latent.agents.zoo import write_zoo_file

        print(write_zoo_file(self.out, self.algorithm, self.encoder))
        return 0
