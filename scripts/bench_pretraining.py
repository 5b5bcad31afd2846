"""Pretraining side by side with pythae: speed, peak memory and reconstruction error.

    python -m pip install --no-deps pythae
    python scripts/bench_pretraining.py

The same 50,000 frames, the same architecture (the reference one of the disentanglement literature,
64x64), the same beta-VAE, batch, learning rate and number of images, by pythae's own pipeline and
by ours; then our light default for as long as pythae took. Each run is a process of its own, so
that its peak memory is its own; rounds take turns. Times include loading the data, not imports.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

LEARNING_RATE = 1e-3
BETA = 4.0
LATENTS = 10
_CONTENDER = "--contender"
"""What the script calls itself with, for one run in a process of its own."""
_MARK = "RESULT "


def architecture(name: str, image_shape: tuple[int, int, int]) -> Any:
    """The reference architecture, or the light one that is used by default."""
    from drl_latent.models import ModelConfig
    from drl_latent.pretrain import default_model

    if name == "light":
        return default_model(image_shape)
    return ModelConfig(
        image_shape, LATENTS, encoder="reference", decoder="reference", decoded_size=image_shape[0]
    )


def train_with_ours(name: str, data: Path, images: int, batch: int, seed: int) -> Any:
    """Train with this library; return a function from frames to reconstructions in [0, 1]."""
    from drl_latent.data import open_dataset
    from drl_latent.pretrain import Optimization, pretrain

    frames = open_dataset(data)
    # What each would be trained with: the literature's constant rate, and our defaults.
    plan = Optimization(batch_size=32, checkpoint_every=10**9, monitor_every=0)
    if name == "reference":
        plan = Optimization(
            batch_size=batch,
            learning_rate=LEARNING_RATE,
            schedule="constant",
            clip_norm=1e9,
            checkpoint_every=10**9,
            monitor_every=0,
        )
    with tempfile.TemporaryDirectory() as folder:
        encoder = pretrain(
            frames,
            "beta_vae",
            out=Path(folder) / "encoder",
            steps=images // plan.batch_size,
            seed=seed,
            model=architecture(name, frames.image_shape),
            optimization=plan,
            progress=False,
            beta=BETA,
        )
    return lambda shown: encoder.decode(encoder(shown)).astype(np.float32) / 255


def train_with_pythae(data: Path, images: int, batch: int, seed: int) -> Any:
    """Train with pythae as its documentation does; return a function to reconstructions."""
    import torch
    from pythae.models import BetaVAE, BetaVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    from drl_latent.data import open_dataset
    from drl_latent.models import LatentModel

    frames = open_dataset(data).frames
    torch.manual_seed(seed)
    parts = LatentModel(architecture("reference", frames.shape[1:]))
    parts.to(memory_format=torch.contiguous_format)  # as pythae's users have it

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.bottleneck = parts.encoder, parts.bottleneck

        def forward(self, x: torch.Tensor) -> ModelOutput:
            mean, log_variance = self.bottleneck.posterior(self.layers(x))
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = parts.decoder

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z))

    # pythae's squared error has scale 1 and ours 0.1, so that its beta is a hundredth of ours.
    config = BetaVAEConfig(
        input_dim=(frames.shape[3], *frames.shape[1:3]),
        latent_dim=LATENTS,
        beta=BETA / 100,
        reconstruction_loss="mse",
    )
    model = BetaVAE(config, encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as folder:
        pipeline = TrainingPipeline(
            model=model,
            training_config=BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=batch,
                num_epochs=max(1, round(images / len(frames))),
                learning_rate=LEARNING_RATE,
                seed=seed,
            ),
        )
        pipeline(train_data=np.ascontiguousarray(frames.transpose(0, 3, 1, 2)) / np.float32(255))

    def reconstruct(shown: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(shown.transpose(0, 3, 1, 2).copy()).float() / 255
        with torch.inference_mode():
            decoded = parts.decoder(parts.bottleneck(parts.encoder(images)))
        return decoded.clamp(0, 1).permute(0, 2, 3, 1).numpy()

    return reconstruct


def errors(reconstruct: Any, frames: np.ndarray) -> dict[str, float]:
    """Root mean squared error of a pixel on held-out frames, at 64x64 and at 32x32."""
    import torch
    from torch.nn import functional

    truth = torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()).float() / 255
    shown = torch.from_numpy(reconstruct(frames).transpose(0, 3, 1, 2).copy())
    size = truth.shape[-1]
    if shown.shape[-1] == size:
        half = functional.avg_pool2d(shown, 2)
    else:
        half = shown
        shown = functional.interpolate(half, size=size, mode="bilinear")
    pooled = functional.avg_pool2d(truth, 2)
    return {
        "rmse_full": float((shown - truth).square().mean().sqrt()),
        "rmse_half": float((half - pooled).square().mean().sqrt()),
    }


@dataclass(frozen=True)
class Args:
    """What is compared, and how large."""

    frames: int = 50_000
    """Frames to learn from."""
    epochs: int = 1
    """How often pythae and our reference see each."""
    batch: int = 64
    """Frames a step, of pythae and our reference."""
    rounds: int = 3
    """Rounds; in each, all take a turn."""
    threads: int = 2
    """Threads of torch."""
    data: Path = Path("runs/bench/frames")
    """Folder of the frames."""
    test: Path = Path("runs/bench/test_frames")
    """Folder of held-out frames."""


def run_contender(name: str, args: Args, images: int, seed: int) -> None:
    """Run one contender and print its figures as JSON."""
    import torch

    import drl_latent.pretrain  # noqa: F401 - imports are not timed
    from drl_latent.data import open_dataset

    torch.set_num_threads(args.threads)
    start = time.perf_counter()
    common = (args.data, images, args.batch, seed)
    reconstruct = train_with_pythae(*common) if name == "pythae" else train_with_ours(name, *common)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    held_out = np.array(open_dataset(args.test).frames[:2_000])
    figures = {"seconds": seconds, "peak_mib": memory, "images": images}
    print(_MARK + json.dumps(figures | errors(reconstruct, held_out)))


def measure(args: Args, name: str, images: int, seed: int) -> dict[str, float]:
    """Run one contender in a process of its own."""
    options = [f"--{key}={value}" for key, value in dataclasses.asdict(args).items()]
    command = [sys.executable, __file__, _CONTENDER, name, str(images), str(seed), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in result.stdout.splitlines() if line.startswith(_MARK)]
    if not lines:
        sys.exit(f"{name} failed:\n{result.stderr[-3_000:]}")
    return json.loads(lines[0].removeprefix(_MARK))


def main(args: Args) -> None:
    """Take turns, and print each run and the ratios."""
    from drl_latent.data import collect

    collect("DrlLatent/Reach-v0", args.data, n=args.frames, seed=0)
    collect("DrlLatent/Reach-v0", args.test, n=2_000, seed=1)
    images = args.epochs * args.frames
    rows: dict[str, list[dict[str, float]]] = {"pythae": [], "reference": [], "light": []}
    for turn in range(args.rounds):
        order = ("pythae", "reference") if turn % 2 == 0 else ("reference", "pythae")
        for name in order:
            rows[name].append(measure(args, name, images, turn))
        # How many images the light default gets through in pythae's time, from a run of its own.
        trial = measure(args, "light", images // 4, turn)
        equal_time = int(trial["images"] / trial["seconds"] * rows["pythae"][-1]["seconds"])
        rows["light"].append(measure(args, "light", equal_time, turn))
        for name, found in rows.items():
            last = found[-1]
            print(
                f"round {turn + 1} {name:10} {last['images'] / last['seconds']:6.0f} images/s"
                f" {last['seconds']:6.1f} s {last['peak_mib']:6.0f} MiB"
                f" RMSE {last['rmse_full']:.4f} at 64x64 {last['rmse_half']:.4f} at 32x32",
                flush=True,
            )
    speed = {k: np.array([r["images"] / r["seconds"] for r in v]) for k, v in rows.items()}
    memory = {k: np.array([r["peak_mib"] for r in v]) for k, v in rows.items()}
    for name in ("reference", "light"):
        ratio, share = speed[name] / speed["pythae"], memory[name] / memory["pythae"]
        print(
            f"{name} against pythae: {np.median(ratio):.2f} times the images a second "
            f"({ratio.min():.2f} to {ratio.max():.2f}), {np.median(share):.2f} of the peak memory"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == [_CONTENDER]:
        contender, image_count, seed, *rest = sys.argv[2:]
        run_contender(contender, tyro.cli(Args, args=rest), int(image_count), int(seed))
    else:
        main(tyro.cli(Args, description=__doc__))
