import threading
import time
from collections import Counter

import pytest

from model.errors import CheckpointMismatch, StoreUnavailable
from tests.fakes import FakeSynthesizer
from tests.waiting import PATIENCE_S, until
from worker import queue as queue_module
from worker.engine import Engine
from worker.health import Health
from worker.jobs import JobState
from worker.queue import LocalQueue
from worker.waiting import NotNow


class RecordingEngine:
    """Notes what it is told to run; what it does then is ``behave``'s to say."""

    def __init__(self, *, slots=1, prepare_error: Exception | None = None) -> None:
        self.slots = slots
        self.prepare_error = prepare_error
        self.behave = lambda job_id: True
        self.ran: list[str] = []
        self.changed = threading.Condition()
        self.prepared_in = ""
        self.stopped = threading.Event()

    def prepare(self, *, should_stop) -> None:
        self.prepared_in = threading.current_thread().name
        if self.prepare_error is not None:
            raise self.prepare_error

    def run(self, job_id) -> bool:
        with self.changed:
            self.ran.append(job_id)
            self.changed.notify_all()
        return self.behave(job_id)

    def stop(self) -> None:
        self.stopped.set()

    def health(self) -> Health:
        return Health(True)

    def wait_for(self, count: int) -> None:
        """Until so many runs have begun."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.ran) >= count, PATIENCE_S)


class Ended(threading.Event):
    """Called with the failure that ends a queue."""

    def __call__(self, error):
        self.error = error
        self.set()


@pytest.fixture
def start(jobs):
    made = []

    def start(engine, *, on_failure=None) -> LocalQueue:
        queue = LocalQueue(engine, jobs, on_failure=on_failure or Ended())
        made.append(queue)
        queue.start()
        return queue

    yield start
    for queue in made:
        queue.stop()


def test_runs_in_order_what_was_left_first(start, jobs, accept):
    left = [accept() for _ in range(3)]
    jobs.start(left[0], lease_s=3600)  # the last process died with it
    engine = RecordingEngine()
    queue = start(engine)
    new = accept()
    queue.submit(new)
    engine.wait_for(4)
    assert engine.ran == [*left, new]
    assert jobs.get(left[0]).state is JobState.QUEUED
    assert engine.prepared_in == "sian-start"
    assert queue.health().is_ready


def test_runs_as_many_at_a_time_as_the_engine_has_slots(start):
    engine = RecordingEngine(slots=3)
    together = threading.Barrier(3)
    engine.behave = lambda job_id: together.wait(PATIENCE_S) >= 0
    queue = start(engine)
    for job_id in "abc":
        queue.submit(job_id)
    engine.wait_for(3)
    assert sorted(engine.ran) == ["a", "b", "c"]


def test_jobs_that_wait_for_their_sort_keep_their_order_and_no_thread(start, monkeypatch):
    monkeypatch.setattr(queue_module, "_AGAIN_S", 0.01)
    engine = RecordingEngine(slots=2)
    busy, go_on = threading.BoundedSemaphore(1), threading.Event()

    def behave(job_id):
        if job_id.startswith("large"):
            if not busy.acquire(blocking=False):
                raise NotNow("large")
            go_on.wait(PATIENCE_S)
            ended.append(job_id)
            busy.release()
        return True

    ended: list[str] = []
    engine.behave = behave
    queue = start(engine)
    for number in range(4):
        queue.submit(f"large-{number}")
        engine.wait_for(number + 1)
    before = len(engine.ran)
    queue.submit("small")  # and the second thread is free for it
    while "small" not in engine.ran:
        engine.wait_for(before + 1)
        before += 1
    go_on.set()
    until(lambda: len(ended) == 4)
    assert ended == [f"large-{number}" for number in range(4)]


def test_what_waits_already_is_not_run_twice(start):
    engine = RecordingEngine()
    go_on = threading.Event()
    engine.behave = lambda job_id: go_on.wait(PATIENCE_S)
    queue = start(engine)
    queue.submit("running")
    engine.wait_for(1)
    for job_id in ("waiting", "waiting", "running"):
        queue.submit(job_id)
    go_on.set()
    engine.wait_for(3)
    queue.stop()
    assert Counter(engine.ran) == {"running": 2, "waiting": 1}  # whether it runs, the store knows


def test_a_stop_starts_no_other_job(start):
    engine = RecordingEngine()
    engine.behave = lambda job_id: not engine.stopped.wait(PATIENCE_S)
    queue = start(engine)
    for job_id in ("running", "waiting"):
        queue.submit(job_id)
    engine.wait_for(1)
    queue.stop()
    queue.stop()
    assert engine.ran == ["running"]


def away(job_id=""):
    raise StoreUnavailable("The job records are away.", retry_after_s=1)


def test_runs_again_what_could_not_be_recorded(start, caplog, monkeypatch):
    monkeypatch.setattr("worker.queue._PAUSE_S", 0)
    engine = RecordingEngine()
    engine.behave = lambda job_id: len(engine.ran) > 2 or away()
    queue = start(engine)
    for job_id in ("first", "second"):
        queue.submit(job_id)
    engine.wait_for(4)
    assert engine.ran == ["first", "first", "first", "second"]
    assert "The job records are away." in caplog.text


def test_a_stop_ends_the_pause_of_a_store_that_is_away(start):
    engine = RecordingEngine()
    engine.behave = away
    queue = start(engine)
    queue.submit("first")
    engine.wait_for(1)
    queue.stop()
    assert engine.ran == ["first"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckpointMismatch("does not fit"), "checkpoint_mismatch"),
        (MemoryError("too large"), "synthesis_failed"),
    ],
)
def test_an_engine_that_cannot_be_prepared_ends_the_queue(start, accept, error, code):
    accept()
    ended = Ended()
    engine = RecordingEngine(prepare_error=error)
    start(engine, on_failure=ended)
    assert ended.wait(PATIENCE_S)
    assert ended.error.code == code
    assert engine.ran == []


def test_stopping_what_never_started_is_no_error(jobs):
    LocalQueue(RecordingEngine(), jobs, on_failure=Ended()).stop()


@pytest.fixture
def synthesizer(checkpoint) -> FakeSynthesizer:
    return FakeSynthesizer(checkpoint)


@pytest.fixture
def finished(jobs):
    """Waits until a job has ended, however."""
    changed = threading.Condition()

    def on_change(job_id):
        with changed:
            changed.notify_all()

    def wait(job_id):
        with changed:
            assert changed.wait_for(lambda: jobs.get(job_id).is_finished, PATIENCE_S)
        return jobs.get(job_id)

    jobs.on_change = on_change
    return wait


def test_many_jobs_on_a_real_engine(start, synthesizer, jobs, artifacts, accept, finished):
    queue = start(Engine(lambda: synthesizer, jobs, artifacts))
    accepted = [accept(seed=seed, n=1 + seed % 3) for seed in range(40)]
    for job_id in accepted:
        queue.submit(job_id)
    for seed, job_id in enumerate(accepted):
        job = finished(job_id)
        assert (job.state, len(job.outputs)) == (JobState.SUCCEEDED, 1 + seed % 3)


@pytest.mark.parametrize("methods", [["get"], ["start"], ["add_output", "finish"]])
def test_a_store_that_fails_now_and_then_costs_no_job(
    start, synthesizer, jobs, artifacts, accept, monkeypatch, methods
):
    monkeypatch.setattr("worker.queue._PAUSE_S", 0)
    monkeypatch.setattr("worker.job_run._PAUSE_S", 0)
    calls: Counter[str] = Counter()

    def failing_often(name, method):
        def fail(*arguments, **options):
            calls[name] += 1
            return away() if calls[name] % 3 == 1 else method(*arguments, **options)

        return fail

    queue = start(Engine(lambda: synthesizer, jobs, artifacts))
    accepted = [accept(n=2) for _ in range(5)]
    get = jobs.get
    with monkeypatch.context() as patch:
        for name in methods:
            patch.setattr(jobs, name, failing_often(name, getattr(jobs, name)))
        for job_id in accepted:
            queue.submit(job_id)
        deadline = time.monotonic() + PATIENCE_S
        while not all(get(job_id).is_finished for job_id in accepted):
            assert time.monotonic() < deadline
            threading.Event().wait(0.001)
    for job_id in accepted:
        assert jobs.get(job_id).state is JobState.SUCCEEDED
        assert len(jobs.get(job_id).outputs) == 2
    assert calls


def test_a_stop_and_a_start_lose_nothing(start, synthesizer, jobs, artifacts, accept, finished):
    painting = threading.Event()
    queue = start(Engine(lambda: synthesizer, jobs, artifacts))
    synthesizer.before = lambda made: painting.set()
    accepted = [accept(n=4) for _ in range(20)]
    for job_id in accepted:
        queue.submit(job_id)
    assert painting.wait(PATIENCE_S)
    queue.stop()
    states = Counter(jobs.get(job_id).state for job_id in accepted)
    assert set(states) <= {JobState.QUEUED, JobState.SUCCEEDED}
    start(Engine(lambda: synthesizer, jobs, artifacts))
    for job_id in accepted:
        job = finished(job_id)
        assert (job.state, job.attempts, len(job.outputs)) == (JobState.SUCCEEDED, 1, 4)
