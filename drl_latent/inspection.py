"""Inspect what the latents of an encoder do: interventions of all kinds, in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.artifacts import Stage, read_manifest
from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset, open_dataset
from drl_latent.interventions import (
    Editor,
    FactorReader,
    action_influence,
    code_responses,
    knob_purity,
    responses_from_pairs,
    save_gif,
    traverse,
)
from drl_latent.interventions.action_influence import MIN_EPISODES

KIND = "inspection"
TRAVERSALS = "traversals.npz"
EDITS = "edits.npz"
GIF = "traversals.gif"
_EDITS = 5
_PURE = 0.7
_ROWS = 20_000
_HORIZON = 5
"""Steps over which actions are followed: over one, momentum hides most of what they do."""


def inspect_encoder(
    encoder: Encoder | str | Path,
    dataset: FrameDataset | str | Path,
    out: str | Path,
    *,
    anchors: int = 3,
    samples: int = 2_000,
    pairs: int = 200,
    reader_steps: int = 2_000,
    knob: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure and draw what turning each latent changes, and what moves it.

    Traversals; knob purity, by a reader that is trained on the frames; edits of one frame; the
    responses of codes to each factor, where the data set knows its environment or consists of
    pairs; the influence of actions, where it is a rollout.

    Args:
        encoder: The encoder, or its folder.
        dataset: Labelled frames, or their folder; 10,000 or more for a reader to go by.
        out: The folder to make: ``traversals.gif``, arrays of images, and a manifest that holds all
            numbers. `drl_latent.report.draw_inspection` draws the figures.
        anchors: Frames around whose codes latents are moved in the traversals.
        samples: Frames, spread evenly over the data set, that ranges, purity and knobs are taken
            from.
        pairs: Pairs of images a factor that responses are measured on.
        reader_steps: Steps that the reader is trained for.
        knob: How edits find what to turn, a name in `drl_latent.interventions.KNOBS`; "latent"
            where purity is 0.7 or more and "direction" elsewhere unless given.
        seed: Of the reader and of every draw.

    Returns:
        What `read_inspection` does.

    Raises:
        ValueError: The frames do not fit the encoder, or have no labels.
        ArtifactError: A folder is not what it should be.
    """
    encoder = Encoder.load(encoder) if isinstance(encoder, (str, Path)) else encoder
    data = dataset if isinstance(dataset, FrameDataset) else open_dataset(dataset)
    encoder.check(data.image_shape, str(data.frames.dtype))
    if not len(data.factor_space):
        raise ValueError(
            f"{data.path} has no factors to read from images. Import it with a table of labels."
        )
    request = {
        "encoder": encoder.fingerprint,
        "data": data.fingerprint,
        "anchors": anchors,
        "samples": samples,
        "pairs": pairs,
        "reader_steps": reader_steps,
        "knob": knob,
        "seed": seed,
    }
    stage = Stage(out, KIND, request)
    if stage.is_complete:
        return read_inspection(out)
    rows = np.unique(np.linspace(0, len(data) - 1, samples).astype(int))
    frames, factors = np.asarray(data.frames[rows]), data.factors[rows]
    _traverse(stage, encoder, frames, anchors)
    reader = FactorReader.from_dataset(data, steps=reader_steps, seed=seed)
    purity = knob_purity(encoder, reader, frames, seed=seed)
    knob = knob or ("latent" if purity.score >= _PURE else "direction")
    editor = Editor.fit(encoder, frames, factors, names=data.factor_space.names, knob=knob)
    _edit(stage, editor, frames, dict(zip(data.factor_space.names, factors.T, strict=True)))
    found: dict[str, Any] = {
        "n": len(frames),
        "reader": reader.accuracy,
        "purity": purity.to_dict(),
        "knob": knob,
    }
    if data.pair_kind == "pairs":
        responses = responses_from_pairs(encoder, data, informative=purity.active, seed=seed)
        found["responses"] = responses.to_dict()
    elif "env" in data.config:
        responses = code_responses(
            encoder,
            data.config["env"],
            n=pairs,
            informative=purity.active,
            seed=seed,
            env_kwargs=data.config.get("env_kwargs"),
        )
        found["responses"] = responses.to_dict()
    if data.actions is not None and data.episode is not None and _episodes(data) >= MIN_EPISODES:
        names = [f"z{d}" for d in range(encoder.latent_dim)]
        influence = action_influence(
            encoder(np.asarray(data.frames[:_ROWS])),
            data.actions[:_ROWS],
            data.episode[:_ROWS],
            names=names,
            horizon=_HORIZON,
            seed=seed,
        )
        found["influence"] = influence.to_dict()
    stage.finish(found)
    return read_inspection(out)


def read_inspection(path: str | Path) -> dict[str, Any]:
    """Return the numbers that `inspect_encoder` found.

    Returns:
        ``reader``: how well factors are read from rendered frames; ``purity``, ``responses`` and
        ``influence``: the fields of `KnobPurity`, `CodeResponses` and `ActionInfluence`, the last
        two only where the data set allows.

    Raises:
        ArtifactError: The folder is not what it should be.
    """
    config: dict[str, Any] = read_manifest(path, KIND)["config"]
    return config


def _episodes(data: FrameDataset) -> int:
    assert data.episode is not None
    return len(np.unique(data.episode[:_ROWS]))


def _traverse(stage: Stage, encoder: Encoder, frames: NDArray[np.uint8], anchors: int) -> None:
    # Far apart: in a rollout, neighbours are alike.
    chosen = np.linspace(0, len(frames) - 1, min(anchors, len(frames))).astype(int)
    shown = traverse(encoder, frames, anchors=chosen.tolist())
    np.savez_compressed(
        stage.folder / TRAVERSALS,
        images=shown.images,
        values=shown.values,
        change=shown.change,
        order=shown.order,
    )
    save_gif(shown, stage.folder / GIF)


def _edit(
    stage: Stage,
    editor: Editor,
    frames: NDArray[np.uint8],
    factors: Mapping[str, NDArray[np.float32]],
) -> None:
    """Save what is decoded of one frame, and that with each factor set to several values."""
    drawn = editor.encoder.decode(editor.encoder(frames[:1]))
    rows: dict[str, Any] = {"names": np.array(list(editor.knobs))}
    for i, name in enumerate(editor.knobs):
        column = factors[name].astype(np.float64)
        values = np.unique(column)
        if len(values) > _EDITS:
            # Values that occur, so that classes stay classes.
            ends = np.percentile(column, np.linspace(5, 95, _EDITS))
            values = values[np.searchsorted(values, ends).clip(max=len(values) - 1)]
        edited = [editor.set(frames[:1], name, float(value)) for value in values]
        rows[f"images_{i}"] = np.concatenate([drawn, *edited])
        rows[f"captions_{i}"] = np.array(["decoded", *(f"{value:.3g}" for value in values)])
    np.savez_compressed(stage.folder / EDITS, **rows)
