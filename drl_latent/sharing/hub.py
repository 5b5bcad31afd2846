"""Encoders on the Hugging Face hub: the one place that knows `huggingface_hub`'s ways.

Left to itself, `ModelHubMixin` records the arguments of each constructor, deletes the
``config.json`` of a folder that is saved to, writes one of its own, and reads it before anything
is verified. `HubMixin` keeps its interface and lets our artefact folders do all of that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from huggingface_hub import ModelHubMixin, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from drl_latent.manifest import ArtifactError, explain_absence

if TYPE_CHECKING:
    import torch
    from huggingface_hub import ModelCard

    from drl_latent.sharing.card_facts import Scores

KIND = "encoder"
MANIFEST = "config.json"
WEIGHTS = "model.safetensors"
_FETCHED = [MANIFEST, WEIGHTS, "logs/*"]
"""What an encoder's manifest may list; the hub's own files and other people's stay there."""


class HubMixin(ModelHubMixin, ABC):
    """What is saved as an artefact folder, and can go to the hub and come from it."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Create an instance, without the mixin's record of the arguments."""
        return object.__new__(cls)

    @abstractmethod
    def generate_model_card(
        self,
        *_: Any,
        scores: Scores | None = None,
        license: str | None = None,
        repo_id: str | None = None,
    ) -> ModelCard:
        """Return the model card."""

    @abstractmethod
    def save(
        self,
        path: str | Path,
        *,
        scores: Scores | None = None,
        license: str | None = None,
        repo_id: str | None = None,
    ) -> Path:
        """Write a folder, with the model card in it."""

    @classmethod
    @abstractmethod
    def read(cls, folder: Path, device: str | torch.device) -> Self:
        """Read a folder that `save` wrote, and verify it."""

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
            model_card_kwargs: `scores` and `license`, as for `save`.
            options: As for `push_to_hub`.

        Returns:
            The address of the commit, if there is one.
        """
        if options.pop("config", None) is not None:
            raise ValueError(f"{MANIFEST} is the manifest of the folder: it takes no other config.")
        card = dict(model_card_kwargs or {})
        self.save(save_directory, **card)
        if not push_to_hub:
            return None
        facts = {key: card.get(key) for key in ("scores", "license")}
        return self.push_to_hub(repo_id or Path(save_directory).name, **facts, **options)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        scores: Scores | None = None,
        license: str | None = None,
        **options: Any,
    ) -> str:
        """Upload weights, manifest and model card to a repository, which is made if need be.

        It needs a token that may write: log in once with ``hf auth login``.

        Args:
            repo_id: The repository, ``"owner/name"``.
            scores: What the card shows: a table of `drl_latent.metrics.score_all`, or a folder
                of `drl_latent.scoring.score_encoder`.
            license: Identifier of the weights' licence for the card, e.g. ``"apache-2.0"``.
            options: Of `huggingface_hub.ModelHubMixin.push_to_hub`: `private`, `branch`,
                `create_pr`, `commit_message`, `token` ...

        Returns:
            The address of the commit.

        Raises:
            ValueError: `repo_id` is not of the form ``"owner/name"``.
            ArtifactError: The scores are not of this encoder, or the hub refused or cannot be
                reached.
        """
        if not is_repo_id(repo_id):
            raise ValueError(f"A repository on the hub is named owner/name, got {repo_id!r}.")
        card: dict[str, Any] = {"scores": scores, "license": license, "repo_id": repo_id}
        self.generate_model_card(**card)  # first: scores that do not fit leave no empty repository
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
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        device: str | torch.device = "cpu",
        **options: Any,
    ) -> Self:
        """Do what `Encoder.load` does, with more options for downloads.

        Args:
            pretrained_model_name_or_path: A folder, or ``"owner/name"`` on the hub.
            device: Where to put the weights.
            options: `revision`, `token`, `cache_dir`, `force_download` and `local_files_only`, as
                for `huggingface_hub.snapshot_download`.

        Raises:
            ArtifactError: As for `Encoder.load`.
        """
        folder = locate(pretrained_model_name_or_path, **options)
        try:
            return cls.read(folder, device)
        except ArtifactError as error:
            if folder == Path(pretrained_model_name_or_path):
                raise
            raise ArtifactError(
                f"{pretrained_model_name_or_path!r} on the Hugging Face hub is not usable: {error} "
                "Encoder.from_pretrained(..., force_download=True) fetches it again."
            ) from error


def is_repo_id(given: str | Path) -> bool:
    """Return whether this could name a repository on the hub: ``"owner/name"``."""
    try:
        validate_repo_id(given)  # type: ignore[arg-type] # it refuses paths
    except HFValidationError:
        return False
    return "/" in str(given)


def locate(
    given: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Path:
    """Return the folder of an encoder that is given by its path, or by its name on the hub.

    A path that exists wins. So that a misspelt path does not fetch what a stranger calls by that
    name, ``"owner/name"`` means the hub only if there is no folder ``owner`` here, or a revision
    is given.

    Raises:
        ArtifactError: There is no such folder, and the hub has no such repository, does not give
            it, or cannot be reached.
    """
    folder = Path(given)
    if folder.exists():
        if revision is not None:
            raise ArtifactError(
                f"{folder} is a folder here, which has no revision {revision!r}. Leave the "
                "revision out, or work in another directory to load the repository of that name."
            )
        return folder
    if not is_repo_id(given):
        raise ArtifactError(explain_absence(folder, KIND))
    if revision is None and folder.parent.is_dir():
        raise ArtifactError(
            f"{explain_absence(folder, KIND)} The hub was not asked, since {folder.parent} is a "
            'folder here; give a revision, such as "main", if you mean a repository.'
        )
    try:
        snapshot = snapshot_download(
            str(given),
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            allow_patterns=_FETCHED,
        )
    except Exception as error:  # the errors of its HTTP client change with its versions
        raise ArtifactError(
            f"{given!r} is neither a folder here nor a repository that the Hugging Face hub gives: "
            f"{_reason(error)}. Check the path or name; log in with `hf auth login` if it is "
            "private; or copy the folder here and give its path."
        ) from error
    return Path(snapshot)


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
