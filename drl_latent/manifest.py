"""Manifests: what makes a folder an artefact, read with distrust.

A folder may come from anywhere, and may have been damaged or changed on its way. Nothing in it is
run, and no file outside it is read.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

FORMAT = 1


class ArtifactError(ValueError):
    """A folder that is not the artefact it should be; the message says why and what to do."""


def unusable(folder: Path, kind: str, error: Exception) -> ArtifactError:
    """Return the error that says that a verified folder could not be made use of, and why."""
    said = f"it lacks {error}" if type(error) is KeyError else " ".join(str(error).split())
    return ArtifactError(
        f"{folder} does not hold a usable {kind}: {said.rstrip('.')}. Make or copy it again, or "
        "upgrade drl-latent if a newer version wrote it."
    )


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(
    path: str | Path, kind: str, manifest: str = "manifest.json", verify: bool = False
) -> dict[str, Any]:
    """Read and check the manifest of an artefact folder.

    Args:
        path: The folder.
        kind: What it has to hold.
        manifest: File name of the manifest.
        verify: Also compare each file's SHA-256; sizes are compared always.

    Raises:
        ArtifactError: There is no such folder, it was not finished, it holds something else, was
            written by a newer version, or a file is missing, truncated or changed.
    """
    folder = Path(path)
    file = folder / manifest
    if not folder.is_dir():
        raise ArtifactError(explain_absence(folder, kind))
    if not file.is_file():
        raise ArtifactError(
            f"{folder} is not a {kind} folder: it has no {manifest}. Give a folder that "
            "drl_latent wrote."
        )
    data = _parse_manifest(file, kind)
    for name, recorded in data["files"].items():
        if not _is_inside(name):
            raise ArtifactError(
                f"{file} lists the file {name!r}, which is not inside the folder: drl_latent did "
                "not write this. Do not use it."
            )
        part = folder / name
        if not part.is_file() or part.stat().st_size != recorded["bytes"]:
            size = part.stat().st_size if part.is_file() else "missing"
            raise ArtifactError(
                f"{part} should have {recorded['bytes']} bytes but is {size}: the folder was "
                "truncated or changed. Make or copy it again."
            )
        if verify and sha256(part) != recorded["sha256"]:
            raise ArtifactError(
                f"{part} does not have the SHA-256 that its manifest records: it was changed. "
                "Make or copy it again."
            )
    return data


def _parse_manifest(file: Path, kind: str) -> dict[str, Any]:
    """Return the content of a manifest of this kind, whose parts have the types they should."""
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        found, version = data["kind"], data["format"]
        if found == f"drl_latent/{kind}" and version <= FORMAT:
            for part in ("config", "request", "provenance", "files"):
                if not isinstance(data[part], dict):
                    raise TypeError(f"{part} is not an object")
            data["files"] = {
                name: {"bytes": int(recorded["bytes"]), "sha256": str(recorded["sha256"])}
                for name, recorded in data["files"].items()
            }
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(
            f"{file} is not a manifest of drl_latent ({error!r}). Give a folder that drl_latent "
            "wrote; if it did, make or copy it again."
        ) from error
    if found != f"drl_latent/{kind}":
        raise ArtifactError(
            f"{file.parent} holds {found!r}, but a {kind} folder was expected. Give another folder."
        )
    if version > FORMAT:
        raise ArtifactError(
            f"{file.parent} was written in format {version}; this version reads up to {FORMAT}. "
            "Upgrade drl-latent."
        )
    return data


def _is_inside(name: str) -> bool:
    """Return whether a file name stays in the folder that it is relative to."""
    # By its letters alone: the hub's cache is made of links that lead out of it.
    parts = PurePosixPath(name).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts and "\\" not in name


def explain_absence(folder: Path, kind: str) -> str:
    """Say that there is no such folder, and what else there is."""
    partial = folder.with_name(folder.name + ".partial")
    if partial.is_dir():
        return (
            f"{folder} is not finished: {partial} holds interrupted work. Run the same command "
            "again to go on."
        )
    message = f"There is no {kind} folder at {folder}."
    if folder.parent.is_dir():
        names = [p.name for p in folder.parent.iterdir() if p.is_dir()]
        close = difflib.get_close_matches(folder.name, names, n=1)
        if close:
            message += f" Did you mean {folder.parent / close[0]}?"
    return message
