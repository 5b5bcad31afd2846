"""What is watched while a model trains, in TensorBoard."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from drl_latent.checkpoint import Encoder
from drl_latent.data import FrameDataset
from drl_latent.interventions import traverse
from drl_latent.metrics import CorrelatedFactorsWarning, score_each
from drl_latent.metrics.inputs import MIN_ROWS
from drl_latent.models import LatentModel, to_unit_images
from drl_latent.objectives.base import Terms

_SAMPLE = 2_000
_SHOWN = 8
_METRICS = ("mig", "linear_probe")


class Monitor:
    """Writes scalars, reconstructions, traversals and metrics of a fixed sample of the data.

    Args:
        folder: Folder of the logs.
        data: The data set, of which the sample is drawn.
        start: First step of this session; entries of an interrupted one after it are dropped.
    """

    def __init__(self, folder: Path, data: FrameDataset, start: int) -> None:
        self.logs = SummaryWriter(str(folder), purge_step=start)
        # Spread over the data: in rollouts, the first frames are of a few episodes only.
        rows = np.unique(np.linspace(0, len(data) - 1, _SAMPLE, dtype=np.int64))
        self.frames, self.factors = data.frames[rows], data.factors[rows]
        self.names = data.factor_space.names

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.logs.close()

    def scalars(self, player: str, terms: Terms, rate: float, step: int) -> None:
        """Write one player's terms and its learning rate."""
        for name, value in terms.items():
            self.logs.add_scalar(f"{player}/{name}", value.item(), step)
        self.logs.add_scalar(f"{player}/learning_rate", rate, step)

    def look(self, model: LatentModel, step: int) -> None:
        """Write what the model makes of the sample."""
        encoder = Encoder(copy.deepcopy(model))
        few = self.frames[:: -(-len(self.frames) // _SHOWN)]
        shown = to_unit_images(torch.from_numpy(few.copy()).to(encoder.device))
        with torch.inference_mode():
            decoded = model.likelihood.images(encoder.model.decode(encoder.model.encode(shown)))
            pairs = torch.cat([model.target(shown), decoded], dim=3)
        self._images("frame_and_reconstruction", pairs, step)
        moved = traverse(encoder, self.frames)
        rows = np.concatenate(list(np.concatenate(list(moved.images[0].swapaxes(0, 1)), axis=2)))
        self._images("traversals", to_unit_images(torch.from_numpy(rows[None])), step)
        if len(self.names) and len(self.frames) >= MIN_ROWS:
            codes = encoder(self.frames)
            with warnings.catch_warnings():
                # A small sample of a rollout: the curve is to be watched, not to be quoted.
                warnings.simplefilter("ignore", CorrelatedFactorsWarning)
                results = score_each(
                    codes,
                    self.factors,
                    metrics=_METRICS,
                    names=self.names,
                    n_jobs=1,
                    resamples=0,
                    floor=False,
                )
            for name, result in results.items():
                self.logs.add_scalar(f"metrics/{name}", result.score, step)

    def _images(self, name: str, images: Tensor, step: int) -> None:
        # TensorBoard shows one or three channels: of stacked frames, the newest one.
        shown = images[:, -3:] if images.shape[1] >= 3 else images[:, :1]
        self.logs.add_images(f"model/{name}", shown.float().cpu(), step)
