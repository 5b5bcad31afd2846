"""``drl-latent show``: what an environment's factors do, and its expert at work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from drl_latent.envs.factor_scene import FactorScene


@dataclass(frozen=True)
class Show:
    """Write a contact sheet of an environment's factors, and a film of its scripted expert."""

    env: tyro.conf.Positional[str] = "DrlLatent/Reach-v0"
    """Id of the environment, e.g. DrlLatent/Push-v0; factorize:Pusher-v5 for an adapted one."""
    out: Path = Path("runs/show")
    """Folder to write into; files there that have the same names are replaced."""
    episodes: int = 5
    """Episodes of the film, side by side, each with factors of its own."""
    size: int = 128
    """Height and width of each episode in the film, pixels."""
    seed: int = 0
    """Seed of the first episode; each gets the next."""

    def run(self) -> int:
        """Write both files, and print where they are."""
        from drl_latent.evaluation.recording import save_film

        if self.episodes < 1:
            raise ValueError(f"episodes must be 1 or more, got {self.episodes}.")
        # Made before the folder is, so that an unknown environment leaves nothing behind.
        envs = [self._make()]
        name = self.env.rpartition("/")[2].replace(":", "-")
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            sheet = self.out / f"{name}-factors.png"
            sheet.write_bytes(draw_sheet(envs[0].unwrapped))
            print(sheet)
            if has_expert(envs[0].unwrapped):
                envs += [self._make() for _ in range(1, self.episodes)]
                print(save_film(film_expert(envs, self.seed), self.out / f"{name}-expert.gif"))
            else:
                print(f"No film: {self.env} has no scripted expert.")
        finally:
            for env in envs:
                env.close()
        return 0

    def _make(self) -> Any:
        from drl_latent.envs import make_env

        return make_env(self.env, observation="state", render_size=self.size)


def has_expert(env: Any) -> bool:
    """Return whether an environment defines `expert_action`."""
    from drl_latent.envs import FactorEnv

    return isinstance(env, FactorEnv) and type(env).expert_action is not FactorEnv.expert_action


def draw_sheet(env: FactorScene) -> bytes:
    """Return a PNG with a row for each factor: its values across, the others at their defaults."""
    from drl_latent.envs.sheets import factor_sheet
    from drl_latent.report.figures import image_sheet
    from drl_latent.report.theme import LIGHT, draw

    sheet = factor_sheet(env)
    rows = [list(images) for images in sheet.images]
    labels = [f"{factor.name}\n({factor.kind})" for factor in env.factor_space]
    return draw(
        lambda theme: image_sheet(rows, labels, theme, sheet.captions, cell=0.9), LIGHT, "png"
    )


def film_expert(envs: list[Any], seed: int = 0) -> list[NDArray[np.uint8]]:
    """Let the expert play an episode in each environment.

    Args:
        envs: Made with `make_env`, of one id that has an expert.
        seed: Seed of the first; each gets the next.

    Returns:
        One frame a step, uint8 [H + 4, n W, 3]: the episodes side by side, over a bar that is green
        where an episode is a success at that moment.
    """
    import numpy as np

    infos = [env.reset(seed=seed + i)[1] for i, env in enumerate(envs)]
    frames, over = [], False
    while not over:
        films = []
        for env, info in zip(envs, infos, strict=True):
            film = np.asarray(env.render())
            bar = np.full((4, film.shape[1], 3), 40, np.uint8)
            if info["is_success"]:
                bar[:] = (0, 190, 110)
            films.append(np.concatenate([film, bar]))
        frames.append(np.concatenate(films, axis=1))
        steps = [env.step(env.unwrapped.expert_action()) for env in envs]
        infos = [step[4] for step in steps]
        over = any(step[2] or step[3] for step in steps)
    return frames
