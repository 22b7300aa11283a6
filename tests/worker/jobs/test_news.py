"""What is known and told of jobs, in every store."""

from datetime import UTC, datetime, timedelta

import pytest

from model.errors import JobExpired, JobUnknown
from tests.worker.records import EVER, FAILURE, LEASE_S, NEVER, OVER, create, finished, start
from worker.jobs import (
    Failure,
    JobState,
    Output,
    Progress,
)


def test_counts_every_state(jobs):
    assert jobs.counts() == dict.fromkeys(JobState, 0)
    create(jobs)
    start(jobs, create(jobs))
    finished(jobs)
    jobs.fail(start(jobs, create(jobs)), FAILURE)
    jobs.cancel(create(jobs))
    jobs.expire(finished(jobs))
    assert jobs.counts() == dict.fromkeys(JobState, 1)


def test_counts_failures_by_code(jobs):
    def fail(code):
        job_id = create(jobs)
        jobs.fail(start(jobs, job_id), Failure(code, "why"))
        return job_id

    assert jobs.failures() == {}
    binary, _, _ = fail("mask_binary"), fail("mask_binary"), fail("out_of_memory")
    assert jobs.failures() == {"mask_binary": 2, "out_of_memory": 1}
    jobs.expire(binary)
    assert jobs.failures() == {"mask_binary": 1, "out_of_memory": 1}
    jobs.expire(finished(jobs))
    for job_id in jobs.finished_before(NEVER):
        jobs.expire(job_id)
    assert jobs.failures() == {}


def test_knows_what_finished_when(jobs):
    first, second = finished(jobs), finished(jobs)
    canceled = create(jobs)
    jobs.cancel(canceled)
    create(jobs)
    ends = [jobs.get(job_id).finished_at for job_id in (first, second, canceled)]
    assert [jobs.finished_since(moment) for moment in ends] == [2, 1, 0]
    assert jobs.finished_since(EVER) == 3
    assert jobs.finished_before(ends[0]) == []
    assert jobs.finished_before(ends[1]) == [first]
    assert set(jobs.finished_before(NEVER)) == {first, second, canceled}


def test_knows_whose_files_may_be_there(jobs):
    queued, running, gone = create(jobs), create(jobs), finished(jobs)
    start(jobs, running)
    assert jobs.unexpired() == {queued, running, gone}
    jobs.expire(gone)
    assert jobs.unexpired() == {queued, running}


def test_an_expired_job_is_told_from_an_unknown_one(jobs):
    job_id, waiting, running = finished(jobs), create(jobs), create(jobs)
    start(jobs, running)
    for each in (job_id, job_id, waiting, running):
        jobs.expire(each)
    for ask in (jobs.get, jobs.cancel):
        with pytest.raises(JobExpired, match=job_id):
            ask(job_id)
    assert jobs.start(job_id, lease_s=LEASE_S) is None
    assert jobs.get(waiting).state is JobState.QUEUED
    assert jobs.get(running).state is JobState.RUNNING
    assert jobs.finished_before(NEVER) == []
    assert jobs.finished_since(EVER) == 0


def test_tombstones_go_in_the_end(jobs):
    job_ids = [finished(jobs) for _ in range(3)]
    for job_id in job_ids:
        jobs.expire(job_id)
    jobs.forget_expired_before(datetime.now(UTC) - timedelta(days=1))
    assert jobs.counts()[JobState.EXPIRED] == 3
    jobs.forget_expired_before(NEVER)
    assert jobs.counts() == dict.fromkeys(JobState, 0)
    for job_id in job_ids:
        with pytest.raises(JobUnknown):
            jobs.get(job_id)


def test_tells_of_every_change_once(jobs, told):
    job_id, other = create(jobs), create(jobs)
    assert told == []  # nobody can wait for it yet
    seen = [jobs.get(job_id).version]

    def tells(change):
        told.clear()
        result = change()
        assert told == [job_id]
        seen.append(jobs.get(job_id).version)
        return result

    for end in (jobs.requeue, lambda claim: jobs.retry(claim, FAILURE)):
        claim = tells(lambda: start(jobs, job_id))
        stored = len(claim.job.outputs)
        tells(lambda claim=claim, at=stored: jobs.add_output(claim, Output(1, "aa"), at))
        tells(lambda claim=claim: jobs.report(claim, Progress(1, 2)))
        tells(lambda claim=claim, end=end: end(claim))
    claim = tells(lambda: start(jobs, job_id, OVER))
    tells(jobs.reap)
    claim = tells(lambda: start(jobs, job_id))
    told.clear()
    jobs.renew([claim], lease_s=LEASE_S)
    jobs.published(other)
    assert told == []
    tells(lambda: jobs.finish(claim))
    jobs.finish(claim)
    assert told == [job_id]
    jobs.cancel(other)
    jobs.expire(job_id)
    discarded = create(jobs)
    jobs.discard(discarded)
    assert told == [job_id, other, job_id, discarded]
    assert seen == sorted(set(seen))


def test_a_job_is_as_told_when_it_is_told(jobs):
    """Who waits for a change and then reads sees it."""
    states = []
    jobs.on_change = lambda job_id: states.append(jobs.get(job_id).state)
    jobs.finish(start(jobs, create(jobs)))
    jobs.cancel(create(jobs))
    assert states == [JobState.RUNNING, JobState.SUCCEEDED, JobState.CANCELED]
