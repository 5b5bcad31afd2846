"""Write rollouts as data sets of Minari, the offline format of Gymnasium."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from drl_latent.data.dataset import ROLLOUT_ARRAYS, FrameDataset
from drl_latent.data.minari_data import RECORD, RECORDED, import_package
from drl_latent.envs import make_env
from drl_latent.registry import UnknownNameError

_STEPS = {
    "actions": "actions",
    "rewards": "rewards",
    "terminated": "terminations",
    "truncated": "truncations",
}
"""Our name of what a step has to Minari's."""
_METADATA = (
    "algorithm_name",
    "author",
    "author_email",
    "code_permalink",
    "description",
    "requirements",
)
_ADVICE = (
    r"`(code_permalink|author|author_email|algorithm_name|eval_env)` is set to None"
    r"|env_spec is None"
)
"""Warnings of Minari that something is not described, which is for the caller to do."""


def export_minari(dataset: FrameDataset, dataset_id: str, **metadata: Any) -> Any:
    """Write a rollout as a data set of Minari, from which `import_minari` gives the same again.

    Images are stored as they are rather than as JPEG, factors as ``infos["factors"]``, and the
    factor space with the metadata. The environment can be recovered where we made it.

    Args:
        dataset: Frames along episodes: collected with ``source="rollout"``, or imported.
        dataset_id: Id of the new data set, e.g. ``"reach/random-v0"``.
        metadata: What describes it to others: ``author``, ``author_email``, ``description``,
            ``algorithm_name``, ``code_permalink``, ``requirements`` (a list, as pip reads them).

    Returns:
        The ``minari.MinariDataset``.

    Raises:
        ImportError: Minari is not installed.
        ValueError: The data set is no rollout, the id is taken or malformed, or Minari has no
            such metadata.
    """
    minari = import_package()
    from minari.storage import get_dataset_path

    if any(getattr(dataset, name) is None for name in ROLLOUT_ARRAYS):
        raise ValueError(
            f"{dataset.path} lacks {[n for n in ROLLOUT_ARRAYS if getattr(dataset, n) is None]}, "
            'which a step of Minari has. Collect it with source="rollout".'
        )
    if "stacked" in dataset.config:
        raise ValueError(f"{dataset!r} is stacked; export what open_dataset gives.")
    for name in metadata:
        if name not in _METADATA:
            raise UnknownNameError("entry of Minari's metadata", name, _METADATA)
    episodes = list(_episodes(dataset))
    try:
        minari.dataset.minari_dataset.parse_dataset_id(dataset_id)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'An id of Minari is "name-v0" or "namespace/name-v0", got {dataset_id!r}.'
        ) from error
    folder = get_dataset_path(dataset_id)
    if folder.exists():
        raise ValueError(f"{dataset_id!r} is there already, at {folder}; choose another id.")
    env_id = dataset.config.get("env")
    env = None if env_id is None else make_env(env_id, **dataset.config["env_kwargs"])
    defaults = {"description": f"Frames of {env_id or dataset.path.name} with their factors."}
    if dataset.config["source"] == "rollout":
        defaults["algorithm_name"] = "random actions, each held for some steps"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _ADVICE, UserWarning)
            made = minari.create_dataset_from_buffers(
                dataset_id,
                [minari.data_collector.EpisodeBuffer(**episode) for episode in episodes],
                env=env,
                observation_space=spaces.Box(0, 255, dataset.image_shape, np.uint8),
                action_space=_action_space(dataset) if env is None else None,
                jpeg_encoding=False,
                **{**defaults, **metadata},
            )
        record = {name: dataset.config[name] for name in RECORDED if name in dataset.config}
        made.storage.update_metadata({RECORD: record})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        if env is not None:
            env.close()
    return made


def _episodes(dataset: FrameDataset) -> Iterator[dict[str, Any]]:
    """Yield episodes as Minari buffers them, still on disk."""
    assert dataset.episode is not None
    cuts = np.flatnonzero(np.diff(dataset.episode)) + 1
    for start, stop in zip([0, *cuts], [*cuts, len(dataset)], strict=True):
        if stop - start < 2:
            raise ValueError(
                f"The episode at row {start} of {dataset.path} is a single frame, which is no "
                "step of Minari; collect more frames."
            )
        factors = dataset.factors[start:stop]
        yield {
            "observations": dataset.frames[start:stop],
            "infos": {"factors": factors} if factors.size else None,
            **{theirs: getattr(dataset, ours)[start : stop - 1] for ours, theirs in _STEPS.items()},
        }


def _action_space(dataset: FrameDataset) -> spaces.Box:
    """Return a space that all actions lie in, where nothing says what their bounds are."""
    assert dataset.actions is not None
    return spaces.Box(-np.inf, np.inf, dataset.actions.shape[1:], dataset.actions.dtype.type)
