import sqlite3
import threading
from datetime import timedelta

import pytest

from model.errors import CheckpointMismatch, QueueFull
from tests.fakes import FakeSynthesizer
from worker.engine import Engine
from worker.jobs import JobState
from worker.queue import LocalQueue

PATIENCE_S = 30


class RecordingEngine:
    """Notes what it is told; ``run`` waits until the test lets it go on."""

    def __init__(self, prepare_error: Exception | None = None) -> None:
        self.prepare_error = prepare_error
        self.ran: list[str] = []
        self.running = threading.Event()
        self.go_on = threading.Event()
        self.housekeeping = 0
        self.stopped_in_a_job = False
        self.retried: list[str] = []
        self.poisoned = True

    def prepare(self, *, should_stop) -> None:
        if self.prepare_error is not None:
            raise self.prepare_error

    def run(self, job_id, *, should_stop):
        self.ran.append(job_id)
        self.running.set()
        assert self.go_on.wait(PATIENCE_S)
        self.stopped_in_a_job = should_stop()
        if job_id == "poison" and self.poisoned:
            raise RuntimeError("the disk is full")

    def retry(self, job_id):
        self.retried.append(job_id)
        if len(self.retried) == 1:
            raise RuntimeError("the disk is still full")
        self.poisoned = False

    def keep_house(self):
        self.housekeeping += 1


class Ended(threading.Event):
    """Called with the failure that ends a queue."""

    def __call__(self, error):
        self.error = error
        self.set()


def start(engine, *, limit=2, recovered=(), on_failure=None) -> LocalQueue:
    queue = LocalQueue(engine, limit=limit, on_failure=on_failure or Ended())
    queue.start(recovered)
    return queue


def drain(queue: LocalQueue, engine: RecordingEngine, count: int) -> None:
    """Let everything run to its end."""
    engine.go_on.set()
    done = threading.Event()
    run = engine.run

    def counting(job_id, *, should_stop):
        run(job_id, should_stop=should_stop)
        if len(engine.ran) == count:
            done.set()

    engine.run = counting
    if len(engine.ran) == count:
        done.set()
    assert done.wait(PATIENCE_S)
    queue.stop()


def test_runs_in_order_what_was_recovered_first():
    engine = RecordingEngine()
    queue = start(engine, limit=2, recovered=["a", "b", "c"])
    assert engine.running.wait(PATIENCE_S)
    assert queue.waiting == 2
    with pytest.raises(QueueFull):
        queue.submit("d")
    drain(queue, engine, 3)
    assert engine.ran == ["a", "b", "c"]


def test_is_bounded_and_says_when_to_come_back():
    engine = RecordingEngine()
    queue = start(engine, limit=2, recovered=["running"])
    assert engine.running.wait(PATIENCE_S)
    queue.submit("first")
    queue.submit("second")
    with pytest.raises(QueueFull, match="2 jobs are waiting") as refusal:
        queue.submit("third")
    assert refusal.value.retry_after_s >= 1
    drain(queue, engine, 3)
    assert engine.ran == ["running", "first", "second"]


def test_a_stop_lets_the_running_job_finish_and_starts_no_other():
    engine = RecordingEngine()
    queue = start(engine, recovered=["running", "waiting"])
    assert engine.running.wait(PATIENCE_S)
    stopper = threading.Thread(target=queue.stop)
    stopper.start()
    assert queue._stopping.wait(PATIENCE_S)
    engine.go_on.set()
    stopper.join(PATIENCE_S)
    assert not stopper.is_alive()
    assert engine.ran == ["running"]
    assert engine.stopped_in_a_job


def test_runs_again_what_could_not_be_recorded(caplog, monkeypatch):
    monkeypatch.setattr("worker.queue._PAUSE_S", 0)
    engine = RecordingEngine()
    queue = start(engine, recovered=["poison", "next"])
    drain(queue, engine, 3)
    assert engine.ran == ["poison", "poison", "next"]
    assert engine.retried == ["poison", "poison"]
    assert "the disk is full" in caplog.text


def test_a_stop_ends_the_pause_of_a_store_that_fails(caplog):
    engine = RecordingEngine()
    engine.go_on.set()
    queue = start(engine, recovered=["poison", "next"])
    assert engine.running.wait(PATIENCE_S)
    queue.stop()
    assert engine.ran == ["poison"]


@pytest.mark.parametrize("methods", [["start"], ["add_output", "fail", "retry"]])
def test_a_store_that_fails_once_costs_no_job(
    checkpoint, jobs, artifacts, accept, monkeypatch, methods
):
    monkeypatch.setattr("worker.queue._PAUSE_S", 0)
    ended = threading.Event()
    jobs.on_finish = lambda job_id: ended.set()
    working = {name: getattr(jobs, name) for name in methods}

    def failing_once(name):
        def fail(*arguments):
            monkeypatch.setattr(jobs, name, working[name])
            raise sqlite3.OperationalError("database or disk is full")

        return fail

    for name in methods:
        monkeypatch.setattr(jobs, name, failing_once(name))
    job_id = accept(n=2)
    engine = Engine(
        lambda: FakeSynthesizer(checkpoint), jobs, artifacts, retention=timedelta(hours=1)
    )
    queue = start(engine, recovered=[job_id])
    assert ended.wait(PATIENCE_S)
    queue.stop()
    job = jobs.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert len(job.outputs) == 2


def test_keeps_house_between_jobs():
    engine = RecordingEngine()
    queue = start(engine, recovered=["a", "b"])
    drain(queue, engine, 2)
    assert engine.housekeeping >= 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckpointMismatch("does not fit"), "checkpoint_mismatch"),
        (MemoryError("too large"), "synthesis_failed"),
    ],
)
def test_an_engine_that_cannot_be_prepared_ends_the_queue(error, code):
    ended = Ended()
    queue = start(RecordingEngine(error), recovered=["a"], on_failure=ended)
    assert ended.wait(PATIENCE_S)
    assert ended.error.code == code
    queue.stop()


def test_stopping_what_never_started_is_no_error():
    LocalQueue(RecordingEngine(), limit=1, on_failure=Ended()).stop()
