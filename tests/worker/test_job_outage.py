"""A job whose store goes away while it runs: a short outage costs nothing, a long one no tile."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from model.errors import StoreUnavailable
from tests.waiting import PATIENCE_S, until
from tests.worker.engines import state, stored
from worker import job_run
from worker.inputs import MASK
from worker.jobs import JobState


class Outage:
    """Methods of a store fail so many times; ``after``, they fail after having worked."""

    def __init__(self, jobs, monkeypatch, methods, times, *, after=False):
        self.left = self.times = times
        for name in methods:
            monkeypatch.setattr(jobs, name, self._failing(getattr(jobs, name), after))

    def _failing(self, method, after):
        def fail(*arguments, **options):
            if self.left > 0:
                self.left -= 1
                if after:
                    method(*arguments, **options)
                raise StoreUnavailable("The job records are away.", retry_after_s=1)
            return method(*arguments, **options)

        return fail

    def wait_until_met(self):
        """A hundred times."""
        until(lambda: self.left <= self.times - 100)


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(job_run, "_PAUSE_S", 0.001)


@pytest.mark.parametrize("method", ["add_output", "finish"])
@pytest.mark.parametrize("after", [False, True])
def test_a_short_outage_costs_nothing(
    engine, jobs, artifacts, accept, monkeypatch, no_pause, method, after
):
    """Also if what seemed to fail had been recorded."""
    job_id = accept(n=3)
    Outage(jobs, monkeypatch, [method], 1 if after else 5, after=after)
    assert engine.run(job_id) is True
    assert len(stored(jobs, artifacts, job_id)) == 3
    assert jobs.get(job_id).attempts == 1


def test_a_failure_is_recorded_after_an_outage(
    engine, jobs, artifacts, accept, monkeypatch, no_pause
):
    job_id = accept()
    artifacts.remove(job_id)
    Outage(jobs, monkeypatch, ["fail"], 5)
    assert engine.run(job_id) is True
    assert jobs.get(job_id).failure.code == "storage_unavailable"


EVERYTHING = ["add_output", "renew", "fail", "finish", "requeue"]


def test_an_outage_longer_than_the_lease(start, jobs, artifacts, accept, monkeypatch, no_pause):
    """If nobody took the job back meanwhile, it is still this engine's."""
    engine = start(lease_s=0.02)
    job_id = accept(n=2)
    outage = Outage(jobs, monkeypatch, EVERYTHING, 10**9)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(engine.run, job_id)
        outage.wait_until_met()
        outage.left = 0
        while not running.result(PATIENCE_S):
            running = threads.submit(engine.run, job_id)
    assert len(stored(jobs, artifacts, job_id)) == 2
    assert jobs.get(job_id).attempts == 1


def test_a_job_taken_back_in_an_outage_is_let_go(
    start, jobs, artifacts, accept, monkeypatch, no_pause
):
    engine = start(lease_s=0.02)
    job_id = accept(n=2)
    outage = Outage(jobs, monkeypatch, EVERYTHING, 10**9)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(engine.run, job_id)
        outage.wait_until_met()
        assert jobs.reap(everything=True) == [job_id]
        other = jobs.start(job_id, lease_s=60)
        outage.left = 0
        assert running.result(PATIENCE_S) is True
    job = jobs.get(job_id)
    assert (job.state, job.outputs) == (JobState.RUNNING, ())
    assert artifacts.exists(job_id, MASK)
    assert jobs.finish(other)


def test_a_stop_ends_the_patience_with_an_outage(
    start, jobs, artifacts, accept, monkeypatch, no_pause
):
    engine = start()
    job_id = accept(n=2)
    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as threads:
        outage = Outage(jobs, patch, EVERYTHING, 10**9)
        running = threads.submit(engine.run, job_id)
        outage.wait_until_met()
        engine.stop()
        with pytest.raises(StoreUnavailable):
            running.result(PATIENCE_S)
    assert state(jobs, job_id) is JobState.RUNNING
    assert jobs.reap(everything=True) == [job_id]
    assert start().run(job_id) is True
    assert len(stored(jobs, artifacts, job_id)) == 2


@pytest.mark.parametrize("method", ["get", "start"])
def test_a_job_that_cannot_be_started_stays_queued(engine, jobs, accept, monkeypatch, method):
    job_id = accept()
    with monkeypatch.context() as patch:
        Outage(jobs, patch, [method], 1)
        with pytest.raises(StoreUnavailable):
            engine.run(job_id)
    assert state(jobs, job_id) is JobState.QUEUED
    assert engine.run(job_id) is True
    assert state(jobs, job_id) is JobState.SUCCEEDED
