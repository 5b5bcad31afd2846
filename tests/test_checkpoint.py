from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from drl_latent import Encoder
from drl_latent.artifacts import ArtifactError
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
    with pytest.raises(ArtifactError, match="other settings"):
        other.save(encoder_folder)


def test_damaged_folders_are_refused(encoder_folder: str, tmp_path: Path):
    def copy(name: str) -> Path:
        return Path(shutil.copytree(encoder_folder, tmp_path / name))

    tampered = copy("tampered")
    content = (tampered / "model.safetensors").read_bytes()
    (tampered / "model.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError, match="SHA-256"):
        Encoder.load(tampered)
    (tampered / "model.safetensors").write_bytes(content[:1000])
    with pytest.raises(ArtifactError, match="truncated"):
        Encoder.load(tampered)

    mismatched = copy("mismatched")
    config = json.loads((mismatched / "config.json").read_text())
    config["config"]["model"]["latent_dim"] = 4
    (mismatched / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match="usable encoder"):
        Encoder.load(mismatched)
    config["config"]["model"]["encoder"] = "os.system"
    (mismatched / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match="Unknown encoder"):
        Encoder.load(mismatched)

    with pytest.raises(ArtifactError, match="There is no encoder folder"):
        Encoder.load(tmp_path / "absent")


def test_fingerprint_tells_weights_apart(encoder: Encoder, encoder_folder: str):
    assert Encoder.load(encoder_folder).fingerprint == encoder.fingerprint
    torch.manual_seed(1)
    assert Encoder(LatentModel(ModelConfig())).fingerprint != encoder.fingerprint


def test_nothing_needs_pickle(encoder_folder: str):
    assert {p.suffix for p in Path(encoder_folder).iterdir()} == {".json", ".safetensors"}
