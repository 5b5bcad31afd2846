"""Read data sets of Minari, the offline format of Gymnasium."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from drl_latent.artifacts import Stage, digest, sha256
from drl_latent.data.dataset import KIND, FrameDataset, open_dataset
from drl_latent.data.labels import Labels, label_columns
from drl_latent.data.writing import Chunk, fill
from drl_latent.envs.factor_space import FactorSpace

RECORD = "drl_latent"
"""Our entry in Minari's metadata: factors, split and environment, as in our own manifest."""
RECORDED = ("factor_space", "env", "env_kwargs", "split", "partition")
"""What that entry may hold."""


def import_minari(
    dataset: Any,
    out: str | Path,
    *,
    key: str | None = None,
    download: bool = False,
    progress: bool = True,
) -> FrameDataset:
    """Copy a data set of Minari with image observations; go on where an interrupted call stopped.

    Nothing is lost: an episode of T steps becomes T + 1 frames, and the last has NaN for action
    and reward. Factors come from ``infos["factors"]`` where there are any.

    Args:
        dataset: Its id, a ``minari.MinariDataset``, or the folder of one.
        out: The folder to make.
        key: Which entry of dictionary observations is the image; the only one unless given.
        download: Whether to fetch a data set that is not on this machine.
        progress: Whether to show progress.

    Returns:
        The data set, opened.

    Raises:
        ImportError: Minari is not installed.
        ValueError: There is no such data set, its observations are no images, or its actions are
            no vectors.
        ArtifactError: `out` holds something made from another data set.
    """
    minari = import_package()
    if not isinstance(dataset, minari.MinariDataset):
        dataset = _load(minari, dataset, download)
    if not len(dataset):
        raise ValueError(f"{dataset.id} has no episodes.")
    key, image_shape = _find_image(dataset, key)
    files = sorted(p for p in Path(dataset.storage.data_path).rglob("*") if p.is_file())
    request = {
        "source": "minari",
        "dataset": dataset.id,
        "episodes": digest(dataset.episode_indices.tolist()),
        "content": digest([[path.name, sha256(path)] for path in files]),
        "key": key,
    }
    first, stored = dataset[0], dataset.storage.metadata.get(RECORD, {})
    record = {name: stored[name] for name in RECORDED if name in stored}
    steps = dataset.storage.get_episode_metadata(dataset.episode_indices)
    bounds = np.cumsum([0, *(int(one["total_steps"]) + 1 for one in steps)]).tolist()
    actions = _action_rows(dataset, first.actions)
    space, factors = _find_factors(dataset, record, bounds[-1])
    stage = Stage(out, KIND, request)
    if stage.is_complete:
        return open_dataset(out)

    def write(chunk: Chunk, start: int) -> None:
        episode, stop = dataset[bounds.index(start)], start + len(chunk["frames"])
        chunk["frames"][:] = _images(episode.observations, key).reshape(-1, *image_shape)
        chunk["factors"][:] = factors[start:stop]
        chunk["episode"][:] = start
        chunk["actions"][:-1] = _action_rows(dataset, episode.actions)
        chunk["actions"][-1] = np.nan
        for name, values, none in (
            ("rewards", episode.rewards, np.nan),
            ("terminated", episode.terminations, False),
            ("truncated", episode.truncations, False),
        ):
            chunk[name][:-1], chunk[name][-1] = values, none

    columns: dict[str, tuple[Any, tuple[int, ...]]] = {
        "frames": (np.uint8, image_shape),
        "factors": (np.float32, (len(space),)),
        "actions": (actions.dtype, actions.shape[1:]),
        "episode": (np.int64, ()),
        "rewards": (np.result_type(first.rewards.dtype, np.float32), ()),
        "terminated": (np.bool_, ()),
        "truncated": (np.bool_, ()),
    }
    fill(stage.folder, columns, bounds, write, title="Importing", progress=progress)
    stage.finish({**request, **record, "n": bounds[-1], "factor_space": space.to_dict()})
    return open_dataset(out)


def import_package() -> Any:
    """Return the module ``minari``, after a look whether it can read and write.

    Raises:
        ImportError: It is not installed.
    """
    try:
        importlib.import_module("h5py")
        return importlib.import_module("minari")
    except ImportError as error:
        raise ImportError(
            'Data sets of Minari need it installed: pip install "drl-latent[minari]".'
        ) from error


def _load(minari: Any, dataset: str | Path, download: bool) -> Any:
    for folder in (Path(dataset) / "data", Path(dataset)):
        if (folder / "metadata.json").is_file():
            return minari.MinariDataset(folder)
    try:
        return minari.load_dataset(str(dataset), download=download)
    except FileNotFoundError as error:
        known = ", ".join(minari.list_local_datasets()) or "none"
        raise ValueError(
            f"There is no data set of Minari {str(dataset)!r} on this machine; those that are: "
            f"{known}. download=True fetches one that others have published."
        ) from error


def _find_image(dataset: Any, key: str | None) -> tuple[str | None, tuple[int, ...]]:
    """Return the entry of the observations that is the image, and the shape [H, W, C] of it."""
    space = dataset.observation_space
    if not isinstance(space, spaces.Dict):
        if key is not None:
            raise ValueError(f"Observations of {dataset.id} have no entries, so no {key!r}.")
        found: dict[str | None, Any] = {None: space} if _is_image(space) else {}
    else:
        found = {
            name: part for name, part in space.items() if _is_image(part) and key in (None, name)
        }
    if len(found) != 1:
        raise ValueError(
            f"Observations of {dataset.id} should have one image, uint8 [H, W, C] or [H, W]"
            f"{'' if key is None else f', called {key!r}'}; found {list(found)} in {space}. Say "
            "which it is with key."
        )
    ((name, image),) = found.items()
    return name, (*image.shape, 1)[:3]


def _is_image(space: spaces.Space[Any]) -> bool:
    shape = space.shape or ()
    return space.dtype == np.uint8 and (len(shape) == 2 or (len(shape) == 3 and shape[2] <= 16))


def _images(observations: Any, key: str | None) -> NDArray[np.uint8]:
    return observations if key is None else observations[key]


def _action_rows(dataset: Any, actions: Any) -> NDArray[np.floating]:
    """Return actions as vectors, float [T, A], of a type that holds them exactly, and NaN."""
    if not isinstance(actions, np.ndarray):
        raise ValueError(
            f"Actions of {dataset.id} should be vectors or numbers, got {dataset.action_space}."
        )
    dtype = actions.dtype if actions.dtype.kind == "f" else np.float64
    return actions.reshape(len(actions), -1).astype(dtype)


def _find_factors(dataset: Any, record: Mapping[str, Any], n: int) -> Labels:
    if not _has_factors(dataset[0]):
        return FactorSpace(()), np.empty((n, 0), np.float32)
    parts = []
    for episode in dataset:
        if not _has_factors(episode):
            raise ValueError(f"Episode {episode.id} of {dataset.id} lacks infos['factors'].")
        parts.append(np.asarray(episode.infos["factors"]))
    values = np.concatenate(parts)
    if "factor_space" not in record:
        return label_columns(values, n, f"infos['factors'] of {dataset.id}")
    return FactorSpace.from_dict(record["factor_space"]), values


def _has_factors(episode: Any) -> bool:
    return episode.infos is not None and "factors" in episode.infos
