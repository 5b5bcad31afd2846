"""From a study to its pieces: collect, pretrain, score, train, evaluate; like ones are shared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drl_latent.agents import BASELINES
from drl_latent.agents.baselines import Baseline, source_of
from drl_latent.envs import FactorScene, FactorSpace, Split, make_env, make_transfer_split
from drl_latent.pretrain import default_model
from drl_latent.study.config import RANDOM, EncoderRecipe, SplitRecipe, Study, Task, method_label
from drl_latent.study.pieces import Piece

_SCORE_SEED = 500_000
"""Added to the seed of the frames that encoders are scored on, which they were not trained on."""


@dataclass(frozen=True)
class Cell:
    """A piece, and the columns that say in the tables what it is of."""

    piece: Piece
    about: Mapping[str, Any]


def build_graph(study: Study) -> list[Cell]:
    """Return the pieces of a study, each after those that it needs.

    Two cells may have one piece, as where a baseline is also one of the encoders.

    Raises:
        ValueError: A task has no factors to split, or a split does not fit it.
    """
    cells: list[Cell] = []
    for task in study.tasks:
        scene = _look_at(task)
        for recipe in study.splits:
            for seed in study.encoder_seeds:
                cells += _Branch(study, task, scene, recipe, seed).cells()
    return cells


def pieces_of(cells: list[Cell]) -> list[Piece]:
    """Return each piece of some cells, and each that it needs, once, in an order to make them."""
    found: dict[str, Piece] = {}

    def add(piece: Piece) -> None:
        for needed in piece.needs.values():
            add(needed)
        found.setdefault(piece.key, piece)

    for cell in cells:
        add(cell.piece)
    return list(found.values())


@dataclass(frozen=True)
class _Scene:
    """What a study has to know of an environment before any work is done in it."""

    factor_space: FactorSpace
    image_shape: tuple[int, int, int]
    fingerprint: str


def _look_at(task: Task) -> _Scene:
    """Make the environment of a task, and return what it is."""
    kwargs = dict(task.env_kwargs) | ({"factors": list(task.factors)} if task.factors else {})
    env = make_env(task.env, **kwargs)
    try:
        scene = env.unwrapped
        if not isinstance(scene, FactorScene):
            raise ValueError(f"{task.env} has no factors of variation: {type(scene).__name__}.")
        shape = (scene.image_size, scene.image_size, 3)
        return _Scene(scene.factor_space, shape, scene.fingerprint)
    finally:
        env.close()


class _Branch:
    """What a study does in one task, with one split, from one encoder seed."""

    def __init__(
        self,
        study: Study,
        task: Task,
        scene: _Scene,
        recipe: SplitRecipe,
        seed: int,
    ) -> None:
        self._study, self._task, self._seed = study, task, seed
        self._scene = scene
        cut = seed if recipe.seed is None else recipe.seed
        split = make_transfer_split(recipe.kind, scene.factor_space, seed=cut, **recipe.settings)
        self._split: dict[str, Any] = split.to_dict()
        self._place = {"env": task.env, "split": recipe.label}
        self._where = f"{task.env.removeprefix('DrlLatent/')} {recipe.label} seed {seed}"
        self._kwargs = dict(task.env_kwargs)
        if task.factors:
            self._kwargs["factors"] = list(task.factors)

    def cells(self) -> Iterator[Cell]:
        """Everything, each piece after those that it needs."""
        yield from self._random()
        for recipe in self._study.encoders:
            pretrained = self._pretrain(recipe)
            yield from self._encoder_cells(recipe.name, pretrained)
            for mode in self._study.modes:
                # What is trained beside the agent in the mode "auxiliary" is what it began with.
                objective = recipe.objective if mode == "auxiliary" else None
                settings = dict(recipe.settings) if mode == "auxiliary" else {}
                way = Baseline(mode=mode, objective=objective)
                name = recipe.name if mode == "frozen" else f"{recipe.name}, {mode}"
                yield from self._agents(name, recipe.name, way, pretrained, settings)
        for known in self._study.baselines:
            baseline, label = BASELINES[known], method_label(known)
            encoder: Piece | None = None
            if baseline.pretraining is not None:
                started = EncoderRecipe(baseline.pretraining, label, baseline.settings)
                encoder = self._pretrain(started)
                yield from self._encoder_cells(label, encoder)
            yield from self._agents(label, label if encoder else "", baseline, encoder, {})

    def _piece(self, kind: Any, what: str, request: Mapping[str, Any], **options: Any) -> Piece:
        return Piece(
            kind, f"{what}, {self._where}", request, threads=self._study.threads, **options
        )

    def _collect(self, source: str, n: int, seed: int, kwargs: Mapping[str, Any]) -> Piece:
        request = {"env": self._task.env, "env_kwargs": kwargs, "n": n, "seed": seed}
        return self._piece("collect", f"frames ({source})", {**request, "source": source})

    def _pretrain(self, recipe: EncoderRecipe) -> Piece:
        kwargs = {**self._kwargs, "split": self._split, "partition": "encoder"}
        budgets = self._study.budgets
        data = self._collect(source_of(recipe.objective), budgets.frames, self._seed, kwargs)
        model = dataclasses.replace(
            default_model(self._scene.image_shape), latent_dim=recipe.latents, **recipe.model
        )
        request = {
            "objective": recipe.objective,
            "settings": recipe.settings,
            "model": dataclasses.asdict(model),
            "steps": budgets.pretrain_steps,
            "seed": self._seed,
        }
        memory = 1.5 + 2e-5 * budgets.frames
        return self._piece("pretrain", recipe.name, request, needs={"data": data}, memory=memory)

    def _encoder_cells(self, name: str, encoder: Piece) -> Iterator[Cell]:
        about = {**self._place, "encoder": name, "encoder_seed": self._seed}
        n, seed = self._study.budgets.score_frames, self._seed + _SCORE_SEED
        data = self._collect("factors", n, seed, self._kwargs)
        request = {
            "metrics": list(self._study.metrics),
            "samples": n,
            "split": self._split,
            "seed": self._seed,
        }
        needs = {"encoder": encoder, "data": data}
        yield Cell(self._piece("score", name, request, needs=needs), about)
        yield Cell(self._moves(name, encoder), about)

    def _moves(self, name: str, encoder: Piece) -> Piece:
        request = {"env": self._task.env, "env_kwargs": self._kwargs, "seed": self._seed}
        return self._piece("moves", name, request, needs={"encoder": encoder})

    def _agents(
        self,
        name: str,
        encoder_name: str,
        baseline: Baseline,
        encoder: Piece | None,
        objective_settings: Mapping[str, Any],
    ) -> Iterator[Cell]:
        study, budgets = self._study, self._study.budgets
        for algorithm in study.algorithms:
            label = name if len(study.algorithms) == 1 else f"{name}, {algorithm}"
            for number in range(study.agents_per_encoder):
                seed = self._seed * study.agents_per_encoder + number
                about = {
                    **self._place,
                    "agent": label,
                    "encoder": encoder_name,
                    "algorithm": algorithm,
                    "mode": baseline.mode if encoder else "",
                    "encoder_seed": self._seed if encoder else None,
                    "agent_seed": seed,
                }
                what = f"{label} agent {seed}"
                agent = self._train(what, baseline, encoder, algorithm, seed, objective_settings)
                yield Cell(agent, about)
                request = {"episodes": budgets.episodes, "seed": self._seed}
                needs = {"agent": agent}
                scored = self._piece("evaluate", what, request, needs=needs)
                yield Cell(scored, about)
                if baseline.inputs.startswith(("latents", "pixels")):
                    yield from self._transfers(what, needs, about)
                if encoder and baseline.mode == "frozen" and budgets.set_back_episodes:
                    request = {"episodes": budgets.set_back_episodes, "seed": self._seed}
                    needs = {"agent": agent, "moves": self._moves(encoder_name, encoder)}
                    yield Cell(self._piece("set_back", what, request, needs=needs), about)
                filmed = study.encoder_seeds.index(self._seed) < budgets.films
                if filmed and number == 0:
                    needs = {"agent": agent, "episodes": scored}
                    yield Cell(self._piece("film", what, {}, needs=needs), about)

    def _train(
        self,
        what: str,
        baseline: Baseline,
        encoder: Piece | None,
        algorithm: str,
        seed: int,
        objective_settings: Mapping[str, Any],
    ) -> Piece:
        task = self._task
        request = {
            "env": task.env,
            "env_kwargs": {**self._kwargs, "split": self._split, "partition": "policy"},
            "algorithm": algorithm,
            "seed": seed,
            **baseline.agent_arguments(task.proprioception),
            "objective_settings": dict(objective_settings),
            "steps": self._study.budgets.agent_steps,
            **task.agent,
            **({} if encoder else task.other_agent),
        }
        needs = {"encoder": encoder} if encoder else {}
        return self._piece("train", what, request, needs=needs, memory=2.0)

    def _random(self) -> Iterator[Cell]:
        seed = self._seed * self._study.agents_per_encoder
        request = {
            "random": True,
            "env": self._task.env,
            "env_kwargs": self._kwargs,
            "split": self._split,
            "episodes": self._study.budgets.episodes,
            "seed": self._seed,
        }
        about = {
            **self._place,
            "agent": RANDOM,
            "encoder": "",
            "algorithm": "",
            "mode": "",
            "encoder_seed": None,
            "agent_seed": seed,
        }
        yield Cell(self._piece("evaluate", RANDOM, request), about)
        yield from self._transfers(RANDOM, {}, about)

    def _transfers(
        self, what: str, needs: Mapping[str, Piece], about: Mapping[str, Any]
    ) -> Iterator[Cell]:
        """Runs in other environments, whose frames have the same size."""
        shape = {k: v for k, v in self._task.env_kwargs.items() if k == "image_size"}
        for other in self._task.transfer:
            request = {
                "env": other,
                "env_kwargs": shape,
                "episodes": self._study.budgets.episodes,
                "seed": self._seed,
            }
            yield Cell(self._piece("transfer", what, request, needs=needs), about)


def split_of(request: Mapping[str, Any]) -> Split:
    """Return the split in the request of a piece."""
    return Split.from_dict(request["split"])
