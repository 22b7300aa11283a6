"""Many jobs: who takes them, and in what order, in every store."""

from datetime import timedelta

import pytest

from model.errors import QueueFull
from tests.worker.records import EVER, FAILURE, LEASE_S, NEVER, create, finished, start, together
from worker.jobs import (
    Idempotency,
    JobState,
)


def test_one_of_many_takes_a_job(jobs):
    job_ids = [create(jobs) for _ in range(20)]
    taken = []
    together(
        8,
        lambda: taken.extend(
            job_id for job_id in job_ids if jobs.start(job_id, lease_s=LEASE_S) is not None
        ),
    )
    assert sorted(taken) == sorted(job_ids)


def test_never_more_than_the_limit_wait(jobs):
    outcomes = []

    def submit():
        for _ in range(5):
            try:
                create(jobs, limit=7)
                outcomes.append("accepted")
            except QueueFull:
                outcomes.append("refused")

    together(8, submit)
    assert outcomes.count("accepted") == 7
    assert outcomes.count("refused") == 33
    assert jobs.counts()[JobState.QUEUED] == 7


def test_one_key_makes_one_job_however_many_send_it(jobs):
    created = []
    together(
        8, lambda: created.append(create(jobs, limit=1, idempotency=Idempotency("key", "print")))
    )
    assert len(created) == 8
    assert jobs.queued() == [created[0]]
    assert set(created) == {created[0]}


def test_a_job_ends_once(jobs):
    claim = start(jobs, create(jobs))
    ends = []
    together(8, lambda: ends.extend([jobs.finish(claim), jobs.fail(claim, FAILURE)]))
    assert ends.count(True) == 1


def test_the_queue_is_in_order_of_creation(jobs):
    first, second, third = (create(jobs) for _ in range(3))
    assert jobs.queued() == [first, second, third]
    assert [jobs.position(job_id) for job_id in (first, second, third)] == [0, 1, 2]
    claim = start(jobs, second)
    assert jobs.position(second) is None
    assert jobs.position(third) == 1
    jobs.requeue(claim)
    assert jobs.queued() == [first, second, third]
    jobs.cancel(first)
    assert jobs.position(first) is None
    assert jobs.position(second) == 0


def test_a_full_queue_says_when_to_come_back(jobs):
    finished(jobs)
    running, _ = create(jobs), create(jobs, limit=2)
    with pytest.raises(QueueFull, match="2 jobs are waiting") as refusal:
        create(jobs, limit=2)
    assert refusal.value.retry_after_s == 60  # one job a minute
    start(jobs, running)
    create(jobs, limit=2)


def test_retry_after_follows_the_pace(jobs):
    for _ in range(30):
        finished(jobs)
    create(jobs)
    with pytest.raises(QueueFull) as refusal:
        create(jobs, limit=1)
    assert refusal.value.retry_after_s == 2


def test_knows_what_the_broker_was_told(jobs):
    first, second, third, running = (create(jobs) for _ in range(4))
    start(jobs, running)
    jobs.published(second)
    jobs.published(running)
    assert jobs.unpublished(before=EVER, count=10) == []
    assert jobs.unpublished(before=jobs.get(third).created_at, count=10) == [first]
    jobs.published(first)
    after = jobs.get(third).created_at + timedelta(microseconds=1)
    assert jobs.unpublished(before=after, count=10) == [third]
    assert jobs.unpublished(before=NEVER, count=10) == [first, second, third]
    assert jobs.unpublished(before=NEVER, count=2) == [first, second]
    assert jobs.unpublished(before=NEVER, count=0) == []


def test_what_the_broker_was_told_before_a_run_holds_after_it(jobs):
    job_id = create(jobs)
    created_at = jobs.get(job_id).created_at
    jobs.published(job_id)
    claim = start(jobs, job_id)
    assert jobs.unpublished(before=NEVER, count=1) == []
    jobs.requeue(claim)
    assert jobs.unpublished(before=created_at + timedelta(microseconds=1), count=1) == []
    assert jobs.unpublished(before=NEVER, count=1) == [job_id]


def test_looks_through_a_long_queue(jobs):
    job_ids = [create(jobs) for _ in range(250)]
    for job_id in job_ids[:-1]:
        jobs.published(job_id)
    before = jobs.get(job_ids[-1]).created_at + timedelta(microseconds=1)
    assert jobs.unpublished(before=before, count=5) == job_ids[-1:]
    assert jobs.unpublished(before=NEVER, count=1000) == job_ids
