"""An encoder as one ONNX file, for robots and servers that have no torch."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drl_latent.artifacts import write_bytes
from drl_latent.models import LatentModel, to_unit_images

if TYPE_CHECKING:
    from drl_latent.checkpoint import Encoder

OPSET = 18
"""The lowest that torch's exporter writes without conversion, for old runtimes."""
TOLERANCE = 1e-4


class _FramesToCodes(nn.Module):
    """All that lies between a camera's frames and codes, so that nothing is left to redo."""

    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        return self.model.encode(to_unit_images(frames))


def export_onnx(encoder: Encoder, path: str | Path) -> Path:
    """Write an encoder as an ONNX file; see `Encoder.export_onnx`."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it, and says so less clearly
    except ImportError as error:
        raise ImportError(
            f"Exporting needs the package {error.name}, which is not installed. Run: "
            "pip install 'drl-latent[onnx]'"
        ) from error

    graph = _FramesToCodes(copy.deepcopy(encoder.model).cpu()).eval()
    frames = _trial_frames(encoder)
    with _quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            graph,
            (torch.from_numpy(frames),),
            input_names=["frames"],
            output_names=["codes"],
            # A named dimension would be fixed, without a word, where a network takes its length.
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")  # traces of the calls, with this machine's paths
    factor_names = json.dumps(encoder.factor_names)
    onnx.helper.set_model_props(
        model, {"fingerprint": encoder.fingerprint, "factor_names": factor_names}
    )
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    if fault := _find_fault(session, graph, frames):
        raise RuntimeError(
            f"The ONNX graph {fault}, so that nothing was written. Torch {torch.__version__} "
            f"cannot export the network {encoder.config.encoder!r} with the bottleneck "
            f"{encoder.config.bottleneck!r}; another version of torch may."
        )
    out = Path(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, content)
    return out


def _find_fault(session: Any, graph: nn.Module, frames: NDArray[np.uint8]) -> str | None:
    """Return in what an ONNX session differs from the graph that it was made of, if it does."""
    if isinstance(session.get_inputs()[0].shape[0], int):
        return "takes only one size of batch"
    for batch in (frames, frames[:1]):
        with torch.no_grad():
            expected = graph(torch.from_numpy(batch)).numpy()
        (codes,) = session.run(["codes"], {"frames": batch})
        if not np.allclose(codes, expected, rtol=TOLERANCE, atol=TOLERANCE):
            gap = np.abs(codes - expected).max()
            return f"gives codes that differ by up to {gap:.2g}, more than {TOLERANCE:g}"
    return None


def _trial_frames(encoder: Encoder) -> NDArray[np.uint8]:
    """Return frames that the graph is checked on: noise, and what the decoder imagines."""
    rng = np.random.default_rng(0)
    size = encoder.image_shape[0]
    noise = rng.integers(0, 256, (4, *encoder.image_shape), dtype=np.uint8)
    imagined = encoder.decode(rng.standard_normal((4, encoder.latent_dim)))
    enlarged = size // imagined.shape[1]
    return np.concatenate([noise, imagined.repeat(enlarged, axis=1).repeat(enlarged, axis=2)])


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep back what torch says while it exports and no user can act on."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)  # that operators of torchvision are not there
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning
            )
            yield
    finally:
        registration.setLevel(level)
