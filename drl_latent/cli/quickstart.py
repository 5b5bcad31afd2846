"""``drl-latent quickstart``: the whole chain on one task, from pixels to a page."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from drl_latent.artifacts import ArtifactError, plain, write_json

if TYPE_CHECKING:
    import pandas as pd

    from drl_latent.envs import Split

ENV_ID = "DrlLatent/Reach-v0"
VARIED = ("object_hue", "object_size", "floor_hue")


@dataclass(frozen=True)
class Budget:
    """How much of everything a run does."""

    frames: int
    test_frames: int
    pretrain_steps: int
    latent_steps: int
    state_steps: int
    n_envs: int
    episodes: int
    seconds: dict[str, float] = field(default_factory=dict)
    """What each stage took where it was measured, to say how long is left."""


FULL = Budget(
    frames=30_000,
    test_frames=6_000,
    pretrain_steps=6_000,
    latent_steps=50_000,
    state_steps=40_000,
    n_envs=8,
    episodes=200,
    seconds={"collect": 20, "pretrain": 240, "score": 25, "train": 100, "evaluate": 60},
)
SMOKE = Budget(
    frames=600,
    test_frames=300,
    pretrain_steps=30,
    latent_steps=512,
    state_steps=512,
    n_envs=2,
    episodes=4,
    seconds={"collect": 1, "pretrain": 5, "score": 10, "train": 5, "evaluate": 5},
)


@dataclass(frozen=True)
class Quickstart:
    """Learn, train and evaluate on one task, and write a page about it.

    Collects frames of DrlLatent/Reach-v0, learns a disentangled code, scores it, trains an agent on
    it, and evaluates that on factor combinations which it, or the encoder too, never saw. The same
    command goes on where an interrupted one stopped.
    """

    out: Path = Path("runs/quickstart")
    """Folder of the run."""
    seed: int = 0
    """Seed of everything."""
    smoke: bool = False
    """Run the same chain in about a minute, too short to learn: a test of the installation."""

    def run(self) -> int:
        """Run the stages that are not finished yet."""
        import torch

        from drl_latent.progress import console
        from drl_latent.report import write_report

        budget = SMOKE if self.smoke else FULL
        self.out.mkdir(parents=True, exist_ok=True)
        self._claim(budget)
        clock = _Clock(self.out / "timing.json", budget.seconds)
        torch.use_deterministic_algorithms(True, warn_only=True)

        split = self._collect(budget, clock)
        self._pretrain(budget, clock)
        scores = self._score(clock)
        self._train(budget, split, clock)
        episodes = self._evaluate(budget, clock)
        with clock.stage("report", "Writing the report"):
            summary = self._summarize(scores, episodes, clock)
            page = write_report(self.out)
        write_json(self.out / "summary.json", {**summary, "wall_seconds": round(clock.total, 1)})
        self._print_result(clock)
        console.print(f"\nOpen [bold]{page}[/] in a browser.", soft_wrap=True)
        return 0

    def _claim(self, budget: Budget) -> None:
        """Keep runs of other settings apart."""
        settings = {
            "env": ENV_ID,
            "seed": self.seed,
            "smoke": self.smoke,
            "factors": list(VARIED),
            "budget": plain(dataclasses.asdict(budget)),
        }
        path = self.out / "run.json"
        if not path.exists():
            write_json(path, settings)
        elif (found := json.loads(path.read_text())) != settings:
            keys = [key for key in settings if found.get(key) != settings[key]]
            raise ArtifactError(
                f"{self.out} holds a quickstart with other settings ({', '.join(keys)}). Give "
                "another folder with --out, or delete that one."
            )

    @property
    def _env_kwargs(self) -> dict[str, Any]:
        return {"factors": list(VARIED)}

    def _collect(self, budget: Budget, clock: _Clock) -> Split:
        import numpy as np

        from drl_latent.data import collect
        from drl_latent.envs import FactorEnv, Split, make_env, make_transfer_split
        from drl_latent.envs.sheets import factor_sheet

        path = self.out / "split.json"
        with clock.stage("collect", "Collecting frames"):
            if not path.exists():
                base = make_env(ENV_ID, **self._env_kwargs).unwrapped
                assert isinstance(base, FactorEnv)
                sheet = factor_sheet(base)
                arrays: dict[str, Any] = {"names": np.array(sheet.names)}
                for i, (images, captions) in enumerate(
                    zip(sheet.images, sheet.captions, strict=True)
                ):
                    arrays |= {f"images_{i}": images, f"captions_{i}": np.array(captions)}
                np.savez_compressed(self.out / "scene.npz", **arrays)
                split = make_transfer_split("composition", base.factor_space, seed=self.seed)
                base.close()
                split.save(path)
            split = Split.load(path)
            kwargs = {**self._env_kwargs, "split": split, "partition": "encoder"}
            for name, n, seed in (
                ("frames", budget.frames, self.seed),
                ("test_frames", budget.test_frames, self.seed + 1_000),
            ):
                collect(ENV_ID, self.out / name, n=n, seed=seed, env_kwargs=kwargs)
        return split

    def _pretrain(self, budget: Budget, clock: _Clock) -> None:
        from drl_latent.pretrain import pretrain

        with clock.stage("pretrain", "Learning the code (beta-VAE)"):
            pretrain(
                self.out / "frames",
                "beta_vae",
                out=self.out / "encoder",
                steps=budget.pretrain_steps,
                seed=self.seed,
                beta=10.0,
                likelihood="salient_gaussian",
            )

    def _score(self, clock: _Clock) -> pd.DataFrame:
        from drl_latent.cli.tables import print_scores
        from drl_latent.scoring import score_encoder

        with clock.stage("score", "Scoring the code"):
            scores = score_encoder(
                self.out / "encoder", self.out / "test_frames", self.out / "scores", seed=self.seed
            )
        print_scores(scores[(scores["factor"] == "") | (scores["metric"] == "probe")])
        return scores

    def _train(self, budget: Budget, split: Split, clock: _Clock) -> None:
        from drl_latent.agents import train_agent

        kwargs = {**self._env_kwargs, "split": split, "partition": "policy"}
        with clock.stage("train", "Training agents (PPO)"):
            train_agent(
                ENV_ID,
                self.out / "agents" / "latents",
                encoder=self.out / "encoder",
                steps=budget.latent_steps,
                n_envs=budget.n_envs,
                seed=self.seed,
                env_kwargs=kwargs,
                title="On latents",
            )
            train_agent(
                ENV_ID,
                self.out / "agents" / "true_state",
                inputs="state",
                steps=budget.state_steps,
                n_envs=budget.n_envs,
                seed=self.seed,
                env_kwargs=kwargs,
                title="On the true state",
            )

    def _evaluate(self, budget: Budget, clock: _Clock) -> pd.DataFrame:
        import pandas as pd

        from drl_latent.agents import LatentAgent
        from drl_latent.evaluation import evaluate_saved, record_episodes

        with clock.stage("evaluate", "Evaluating on combinations that were held out"):
            tables = []
            for name in ("latents", "true_state"):
                agent = LatentAgent.load(self.out / "agents" / name)
                tables.append(
                    evaluate_saved(
                        agent,
                        self.out / "evaluation" / name,
                        name=name,
                        episodes=budget.episodes,
                        seed=self.seed,
                        with_random=name == "true_state",
                    )
                )
                film = self.out / "episodes-ood2.gif"
                if name == "latents" and not film.exists():
                    from drl_latent.envs import Split

                    record_episodes(
                        agent,
                        ENV_ID,
                        Split.load(self.out / "split.json"),
                        "ood2",
                        film,
                        env_kwargs=self._env_kwargs,
                    )
            episodes = pd.concat(tables, ignore_index=True)
            episodes.to_parquet(self.out / "results.parquet")
        return episodes

    def _summarize(
        self, scores: pd.DataFrame, episodes: pd.DataFrame, clock: _Clock
    ) -> dict[str, Any]:
        from drl_latent.evaluation import summarize

        rates = summarize(episodes).set_index(["agent", "part"])
        whole = scores[scores["factor"] == ""].set_index(["metric", "part"])["value"]
        probe = scores[(scores["metric"] == "probe") & (scores["factor"] != "")]
        success = {part: float(rates.loc[("latents", part), "success"]) for part in
                   ("id", "ood1", "ood2")}  # fmt: skip
        success |= {
            "random": float(rates.loc[("random", "id"), "success"]),
            "true_state": float(rates.loc[("true_state", "id"), "success"]),
        }
        intervals = {
            f"{agent}/{part}": [float(row["success_low"]), float(row["success_high"])]
            for (agent, part), row in rates.iterrows()
        }
        summary = {
            "wall_seconds": round(clock.total, 1),
            "sessions": clock.sessions,
            "success": success,
            "success_intervals_95": intervals,
            "metrics": {
                "mig": float(whole[("mig", "mig")]),
                "dci_disentanglement": float(whole[("dci", "disentanglement")]),
            },
            "probe": {row["factor"]: float(row["value"]) for _, row in probe.iterrows()},
            "episodes": int(rates["episodes"].iloc[0]),
            "seed": self.seed,
            "smoke": self.smoke,
        }
        write_json(self.out / "summary.json", summary)
        return summary

    def _print_result(self, clock: _Clock) -> None:
        import pandas as pd

        from drl_latent.cli.tables import print_success
        from drl_latent.progress import console

        print_success(pd.read_parquet(self.out / "results.parquet"))
        console.print(f"Done in {clock.total / 60:.1f} minutes.")


class _Clock:
    """Times stages, and says how long all of them will take yet.

    Args:
        path: The file that keeps the seconds of finished stages, for a run that is resumed.
        planned: Seconds of each stage where they were measured, in order.
    """

    def __init__(self, path: Path, planned: dict[str, float]) -> None:
        self._path, self._planned = path, planned
        fresh: dict[str, Any] = {"seconds": {}, "sessions": 0}
        saved = json.loads(path.read_text()) if path.exists() else fresh
        self.seconds: dict[str, float] = saved["seconds"]
        self.sessions: int = saved["sessions"]
        if "report" not in self.seconds:
            self.sessions += 1
            self._save()

    @property
    def total(self) -> float:
        """Seconds of the finished stages; what a killed session lost is not counted."""
        return sum(self.seconds.values())

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        """Time a stage that is not finished yet."""
        from drl_latent.progress import console

        order = list(self._planned)
        place = f"[{order.index(name) + 1}/{len(order)}] " if name in order else ""
        console.print(f"\n[bold]{escape(place)}{title}[/]{self._left(name)}", highlight=False)
        start = time.monotonic()
        yield
        if name not in self.seconds:
            self.seconds[name] = round(time.monotonic() - start, 1)
            self._save()

    def _save(self) -> None:
        write_json(self._path, {"seconds": self.seconds, "sessions": self.sessions})

    def _left(self, name: str) -> str:
        if name not in self._planned:
            return ""
        names = list(self._planned)
        measured = [n for n in names if n in self.seconds]
        pace = 1.0
        if measured and sum(self._planned[n] for n in measured):
            spent = sum(self.seconds[n] for n in measured)
            pace = spent / sum(self._planned[n] for n in measured)
        left = sum(self._planned[n] for n in names[names.index(name) :] if n not in self.seconds)
        minutes = left * pace / 60
        return f" [dim](about {max(1, round(minutes))} min left in all)[/]" if left else ""
