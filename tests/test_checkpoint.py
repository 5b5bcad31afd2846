from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from drl_latent import Encoder
from drl_latent.artifacts import ArtifactError, sha256
from drl_latent.models import LatentModel, ModelConfig


def pictures(n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def test_codes_are_bit_identical_after_saving_and_in_a_fresh_process(
    encoder: Encoder, encoder_folder: str, tmp_path: Path
):
    codes = encoder(pictures())
    assert codes.dtype == np.float32
    assert codes.shape == (5, 10)
    np.testing.assert_array_equal(Encoder.load(encoder_folder)(pictures()), codes)
    np.save(tmp_path / "frames.npy", pictures())
    script = (
        "import sys, numpy as np; from drl_latent import Encoder;"
        "np.save(sys.argv[3], Encoder.load(sys.argv[1])(np.load(sys.argv[2])))"
    )
    paths = [encoder_folder, str(tmp_path / "frames.npy"), str(tmp_path / "codes.npy")]
    subprocess.run([sys.executable, "-c", script, *paths], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), codes)


def test_takes_tensors_batches_and_nothing(encoder: Encoder):
    frames = pictures(600)
    codes = encoder(frames)
    np.testing.assert_array_equal(encoder(torch.from_numpy(frames)).numpy(), codes)
    np.testing.assert_allclose(encoder(frames[570:]), codes[570:], atol=1e-5)
    assert encoder(frames[:0]).shape == (0, 10)


def test_is_frozen(encoder: Encoder):
    assert not encoder.model.training
    assert not any(p.requires_grad for p in encoder.model.parameters())


def test_decodes_to_images(encoder: Encoder):
    images = encoder.decode(np.zeros((3, 10)))
    assert images.shape == (3, 32, 32, 3)
    assert images.dtype == np.uint8
    with pytest.raises(ValueError, match=r"codes of shape \[N, 10\]"):
        encoder.decode(np.zeros((3, 9)))


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (pictures().astype(np.float32), r"float32 \[N, 64, 64, 3\]"),
        (pictures()[:, :32], r"uint8 \[N, 32, 64, 3\]"),
        (pictures().transpose(0, 3, 1, 2), r"channels last"),
        (pictures()[0], "with 3 dimensions"),
    ],
)
def test_wrong_frames_are_refused(encoder: Encoder, frames: np.ndarray, says: str):
    with pytest.raises(ValueError, match=says):
        encoder(frames)


def test_saving_twice_is_fine_and_over_another_is_not(encoder: Encoder, encoder_folder: str):
    assert str(encoder.save(encoder_folder)) == encoder_folder
    other = Encoder(LatentModel(ModelConfig(latent_dim=3)))
    with pytest.raises(ArtifactError, match="another encoder"):
        other.save(encoder_folder)


@pytest.fixture
def copied(encoder_folder: str, tmp_path: Path) -> Path:
    """A copy of the saved encoder, to damage."""
    return Path(shutil.copytree(encoder_folder, tmp_path / "copied"))


def rewrite(folder: Path, change: Callable[[dict], object]) -> None:
    """Change the manifest as someone who knows its form would."""
    file = folder / "config.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def replace_weights(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Put other weights in the folder, and their size and SHA-256 in its manifest."""
    file = folder / "model.safetensors"
    save_file(weights, file)
    recorded = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    rewrite(folder, lambda manifest: manifest["files"].update({file.name: recorded}))


