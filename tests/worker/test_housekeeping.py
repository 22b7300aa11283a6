import threading
from datetime import UTC, datetime, timedelta

import pytest

from model.errors import (
    JobExpired,
    JobUnknown,
    SettingsInvalid,
    StorageUnavailable,
    StoreUnavailable,
)
from tests.waiting import until
from tests.worker.records import REQUEST
from worker.dataset.part import divide
from worker.dataset.request import DatasetRequest
from worker.housekeeping import Housekeeper
from worker.jobs import JobState, new_job_id

RETENTION = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def submitted():
    return []


@pytest.fixture
def housekeeper(jobs, artifacts, submitted):
    return Housekeeper(jobs, artifacts, submit=submitted.append, retention=RETENTION)


def create(jobs, artifacts):
    job_id = new_job_id()
    artifacts.put(job_id, "0.png", b"tile")
    return jobs.create(job_id, REQUEST, limit=100).id


def finished(jobs, artifacts):
    job_id = create(jobs, artifacts)
    jobs.finish(jobs.start(job_id, lease_s=60))
    return job_id


def test_what_a_dead_worker_held_goes_back(housekeeper, jobs, artifacts, submitted):
    lost, alive, queued = (create(jobs, artifacts) for _ in range(3))
    jobs.start(lost, lease_s=-1)
    jobs.start(alive, lease_s=60)
    housekeeper.take_back(datetime.now(UTC))
    assert submitted == [lost]
    assert jobs.get(lost).state is jobs.get(queued).state is JobState.QUEUED
    assert jobs.get(alive).state is JobState.RUNNING


def test_what_the_queue_forgot_is_submitted_again(jobs, artifacts, submitted):
    housekeeper = Housekeeper(
        jobs, artifacts, submit=submitted.append, retention=RETENTION, forgotten=lambda: ["a", "b"]
    )
    housekeeper.take_back(datetime.now(UTC))
    assert submitted == ["a", "b"]


def test_sweeps_what_is_older_than_the_retention(housekeeper, jobs, artifacts):
    old, waiting = finished(jobs, artifacts), create(jobs, artifacts)
    finished_at = jobs.get(old).finished_at
    housekeeper.sweep(finished_at + RETENTION)
    assert jobs.get(old).state is JobState.SUCCEEDED
    housekeeper.sweep(finished_at + RETENTION + timedelta(seconds=1))
    with pytest.raises(JobExpired):
        jobs.get(old)
    assert not artifacts.exists(old, "0.png")
    assert artifacts.exists(waiting, "0.png")
    housekeeper.sweep(datetime.now(UTC) + 31 * DAY)
    with pytest.raises(JobUnknown):
        jobs.get(old)
    assert jobs.get(waiting).state is JobState.QUEUED


def test_files_that_cannot_be_removed_keep_no_others(housekeeper, jobs, artifacts, monkeypatch):
    stuck, other = finished(jobs, artifacts), finished(jobs, artifacts)
    remove = artifacts.remove

    def fail(scope):
        if scope == stuck:
            raise StorageUnavailable("Input/output error", retry_after_s=5)
        remove(scope)

    monkeypatch.setattr(artifacts, "remove", fail)
    later = datetime.now(UTC) + 2 * RETENTION
    housekeeper.sweep(later)
    assert jobs.get(stuck).state is JobState.SUCCEEDED
    with pytest.raises(JobExpired):
        jobs.get(other)
    monkeypatch.undo()
    housekeeper.sweep(later)
    with pytest.raises(JobExpired):
        jobs.get(stuck)


def test_keeps_parts_until_the_dataset_is_made(housekeeper, jobs, artifacts):
    dataset_id = new_job_id()
    request = DatasetRequest(count=64, organs={"kidney": 1.0})
    parts = divide(request, dataset_id, checkpoint_sha256="ab")
    for part, job_id in zip(parts, parts[0].job_ids(), strict=True):
        artifacts.put(job_id, "0.zip", b"tile")
        jobs.create(job_id, part, limit=100)
    first, second = parts[0].job_ids()
    jobs.finish(jobs.start(first, lease_s=60))
    housekeeper.sweep(datetime.now(UTC) + DAY)
    assert artifacts.exists(first, "0.zip")
    jobs.finish(jobs.start(second, lease_s=60))
    ends = [jobs.get(job_id).finished_at for job_id in (first, second)]
    housekeeper.sweep(ends[0] + RETENTION + timedelta(microseconds=1))
    assert artifacts.exists(first, "0.zip")  # the dataset is younger than its first part
    housekeeper.sweep(ends[1] + RETENTION + timedelta(microseconds=1))
    for job_id in (first, second):
        assert not artifacts.exists(job_id, "0.zip")
        with pytest.raises(JobExpired):
            jobs.get(job_id)


def test_goes_on_where_another_was_faster(housekeeper, jobs, artifacts, monkeypatch):
    first, second = finished(jobs, artifacts), finished(jobs, artifacts)
    jobs.expire(first)
    found = [first, new_job_id(), second]
    monkeypatch.setattr(jobs, "finished_before", lambda moment: found)
    housekeeper.sweep(datetime.now(UTC) + DAY)
    assert not artifacts.exists(second, "0.png")


