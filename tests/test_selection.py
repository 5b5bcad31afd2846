"""UDR on codes whose disentanglement is known, and the choice among saved encoders."""

from __future__ import annotations

import itertools
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso

from drl_latent import Encoder
from drl_latent.artifacts import ArtifactError
from drl_latent.cli.select_command import Select
from drl_latent.data import FrameDataset
from drl_latent.models import LatentModel, ModelConfig
from drl_latent.registry import UnknownNameError
from drl_latent.selection import encode_informative, read_selection, select_encoder
from drl_latent.udr import LASSO_ALPHA, SIMILARITIES, udr

PERFECT = {"spearman": 1.0, "lasso": 1 - LASSO_ALPHA}
FACTORS = 4


def draw(n=400, d=FACTORS, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, d))


def grid(d, rows=32):
    """Every combination of 4 levels, repeated to at least so many rows: uncorrelated columns."""
    levels = np.array(list(itertools.product(range(4), repeat=d)), dtype=float)
    return np.tile(levels, (-(-rows // len(levels)), 1))


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def shuffled(codes, seed):
    """The same latents in another order, some of them negated, on other scales."""
    rng = np.random.default_rng(seed)
    d = codes.shape[1]
    factors = rng.choice([-1, 1], d) * rng.uniform(0.5, 20, d)
    return codes[:, rng.permutation(d)] * factors + rng.uniform(-5, 5, d)


def disentangled(n_models, noise=0.1, **kwargs):
    z = draw(**kwargs)
    rng = np.random.default_rng(99)
    return [shuffled(z + noise * rng.standard_normal(z.shape), i) for i in range(n_models)]


def entangled(n_models, **kwargs):
    z = draw(**kwargs)
    return [z @ rotation(z.shape[1], i) for i in range(n_models)]


def all_latents(codes):
    return [np.ones(z.shape[1], dtype=bool) for z in codes]


def score(codes, informative=None, similarity="spearman"):
    return udr(codes, informative or all_latents(codes), similarity=similarity)


def slow_udr(codes, informative, similarity):
    """The definition, one entry and one sum at a time, on standardised codes."""

    def entry(i, a, j, b):
        if similarity == "spearman":
            return abs(spearmanr(codes[i][:, a], codes[j][:, b]).statistic)
        scaled = [(z - z.mean(axis=0)) / z.std(axis=0) for z in (codes[i], codes[j])]
        inputs = scaled[1][:, informative[j]]
        weights = Lasso(0.1, tol=1e-8).fit(inputs, scaled[0][:, a]).coef_
        return abs(weights[list(np.flatnonzero(informative[j])).index(b)])

    scores = []
    for i in range(len(codes)):
        partners = []
        for j in range(len(codes)):
            if i == j:
                continue
            rows, columns = np.flatnonzero(informative[i]), np.flatnonzero(informative[j])
            r = {(a, b): entry(i, a, j, b) for a, b in itertools.product(rows, columns)}
            total = 0.0
            for b in columns:
                column = [r[a, b] for a in rows]
                total += max(column) ** 2 / sum(column) if sum(column) else 0
            for a in rows:
                row = [r[a, b] for b in columns]
                total += max(row) ** 2 / sum(row) if sum(row) else 0
            partners.append(total / (len(rows) + len(columns)))
        scores.append(np.median(partners))
    return scores


# Known answers


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("d", [1, 3])
def test_same_latents_in_another_order_sign_and_scale_are_a_perfect_match(similarity, d):
    result = score([shuffled(grid(d, 30), seed) for seed in range(3)], similarity=similarity)
    assert result.scores == pytest.approx(np.full(3, PERFECT[similarity]), abs=1e-6)


def test_uncorrelated_ranks_match_perfectly_through_any_monotone_function():
    levels = grid(3)
    models = [levels, -(levels[:, [2, 0, 1]] ** 3), np.exp(levels[:, ::-1])]
    result = score(models)
    assert result.scores == pytest.approx(np.ones(3), abs=1e-12)
    assert (result.scores <= 1).all()
    assert np.isnan(np.diag(result.pairwise)).all()
    assert list(result.informative) == [3, 3, 3]


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_entangled_codes_score_lower_and_unrelated_ones_near_the_floor(similarity):
    aligned = score(disentangled(5), similarity=similarity).scores
    rotated = score(entangled(5), similarity=similarity).scores
    unrelated = score([draw(seed=i) for i in range(5)], similarity=similarity).scores
    assert aligned.min() > rotated.max() + 0.2
    assert rotated.min() > unrelated.max() + 0.1
    assert unrelated.max() < 0.1


def test_a_latent_that_is_split_in_two_costs():
    z = grid(2)
    # The three are matched in full, 1^2 / 1, and so is one of the two; the other spreads, 1^2 / 2.
    assert score([z, z[:, [0, 1, 1]]]).scores == pytest.approx(np.full(2, (3 + 1 + 0.5) / 5))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_picks_the_disentangled_ones_of_a_mixed_family(similarity):
    models = [*entangled(2), *disentangled(3)]
    scores = score(models, similarity=similarity).scores
    assert set(np.argsort(-scores)[:3]) == {2, 3, 4}


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_agrees_with_the_definition_written_out(similarity):
    rng = np.random.default_rng(3)
    z = draw(60, 3)
    models = [z @ rng.standard_normal((3, d)) + 0.3 * rng.standard_normal((60, d)) for d in (2, 4)]
    models += [z, np.insert(z, 1, rng.standard_normal(60), axis=1)]
    masks = [np.ones(2, bool), np.array([1, 0, 1, 1], bool), np.ones(3, bool), np.ones(4, bool)]
    fast = score(models, masks, similarity).scores
    assert fast == pytest.approx(slow_udr(models, masks, similarity), abs=2e-3)
    if similarity == "spearman":
        assert fast == pytest.approx(slow_udr(models, masks, similarity), abs=1e-12)


# Latents that do not count


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_uninformative_latents_are_ignored(similarity):
    models = disentangled(3)
    expected = score(models, similarity=similarity)
    noisy = [np.insert(z, 1, draw(d=1, seed=50 + i)[:, 0], 1) for i, z in enumerate(models)]
    mask = np.array([True, False, True, True, True])
    result = score(noisy, [mask] * 3, similarity)
    np.testing.assert_allclose(result.pairwise, expected.pairwise, atol=1e-12)
    assert list(result.informative) == [FACTORS] * 3
    assert score(noisy, similarity=similarity).scores.max() < expected.scores.min()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_constant_latents_are_ignored_without_a_warning(similarity):
    models = disentangled(3)
    dead = [np.insert(z, [0, 2], 0.3, axis=1) for z in models[:2]] + models[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = score(dead, similarity=similarity)
    expected = score(models, similarity=similarity)
    np.testing.assert_allclose(result.pairwise, expected.pairwise, atol=1e-12)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_model_without_informative_latents_scores_zero(similarity):
    models = disentangled(4)
    masks = all_latents(models)
    masks[1] = ~masks[1]
    result = score(models, masks, similarity)
    assert result.scores[1] == 0
    assert result.informative[1] == 0
    assert result.scores[[0, 2, 3]].min() > 0.5
    nothing = score([np.zeros((30, 2)), np.ones((30, 3))], similarity=similarity)
    assert list(nothing.scores) == [0, 0]


# Properties

models_of_any_kind = st.integers(0, 10_000).map(
    lambda seed: [
        draw(40, 3) @ np.random.default_rng([seed, i]).standard_normal((3, 2 + (seed + i) % 3))
        + 0.1 * np.random.default_rng([seed, i, 1]).standard_normal((40, 2 + (seed + i) % 3))
        for i in range(3)
    ]
)


@settings(deadline=None, max_examples=25)
@given(models_of_any_kind, st.integers(0, 10_000), st.sampled_from(list(SIMILARITIES)))
def test_order_sign_and_scale_of_latents_do_not_matter(models, seed, similarity):
    before = score(models, similarity=similarity).pairwise
    changed = [shuffled(z, [seed, i]) for i, z in enumerate(models)]
    after = score(changed, similarity=similarity).pairwise
    # Coordinate descent stops within a tolerance, at another point for another order.
    tolerance = 1e-9 if similarity == "spearman" else 0.02
    np.testing.assert_allclose(after, before, atol=tolerance)
    scores = score(models, similarity=similarity).scores
    assert (scores >= 0).all()
    assert similarity == "lasso" or (scores <= 1).all()


@settings(deadline=None, max_examples=25)
@given(
    models_of_any_kind,
    st.permutations(range(3)),
    st.integers(0, 2),
    st.floats(-1e3, 1e3),
    st.sampled_from(list(SIMILARITIES)),
)
def test_order_of_models_and_dead_latents_do_not_matter(models, order, where, dead, similarity):
    before = score(models, similarity=similarity).scores
    changed = [np.insert(models[i], where, dead, axis=1) for i in order]
    after = score(changed, similarity=similarity).scores
    np.testing.assert_allclose(after, before[order], atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(models_of_any_kind)
def test_spearman_is_symmetric_and_blind_to_monotone_functions(models):
    pairwise = score(models).pairwise
    np.testing.assert_allclose(pairwise, pairwise.T, atol=1e-12)
    # A power of two keeps ranks to the bit.
    warped = score([np.sign(z) * z**2 * 4 for z in models]).pairwise
    np.testing.assert_allclose(warped, pairwise, atol=1e-9)


# Wrong requests


@pytest.mark.parametrize(
    ("codes", "masks", "says"),
    [
        ([draw()], None, "codes of 1 models"),
        ([draw(), draw()], [np.ones(4, bool)], "1 masks"),
        ([draw(), draw()[:-1]], None, r"\[399, 400\] rows"),
        ([draw(10), draw(10)], None, "at least 20"),
        ([draw(), draw() * np.nan], None, "codes of model 1 hold NaN"),
        ([draw(), draw()[:, 0]], [np.ones(4, bool)] * 2, "codes of model 1 have shape"),
        ([draw(), draw()], [np.ones(4, bool), np.ones(3, bool)], r"mask of model 1 is bool \[3\]"),
        ([draw(), draw()], [np.ones(4)] * 2, "mask of model 0 is float64"),
    ],
)
def test_wrong_codes_are_refused(codes, masks, says):
    with pytest.raises(ValueError, match=says):
        score(codes, masks)


def test_unknown_similarity_is_refused():
    with pytest.raises(UnknownNameError, match="'spearman'"):
        score([draw(), draw()], similarity="spearmann")


# Encoders


class FakeEncoder:
    """An encoder of the colour of the first pixel, by a matrix; 0 columns are at the prior."""

    has_posterior = True
    config = ModelConfig()

    def __init__(self, matrix, seed, beta=1.0, objective="beta_vae"):
        self.matrix = np.asarray(matrix, dtype=np.float32)
        self.fingerprint = f"{objective}-{beta}-{seed}"
        self.training = {
            "objective_name": objective,
            "objective": {"beta": beta},
            "optimization": {"steps": 100, "seed": seed, "log_every": 10 + seed},
            "data": {"n": 10, "fingerprint": "frames"},
        }

    def check(self, shape, dtype):
        Encoder(LatentModel(ModelConfig(image_shape=(4, 4, 3), decoded_size=4))).check(shape, dtype)

    def __call__(self, frames):
        return (frames[:, 0, 0].astype(np.float32) / 128 - 1) @ self.matrix

    def posterior(self, frames):
        dead = ~self.matrix.any(axis=0)
        return self(frames), np.tile(np.where(dead, 0, -4.0).astype("f4"), (len(frames), 1))


class FakeDeterministicEncoder(FakeEncoder):
    has_posterior = False

    def posterior(self, frames):
        raise ValueError("This bottleneck has no posterior.")


@pytest.fixture(scope="module")
def colours(frames: FrameDataset) -> FrameDataset:
    """300 frames of random colours."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 4, 4, 3), dtype=np.uint8)
    factors = np.zeros((300, len(frames.factor_space)), dtype=np.float32)
    return FrameDataset(pixels, factors, frames.factor_space, {"of": "colours"}, Path("colours"))


def aligned(seed):
    """A matrix of 5 latents: the 3 colours in some order, and two dead ones."""
    order = np.random.default_rng(seed).permutation(5)
    return np.eye(3, 5)[:, order]


def test_ranks_settings_whose_seeds_agree_first(colours: FrameDataset):
    bad = [FakeEncoder(rotation(3, seed), seed, beta=1.0) for seed in range(5)]
    good = [FakeEncoder(aligned(seed), seed, beta=8.0) for seed in range(5)]
    table = select_encoder([*bad, *good], colours, samples=200)
    assert list(table["settings"]) == ["beta=8.0"] * 5 + ["beta=1.0"] * 5
    assert list(table["informative"]) == [3] * 10
    assert list(table["group"]) == [1] * 5 + [0] * 5
    assert set(table["runs"]) == {5}
    assert set(table["note"]) == {""}
    assert table["udr"].is_monotonic_decreasing
    assert list(table["rank"]) == sorted(table["rank"])
    assert table["udr"][4] > table["udr"][5] + 0.2
    assert set(table["seed"][:5]) == set(range(5))


def test_ties_share_a_rank_and_lone_runs_have_none(colours: FrameDataset):
    pair = [FakeEncoder(np.eye(3), seed) for seed in range(2)]
    lone = FakeEncoder(np.eye(3), 0, objective="factor_vae")
    table = select_encoder([lone, *pair], colours)
    assert table["rank"].tolist()[:2] == [1, 1]
    assert table["objective"][2] == "factor_vae"
    assert pd.isna(table["udr"][2])
    assert pd.isna(table["rank"][2])
    assert "at least 2" in table["note"][2]
    assert table["note"][0] == "2 runs: 5 or more are recommended"


def test_any_setting_but_the_seed_parts_runs(colours: FrameDataset):
    runs = [FakeEncoder(np.eye(3), seed) for seed in range(5)]
    runs[1].training["optimization"]["steps"] = 50
    runs[2].training["data"]["fingerprint"] = "others"
    runs[3].config = ModelConfig(encoder_width=8)
    runs[4].training["objective"]["beta"] = 2.0
    assert set(select_encoder(runs, colours)["runs"]) == {1}


def test_latents_at_the_prior_are_not_informative(colours: FrameDataset):
    codes, informative = encode_informative(FakeEncoder(aligned(0), 0), colours.frames)
    assert codes.shape == (300, 5)
    np.testing.assert_array_equal(informative, aligned(0).any(axis=0))


def test_codes_without_posterior_count_by_their_spread(colours: FrameDataset):
    matrix = np.diag([1, 0.5, 0.01])
    informative = encode_informative(FakeDeterministicEncoder(matrix, 0), colours.frames)[1]
    assert list(informative) == [True, True, False]
    dead = encode_informative(FakeDeterministicEncoder(np.zeros((3, 2)), 0), colours.frames)[1]
    assert list(dead) == [False, False]
    table = select_encoder([FakeDeterministicEncoder(matrix, i) for i in range(2)], colours)
    assert list(table["informative"]) == [2, 2]


def test_collapsed_runs_are_last_and_noted(colours: FrameDataset):
    runs = [FakeEncoder(np.zeros((3, 2)), 9), *(FakeEncoder(np.eye(3), i) for i in range(4))]
    table = select_encoder(runs, colours)
    assert table["udr"][4] == 0
    assert table["note"][4] == "no latent is informative"
    assert table["seed"][4] == 9


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three untrained encoders that differ only in seed, and one with fewer latents."""
    root = tmp_path_factory.mktemp("seeds")
    made = []
    with torch.random.fork_rng():
        for i, latent_dim in enumerate((10, 10, 10, 3)):
            torch.manual_seed(i)
            training = {
                "objective_name": "beta_vae",
                "objective": {"beta": 4.0},
                "optimization": {"steps": 1, "seed": i},
                "data": {"fingerprint": "none"},
            }
            model = LatentModel(ModelConfig(latent_dim=latent_dim))
            with torch.no_grad():
                # Untrained codes hardly leave the prior's mean: without this none is informative.
                for parameter in model.bottleneck.parameters():
                    parameter.mul_(30)
            made.append(Encoder(model, training).save(root / f"run_{i}"))
    return made


def test_saved_encoders_are_ranked_and_the_table_is_kept(
    folders: list[Path], frames: FrameDataset, tmp_path: Path
):
    out = tmp_path / "selection"
    table = select_encoder(folders, frames.path, out=out, samples=100)
    assert set(table["path"]) == set(map(str, folders))
    assert sorted(table["runs"]) == [1, 3, 3, 3]
    assert table["udr"][:3].between(0, 1, inclusive="right").all()
    assert table["path"][3] == str(folders[3])
    pd.testing.assert_frame_equal(table, read_selection(out))
    written = (out / "selection.parquet").stat().st_mtime_ns
    pd.testing.assert_frame_equal(select_encoder(folders, frames, out=out, samples=100), table)
    assert (out / "selection.parquet").stat().st_mtime_ns == written
    with pytest.raises(ArtifactError, match="other settings"):
        select_encoder(folders, frames, out=out, samples=101)
    # Without a folder, and from encoders in another order: the same.
    loaded = [Encoder.load(folder) for folder in reversed(folders)]
    again = select_encoder(loaded, frames, samples=100)
    assert list(again["path"]) == [""] * 4
    columns = ["fingerprint", "udr", "rank", "informative"]
    pd.testing.assert_frame_equal(again[columns], table[columns])


def test_frames_are_drawn_by_seed(folders: list[Path], frames: FrameDataset):
    first, same, other = (
        select_encoder(folders[:3], frames, samples=50, seed=seed).set_index("path")["udr"]
        for seed in (0, 0, 1)
    )
    pd.testing.assert_series_equal(first, same)
    assert not first.equals(other.reindex(first.index))


def test_wrong_encoders_are_refused(folders: list[Path], frames: FrameDataset, tmp_path: Path):
    out = tmp_path / "selection"
    for given_, arguments, says in [
        (folders[:1], {}, "at least 2"),
        ([folders[0], folders[1], folders[0]], {}, f"same encoder as {re.escape(str(folders[0]))}"),
        (folders, {"samples": 3}, "3 samples"),
        (folders, {"similarity": "pearson"}, "Unknown similarity"),
        ([folders[0], tmp_path], {}, "not a encoder folder"),
    ]:
        with pytest.raises(ValueError, match=says):
            select_encoder(given_, frames, out=out, **arguments)
    small = Encoder(LatentModel(ModelConfig(image_shape=(32, 32, 3))))
    with pytest.raises(ValueError, match="encoder 1: This encoder takes"):
        select_encoder([folders[0], small], frames, out=out)
    assert not list(tmp_path.iterdir())


def test_command_prints_best_first_and_saves(
    folders: list[Path],
    frames: FrameDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(folders[0].parent)
    names = tuple(Path(folder.name) for folder in folders)
    out = tmp_path / "selection"
    assert Select(names, data=frames.path, out=out, samples=100).run() == 0
    printed = capsys.readouterr().out
    order = re.findall(r"run_\d", printed)
    assert order == list(read_selection(out)["path"])
    assert "5 or more" in printed
    assert Select(names, data=frames.path, similarity="lasso", samples=100).run() == 0
    assert "run_3" in capsys.readouterr().out