def test_tampered_weights_are_refused(copied: Path):
    weights = copied / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=r"SHA-256.*Make or copy it again"):
        Encoder.load(copied)
    weights.write_bytes(content[:1000])
    with pytest.raises(ArtifactError, match=r"should have \d+ bytes but is 1000.*truncated"):
        Encoder.load(copied)
    weights.unlink()
    with pytest.raises(ArtifactError, match="but is missing"):
        Encoder.load(copied)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m["config"]["model"].update(latent_dim=4), "usable encoder.*size mismatch"),
        (lambda m: m["config"]["model"].update(encoder="os.system"), "Unknown encoder"),
        (lambda m: m["config"]["model"].update(latent_dim="10"), "usable encoder"),
        (lambda m: m["config"]["model"].update(command="rm"), "usable encoder.*command"),
        (lambda m: m["config"].pop("model"), "it lacks 'model'"),
        (lambda m: m["config"].update(training=5), "usable encoder"),
        (lambda m: m["files"].pop("model.safetensors"), "cannot be verified"),
        (lambda m: m["files"].update({"../x": {"bytes": 1, "sha256": ""}}), "not inside"),
        (lambda m: m.update(format=99), "format 99.*Upgrade drl-latent"),
        (lambda m: m.update(kind="drl_latent/frames"), "holds 'drl_latent/frames'"),
    ],
)
def test_changed_manifests_are_refused(copied: Path, change: Callable[[dict], object], says: str):
    rewrite(copied, change)
    with pytest.raises(ArtifactError, match=says):
        Encoder.load(copied)


def test_weights_that_do_not_fit_are_refused(copied: Path, encoder: Encoder):
    weights = {name: tensor.contiguous() for name, tensor in encoder.model.state_dict().items()}
    name = next(name for name, tensor in weights.items() if tensor.ndim > 1)
    replace_weights(copied, weights)
    assert Encoder.load(copied).fingerprint == encoder.fingerprint
    replace_weights(copied, {**weights, name: weights[name][:1].contiguous()})
    with pytest.raises(ArtifactError, match=f"size mismatch for {name}"):
        Encoder.load(copied)
    replace_weights(copied, {key: tensor for key, tensor in weights.items() if key != name})
    with pytest.raises(ArtifactError, match=r"Missing key.*Make or copy it again"):
        Encoder.load(copied)
    replace_weights(copied, {**weights, "unknown": torch.zeros(1)})
    with pytest.raises(ArtifactError, match="Unexpected key"):
        Encoder.load(copied)


def test_absent_folders_are_refused(tmp_path: Path, encoder_folder: str):
    with pytest.raises(ArtifactError, match="There is no encoder folder"):
        Encoder.load(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"has no config\.json"):
        Encoder.load(tmp_path / "empty")


def test_files_that_the_manifest_does_not_list_are_ignored(copied: Path, encoder: Encoder):
    (copied / ".gitattributes").write_text("*.safetensors filter=lfs")
    (copied / "pytorch_model.bin").write_bytes(b"not read")
    assert Encoder.load(copied).fingerprint == encoder.fingerprint


def test_copies_keep_what_it_was_made_with(encoder: Encoder, tmp_path: Path):
    made_with = {"versions": {"torch": "1.0"}, "commit": "abc"}
    old = Encoder(encoder.model, {"steps": 3}, made_with)
    copy = Encoder.load(Encoder.load(old.save(tmp_path / "one")).save(tmp_path / "two"))
    assert copy.made_with == made_with
    assert copy.training == {"steps": 3}


def test_fingerprint_tells_weights_apart(encoder: Encoder, encoder_folder: str):
    assert Encoder.load(encoder_folder).fingerprint == encoder.fingerprint
    torch.manual_seed(1)
    assert Encoder(LatentModel(ModelConfig())).fingerprint != encoder.fingerprint


def test_nothing_needs_pickle(encoder_folder: str, monkeypatch: pytest.MonkeyPatch):
    suffixes = {p.suffix for p in Path(encoder_folder).iterdir()}
    assert suffixes == {".json", ".safetensors", ".md"}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("pickle was used")

    for module, name in (
        (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (pickle, "_Unpickler"),
        (torch, "load"), (torch.serialization, "load"), (torch.jit, "load"), (np, "load"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, refuse)
    assert Encoder.load(encoder_folder)(pictures(1)).shape == (1, 10)
