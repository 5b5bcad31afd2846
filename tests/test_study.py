"""Studies: their configuration, their pieces, and runs of them on this machine."""

from __future__ import annotations

import collections
import dataclasses
import fcntl
import json
import multiprocessing
import os
import runpy
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent.artifacts import Stage
from drl_latent.manifest import ArtifactError
from drl_latent.registry import UnknownNameError
from drl_latent.study import (
    EXECUTORS,
    Budgets,
    EncoderRecipe,
    LocalExecutor,
    SplitRecipe,
    Study,
    StudyError,
    StudyResults,
    Task,
    local_executor,
    open_study,
    run_study,
    work,
)
from drl_latent.study.executors import Executor, Outcome
from drl_latent.study.graph import build_graph, pieces_of
from drl_latent.study.pieces import Piece, Store
from drl_latent.study.status import study_status

HERE = Path(__file__).parent
HELPERS = runpy.run_path(str(HERE / "tiny_study.py"))
TINY: Study = HELPERS["TINY"]
TABLES = HELPERS["CHECK"]["TABLES"]
KINDS = {
    "collect": 2, "pretrain": 1, "score": 1, "moves": 1, "train": 2, "evaluate": 3, "set_back": 1,
    "film": 2, "transfer": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study, to look at only."""
    return HELPERS["undisturbed"](tmp_path_factory)


@pytest.fixture
def copy(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(undisturbed, tmp_path / "study"))


def pieces(study: Study) -> list[Piece]:
    return pieces_of(build_graph(study))


def keys(study: Study) -> set[str]:
    return {piece.key for piece in pieces(study)}


def kinds(found: list[Piece]) -> dict[str, int]:
    return dict(collections.Counter(piece.kind for piece in found))


def begun(folder: Path) -> list[str]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [row["piece"] for row in map(json.loads, lines) if row["event"] == "begun"]


# Configuration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": (SplitRecipe("compositon"),)}, "Did you mean 'composition'"),
        ({"encoders": (EncoderRecipe("beta_vea"),)}, "Did you mean 'beta_vae'"),
        ({"baselines": ("true_sate",)}, "Did you mean 'true_state'"),
        ({"algorithms": ("PP",)}, "Did you mean 'PPO'"),
        ({"metrics": ("migg",)}, "Did you mean 'mig'"),
        ({"modes": ("frosen",)}, "Did you mean 'frozen'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(change: dict, message: str):
    with pytest.raises(UnknownNameError, match=message):
        Study(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": (Task(), Task(factors=("object_hue",)))}, "Two tasks .* DrlLatent/Reach-v0"),
        ({"splits": (SplitRecipe(), SplitRecipe())}, "Two splits .* composition"),
        ({"encoders": (EncoderRecipe("vae"), EncoderRecipe("vae"))}, "Two methods .* vae"),
        ({"encoders": (EncoderRecipe("vae", "true_state"),)}, "Two methods .* true_state"),
        ({"encoders": (EncoderRecipe("vae", "random"),)}, "Two methods .* random"),
        ({"baselines": ("ted", "ted")}, "Two methods .* ted"),
        ({"modes": ("frozen", "frozen")}, "Two modes .* frozen"),
        ({"algorithms": ("PPO", "PPO")}, "Two algorithms .* PPO"),
        ({"metrics": ("mig", "mig")}, "Two metrics .* mig"),
        ({"encoder_seeds": (1, 0, 1)}, "Two seeds .* 1"),
    ],
)
def test_two_things_of_one_name_are_refused(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Study(**change)


@pytest.mark.parametrize("needed", ["tasks", "splits", "modes", "algorithms", "encoder_seeds"])
def test_a_study_of_nothing_is_refused(needed: str):
    with pytest.raises(ValueError, match=f"needs {needed}"):
        Study(**{needed: ()})


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="encoders or baselines"):
        Study(encoders=(), baselines=())
    with pytest.raises(ValueError, match="agents_per_encoder and threads"):
        Study(agents_per_encoder=0)
    with pytest.raises(ValueError, match="budget episodes must be 1 or more, got 0"):
        Budgets(episodes=0)
    assert Budgets(films=0, set_back_episodes=0).films == 0


def test_the_random_encoder_is_not_called_as_random_actions_are():
    assert EncoderRecipe("random").name == "random_encoder"
    assert Study(encoders=(EncoderRecipe("random"),)).encoders[0].name == "random_encoder"


SETTINGS = st.dictionaries(
    st.text("abc_", min_size=1, max_size=5),
    st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(max_size=3)),
    max_size=2,
)
STUDIES = st.builds(
    Study,
    question=st.text(max_size=20),
    tasks=st.lists(
        st.builds(
            Task,
            env=st.sampled_from(["DrlLatent/Reach-v0", "DrlLatent/Push-v0", "factorize:Pusher-v5"]),
            factors=st.lists(st.sampled_from(["object_hue", "floor_hue"])).map(tuple),
            env_kwargs=SETTINGS,
            agent=SETTINGS,
            other_agent=SETTINGS,
            proprioception=st.booleans(),
        ),
        min_size=1,
        max_size=2,
        unique_by=lambda task: task.env,
    ).map(tuple),
    splits=st.lists(
        st.builds(
            SplitRecipe,
            kind=st.sampled_from(["composition", "random"]),
            settings=SETTINGS,
            seed=st.none() | st.integers(0, 9),
        ),
        min_size=1,
        max_size=2,
        unique_by=lambda split: split.label,
    ).map(tuple),
    encoders=st.lists(
        st.builds(
            EncoderRecipe,
            objective=st.sampled_from(["vae", "beta_vae", "random"]),
            settings=SETTINGS,
            latents=st.integers(1, 20),
            model=SETTINGS,
        ),
        max_size=2,
        unique_by=lambda encoder: encoder.name,
    ).map(tuple),
    modes=st.sampled_from([("frozen",), ("frozen", "finetune"), ("auxiliary",)]),
    encoder_seeds=st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True).map(tuple),
    budgets=st.builds(Budgets, frames=st.integers(1, 100), films=st.integers(0, 3)),
    threads=st.integers(1, 4),
)


@settings(max_examples=30)
@given(STUDIES)
def test_a_study_comes_back_from_json(study: Study):
    assert Study.from_dict(json.loads(json.dumps(study.to_dict()))) == study


def test_a_file_may_leave_out_what_has_a_default(tmp_path: Path):
    path = tmp_path / "study.json"
    path.write_text('{"encoders": [{"objective": "vae"}], "budgets": {"episodes": 7}}')
    expected = Study(encoders=(EncoderRecipe("vae"),), budgets=Budgets(episodes=7))
    assert Study.load(path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no study at"),
        ("{", "is not JSON"),
        ("[]", "holds list, expected an object"),
        ('{"encoder": []}', "setting of Study 'encoder'. Did you mean 'encoders'"),
        ('{"budgets": {"frame": 1}}', "setting of Budgets 'frame'. Did you mean 'frames'"),
        ('{"tasks": [{"factor": []}]}', "setting of Task 'factor'. Did you mean 'factors'"),
    ],
)
def test_a_file_that_is_no_study_is_refused(tmp_path: Path, text: str | None, message: str):
    path = tmp_path / "study.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Study.load(path)


# Pieces


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


# Processes of this machine


@given(
    st.lists(st.tuples(st.integers(1, 4), st.floats(0.1, 6)), max_size=12),
    st.integers(1, 6),
    st.floats(1, 8),
)
def test_cores_and_memory_are_never_more_than_there_are(needs, cores: int, memory: float):
    executor = LocalExecutor(Store("study"), cores=cores, memory=memory)
    executor._context = SimpleNamespace(Process=lambda **_: SimpleNamespace(start=lambda: None))
    for number, (threads, gigabytes) in enumerate(needs):
        piece = Piece("train", "", {"n": number}, threads=threads, memory=gigabytes)
        if executor.has_room(piece):
            executor.begin(piece)
        running = list(executor._running)
        # What needs more than there is runs alone.
        assert len(running) == 1 or sum(p.threads for p in running) <= cores
        assert len(running) == 1 or sum(p.memory for p in running) <= memory


def test_no_cores_are_refused():
    with pytest.raises(ValueError, match="cores and memory must be positive, got 0"):
        LocalExecutor(Store("study"), cores=0)
    with pytest.raises(ValueError, match="cores and memory must be positive"):
        LocalExecutor(Store("study"), memory=0)


def test_a_process_that_goes_away_is_a_loss_and_ends_with_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(local_executor, "_work", lambda *_: time.sleep(60))
    executor = LocalExecutor(Store(tmp_path), cores=2, memory=8)
    executor._context = multiprocessing.get_context("fork")
    lost, other = Piece("train", "a", {"a": 1}), Piece("train", "b", {"b": 1})
    executor.begin(lost)
    executor.begin(other)
    assert executor.wait(0.0) == []
    processes = dict(executor._running)
    processes[lost].kill()
    ended: list[Outcome] = []
    while not ended:
        ended = executor.wait(10)
    (outcome,) = ended
    assert (outcome.piece, outcome.status) == (lost, "lost")
    assert "ended with code -9" in outcome.message
    executor.close()
    assert not processes[other].is_alive()


def test_a_process_that_cannot_be_started_is_a_loss(tmp_path: Path):
    """As when the server that processes are forked from was killed."""

    def start() -> None:
        raise EOFError

    executor = LocalExecutor(Store(tmp_path), cores=2, memory=8)
    executor._context = SimpleNamespace(Process=lambda **_: SimpleNamespace(start=start))
    piece = Piece("train", "a", {"a": 1})
    executor.begin(piece)
    (outcome,) = executor.wait(60)
    assert (outcome.piece, outcome.status) == (piece, "lost")
    assert executor.wait(0) == []


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
    example = runpy.run_path(str(HERE / "example_study.py"))["example_study"]
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
