"""Artefact folders on the Hugging Face hub: the one place that knows `huggingface_hub`'s ways.

Left to itself, `ModelHubMixin` records the arguments of each constructor, deletes the
``config.json`` of a folder that is saved to, writes one of its own, and reads it before anything
is verified. `HubMixin` keeps its interface and lets our artefact folders do all of that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from huggingface_hub import ModelHubMixin, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from drl_latent.artifacts import DOCUMENTATION, Stage, write_bytes
from drl_latent.manifest import ArtifactError, explain_absence

if TYPE_CHECKING:
    import torch
    from huggingface_hub import ModelCard


class HubMixin(ModelHubMixin, ABC):
    """What is saved as an artefact folder, and can go to the hub and come from it."""

    KIND: ClassVar[str]
    """What its folders hold, as their manifests say."""
    MANIFEST: ClassVar[str]
    """File name of the manifest."""
    FETCHED: ClassVar[tuple[str, ...]]
    """Patterns of what its manifest may list, and of the manifest; whatever else a repository has,
    the hub's own files and other people's, stays there."""
    SHOWN: ClassVar[tuple[str, ...]]
    """Arguments of `save` that say what the card shows."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Create an instance, without the mixin's record of the arguments."""
        return object.__new__(cls)

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A short hash of what makes it what it is."""

    @abstractmethod
    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Return the model card; keyword arguments are those that `save` has for it."""

    @abstractmethod
    def save(self, path: str | Path, *args: Any, **kwargs: Any) -> Path:
        """Write a folder, with the model card in it."""

    @abstractmethod
    def save_in(self, stage: Stage, card: ModelCard | None = None) -> Path:
        """Write it as the result of `stage`, finish that, and add the model card."""

    @classmethod
    @abstractmethod
    def read(cls, folder: Path, device: str | torch.device = "cpu") -> Self:
        """Read a folder that `save` wrote, and verify it; never from the hub."""

    def document(self, folder: Path, card: ModelCard) -> None:
        """Write the model card into a finished folder."""
        write_bytes(folder / DOCUMENTATION, str(card).encode())

    def _save(self, path: str | Path, shown: Mapping[str, Any]) -> Path:
        """Do what `save` does, of a card that shows `shown`."""
        card = self.generate_model_card(**shown)  # first: what does not fit leaves nothing behind
        out, request = Path(path), {"fingerprint": self.fingerprint}
        if not out.exists():
            return self.save_in(Stage(out, self.KIND, request, self.MANIFEST), card)
        found = self.read(out).fingerprint
        if found != self.fingerprint:
            raise ArtifactError(
                f"{out} holds another {self.KIND}, {found}, than the one to save, "
                f"{self.fingerprint}. Choose another folder, or delete it."
            )
        is_told_more = any(fact is not None for fact in shown.values())
        if is_told_more or not (out / DOCUMENTATION).exists():
            self.document(out, card)
        return out

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> str | None:
        """Do what `save` does, under the name that the hub's other libraries use.

        Args:
            save_directory: The folder.
            repo_id: Where to push; the folder's name unless given.
            push_to_hub: Whether to push as well.
            model_card_kwargs: What the card shows, as for `save`.
            options: As for `push_to_hub`.

        Returns:
            The address of the commit, if there is one.
        """
        if options.pop("config", None) is not None:
            raise ValueError(
                f"{self.MANIFEST} is the manifest of the folder: it takes no other config."
            )
        shown = dict(model_card_kwargs or {})
        self.save(save_directory, **shown)
        if not push_to_hub:
            return None
        shown.pop("repo_id", None)
        return self.push_to_hub(repo_id or Path(save_directory).name, **shown, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload weights, manifest and model card to a repository, which is made if need be.

        It needs a token that may write: log in once with ``hf auth login``.

        Args:
            repo_id: The repository, ``"owner/name"``.
            options: What the card shows, as for `save`; and those of
                `huggingface_hub.ModelHubMixin.push_to_hub`: `private`, `branch`, `create_pr`,
                `commit_message`, `token` ...

        Returns:
            The address of the commit.

        Raises:
            ValueError: `repo_id` is not of the form ``"owner/name"``.
            ArtifactError: What the card should show does not fit, or the hub refused or cannot be
                reached.
        """
        if not is_repo_id(repo_id):
            raise ValueError(f"A repository on the hub is named owner/name, got {repo_id!r}.")
        card = {name: options.pop(name) for name in self.SHOWN if name in options}
        card["repo_id"] = repo_id
        self.generate_model_card(**card)  # first: what does not fit leaves no empty repository
        try:
            return super().push_to_hub(repo_id, model_card_kwargs=card, **options)
        except (ArtifactError, TypeError):
            raise
        except Exception as error:  # the errors of its HTTP client change with its versions
            raise ArtifactError(
                f"Could not push to {repo_id!r}: {_reason(error)}. Check the name and the network, "
                "and log in with `hf auth login` and a token that may write there."
            ) from error

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device = "cpu",
        revision: str | None = None,
    ) -> Self:
        """Read what `save` or `push_to_hub` wrote, and verify it.

        Each file that the manifest lists must have its SHA-256. Other files are ignored, and no
        code from the folder is run.

        Args:
            path: A folder; or, where there is none of that name, a repository on the Hugging Face
                hub, ``"owner/name"``. A `Path` is always a folder.
            device: Where to put the weights.
            revision: Branch, tag or commit of the repository; its main branch unless given.

        Raises:
            ArtifactError: The folder is absent, unfinished, damaged, changed or something else,
                or the hub does not give such a repository.
        """
        return cls.from_pretrained(path, device=device, revision=revision)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        device: str | torch.device = "cpu",
        **options: Any,
    ) -> Self:
        """Do what `load` does, with more options for downloads.

        Args:
            pretrained_model_name_or_path: A folder, or ``"owner/name"`` on the hub.
            device: Where to put the weights.
            options: `revision`, `token`, `cache_dir`, `force_download` and `local_files_only`, as
                for `huggingface_hub.snapshot_download`.

        Raises:
            ArtifactError: As for `load`.
        """
        folder = cls.locate(pretrained_model_name_or_path, **options)
        try:
            return cls.read(folder, device)
        except ArtifactError as error:
            if folder == Path(pretrained_model_name_or_path):
                raise
            raise ArtifactError(
                f"{pretrained_model_name_or_path!r} on the Hugging Face hub is not usable: {error} "
                f"{cls.__name__}.from_pretrained(..., force_download=True) fetches it again."
            ) from error

    @classmethod
    def locate(
        cls,
        given: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> Path:
        """Return the folder of one that is given by its path, or by its name on the hub.

        A path that exists wins. So that a misspelt path does not fetch what a stranger calls by
        that name, ``"owner/name"`` means the hub only if there is no folder ``owner`` here, or a
        revision is given.

        Raises:
            ArtifactError: There is no such folder, and the hub has no such repository, does not
                give it, or cannot be reached.
        """
        folder = Path(given)
        if folder.exists():
            if revision is not None:
                raise ArtifactError(
                    f"{folder} is a folder here, which has no revision {revision!r}. Leave the "
                    "revision out, or work in another directory to load the repository of that "
                    "name."
                )
            return folder
        if not is_repo_id(given):
            raise ArtifactError(explain_absence(folder, cls.KIND))
        if revision is None and folder.parent.is_dir():
            raise ArtifactError(
                f"{explain_absence(folder, cls.KIND)} The hub was not asked, since {folder.parent} "
                'is a folder here; give a revision, such as "main", if you mean a repository.'
            )
        try:
            snapshot = snapshot_download(
                str(given),
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                allow_patterns=list(cls.FETCHED),
            )
        except Exception as error:  # the errors of its HTTP client change with its versions
            raise ArtifactError(
                f"{given!r} is neither a folder here nor a repository that the Hugging Face hub "
                f"gives: {_reason(error)}. Check the path or name; log in with `hf auth login` if "
                "it is private; or copy the folder here and give its path."
            ) from error
        return Path(snapshot)


def is_repo_id(given: str | Path) -> bool:
    """Return whether this could name a repository on the hub: ``"owner/name"``."""
    try:
        validate_repo_id(given)  # type: ignore[arg-type] # it refuses paths
    except HFValidationError:
        return False
    return "/" in str(given)


def _reason(error: Exception) -> str:
    """Say in a line why the hub did not do what it was asked."""
    reasons: list[tuple[type[Exception], str]] = [
        (GatedRepoError, "its owner has to grant access, which is asked for on its page"),
        (RepositoryNotFoundError, "there is no such repository, or it is private"),
        (RevisionNotFoundError, "the repository has no such revision"),
        (LocalEntryNotFoundError, "the hub cannot be reached, and there is no copy in the cache"),
    ]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    described = f"{type(error).__name__}: {lines[0] if lines else 'no details'}".rstrip(".")
    return next((reason for kind, reason in reasons if isinstance(error, kind)), described)
