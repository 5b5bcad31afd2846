"""Runs of studies on this machine."""

from __future__ import annotations

import collections
import dataclasses
import fcntl
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from drl_latent.manifest import ArtifactError
from drl_latent.registry import UnknownNameError
from drl_latent.study import (
    EXECUTORS,
    Study,
    StudyError,
    StudyResults,
    open_study,
    run_study,
)
from drl_latent.study.executors import Executor, Outcome
from drl_latent.study.pieces import Piece, Store
from drl_latent.study.status import study_status
from drl_latent.study.work import _to_film

HELPERS = runpy.run_path(str(Path(__file__).parent / "tiny_study.py"))
TINY: Study = HELPERS["TINY"]
TABLES = HELPERS["TABLES"]
KINDS = HELPERS["KINDS"]
pieces, keys, begun = (HELPERS["pieces"], HELPERS["keys"], HELPERS["begun"])


def test_films_are_of_the_best_and_worst_where_nobody_says_what_success_is():
    episodes = pd.DataFrame(
        {
            "part": ["ood2", "ood2", "ood2", "id"],
            "success": [True, False, True, False],
            "return": [3.0, 1.0, 2.0, 9.0],
        }
    )
    known = {name: list(rows.index) for name, rows in _to_film(episodes).items()}
    assert known == {"success": [0, 2], "failure": [1, 3]}
    unknown = _to_film(episodes.assign(success=float("nan")))
    assert {name: list(rows.index) for name, rows in unknown.items()} == {
        "best": [0, 2, 1],
        "worst": [1, 2, 0],
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study, to look at only."""
    return HELPERS["undisturbed"](tmp_path_factory)


@pytest.fixture
def copy(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(undisturbed, tmp_path / "study"))


# Runs, by an executor that does nothing


class Pretended(Executor):
    """Ends each piece at once, as a test tells."""

    tells: Callable[[Piece], Outcome]
    room = 3

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.running: list[Piece] = []
        self.most = 0
        type(self).last = self

    def has_room(self, piece: Piece) -> bool:
        return len(self.running) < self.room

    def begin(self, piece: Piece) -> None:
        assert piece not in self.running
        self.running.append(piece)
        self.most = max(self.most, len(self.running))

    def wait(self, seconds: float) -> list[Outcome]:
        return [type(self).tells(self.running.pop(0))]

    def close(self) -> None:
        self.running.clear()


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> type[Pretended]:
    monkeypatch.setitem(EXECUTORS, "pretended", Pretended)
    Pretended.tells = staticmethod(lambda piece: Outcome(piece, "finished"))
    return Pretended


def test_pieces_are_begun_after_what_they_need(pretended, tmp_path: Path):
    done: list[str] = []
    rooms = []

    def tells(piece: Piece) -> Outcome:
        assert {needed.key for needed in piece.needs.values()} <= set(done)
        done.append(piece.key)
        return Outcome(piece, "finished")

    pretended.tells = staticmethod(tells)
    study = dataclasses.replace(TINY, encoder_seeds=(0, 1))
    watch = lambda progress: rooms.append(len(progress.running))  # noqa: E731
    found = run_study(study, tmp_path, executor="pretended", watch=watch)
    assert sorted(done) == sorted(keys(study))
    assert pretended.last.most == max(rooms) == 3
    assert len(found.episodes) == 0  # nothing was made
    assert found.study == study.to_dict()
    assert open_study(tmp_path) == study


def test_what_fails_is_named_and_all_else_is_done(pretended, tmp_path: Path):
    def tells(piece: Piece) -> Outcome:
        if piece.kind == "pretrain":
            return Outcome(piece, "failed", "ValueError: no such latent")
        done.append(piece.kind)
        return Outcome(piece, "finished")

    done: list[str] = []
    pretended.tells = staticmethod(tells)
    with pytest.raises(StudyError, match=r"1 pieces failed, so that 8 of 15.*pretrain of beta_vae"):
        run_study(TINY, tmp_path, executor="pretended")
    assert collections.Counter(done) == {
        "collect": 2,
        "train": 1,
        "evaluate": 2,
        "film": 1,
        "transfer": 1,
    }


def test_what_is_lost_is_begun_again_but_not_for_ever(pretended, tmp_path: Path):
    times: collections.Counter[str] = collections.Counter()

    def tells(piece: Piece) -> Outcome:
        times[piece.kind] += 1
        if piece.kind == "score" or (piece.kind == "pretrain" and times["pretrain"] <= 3):
            return Outcome(piece, "lost", "its machine is gone")
        return Outcome(piece, "finished")

    pretended.tells = staticmethod(tells)
    with pytest.raises(StudyError, match=r"1 of 15 are not there.*score of .*machine is gone"):
        run_study(TINY, tmp_path, executor="pretended")
    assert (times["pretrain"], times["score"]) == (4, 4)


def test_an_unknown_executor_is_refused(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="Did you mean 'local'"):
        run_study(TINY, tmp_path, executor="lokal")


def test_a_folder_has_one_run_at_a_time(pretended, tmp_path: Path):
    with (tmp_path / "run.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StudyError, match="Another run works in"):
            run_study(TINY, tmp_path, executor="pretended")
    run_study(TINY, tmp_path, executor="pretended")


def test_a_folder_without_a_study_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="is not the folder of a study"):
        open_study(tmp_path)


def test_a_run_finds_what_a_study_asks(undisturbed: Path):
    found = StudyResults.load(undisturbed / "results.parquet")
    assert found.study == TINY.to_dict()
    runs = found.episodes.groupby(["agent", "part"]).size()
    assert list(runs) == [TINY.budgets.episodes] * 11
    assert set(runs.index.get_level_values("agent")) == {"beta_vae", "true_state", "random"}
    same = found.episodes.groupby(["part", "episode"])["seed"].nunique()
    assert (same == 1).all()  # all agents meet the same episodes
    assert {"mig", "linear_probe:ood2"} <= set(found.scores["metric"])
    assert set(found.curves["agent"]) == {"beta_vae", "true_state"}
    assert set(found.moves["latent"]) == {0, 1}
    assert set(found.set_back["part"]) == {"ood1", "ood2"}
    assert dict(collections.Counter(found.pieces["kind"])) == KINDS
    assert set(found.pieces["key"]) == keys(TINY)
    films = {name.split("/")[3] for name in found.pictures if name.startswith("films/")}
    assert films == {"beta_vae", "true_state"}
    assert sum(name.startswith("traversals/") for name in found.pictures) == 1


def test_results_do_not_depend_on_whether_they_were_read(undisturbed: Path, copy: Path):
    """What a call returns is what the file holds; and nothing is done a second time."""
    events = (copy / "events.jsonl").read_text()
    shutil.rmtree(copy / "pieces")  # what is kept is enough
    found, read = run_study(TINY, copy), StudyResults.load(undisturbed / "results.parquet")
    assert (copy / "events.jsonl").read_text() == events
    for name in (*TABLES, "pieces"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(read, name))
    assert found.pictures == read.pictures
    assert set(study_status(Store(copy), pieces(TINY))["state"]) == {"finished"}


def test_a_new_label_is_no_new_work(copy: Path):
    (recipe,) = TINY.encoders
    study = dataclasses.replace(TINY, encoders=(dataclasses.replace(recipe, label="other"),))
    events = (copy / "events.jsonl").read_text()
    found = run_study(study, copy)
    assert (copy / "events.jsonl").read_text() == events
    assert "other" in set(found.episodes["agent"])
    assert "beta_vae" not in set(found.episodes["agent"])


def test_a_mended_study_does_what_is_missing(copy: Path):
    store = Store(copy)
    found = {piece.kind: piece for piece in pieces(TINY)}
    score, film = found["score"], found["film"]
    for piece in (score, film):
        shutil.rmtree(store.folder(piece))
        shutil.rmtree(store.kept(piece))
    blocked = store.folder(score).with_name(f"{score.key}.partial")
    blocked.mkdir()
    (blocked / "request.json").write_text('{"of": "something else"}')
    before = len(begun(copy))
    with pytest.raises(StudyError) as raised:
        run_study(TINY, copy, options={"cores": 2})
    assert "1 pieces failed, so that 1 of 15 are not there: score of beta_vae" in str(raised.value)
    assert "ArtifactError" in str(raised.value)
    assert str(store.beside(score, "error")) in str(raised.value)
    assert "Traceback" in store.error(score)
    assert sorted(begun(copy)[before:]) == sorted([score.name, film.name])
    status = study_status(store, pieces(TINY)).set_index("key")
    assert status.loc[film.key, "state"] == "finished"
    assert status.loc[score.key, "state"] == "failed"
    assert "something else" in status.loc[score.key, "message"]
    shutil.rmtree(blocked)
    run_study(TINY, copy, options={"cores": 2})
    assert begun(copy)[before + 2 :] == [score.name]


def test_encoders_are_trained_on_with_agents(copy: Path):
    """Two further modes, from the encoder that is there."""
    (task,) = TINY.tasks
    short = {**task.agent, "settings": {**task.agent["settings"], "n_epochs": 1}}
    study = dataclasses.replace(
        TINY,
        tasks=(dataclasses.replace(task, agent=short),),
        modes=("finetune", "auxiliary"),
        baselines=(),
        budgets=dataclasses.replace(TINY.budgets, films=0),
    )
    before = len(begun(copy))
    found = run_study(study, copy, options={"cores": 2})
    done = collections.Counter(name.partition("/")[0] for name in begun(copy)[before:])
    assert done == {"train": 2, "evaluate": 2, "transfer": 2}
    agents = found.episodes.groupby("agent")["mode"].unique().map(list).to_dict()
    assert agents == {
        "beta_vae, finetune": ["finetune"],
        "beta_vae, auxiliary": ["auxiliary"],
        "random": [""],
    }
    assert len(found.set_back) == 0


# Results


def test_results_come_back_from_their_file(tmp_path: Path):
    example = runpy.run_path(str(Path(__file__).with_name("example_study.py")))["example_study"]
    study = example(tasks=[("DrlLatent/Reach-v0", "composition")], seeds=2, episodes=4)
    path = study.save(tmp_path / "deep" / "results.parquet")
    read = StudyResults.load(path)
    for name in (*TABLES, "pieces"):
        pd.testing.assert_frame_equal(getattr(read, name), getattr(study, name), check_dtype=False)
    assert read.pictures == study.pictures
    assert read.study == study.study
    # Any reader of Parquet gets the episodes.
    assert len(pd.read_parquet(path)) == len(study.episodes)


def test_a_file_that_is_not_results_is_refused(undisturbed: Path, tmp_path: Path):
    path = tmp_path / "results.parquet"
    with pytest.raises(ArtifactError, match="is not there"):
        StudyResults.load(path)
    whole = (undisturbed / "results.parquet").read_bytes()
    for content in (b"", b"nothing", whole[: len(whole) // 2], whole[len(whole) // 2 :]):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match="is not the results of a study"):
            StudyResults.load(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(ArtifactError, match="is not the results of a study"):
        StudyResults.load(path)


def test_tables_without_their_columns_are_refused(undisturbed: Path):
    found = StudyResults.load(undisturbed / "results.parquet")
    with pytest.raises(ValueError, match=r"'scores' of a study lacks the columns \['metric'\]"):
        dataclasses.replace(found, scores=found.scores.drop(columns="metric"))
