"""The life of one job, in every store."""

from datetime import UTC, datetime

import pytest

from model.errors import JobExpired, JobUnknown
from tests.worker.records import FAILURE, LEASE_S, REQUEST, create, start
from worker.job_request import StyleRequest, UnknownRequest
from worker.jobs import (
    Failure,
    Idempotency,
    JobState,
    Output,
    Progress,
    new_job_id,
)
from worker.request import MAX_SEED, SynthesisRequest
from worker.style import Style


def test_a_new_job_is_queued(jobs):
    before = datetime.now(UTC)
    deadline = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    job = jobs.create(new_job_id(), REQUEST, limit=1, deadline_at=deadline)
    assert job == jobs.get(job.id)
    assert job.state is JobState.QUEUED
    assert job.request == REQUEST
    assert before <= job.created_at <= datetime.now(UTC)
    assert job.deadline_at == deadline
    assert job.started_at is job.finished_at is job.failure is None
    assert job.attempts == 0
    assert job.outputs == ()
    assert not job.is_finished


def test_every_kind_of_request_comes_back(jobs):
    for style in (
        Style(name="kidney"),
        Style(weights={"kidney": 0.1, "lïver": 3.0}),
        Style(image_sha256="cd"),
    ):
        request = SynthesisRequest(
            mask_sha256="ab", style=style, seed=0, n=16, mpp=0.25, label_components=True
        )
        assert jobs.get(jobs.create(new_job_id(), request, limit=10).id).request == request


def test_a_job_for_a_style_comes_back(jobs):
    job_id = new_job_id()
    request = StyleRequest(image_sha256="ab", name="ward", mpp=0.5)
    jobs.create(job_id, request, limit=10)
    output = Output(seed=None, sha256="cd", suffix=".style.json")
    assert jobs.add_output(start(jobs, job_id), output, 0)
    job = jobs.get(job_id)
    assert (job.request, job.outputs) == (request, (output,))


def test_a_job_of_an_unknown_kind_can_be_read(jobs):
    """A later version may have queued it."""
    job_id = new_job_id()
    jobs.create(job_id, UnknownRequest("hologram", '{"kind": "hologram"}'), limit=10)
    assert jobs.get(job_id).request.kind == "hologram"
    assert jobs.queued() == [job_id]


def test_attempts_before_a_step_forward_are_forgiven(jobs):
    job_id = create(jobs)
    for _ in range(2):
        assert jobs.start(job_id, lease_s=-1)
        jobs.reap()
    claim = start(jobs, job_id)
    assert jobs.get(job_id).attempts == 3
    assert jobs.add_output(claim, Output(1, "aa"), 0)
    assert jobs.get(job_id).attempts == 3
    assert jobs.add_output(claim, Output(2, "bb"), 1, forgiving=True)
    assert jobs.get(job_id).attempts == 1
    assert jobs.requeue(claim)
    assert jobs.get(job_id).attempts == 0


def test_runs_to_success(jobs):
    job_id = create(jobs)
    claim = start(jobs, job_id)
    assert claim.job == jobs.get(job_id)
    assert claim.job.state is JobState.RUNNING
    assert claim.job.attempts == 1
    outputs = (Output(MAX_SEED, "aa"), Output(1, "bb"))
    for index, output in enumerate(outputs):
        assert jobs.add_output(claim, output, index)
    assert jobs.get(job_id).outputs == outputs
    assert jobs.finish(claim)
    job = jobs.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert job.outputs == outputs
    assert job.failure is None
    assert job.created_at <= job.started_at <= job.finished_at
    assert job.is_finished


def test_says_how_far_a_run_is_until_it_ends(jobs):
    job_id = create(jobs)
    claim = start(jobs, job_id)
    assert claim.job.progress is None
    for done in (1, 2):
        assert jobs.report(claim, Progress(done, 81))
        assert jobs.get(job_id).progress == Progress(done, 81)
    assert jobs.requeue(claim)
    assert jobs.get(job_id).progress is None
    claim = start(jobs, job_id)
    assert jobs.report(claim, Progress(80, 81))
    assert jobs.finish(claim)
    assert jobs.get(job_id).progress is None


def test_keeps_why_it_failed(jobs):
    job_id = create(jobs)
    assert jobs.fail(start(jobs, job_id), FAILURE)
    job = jobs.get(job_id)
    assert job.state is JobState.FAILED
    assert job.failure == FAILURE
    assert job.is_finished


