"""Encoders as ONNX files."""

from __future__ import annotations

import json
import sys
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from drl_latent import Encoder
from drl_latent.cli.export_command import Export
from drl_latent.envs import Factor, FactorSpace
from drl_latent.models import BOTTLENECKS, ENCODERS, LatentModel, ModelConfig

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

# Each encoder and each bottleneck once: one feeds the other, whichever they are.
SHORTER, LONGER = sorted((sorted(ENCODERS), sorted(BOTTLENECKS)), key=len)
NETWORKS = [
    (a, b) if a in ENCODERS else (b, a) for a, b in zip(LONGER, cycle(SHORTER), strict=False)
]


def make(encoder: str = "patch", bottleneck: str = "gaussian") -> Encoder:
    config = ModelConfig((32, 32, 3), 4, encoder, "broadcast", 8, 8, 16, bottleneck)
    space = FactorSpace((Factor("hue", "appearance", (0, 1)), Factor("size", "geometry", (1, 2))))
    return Encoder(LatentModel(config), {"data": {"factor_space": space.to_dict()}})


def frames(n: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Encoder, Path]:
    """An encoder, and its ONNX file."""
    encoder = make()
    return encoder, encoder.export_onnx(tmp_path_factory.mktemp("onnx") / "new" / "enc.onnx")


@pytest.fixture
def exports_at_once(exported: tuple[Encoder, Path], monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """An encoder whose graph torch does not make again, which takes seconds."""
    encoder, file = exported
    program = SimpleNamespace(model_proto=onnx.load(file))
    monkeypatch.setattr("torch.onnx.export", lambda *_, **__: program)
    return encoder


@pytest.mark.parametrize(("encoder", "bottleneck"), NETWORKS)
def test_gives_the_same_codes(encoder: str, bottleneck: str, tmp_path: Path):
    made = make(encoder, bottleneck)
    file = made.export_onnx(tmp_path / "enc.onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for n in (1, 2, 5):
        (codes,) = session.run(None, {"frames": frames(n)})
        np.testing.assert_allclose(codes, made(frames(n)), atol=1e-4)
    assert list(tmp_path.iterdir()) == [file]


def test_takes_frames_as_cameras_give_them(exported: tuple[Encoder, Path]):
    session = onnxruntime.InferenceSession(exported[1], providers=["CPUExecutionProvider"])
    (entering,), (leaving,) = session.get_inputs(), session.get_outputs()
    assert (entering.name, entering.type, entering.shape[1:]) == (
        "frames", "tensor(uint8)", [32, 32, 3],
    )  # fmt: skip
    assert (leaving.name, leaving.type, leaving.shape[1:]) == ("codes", "tensor(float)", [4])
    assert isinstance(entering.shape[0], str)


def test_says_which_encoder_it_is(exported: tuple[Encoder, Path]):
    encoder, file = exported
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["fingerprint"] == encoder.fingerprint
    assert json.loads(metadata["factor_names"]) == ["hue", "size"]


def test_tells_nothing_of_this_machine(exported: tuple[Encoder, Path]):
    content = exported[1].read_bytes()
    assert str(Path(__file__).parents[1]).encode() not in content
    assert b".py" not in content


@pytest.mark.parametrize(
    ("fault", "says"),
    [("differ", "codes that differ by up to 1"), ("fixed", "takes only one size of batch")],
)
def test_a_wrong_graph_is_not_written(
    exports_at_once: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    says: str,
):
    real = onnxruntime.InferenceSession

    class Wrong:
        def __init__(self, *args: object, **options: object) -> None:
            self.session = real(*args, **options)

        def get_inputs(self) -> list:
            (entering,) = self.session.get_inputs()
            if fault == "fixed":
                return [type("Input", (), {"shape": [8, *entering.shape[1:]]})]
            return [entering]

        def run(self, *args: object) -> list:
            return [codes + 1 for codes in self.session.run(*args)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Wrong)
    with pytest.raises(RuntimeError, match=f"{says}.*nothing was written"):
        exports_at_once.export_onnx(tmp_path / "enc.onnx")
    assert not list(tmp_path.iterdir())


def test_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"onnxscript.*pip install 'drl-latent\[onnx\]'"):
        make().export_onnx(tmp_path / "enc.onnx")


def test_export_command(
    exports_at_once: Encoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = exports_at_once.save(tmp_path / "enc")
    assert Export(str(folder), onnx=tmp_path / "enc.onnx").run() == 0
    assert f"ONNX: {tmp_path / 'enc.onnx'}" in capsys.readouterr().out
    assert (tmp_path / "enc.onnx").exists()
