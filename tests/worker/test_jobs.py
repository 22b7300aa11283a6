"""What every store does, on both."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model.errors import IdempotencyMismatch, JobExpired, JobUnknown, QueueFull
from worker.job_request import StyleRequest, UnknownRequest
from worker.jobs import (
    MAX_ATTEMPTS,
    Claim,
    Failure,
    Idempotency,
    JobState,
    JobStore,
    Output,
    Progress,
    is_job_id,
    made_at,
    new_job_id,
)
from worker.redis_jobs import RedisJobs
from worker.request import MAX_SEED, SynthesisRequest
from worker.sqlite_jobs import SqliteJobs
from worker.style import Style

REQUEST = SynthesisRequest(mask_sha256="ab", style=Style(name="kidney"), seed=MAX_SEED, n=2)
FAILURE = Failure("synthesis_failed", "Why: µ.")
EVER, NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
LEASE_S = 1000
OVER = -1
"""A lease that has run out already."""


@pytest.fixture(params=["sqlite", "redis"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], JobStore]]:
    """Opens the same records again and again, as processes would one after another."""
    stores: list[JobStore] = []
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None

    def opened() -> JobStore:
        stores.append(RedisJobs(url) if url else SqliteJobs(tmp_path / "jobs.sqlite"))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def jobs(opened: Callable[[], JobStore]) -> JobStore:
    return opened()


@pytest.fixture
def told(jobs: JobStore) -> list[str]:
    """The ids that the store told of, in order."""
    ids: list[str] = []
    jobs.on_change = ids.append
    return ids


def create(jobs: JobStore, **options) -> str:
    return jobs.create(new_job_id(), REQUEST, **{"limit": 1000, **options}).id


def start(jobs: JobStore, job_id: str, lease_s: float = LEASE_S) -> Claim:
    claim = jobs.start(job_id, lease_s=lease_s)
    assert claim is not None
    return claim


def finished(jobs: JobStore, **options) -> str:
    job_id = create(jobs, **options)
    assert jobs.finish(start(jobs, job_id))
    return job_id


def together(count: int, work: Callable[[], None]) -> None:
    """Run ``work`` in so many threads at once."""
    ready = threading.Barrier(count)

    def run():
        ready.wait()
        work()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# A job's life


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


# Many at once


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


# The queue


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


# Leases


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


# Idempotency


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


# What is known of all


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


# Telling


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


# Ids


def test_knows_its_own_ids():
    assert is_job_id(new_job_id())
    assert not is_job_id("thumbnails-3f0c9a7e5d1b4c86")
    assert not is_job_id(new_job_id() + "\n")


def test_an_id_says_when_it_was_made():
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    assert before <= made_at(new_job_id()) <= datetime.now(UTC)