def test_sweeps_now_and_then(housekeeper, jobs, artifacts):
    now = datetime.now(UTC) + RETENTION + timedelta(minutes=1)
    housekeeper.clear(now)
    late = finished(jobs, artifacts)
    housekeeper.clear(now)
    assert jobs.get(late).state is JobState.SUCCEEDED
    housekeeper.clear(now + timedelta(minutes=1))
    with pytest.raises(JobExpired):
        jobs.get(late)


def test_sweeps_files_without_a_job(housekeeper, jobs, artifacts):
    known, orphan = create(jobs, artifacts), new_job_id()
    artifacts.put(orphan, "mask", b"")
    artifacts.put("thumbnails-ab", "kidney.png", b"")
    housekeeper.sweep_orphans(datetime.now(UTC))
    assert set(artifacts.scopes()) == {known, orphan, "thumbnails-ab"}
    housekeeper.sweep_orphans(datetime.now(UTC) + DAY)
    assert set(artifacts.scopes()) == {known, "thumbnails-ab"}


def test_goes_on_after_an_outage(jobs, artifacts, submitted, monkeypatch, caplog):
    monkeypatch.setattr("worker.housekeeping._TICK_S", 0.001)
    answers = iter([StoreUnavailable("away", retry_after_s=5)] * 3 + [RuntimeError("odd"), ["a"]])

    def forgotten():
        answer = next(answers, [])
        if isinstance(answer, Exception):
            raise answer
        return answer

    housekeeper = Housekeeper(
        jobs, artifacts, submit=submitted.append, retention=RETENTION, forgotten=forgotten
    )
    housekeeper.start()
    until(lambda: submitted)
    housekeeper.stop()
    assert submitted == ["a"]
    assert caplog.text.count("housekeeping waits: away") == 1
    assert caplog.text.count("housekeeping failed") == 1


def test_after_an_outage_workers_may_first_renew_their_leases(jobs, artifacts, submitted):
    is_out = False

    def forgotten():
        if is_out:
            raise StoreUnavailable("away", retry_after_s=5)
        return []

    housekeeper = Housekeeper(
        jobs, artifacts, submit=submitted.append, retention=RETENTION, forgotten=forgotten
    )
    lost = create(jobs, artifacts)
    jobs.start(lost, lease_s=-1)
    now = datetime.now(UTC)
    is_out = True
    for outage in (0, 5, 10):
        with pytest.raises(StoreUnavailable):
            housekeeper.take_back(now + timedelta(seconds=outage))
    is_out = False
    for back in (15, 20):
        housekeeper.take_back(now + timedelta(seconds=back))
        assert submitted == []
    housekeeper.take_back(now + timedelta(seconds=25))
    assert submitted == [lost]


def test_a_queue_that_takes_nothing_postpones_nothing(jobs, artifacts, submitted):
    """A full Redis refuses messages, and jobs are taken back all the same."""
    is_full = True

    def submit(job_id):
        if is_full:
            raise StoreUnavailable("full", retry_after_s=5)
        submitted.append(job_id)

    housekeeper = Housekeeper(jobs, artifacts, submit=submit, retention=RETENTION)
    now = datetime.now(UTC)
    for _ in range(2):
        lost = create(jobs, artifacts)
        jobs.start(lost, lease_s=-1)
        with pytest.raises(StoreUnavailable):
            housekeeper.take_back(now)
        assert jobs.get(lost).state is JobState.QUEUED
    old = finished(jobs, artifacts)
    housekeeper.clear(now + 2 * RETENTION)
    with pytest.raises(JobExpired):
        jobs.get(old)
    is_full = False
    last = create(jobs, artifacts)
    jobs.start(last, lease_s=-1)
    housekeeper.take_back(now)
    assert submitted == [last]


def test_jobs_come_back_while_others_are_removed(jobs, artifacts, monkeypatch):
    monkeypatch.setattr("worker.housekeeping._TICK_S", 0.001)
    removing, back, goes_on = threading.Event(), threading.Event(), threading.Event()

    def remove(scope):
        removing.set()
        assert goes_on.wait(60)

    monkeypatch.setattr(artifacts, "remove", remove)
    for _ in range(2):
        finished(jobs, artifacts)
    housekeeper = Housekeeper(
        jobs,
        artifacts,
        submit=lambda job_id: back.set(),
        retention=timedelta(milliseconds=4),
    )
    housekeeper.start()
    assert removing.wait(60)
    jobs.start(create(jobs, artifacts), lease_s=-1)
    assert back.wait(60)
    stopper = threading.Thread(target=housekeeper.stop)
    stopper.start()
    assert housekeeper._stopping.wait(60)
    goes_on.set()
    stopper.join(60)  # after the one in hand
    assert jobs.counts()[JobState.EXPIRED] == jobs.counts()[JobState.SUCCEEDED] == 1


def test_stopping_what_never_started_is_no_error(housekeeper):
    housekeeper.stop()


def test_files_that_are_not_those_of_the_jobs_end_it_before_anything_is_removed(jobs, artifacts):
    failures, ended = [], threading.Event()

    def check():
        raise SettingsInvalid("other files")

    def fail(error):
        failures.append(str(error))
        ended.set()

    housekeeper = Housekeeper(
        jobs,
        artifacts,
        submit=lambda job_id: None,
        retention=timedelta(milliseconds=4),
        check=check,
        on_failure=fail,
    )
    old = finished(jobs, artifacts)
    housekeeper.start()
    assert ended.wait(60)
    housekeeper.stop()
    assert failures == ["other files"]
    assert artifacts.exists(old, "0.png")
