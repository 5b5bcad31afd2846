"""Encoders on the Hugging Face hub, which is a folder here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from huggingface_hub import ModelHubMixin
from huggingface_hub.errors import (
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from drl_latent import Encoder
from drl_latent.artifacts import ArtifactError
from drl_latent.cli.export_command import Export
from drl_latent.sharing.hub import is_repo_id

if TYPE_CHECKING:
    from conftest import FakeHub

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def response(error: type[Exception]) -> Exception:
    return error("404 Client Error", response=SimpleNamespace(headers={}, request=None))  # type: ignore[call-arg]


def test_comes_back_as_it_went(hub: FakeHub, encoder: Encoder):
    address = encoder.push_to_hub("somebody/reach", license="mit", private=True)
    assert address == "https://huggingface.co/somebody/reach/commit/1"
    repository = hub.root / "somebody/reach"
    names = {"README.md", "config.json", "model.safetensors", ".gitattributes"}
    assert {file.name for file in repository.iterdir()} == names
    card = (repository / "README.md").read_text()
    assert "license: mit" in card
    assert 'Encoder.load("somebody/reach")' in card
    assert json.loads((repository / "config.json").read_text())["kind"] == "drl_latent/encoder"
    assert hub.calls[0]["private"] is True

    found = Encoder.load("somebody/reach")
    np.testing.assert_array_equal(found(FRAMES), encoder(FRAMES))
    assert found.fingerprint == encoder.fingerprint
    pinned = Encoder.from_pretrained("somebody/reach", revision="v1", token="secret")
    assert pinned.fingerprint == encoder.fingerprint
    assert hub.calls[-1] | {"revision": "v1", "token": "secret"} == hub.calls[-1]


def test_logs_of_pretraining_are_no_part_of_an_encoder(hub: FakeHub, encoder: Encoder):
    from drl_latent.artifacts import Stage

    stage = Stage(hub.root / "somebody/logged", "encoder", {}, "config.json")
    (stage.folder / "logs").mkdir()
    (stage.folder / "logs" / "events").write_text("loss")
    folder = encoder.save_in(stage)
    assert Encoder.load("somebody/logged").fingerprint == encoder.fingerprint
    assert not list((hub.root / "cache").rglob("logs"))
    shutil.rmtree(folder / "logs")
    assert Encoder.load(folder).fingerprint == encoder.fingerprint


def test_what_was_changed_on_the_hub_is_refused(hub: FakeHub, encoder: Encoder):
    encoder.push_to_hub("somebody/reach")
    weights = hub.root / "somebody/reach/model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=r"'somebody/reach' on the .*hub.* SHA-256.*fetches it"):
        Encoder.load("somebody/reach")
    (hub.root / "somebody/reach/config.json").write_text("no JSON")
    with pytest.raises(ArtifactError, match="is not a manifest"):
        Encoder.load("somebody/reach")
    (hub.root / "somebody/reach/config.json").unlink()
    with pytest.raises(ArtifactError, match=r"has no config\.json"):
        Encoder.load("somebody/reach")


def test_editing_the_card_on_the_hub_is_no_damage(hub: FakeHub, encoder: Encoder):
    encoder.push_to_hub("somebody/reach")
    (hub.root / "somebody/reach/README.md").write_text("edited")
    assert Encoder.load("somebody/reach").fingerprint == encoder.fingerprint


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (response(RepositoryNotFoundError), "there is no such repository, or it is private"),
        (response(RevisionNotFoundError), "no such revision"),
        (LocalEntryNotFoundError("..."), "cannot be reached, and there is no copy in the cache"),
        (OfflineModeIsEnabled("Offline mode is enabled."), "Offline mode is enabled"),
        (Exception("Proxy refused\nand more"), "Proxy refused. Check"),
    ],
)
def test_what_the_hub_does_not_give_is_explained(hub: FakeHub, error: Exception, says: str):
    hub.fails = error
    with pytest.raises(ArtifactError, match=f"'somebody/reach' is neither a folder .*{says}"):
        Encoder.load("somebody/reach")


def test_without_a_network_the_real_client_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match=r"neither a folder here nor .* cannot be reached"):
        Encoder.from_pretrained("somebody/reach", cache_dir=tmp_path / "cache")


def test_folders_win(hub: FakeHub, encoder: Encoder):
    encoder.save("somebody/reach")
    assert Encoder.load("somebody/reach").fingerprint == encoder.fingerprint
    assert not hub.calls
    with pytest.raises(ArtifactError, match="has no revision 'v1'"):
        Encoder.load("somebody/reach", revision="v1")


def test_a_misspelt_path_does_not_ask_the_hub(hub: FakeHub, encoder: Encoder):
    encoder.save("runs/reach")
    with pytest.raises(ArtifactError, match=r"Did you mean runs/reach.*The hub was not asked"):
        Encoder.load("runs/raech")
    for given in (Path("somebody/reach"), "reach", "/somebody/reach", "./somebody/reach"):
        with pytest.raises(ArtifactError, match="There is no encoder folder"):
            Encoder.load(given)
    assert not hub.calls
    encoder.push_to_hub("runs/raech")
    assert Encoder.load("runs/raech", revision="main").fingerprint == encoder.fingerprint


@pytest.mark.parametrize("name", ["somebody/reach", "some-body/reach_1.2"])
def test_names_of_repositories(name: str):
    assert is_repo_id(name)


@pytest.mark.parametrize("name", ["reach", "a/b/c", "../reach", "a/..", "a b/c", "", "a/b.git"])
def test_other_names(name: str):
    assert not is_repo_id(name)


def test_pushing_fails_early_and_with_advice(hub: FakeHub, encoder: Encoder, tmp_path: Path):
    with pytest.raises(ValueError, match="named owner/name, got 'reach'"):
        encoder.push_to_hub("reach")
    with pytest.raises(ArtifactError, match="There is no scores folder"):
        encoder.push_to_hub("somebody/reach", scores=tmp_path / "absent")
    assert not hub.calls
    hub.fails = LocalTokenNotFoundError("Token is required.")
    with pytest.raises(ArtifactError, match=r"Could not push.*Token is required.*hf auth login"):
        encoder.push_to_hub("somebody/reach")


def test_the_mixin_is_contained(hub: FakeHub, encoder: Encoder, tmp_path: Path):
    assert isinstance(encoder, ModelHubMixin)
    made = Encoder(encoder.model, {"steps": 1})
    assert made._hub_mixin_config is None
    folder = tmp_path / "enc"
    assert encoder.save_pretrained(folder) is None
    before = (folder / "config.json").read_bytes()
    encoder.save_pretrained(folder)
    assert (folder / "config.json").read_bytes() == before
    assert Encoder.from_pretrained(folder)._hub_mixin_config is None
    with pytest.raises(ValueError, match="takes no other config"):
        encoder.save_pretrained(folder, config={"a": 1})
    options = {"push_to_hub": True, "repo_id": "somebody/reach"}
    assert (
        encoder.save_pretrained(folder, **options)
        == "https://huggingface.co/somebody/reach/commit/1"
    )


def test_export_command(
    hub: FakeHub, encoder: Encoder, encoder_folder: str, capsys: pytest.CaptureFixture[str]
):
    command = Export(encoder_folder, out=Path("copy"), hub="somebody/reach", license="mit")
    assert command.run() == 0
    printed = capsys.readouterr().out
    assert "Encoder and model card: copy" in printed
    assert "Uploaded: https://huggingface.co/somebody/reach/commit/1" in printed
    assert "license: mit" in Path("copy/README.md").read_text()
    assert Encoder.load("copy").fingerprint == encoder.fingerprint
    assert Export("somebody/reach", out=Path("copy")).run() == 0
    with pytest.raises(ValueError, match="give --out, --onnx or --hub"):
        Export(encoder_folder).run()