def test_a_message_may_hold_what_is_no_character(jobs):
    job_id = create(jobs)
    jobs.fail(start(jobs, job_id), Failure("mask_unreadable", "half \ud800 of a pair"))
    assert jobs.get(job_id).failure.message == "half ? of a pair"


def test_a_finished_job_stays_as_it_is(jobs, told):
    job_id = create(jobs)
    claim = start(jobs, job_id)
    jobs.finish(claim)
    ended = jobs.get(job_id)
    told.clear()
    assert not jobs.fail(claim, FAILURE)
    assert not jobs.requeue(claim)
    assert not jobs.retry(claim, FAILURE)
    assert not jobs.finish(claim)
    assert not jobs.add_output(claim, Output(1, "late"), 0)
    assert jobs.renew([claim], lease_s=LEASE_S) == set()
    assert jobs.start(job_id, lease_s=LEASE_S) is None
    assert jobs.cancel(job_id) == ended
    jobs.discard(job_id)
    jobs.published(job_id)
    assert jobs.reap(everything=True) == []
    assert jobs.get(job_id) == ended
    assert told == []


def test_cancels_what_waits_and_what_runs(jobs):
    waiting, running = create(jobs), create(jobs)
    claim = start(jobs, running)
    for job_id in (waiting, running):
        job = jobs.cancel(job_id)
        assert job == jobs.get(job_id)
        assert job.state is JobState.CANCELED
        assert job.finished_at is not None
        assert job.failure is None
    assert jobs.start(waiting, lease_s=LEASE_S) is None
    assert jobs.renew([claim], lease_s=LEASE_S) == set()
    assert not jobs.add_output(claim, Output(1, "late"), 0)
    assert not jobs.finish(claim)
    assert jobs.get(running).state is JobState.CANCELED


def test_a_discarded_job_was_never_there(jobs):
    key = Idempotency("key", "print")
    job_id = create(jobs, idempotency=key)
    jobs.discard(job_id)
    with pytest.raises(JobUnknown):
        jobs.get(job_id)
    assert jobs.find(key) is None
    assert jobs.queued() == []
    assert create(jobs, idempotency=key) != job_id


def test_only_a_queued_job_can_be_discarded(jobs):
    job_id = create(jobs)
    start(jobs, job_id)
    jobs.discard(job_id)
    assert jobs.get(job_id).state is JobState.RUNNING


def test_an_id_is_given_once(jobs):
    job_id = create(jobs)
    with pytest.raises(ValueError, match=job_id):
        jobs.create(job_id, REQUEST, limit=10)


@pytest.mark.parametrize(
    "job_id", ["nothing", "", "*", "a b\r\n", "\0", "é\udc80", "0" * 32, "x" * 100_000, "'; --"]
)
def test_any_text_may_be_asked_for(jobs, job_id):
    create(jobs)
    for ask in (jobs.get, jobs.cancel):
        with pytest.raises(JobUnknown):
            ask(job_id)
    assert jobs.start(job_id, lease_s=LEASE_S) is None
    assert jobs.position(job_id) is None
    for change in (jobs.discard, jobs.published, jobs.expire):
        change(job_id)
    assert jobs.counts()[JobState.QUEUED] == len(jobs.unexpired()) == 1


def test_a_record_outlives_its_process(opened):
    jobs = opened()
    done, running, first, second = (create(jobs) for _ in range(4))
    jobs.finish(start(jobs, done))
    jobs.add_output(start(jobs, running), Output(MAX_SEED, "aa"), 0)
    jobs.close()

    jobs = opened()
    assert jobs.reap(everything=True) == [running]
    assert jobs.queued() == [running, first, second]
    job = jobs.get(running)
    assert job.state is JobState.QUEUED
    assert job.outputs == (Output(MAX_SEED, "aa"),)
    assert jobs.get(done).state is JobState.SUCCEEDED


def test_the_state_alone(jobs):
    job_id = create(jobs)
    assert jobs.state(job_id) is JobState.QUEUED
    start(jobs, job_id)
    assert jobs.state(job_id) is JobState.RUNNING
    jobs.cancel(job_id)
    assert jobs.state(job_id) is JobState.CANCELED
    jobs.expire(job_id)
    with pytest.raises(JobExpired):
        jobs.state(job_id)
    with pytest.raises(JobUnknown):
        jobs.state(new_job_id())
