"""Pieces in processes of this machine: cores, memory, GPUs, and processes that go away."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drl_latent.study import LocalExecutor, local_executor
from drl_latent.study.executors import Outcome, uses_gpu
from drl_latent.study.pieces import Piece, Store


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


def train(mode: str, inputs: str, number: int = 0) -> Piece:
    return Piece("train", "", {"inputs": inputs, "mode": mode, "n": number})


@pytest.mark.parametrize(
    ("piece", "uses"),
    [
        (Piece("pretrain", "", {}), True),
        (Piece("score", "", {}), False),
        (train("frozen", "latents"), False),
        (train("frozen", "latents+proprioception"), False),
        (train("finetune", "latents"), True),
        (train("auxiliary", "latents"), True),
        (train("frozen", "pixels"), True),
        (train("frozen", "state"), False),
    ],
)
def test_what_learns_from_images_uses_a_gpu(piece: Piece, uses: bool):
    assert uses_gpu(piece) == uses


def on_gpus(monkeypatch: pytest.MonkeyPatch, **options: float) -> tuple[LocalExecutor, list[str]]:
    """An executor on a machine with two GPUs that starts nothing, and the GPU of each start."""
    monkeypatch.setattr(local_executor, "_visible_gpus", lambda: ["0", "1"])
    started: list[str] = []

    def process(*, args: tuple[str, Piece, str], **_: object) -> SimpleNamespace:
        return SimpleNamespace(start=lambda: started.append(args[2]), is_alive=lambda: True)

    executor = LocalExecutor(Store("study"), cores=99, memory=99, **options)
    executor._context = SimpleNamespace(Process=process)
    return executor, started


def test_pieces_share_gpus_evenly_and_no_more_than_fit(monkeypatch: pytest.MonkeyPatch):
    executor, started = on_gpus(monkeypatch, gpus=0.5)
    pieces = [train("frozen", "pixels", number) for number in range(5)]
    for piece in pieces[:4]:
        assert executor.has_room(piece)
        executor.begin(piece)
    assert started == ["0", "1", "0", "1"]
    assert not executor.has_room(pieces[4])
    # What needs no GPU sees none, and need not wait for one.
    other = train("frozen", "state")
    assert executor.has_room(other)
    executor.begin(other)
    assert started[-1] == ""


def test_a_gpu_is_free_again_when_its_piece_has_ended(monkeypatch: pytest.MonkeyPatch):
    executor, started = on_gpus(monkeypatch, gpus=1.0)
    first, second, third = (train("frozen", "pixels", number) for number in range(3))
    executor.begin(first)
    executor.begin(second)
    assert not executor.has_room(third)
    monkeypatch.setattr(local_executor, "wait", lambda *_: None)
    ended = SimpleNamespace(is_alive=lambda: False, join=lambda: None, exitcode=1)
    executor._running[second] = SimpleNamespace(**vars(ended), sentinel=0)
    executor._running[first].sentinel = 0
    (outcome,) = executor.wait(0)
    assert outcome.piece == second
    assert executor.has_room(third)
    executor.begin(third)
    assert started == ["0", "1", "1"]


def test_gpus_can_be_left_alone(monkeypatch: pytest.MonkeyPatch):
    executor, started = on_gpus(monkeypatch, gpus=0.0)
    executor.begin(train("frozen", "pixels"))
    assert started == [""]
    with pytest.raises(ValueError, match=r"gpus, for each piece, must be in \[0, 1\], got 2"):
        on_gpus(monkeypatch, gpus=2)


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


def starts(fails: int) -> tuple[SimpleNamespace, list[None]]:
    """A context whose first processes do not start, and a list as long as the starts."""
    tried: list[None] = []

    def start() -> None:
        tried.append(None)
        if len(tried) <= fails:
            raise EOFError if len(tried) % 2 else ConnectionRefusedError

    def process(**_: object) -> SimpleNamespace:
        return SimpleNamespace(start=start, is_alive=lambda: True, sentinel=0)

    return SimpleNamespace(Process=process), tried


def test_a_start_is_tried_until_a_killed_server_is_gone(tmp_path: Path):
    """It answers no more for as long as the system takes it apart; no piece is lost for that."""
    executor = LocalExecutor(Store(tmp_path), cores=2, memory=8)
    executor._context, tried = starts(fails=5)
    piece = Piece("train", "a", {"a": 1})
    executor.begin(piece)
    assert len(tried) == 6
    assert list(executor._running) == [piece]
    assert executor._lost == []


def test_a_process_that_cannot_be_started_is_a_loss(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(local_executor, "_PATIENCE", 0.3)
    executor = LocalExecutor(Store(tmp_path), cores=2, memory=8)
    executor._context, _ = starts(fails=10**9)
    piece = Piece("train", "a", {"a": 1})
    executor.begin(piece)
    (outcome,) = executor.wait(60)
    assert (outcome.piece, outcome.status) == (piece, "lost")
    assert executor.wait(0) == []
