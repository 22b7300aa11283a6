"""Leases, attempts and keys, in every store."""

import pytest

from model.errors import IdempotencyMismatch
from tests.worker.records import FAILURE, LEASE_S, OVER, REQUEST, create, finished, start
from worker.jobs import (
    MAX_ATTEMPTS,
    Idempotency,
    JobState,
    Output,
    Progress,
    new_job_id,
)


def test_a_lease_that_ran_out_is_taken_back(jobs):
    first, dead, alive, also_dead = (create(jobs) for _ in range(4))
    also_lost = start(jobs, also_dead, OVER)
    lost, held = start(jobs, dead, OVER), start(jobs, alive)
    assert jobs.reap() == [dead, also_dead]
    assert jobs.queued() == [first, dead, also_dead]
    assert jobs.get(dead).attempts == 1
    assert jobs.renew([lost, held, also_lost], lease_s=LEASE_S) == {alive}
    assert jobs.reap() == []


def test_a_lease_is_renewed(jobs):
    claims = [start(jobs, create(jobs), OVER) for _ in range(16)]
    assert jobs.renew(claims, lease_s=LEASE_S) == {claim.job.id for claim in claims}
    assert jobs.reap() == []
    assert jobs.renew(claims[:1], lease_s=OVER) == {claims[0].job.id}
    assert jobs.reap() == [claims[0].job.id]
    assert jobs.renew([], lease_s=LEASE_S) == set()


def test_a_lost_claim_changes_nothing(jobs, told):
    job_id = create(jobs)
    old = start(jobs, job_id, OVER)
    jobs.reap()
    new = start(jobs, job_id)
    before = jobs.get(job_id)
    told.clear()
    assert not jobs.add_output(old, Output(1, "late"), 0)
    assert not jobs.report(old, Progress(1, 2))
    assert not jobs.finish(old)
    assert not jobs.fail(old, FAILURE)
    assert not jobs.requeue(old)
    assert not jobs.retry(old, FAILURE)
    assert jobs.renew([old], lease_s=OVER) == set()
    assert jobs.reap() == []
    assert jobs.get(job_id) == before
    assert told == []
    assert jobs.finish(new)


def test_a_job_that_keeps_killing_its_worker_fails(jobs):
    job_id, neighbour = create(jobs), create(jobs)
    for _ in range(MAX_ATTEMPTS - 1):
        start(jobs, job_id, OVER)
        assert jobs.reap() == [job_id]
    start(jobs, job_id, OVER)
    assert jobs.reap() == []
    job = jobs.get(job_id)
    assert job.state is JobState.FAILED
    assert job.attempts == MAX_ATTEMPTS
    assert job.failure.code == "worker_lost"
    assert job.finished_at is not None
    assert jobs.queued() == [neighbour]


def test_a_stop_on_purpose_is_no_attempt(jobs):
    job_id = create(jobs)
    for _ in range(MAX_ATTEMPTS + 2):
        assert jobs.requeue(start(jobs, job_id))
        assert jobs.get(job_id).attempts == 0
    start(jobs, job_id, OVER)
    assert jobs.reap() == [job_id]


def test_a_retry_counts_as_an_attempt(jobs):
    job_id = create(jobs)
    for attempt in range(1, MAX_ATTEMPTS):
        claim = start(jobs, job_id)
        assert jobs.retry(claim, FAILURE)
        assert not jobs.retry(claim, FAILURE)
        job = jobs.get(job_id)
        assert job.state is JobState.QUEUED
        assert job.attempts == attempt
        assert job.failure is None
    assert jobs.retry(start(jobs, job_id), FAILURE)
    job = jobs.get(job_id)
    assert job.state is JobState.FAILED
    assert job.failure == FAILURE


def test_it_keeps_when_it_was_first_started(jobs):
    job_id = create(jobs)
    claim = start(jobs, job_id)
    jobs.requeue(claim)
    assert start(jobs, job_id).job.started_at == claim.job.started_at


def test_a_key_names_the_job_it_made(jobs):
    key = Idempotency("a client's kéy: \r\n*", "print")
    assert jobs.find(key) is None
    job = jobs.create(new_job_id(), REQUEST, limit=1, idempotency=key)
    # Also when the queue is full: no job is added.
    assert jobs.create(new_job_id(), REQUEST, limit=1, idempotency=key) == job
    assert jobs.find(key) == job
    jobs.finish(start(jobs, job.id))
    assert jobs.find(key) == jobs.get(job.id)
    assert jobs.find(Idempotency("another", "print")) is None
    assert jobs.unexpired() == {job.id}


def test_a_key_of_another_request_is_refused(jobs):
    job_id = create(jobs, idempotency=Idempotency("key", "print"))
    for ask in (jobs.find, lambda key: create(jobs, idempotency=key)):
        with pytest.raises(IdempotencyMismatch, match="another request"):
            ask(Idempotency("key", "other"))
    assert jobs.queued() == [job_id]


def test_a_key_lives_as_long_as_its_job(jobs):
    key = Idempotency("key", "print")
    first = finished(jobs, idempotency=key)
    jobs.expire(first)
    assert jobs.find(key) is None
    assert jobs.find(Idempotency("key", "other")) is None
    second = create(jobs, idempotency=Idempotency("key", "other"))
    assert second != first
    assert jobs.find(Idempotency("key", "other")).id == second
