"""Artefacts: folders of plain files with one JSON manifest, written whole or not at all.

Work goes into ``<out>.partial``, which is renamed to ``<out>`` when it is complete; a run that was
interrupted finds its partial folder again and goes on. Nothing here needs pickle.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FORMAT = 1
_PACKAGES = ("drl-latent", "torch", "mujoco", "gymnasium", "stable-baselines3", "numpy")


class ArtifactError(ValueError):
    """A folder that is not the artefact it should be; the message says why and what to do."""


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(data: Any) -> str:
    """Return a short hash of JSON-able data, the same for the same content."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def plain(data: Any) -> Any:
    """Return `data` as it comes back from JSON: tuples as lists, paths as strings."""
    return json.loads(json.dumps(data, default=str))


@cache
def provenance() -> dict[str, Any]:
    """Return what made an artefact: package versions, Python, platform and git commit."""
    versions: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": commit or None,
    }


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it."""
    scratch = path.with_name(path.name + ".tmp")
    scratch.write_text(json.dumps(data, indent=2, default=str) + "\n", encoding="utf-8")
    os.replace(scratch, path)


class Stage:
    """One piece of work whose result is an artefact folder.

    Args:
        out: The folder to make.
        kind: What it holds, e.g. ``"frames"``; written in the manifest and checked on reading.
        request: JSON-able settings that determine the result. The same request finds its finished
            folder, or its interrupted one, again; another request on the same `out` is an error.
        manifest: File name of the manifest.

    Raises:
        ArtifactError: `out`, or the interrupted work on it, belongs to another request.
    """

    def __init__(
        self,
        out: str | Path,
        kind: str,
        request: Mapping[str, Any],
        manifest: str = "manifest.json",
    ) -> None:
        self.out, self.kind, self._manifest = Path(out), kind, manifest
        self.request = plain(dict(request))
        self.folder = self.out.with_name(self.out.name + ".partial")
        if self.out.exists():
            found = read_manifest(self.out, kind, manifest)["request"]
            self._check_same(found, self.out, "holds a result")
            self.is_complete = True
            return
        self.is_complete = False
        started = self.folder / "request.json"
        if started.exists():
            found = json.loads(started.read_text(encoding="utf-8"))
            self._check_same(found, self.folder, "holds interrupted work")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            write_json(started, self.request)

    def _check_same(self, found: Mapping[str, Any], where: Path, what: str) -> None:
        if found == self.request:
            return
        there, asked = _flat(found), _flat(self.request)
        shown = "; ".join(
            f"{key}: {_short(there.get(key))} there, {_short(asked.get(key))} asked"
            for key in sorted(there | asked)
            if there.get(key) != asked.get(key)
        )
        raise ArtifactError(
            f"{where} {what} made with other settings ({shown}). Choose another folder, or delete "
            "it to start over."
        )

    def finish(self, config: Mapping[str, Any]) -> Path:
        """Write the manifest, with `config` in it, and give the folder its final name."""
        (self.folder / "request.json").unlink()
        files = sorted(p for p in self.folder.rglob("*") if p.is_file())
        manifest = {
            "kind": f"drl_latent/{self.kind}",
            "format": FORMAT,
            "config": dict(config),
            "request": self.request,
            "provenance": provenance(),
            "files": {
                str(p.relative_to(self.folder)): {"bytes": p.stat().st_size, "sha256": sha256(p)}
                for p in files
            },
        }
        write_json(self.folder / self._manifest, manifest)
        os.replace(self.folder, self.out)
        return self.out


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
        raise ArtifactError(_explain_absence(folder, kind))
    if not file.is_file():
        raise ArtifactError(
            f"{folder} is not a {kind} folder: it has no {manifest}. Give a folder that "
            "drl_latent wrote."
        )
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        found, version = data["kind"], data["format"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ArtifactError(f"{file} is not a manifest of drl_latent ({error!r}).") from error
    if found != f"drl_latent/{kind}":
        raise ArtifactError(f"{folder} holds {found!r}, but a {kind} folder was expected.")
    if version > FORMAT:
        raise ArtifactError(
            f"{folder} was written in format {version}; this version reads up to {FORMAT}. "
            "Upgrade drl-latent."
        )
    for name, recorded in data["files"].items():
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


def _explain_absence(folder: Path, kind: str) -> str:
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


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings with dotted names, so that only what differs is shown."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
