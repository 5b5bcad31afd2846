"""Artefact folders: written whole, found again, and read with distrust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drl_latent.artifacts import ArtifactError, Stage, provenance, read_manifest, write_bytes


def make(out: Path, **request: Any) -> Path:
    stage = Stage(out, "things", request or {"seed": 0})
    (stage.folder / "inner").mkdir()
    (stage.folder / "inner" / "numbers.txt").write_text("1 2 3")
    (stage.folder / "README.md").write_text("for people")
    (stage.folder / "inner" / "README.md").write_text("for people too")
    return stage.finish({"n": 3})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished artefact."""
    return make(tmp_path / "out")


def rewrite(folder: Path, **parts: Any) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | parts))


def test_manifest_says_what_was_made_of_what_by_what(folder: Path):
    manifest = read_manifest(folder, "things", verify=True)
    assert manifest["config"] == {"n": 3}
    assert manifest["request"] == {"seed": 0}
    assert manifest["provenance"]["versions"]["numpy"]
    assert list(manifest["files"]) == ["inner/numbers.txt"]
    assert manifest["files"]["inner/numbers.txt"]["bytes"] == 5
    assert not folder.with_name("out.partial").exists()


def test_the_same_request_finds_its_folder_and_another_does_not(folder: Path):
    assert Stage(folder, "things", {"seed": 0}).is_complete
    with pytest.raises(ArtifactError, match="seed: 0 there, 1 asked"):
        Stage(folder, "things", {"seed": 1})
    with pytest.raises(ArtifactError, match="but a people folder was expected"):
        Stage(folder, "people", {"seed": 0})


def test_documentation_may_be_edited_and_other_files_added(folder: Path):
    (folder / "README.md").write_text("better")
    (folder / "inner" / "README.md").unlink()
    (folder / "added.txt").write_text("by a hub")
    read_manifest(folder, "things", verify=True)


def test_all_else_is_checked(folder: Path):
    part = folder / "inner" / "numbers.txt"
    part.write_text("1 2 4")
    read_manifest(folder, "things")  # of the same size: found only where it is verified
    with pytest.raises(ArtifactError, match="SHA-256"):
        read_manifest(folder, "things", verify=True)
    part.write_text("1 2")
    with pytest.raises(ArtifactError, match="should have 5 bytes but is 3"):
        read_manifest(folder, "things")
    part.unlink()
    with pytest.raises(ArtifactError, match="but is missing"):
        read_manifest(folder, "things")


@pytest.mark.parametrize(
    "name", ["../secret", "inner/../../secret", "/etc/hostname", "..", "", ".", "..\\secret"]
)
def test_files_outside_the_folder_are_refused(folder: Path, name: str):
    secret = folder.parent / "secret"
    secret.write_text("12345")
    recorded = {
        "bytes": 5,
        "sha256": "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5",
    }
    rewrite(folder, files={name: recorded})
    with pytest.raises(ArtifactError, match="which is not inside the folder"):
        read_manifest(folder, "things", verify=True)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b"{}", b"[" * 100_000,
        b'{"kind": "drl_latent/things"}',
        b'{"kind": "drl_latent/things", "format": "1"}',
        b'{"kind": "drl_latent/things", "format": 1}',
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(folder: Path, content: bytes):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="is not a manifest of drl_latent"):
        read_manifest(folder, "things")


@pytest.mark.parametrize(
    "parts",
    [
        {"config": None}, {"request": []}, {"files": []}, {"files": {"inner/numbers.txt": 5}},
        {"files": {"inner/numbers.txt": {"bytes": 5}}},
        {"files": {"inner/numbers.txt": {"bytes": "many", "sha256": ""}}},
    ],
)  # fmt: skip
def test_manifests_with_parts_of_other_types_are_refused(folder: Path, parts: dict[str, Any]):
    rewrite(folder, **parts)
    with pytest.raises(ArtifactError, match="is not a manifest of drl_latent"):
        read_manifest(folder, "things", verify=True)


def test_newer_formats_ask_for_an_upgrade(folder: Path):
    rewrite(folder, format=2, files="in another form")
    with pytest.raises(ArtifactError, match=r"written in format 2.*Upgrade drl-latent"):
        read_manifest(folder, "things")


def test_absent_folders_are_explained(folder: Path, tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"There is no things folder at .*Did you mean .*out\?"):
        read_manifest(tmp_path / "uot", "things")
    Stage(tmp_path / "begun", "things", {})
    with pytest.raises(ArtifactError, match="is not finished"):
        read_manifest(tmp_path / "begun", "things")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"has no manifest\.json"):
        read_manifest(tmp_path / "empty", "things")


def test_provenance_does_without_git(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    provenance.cache_clear()
    try:
        assert provenance()["commit"] is None
    finally:
        provenance.cache_clear()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "file"
    write_bytes(file, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
