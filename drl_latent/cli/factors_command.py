"""``drl-latent factors``: what can be varied in an environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Factors:
    """Print the factors of an environment: one of ours, or any MuJoCo environment's."""

    env: Annotated[str, tyro.conf.Positional]
    """Id of the environment, e.g. DrlLatent/Reach-v0, Pusher-v5 or dm_control/reacher-easy-v0."""
    camera: str | None = None
    """Camera of the model to look through; see the documentation of factorize."""

    def run(self) -> int:
        """Print the table."""
        from rich.table import Table

        from drl_latent.envs import ENVIRONMENTS, discover_factors
        from drl_latent.envs.base import ADAPTED
        from drl_latent.progress import console

        env_id = self.env.removeprefix(ADAPTED)
        if env_id not in ENVIRONMENTS:
            table = discover_factors(env_id, camera=self.camera).table(f"Factors of {env_id}")
            console.print(table)
            console.print(
                f'Use them as factorize("{env_id}", factors=[...]), or on the command line as '
                f"--env {ADAPTED}{env_id} --factors NAME NAME.",
                markup=False,
            )
            return 0
        table = Table("factor", "kind", "levels", title=f"Factors of {env_id}")
        for factor in ENVIRONMENTS[env_id].FACTORS:
            table.add_row(factor.name, factor.kind, factor.describe())
        console.print(table)
        return 0
