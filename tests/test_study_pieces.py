"""Pieces of a study: their keys, and the work on one."""

from __future__ import annotations

import dataclasses
import json
import os
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from drl_latent.artifacts import Stage
from drl_latent.study import (
    EncoderRecipe,
    SplitRecipe,
    Study,
    work,
)
from drl_latent.study.graph import build_graph
from drl_latent.study.library import STUDIES
from drl_latent.study.pieces import Piece, Store
from drl_latent.study.status import study_status

HELPERS = runpy.run_path(str(Path(__file__).parent / "tiny_study.py"))
TINY: Study = HELPERS["TINY"]
KINDS = HELPERS["KINDS"]
pieces, keys, kinds = (HELPERS["pieces"], HELPERS["keys"], HELPERS["kinds"])


@pytest.mark.parametrize("name", STUDIES)
def test_each_study_of_the_library_can_be_cut_and_comes_back_from_json(name: str):
    study = STUDIES[name]
    assert Study.from_dict(study.to_dict()) == study
    found = kinds(pieces(study))
    agents = (len(study.encoders) + len(study.baselines)) * len(study.encoder_seeds)
    assert found["train"] == agents
    assert found["evaluate"] == agents + len(study.encoder_seeds)  # random actions


def test_a_study_is_cut_into_pieces_each_after_what_it_needs():
    found = pieces(TINY)
    assert kinds(found) == KINDS
    for number, piece in enumerate(found):
        assert {needed.key for needed in piece.needs.values()} <= {p.key for p in found[:number]}


def test_keys_depend_on_what_determines_results_alone():
    base = keys(TINY)
    (recipe,) = TINY.encoders
    for same in (
        {"question": "Another?"},
        {"encoders": (dataclasses.replace(recipe, label="another name"),)},
    ):
        assert keys(dataclasses.replace(TINY, **same)) == base
    for other in (
        {"encoders": (dataclasses.replace(recipe, settings={"beta": 2.0}),)},
        {"encoders": (dataclasses.replace(recipe, latents=3),)},
        {"budgets": dataclasses.replace(TINY.budgets, pretrain_steps=9)},
        {"encoder_seeds": (1,)},
        {"threads": 2},
    ):
        changed = pieces(dataclasses.replace(TINY, **other))
        assert not [p for p in changed if p.kind in ("pretrain", "score") and p.key in base]


def test_a_larger_study_uses_the_pieces_of_a_smaller_one():
    base = keys(TINY)
    seeds = keys(dataclasses.replace(TINY, encoder_seeds=(0, 1)))
    assert base < seeds
    assert len(seeds) == 2 * len(base) - KINDS["film"]  # of the first seed alone
    encoders = (*TINY.encoders, EncoderRecipe("vae", latents=2))
    more = pieces(dataclasses.replace(TINY, encoders=encoders))
    new = kinds([piece for piece in more if piece.key not in base])
    of_encoder = set(KINDS) - {"collect"}
    assert new == dict.fromkeys(of_encoder, 1)  # but no frames
    episodes = dataclasses.replace(TINY.budgets, episodes=4)
    more = pieces(dataclasses.replace(TINY, budgets=episodes))
    assert kinds([p for p in more if p.key not in base]) == {
        "evaluate": 3, "transfer": 2, "film": 2,
    }  # fmt: skip


def test_what_several_need_is_one_piece():
    # Both begin with a random encoder, and train it by objectives of their own.
    found = kinds(pieces(dataclasses.replace(TINY, encoders=(), baselines=("ted", "sac_ae"))))
    assert found == {
        "collect": 2, "pretrain": 1, "score": 1, "moves": 1, "train": 2, "evaluate": 3, "film": 2,
        "transfer": 3,
    }  # fmt: skip
    twins = tuple(dataclasses.replace(TINY.encoders[0], label=label) for label in ("a", "b"))
    study = dataclasses.replace(TINY, encoders=twins)
    assert kinds(pieces(study)) == KINDS
    cells = [cell for cell in build_graph(study) if cell.piece.kind == "train"]
    assert [cell.about["agent"] for cell in cells] == ["a", "b", "true_state"]


def test_encoders_that_are_trained_on_have_agents_of_their_own():
    study = dataclasses.replace(
        TINY,
        encoders=(EncoderRecipe("beta_vae", "b", {"beta": 2.0}),),
        modes=("frozen", "finetune", "auxiliary"),
    )
    cells = build_graph(study)
    trained = {c.about["agent"]: c for c in cells if c.piece.kind == "train"}
    assert list(trained) == ["b", "b, finetune", "b, auxiliary", "true_state"]
    assert len({cell.piece.needs.get("encoder") for cell in trained.values()}) == 2  # and none
    request = trained["b, auxiliary"].piece.request
    assert (request["objective"], request["objective_settings"]) == ("beta_vae", {"beta": 2.0})
    assert trained["b, finetune"].piece.request["objective"] is None
    # A latent can be set back of an encoder that stays as it is.
    assert [c.about["agent"] for c in cells if c.piece.kind == "set_back"] == ["b"]


def test_each_seed_has_its_own_cut_unless_the_recipe_has_one():
    def cuts(recipe: SplitRecipe) -> int:
        study = dataclasses.replace(TINY, splits=(recipe,), encoder_seeds=(0, 1, 2))
        trained = [p.request["env_kwargs"] for p in pieces(study) if p.kind == "train"]
        return len({json.dumps(kwargs["split"]) for kwargs in trained})

    assert cuts(SplitRecipe()) == 3
    assert cuts(SplitRecipe(seed=5)) == 1


