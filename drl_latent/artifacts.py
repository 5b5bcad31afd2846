"""Artefacts: folders of plain files with one JSON manifest, written whole or not at all.

Work goes into ``<out>.partial``, which is renamed to ``<out>`` when it is complete; a run that was
interrupted finds its partial folder again and goes on. Nothing here needs pickle.

The manifest lists each file with its SHA-256, except for a ``README.md``, which is documentation:
people may edit it, and nothing reads it. Files that the manifest does not list are never read, so
that they are no reason to refuse a folder: a hub adds its own.
"""

from __future__ import annotations

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

from drl_latent.manifest import FORMAT, ArtifactError, read_manifest, sha256

DOCUMENTATION = "README.md"
LOGS = "logs"
"""Folder of what only people look at, such as TensorBoard's logs; it may be deleted."""
_PACKAGES = ("drl-latent", "torch", "mujoco", "gymnasium", "stable-baselines3", "numpy")


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
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git here
        commit = ""
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": commit or None,
    }


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it."""
    scratch = path.with_name(path.name + ".tmp")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write JSON as `write_bytes` does."""
    write_bytes(path, (json.dumps(data, indent=2, default=str) + "\n").encode())


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

    def discard(self) -> None:
        """Remove the interrupted work: what was asked for turned out to be impossible."""
        shutil.rmtree(self.folder)

    def finish(self, config: Mapping[str, Any]) -> Path:
        """Write the manifest, with `config` in it, and give the folder its final name."""
        (self.folder / "request.json").unlink()
        files = sorted(
            p
            for p in self.folder.rglob("*")
            if p.is_file() and p.name != DOCUMENTATION and self.folder / LOGS not in p.parents
        )
        manifest = {
            "kind": f"drl_latent/{self.kind}",
            "format": FORMAT,
            "config": dict(config),
            "request": self.request,
            "provenance": provenance(),
            "files": {
                p.relative_to(self.folder).as_posix(): {
                    "bytes": p.stat().st_size,
                    "sha256": sha256(p),
                }
                for p in files
            },
        }
        write_json(self.folder / self._manifest, manifest)
        os.replace(self.folder, self.out)
        return self.out


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
