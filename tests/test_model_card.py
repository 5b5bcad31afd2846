"""The model card of a saved encoder."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard

from drl_latent import Encoder
from drl_latent.artifacts import ArtifactError
from drl_latent.data import FrameDataset
from drl_latent.envs import Factor, FactorSpace, make_transfer_split
from drl_latent.metrics import score_all
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.objectives import BetaVAE
from drl_latent.optimization import Optimization
from drl_latent.pretrain import pretrain
from drl_latent.scoring import score_encoder

SMALL = ModelConfig(encoder="patch", encoder_width=8, decoder_width=8)
SPACE = FactorSpace(
    (
        Factor("hue", "appearance", values=(0.0, 0.25, 0.5)),
        Factor("shape", "geometry", values=("cube", "ball|cone", "rod")),
        Factor("place", "state", low=-1.0, high=1.0, bins=4),
    )
)
SPLIT = make_transfer_split("composition", SPACE.reset, seed=3)


def training(**data: Any) -> dict[str, Any]:
    return {
        "objective_name": "beta_vae",
        "objective": dataclasses.asdict(BetaVAE(beta=6.5)),
        "optimization": dataclasses.asdict(Optimization(steps=1234)),
        "data": {
            "env": "DrlLatent/Reach-v0",
            "env_kwargs": {"image_size": 64, "split": SPLIT.to_dict(), "partition": "encoder"},
            "n": 50_000,
            "seed": 7,
            "source": "factors",
            "factor_space": SPACE.to_dict(),
            "split": SPLIT.to_dict(),
            "partition": "encoder",
            "fingerprint": "0123456789abcdef",
            **data,
        },
    }


@pytest.fixture(scope="module")
def trained() -> Encoder:
    """An encoder that says it was trained."""
    made_with = {"commit": "c0ffee", "versions": {"torch": "9.9"}, "python": "3.99"}
    return Encoder(LatentModel(SMALL), training(), made_with)


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 3, (90, 2))
    codes = factors + rng.normal(0, 0.1, (90, 2))
    return score_all(codes, factors, metrics=["mig", "linear_probe"], names=["hue", "shape"])


def test_tells_what_it_is_and_what_it_was_trained_on(trained: Encoder):
    text = str(trained.generate_model_card())
    for said in (
        "# beta_vae encoder of DrlLatent/Reach-v0",
        "uint8 [N, 64, 64, 3]",
        "| encoder | patch, ",
        "| beta | 6.5 |",
        "Higgins et al. 2017",
        "50,000 frames of `DrlLatent/Reach-v0`, each an independent draw",
        "| hue | appearance | 0, 0.25, 0.5 |",
        r"| shape | geometry | cube, ball\|cone, rod |",
        "| place | state | -1 to 1 in 4 bins |",
        "Split `composition` (seed 3",
        f"| ood2 | {len(SPLIT.ids('ood2'))} | no |",
        f"| policy | {len(SPLIT.ids('policy'))} | yes |",
        "| steps | 1234 |",
        "| git commit | c0ffee |",
        "torch 9.9",
        f"| fingerprint | {trained.fingerprint} |",
    ):
        assert said in text
    assert "Args:" not in text
    assert "## Scores" not in text
    assert "\n\n\n" not in text


def test_counts_the_parameters(trained: Encoder):
    model = trained.model
    count = sum(p.numel() for m in (model.encoder, model.bottleneck) for p in m.parameters())
    assert f"patch, {count:,} parameters" in str(trained.generate_model_card())


def test_held_out_values_are_named():
    kept = {"policy": SPLIT.members["policy"][:1], "ood1": [], "ood2": SPLIT.members["ood2"]}
    split = dataclasses.replace(SPLIT, members=kept)
    data = training(split=split.to_dict(), partition="policy")
    text = str(Encoder(LatentModel(SMALL), data).generate_model_card())
    assert re.search(r"Never seen of `hue`: 0\.?\d*, 0\.?\d*\.", text)


def test_header_is_what_the_hub_reads(trained: Encoder, tmp_path: Path):
    trained.save(tmp_path / "enc", license="apache-2.0", repo_id="somebody/reach")
    text = (tmp_path / "enc" / "README.md").read_text()
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["library_name"] == "drl-latent"
    assert header["license"] == "apache-2.0"
    assert {"disentanglement", "beta-vae"} <= set(header["tags"])
    assert ModelCard.load(tmp_path / "enc" / "README.md").data.to_dict() == header
    assert "license" not in trained.generate_model_card().data.to_dict()


def test_its_example_runs(trained: Encoder, tmp_path: Path):
    folder = trained.save(tmp_path / "enc", repo_id="somebody/reach")
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert 'Encoder.load("somebody/reach")' in code
    names = {"frames": np.zeros((2, 64, 64, 3), np.uint8)}
    exec(code.replace("somebody/reach", str(folder)), names)
    assert names["codes"].shape == (2, 10)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"steps": 3},
        {"objective_name": "my_own", "objective": {"alpha": [1, 2]}},
        {"data": {"source": "images", "n": 3, "factor_space": FactorSpace(()).to_dict()}},
        {"data": {"source": "something new"}},
    ],
)
def test_knows_how_to_leave_out(given: dict[str, Any]):
    text = str(Encoder(LatentModel(SMALL), given).generate_model_card())
    assert ("## Objective" in text) == ("objective_name" in given)
    assert ("## Training data" in text) == ("data" in given)
    assert "| factor |" not in text


def test_scores_come_from_a_table(trained: Encoder, tmp_path: Path):
    folder = trained.save(tmp_path / "enc", scores=table())
    text = (folder / "README.md").read_text()
    value = table().query("metric == 'mig' and factor == ''")["value"].item()
    assert f"| mig | mig | {value:.3f} | 90 | 0 |" in text
    assert "| metric | part | hue | shape |" in text
    assert "| linear_probe | linear_probe |" in text


def test_a_table_of_something_else_is_refused(trained: Encoder, tmp_path: Path):
    with pytest.raises(ValueError, match="no column part, factor"):
        trained.save(tmp_path / "enc", scores=table()[["metric", "value", "n", "n_test"]])
    assert not list(tmp_path.iterdir())


def test_a_pretrained_folder_gets_its_scores(frames: FrameDataset, tmp_path: Path):
    plan = Optimization(batch_size=4, monitor_every=0)
    encoder = pretrain(
        frames, out=tmp_path / "enc", steps=2, model=SMALL, optimization=plan, progress=False
    )
    card = tmp_path / "enc" / "README.md"
    assert "200 frames of `DrlLatent/Reach-v0`" in card.read_text()
    score_encoder(encoder, frames, tmp_path / "scores", metrics=["mig"], n_jobs=1)
    encoder.save(tmp_path / "enc", scores=tmp_path / "scores")
    assert "| mig | mig |" in card.read_text()
    assert f"frames `{frames.fingerprint}`" in card.read_text()

    other = Encoder(LatentModel(SMALL))
    with pytest.raises(ArtifactError, match=r"holds scores of the encoder .* not of this one"):
        other.save(tmp_path / "other", scores=tmp_path / "scores")
    with pytest.raises(ArtifactError, match="There is no scores folder"):
        other.save(tmp_path / "other", scores=tmp_path / "absent")
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "other.partial").exists()


def test_editing_it_is_no_damage(trained: Encoder, tmp_path: Path):
    folder = trained.save(tmp_path / "enc")
    card = folder / "README.md"
    card.write_text("edited on the hub")
    assert Encoder.load(folder).fingerprint == trained.fingerprint
    trained.save(folder)
    assert card.read_text() == "edited on the hub"
    card.unlink()
    assert Encoder.load(folder).fingerprint == trained.fingerprint
    trained.save(folder)
    assert "# beta_vae encoder" in card.read_text()


def test_a_card_that_cannot_be_written_loses_no_training(
    frames: FrameDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("drl_latent.sharing.model_card.model_card", fail)
    plan = Optimization(batch_size=4, monitor_every=0)
    with pytest.raises(KeyError, match="a bug"):
        pretrain(
            frames, out=tmp_path / "enc", steps=1, model=SMALL, optimization=plan, progress=False
        )
    assert Encoder.load(tmp_path / "enc").training["objective_name"] == "beta_vae"