def test_agents_have_seeds_of_their_own():
    study = dataclasses.replace(TINY, encoder_seeds=(0, 3), agents_per_encoder=2)
    cells = [c for c in build_graph(study) if c.piece.kind == "train"]
    seeds = [(c.about["encoder_seed"], c.about["agent_seed"]) for c in cells if c.about["encoder"]]
    assert seeds == [(0, 0), (0, 1), (3, 6), (3, 7)]
    assert [c.piece.request["seed"] for c in cells] == [0, 1, 0, 1, 6, 7, 6, 7]


# Work on one piece


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Piece, Path]:
    """A piece that needs another, whose work counts how often it is done."""
    counter = tmp_path / "times"

    def write(out: Path, request: dict, needs: dict[str, Path], threads: int) -> None:
        stage = Stage(out, "test", request)
        if stage.is_complete:
            return
        with counter.open("a") as file:
            file.write("x")
        if request.get("fails") and not (tmp_path / "mended").exists():
            raise RuntimeError("the disk\nis full")
        (stage.folder / "table.parquet").write_text("result")
        stage.finish({})

    monkeypatch.setitem(work.WORK, "moves", write)
    monkeypatch.setattr(work, "provenance", lambda: {"commit": "c"})
    return Store(tmp_path / "study"), Piece("moves", "the moves", {"a": 1}), counter


def test_a_finished_piece_is_never_done_again(one):
    store, piece, counter = one
    assert store.missing([piece]) == [piece]
    work.do(store, piece)
    before = store.record(piece)
    work.do(store, piece)
    assert counter.read_text() == "x"
    assert store.record(piece) == before
    assert (before["label"], before["commit"]) == ("the moves", "c")
    assert (store.kept(piece) / "table.parquet").read_text() == "result"
    assert store.missing([piece]) == []


def test_artefacts_may_be_deleted_when_their_results_are_kept(one):
    store, piece, counter = one
    work.do(store, piece)
    shutil.rmtree(store.root / "pieces")
    assert store.missing([piece]) == []
    # Unless another piece has to be made from it.
    other = Piece("moves", "other", {"b": 1}, {"moves": piece})
    assert store.missing([piece, other]) == [piece, other]
    before = store.record(piece)
    work.do(store, piece)
    assert counter.read_text() == "xx"
    assert store.is_finished(piece)
    assert store.record(piece) == before


def test_an_error_is_noted_until_the_piece_is_finished(one, tmp_path: Path):
    store, _, _ = one
    piece = Piece("moves", "the moves", {"fails": True})
    with pytest.raises(RuntimeError, match="disk"):
        work.do(store, piece)
    assert "RuntimeError: the disk" in store.error(piece)
    (status,) = study_status(store, [piece]).to_dict("records")
    assert (status["state"], status["message"]) == ("failed", "is full")
    (tmp_path / "mended").touch()
    work.do(store, piece)
    assert store.error(piece) is None
    (status,) = study_status(store, [piece]).to_dict("records")
    assert (status["state"], status["message"]) == ("finished", "")


def dies_before(lines: int, run: Callable[[], None]) -> bool:
    """Run something in another process that ends, without a word, before a line of what it runs.

    Whether it came to that. Counted are lines of what writes pieces.
    """
    child = os.fork()
    if child == 0:
        left = lines

        def trace(frame, event, argument):
            nonlocal left
            if Path(frame.f_code.co_filename).name not in ("work.py", "pieces.py", "artifacts.py"):
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os._exit(1)
            return trace

        sys.settrace(trace)
        try:
            run()
        except BaseException:
            os._exit(2)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1)
    return code == 1


# The process is forked with threads, such as torch's, which the work here does not use.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("is_kept", [False, True])
def test_a_piece_comes_through_a_kill_at_any_line(one, is_kept: bool):
    """Also one that was kept, and whose artefact is made again. Every sixth line, to save time."""
    store, piece, _ = one
    died, lines = True, 3 * is_kept
    while died:
        shutil.rmtree(store.root, ignore_errors=True)
        if is_kept:
            work.do(store, piece)
            shutil.rmtree(store.root / "pieces")
        died = dies_before(lines, lambda: work.do(store, piece))
        assert store.is_kept(piece) or not is_kept
        record = store.record(piece) if store.is_kept(piece) else None
        work.do(store, piece)
        assert (store.folder(piece) / "table.parquet").read_text() == "result"
        assert (store.kept(piece) / "table.parquet").read_text() == "result"
        assert record in (None, store.record(piece))
        assert store.missing([piece]) == []
        lines += 6
    assert lines > 40


def test_states_are_told_from_the_folder(one, tmp_path: Path):
    store, piece, _ = one
    waiting, started, running = (Piece("moves", name, {name: 1}) for name in "wsr")
    work.do(store, piece)
    store.folder(started).with_name(f"{started.key}.partial").mkdir()
    with work._locked(store.beside(running, "lock")):
        table = study_status(store, [piece, waiting, started, running])
        assert list(table["state"]) == ["finished", "waiting", "begun", "running"]
    assert list(table["label"]) == ["the moves", "w", "s", "r"]
    assert list(study_status(store, [running])["state"]) == ["waiting"]
