"""``drl-latent import`` and ``drl-latent export``: data from elsewhere, and for elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

_MINARI = "minari:"
"""What the id of a data set of Minari begins with, where a path could stand as well."""


@dataclass(frozen=True)
class ImportData:
    """Copy images of your own, or a data set of Minari, into a folder of frames."""

    source: tyro.conf.Positional[str]
    """Folder of images, .npz or .npy; or minari:ID."""
    out: tyro.conf.Positional[Path]
    """Folder to make."""
    labels: Path | None = None
    """CSV with a header and a row for each image: each column becomes a factor."""
    image_size: int | None = None
    """Height and width to crop and resize images to; as they are unless given."""
    key: str | None = None
    """Of Minari: which entry of the observations is the image, if there are several."""
    download: bool = False
    """Of Minari: whether to fetch a data set that is not on this machine."""

    def run(self) -> int:
        """Import.

        Raises:
            ValueError: A setting is given that the kind of source does not have.
        """
        from drl_latent.data import import_images, import_minari

        is_minari = self.source.startswith(_MINARI)
        given = {
            "--labels": not is_minari or self.labels is None,
            "--image-size": not is_minari or self.image_size is None,
            "--key": is_minari or self.key is None,
            "--download": is_minari or not self.download,
        }
        for name, fits in given.items():
            if not fits:
                kind = "images" if is_minari else "data sets of Minari (minari:ID)"
                raise ValueError(f"{name} is for {kind}, but the source is {self.source}.")
        if is_minari:
            dataset = self.source.removeprefix(_MINARI)
            print(import_minari(dataset, self.out, key=self.key, download=self.download))
        else:
            print(
                import_images(self.source, self.out, labels=self.labels, image_size=self.image_size)
            )
        return 0


@dataclass(frozen=True)
class ExportData:
    """Write a rollout as a data set of Minari, which other libraries of offline RL read."""

    data: tyro.conf.Positional[Path]
    """Folder of frames, collected with --source rollout."""
    dataset_id: tyro.conf.Positional[str]
    """Id of the new data set, e.g. reach/random-v0."""
    author: str | None = None
    """Who made it."""
    author_email: str | None = None
    """Whom to ask about it."""
    description: str | None = None
    """What it is."""
    code_permalink: str | None = None
    """Where the code is that made it."""

    def run(self) -> int:
        """Export."""
        from drl_latent.data import export_minari, open_dataset

        metadata = {
            "author": self.author,
            "author_email": self.author_email,
            "description": self.description,
            "code_permalink": self.code_permalink,
        }
        made = export_minari(
            open_dataset(self.data),
            self.dataset_id,
            **{name: value for name, value in metadata.items() if value is not None},
        )
        print(f"{made.id}: {made.total_episodes} episodes, {made.total_steps} steps")
        return 0
