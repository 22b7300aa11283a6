"""Files that cannot be read or written while a job runs: for a while, and for longer."""

import threading

from tests.waiting import PATIENCE_S
from tests.worker.engines import away, state, stored
from worker.jobs import JobState


def test_storage_that_is_away_fails_the_job_with_its_code(
    engine, jobs, artifacts, accept, monkeypatch
):
    unreadable, unwritable, untidy = accept(), accept(), accept()
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "get", away)
        engine.run(unreadable)
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "put", away)
        engine.run(unwritable)
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "discard", away)
        engine.run(untidy)
    for job_id in (unreadable, unwritable):
        assert jobs.get(job_id).failure.code == "storage_unavailable"
    assert not artifacts.exists(unwritable, "0.png")
    assert state(jobs, untidy) is JobState.SUCCEEDED


def after_failures(method, times):
    """The method of files that are away at first."""
    failures = iter(range(times))

    def call(*arguments, **options):
        if next(failures, None) is not None:
            away()
        return method(*arguments, **options)

    return call


def test_storage_that_comes_back_costs_a_job_nothing(
    start, jobs, artifacts, accept, monkeypatch, caplog
):
    monkeypatch.setattr("worker.patience._PAUSE_S", 0.001)
    engine = start(storage_wait_s=60)
    job_id = accept(n=2)
    for name in ("get", "put"):
        monkeypatch.setattr(artifacts, name, after_failures(getattr(artifacts, name), 3))
    assert engine.run(job_id) is True
    assert len(stored(jobs, artifacts, job_id)) == 2
    assert jobs.get(job_id).attempts == 1
    assert caplog.text.count(f"job {job_id} waits for its files: no space left") == 2


def test_a_stop_does_not_wait_for_storage(start, jobs, artifacts, accept, monkeypatch, threads):
    asked = threading.Event()

    def put(*arguments, **options):
        asked.set()
        away()

    engine = start(storage_wait_s=60)
    job_id = accept()
    monkeypatch.setattr(artifacts, "put", put)
    running = threads.submit(engine.run, job_id)
    assert asked.wait(PATIENCE_S)
    engine.stop()
    assert running.result(PATIENCE_S) is False
    assert state(jobs, job_id) is JobState.QUEUED
