import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest

from model.errors import JobExpired, JobUnknown, SettingsInvalid
from worker.jobs import (
    MAX_ATTEMPTS,
    Failure,
    JobState,
    JobStore,
    Output,
    is_job_id,
    new_job_id,
)
from worker.request import MAX_SEED, Style, SynthesisRequest

REQUEST = SynthesisRequest(mask_sha256="ab", style=Style(organ="kidney"), seed=MAX_SEED, n=2)


def create(jobs: JobStore) -> str:
    return jobs.create(new_job_id(), REQUEST).id


def test_a_new_job_is_queued(jobs):
    before = datetime.now(UTC)
    job = jobs.get(create(jobs))
    assert job.state is JobState.QUEUED
    assert job.request == REQUEST
    assert before <= job.created_at <= datetime.now(UTC)
    assert job.started_at is job.finished_at is job.failure is None
    assert not job.outputs
    assert not job.is_finished


def test_runs_to_success(jobs):
    job_id = create(jobs)
    jobs.start(job_id)
    outputs = (Output(MAX_SEED, "aa"), Output(1, "bb"))
    for output in outputs:
        jobs.add_output(job_id, output)
    assert jobs.get(job_id).state is JobState.RUNNING
    jobs.finish(job_id)
    job = jobs.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert job.outputs == outputs
    assert job.created_at <= job.started_at <= job.finished_at


def test_keeps_why_it_failed(jobs):
    job_id = create(jobs)
    jobs.start(job_id)
    jobs.fail(job_id, Failure("mask_binary", "One value."))
    job = jobs.get(job_id)
    assert job.state is JobState.FAILED
    assert job.failure == Failure("mask_binary", "One value.")
    assert job.is_finished


def test_a_finished_job_stays_as_it_is(jobs):
    job_id = create(jobs)
    jobs.start(job_id)
    jobs.finish(job_id)
    finished = jobs.get(job_id)
    jobs.fail(job_id, Failure("synthesis_failed", "late"))
    jobs.requeue(job_id)
    jobs.discard(job_id)
    jobs.add_output(job_id, Output(1, "late"))
    assert jobs.start(job_id) is None
    assert jobs.get(job_id) == finished


def test_a_queued_job_cannot_finish(jobs):
    job_id = create(jobs)
    jobs.finish(job_id)
    jobs.fail(job_id, Failure("synthesis_failed", "never ran"))
    assert jobs.get(job_id).state is JobState.QUEUED


def test_unknown(jobs):
    with pytest.raises(JobUnknown, match="nothing"):
        jobs.get("nothing")
    assert jobs.start("nothing") is None


def test_a_discarded_job_was_never_there(jobs):
    job_id = create(jobs)
    jobs.discard(job_id)
    with pytest.raises(JobUnknown):
        jobs.get(job_id)


def test_one_of_many_takes_a_job(jobs):
    job_ids = [create(jobs) for _ in range(20)]
    taken = []
    together = threading.Barrier(8)

    def take():
        together.wait()
        taken.extend(job_id for job_id in job_ids if jobs.start(job_id) is not None)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(job_ids)


def test_tells_when_a_job_ends_once(tmp_path):
    ended = []
    jobs = JobStore(tmp_path / "told.sqlite", on_finish=ended.append)
    good, bad = create(jobs), create(jobs)
    for job_id in (good, bad):
        jobs.start(job_id)
    assert ended == []
    jobs.finish(good)
    jobs.finish(good)
    jobs.fail(bad, Failure("synthesis_failed", "why"))
    assert ended == [good, bad]
    jobs.close()


def test_a_new_process_takes_up_what_was_left(tmp_path):
    path = tmp_path / "left.sqlite"
    jobs = JobStore(path)
    done, running, first, second = (create(jobs) for _ in range(4))
    jobs.start(done)
    jobs.finish(done)
    jobs.start(running)
    jobs.add_output(running, Output(MAX_SEED, "aa"))
    jobs.close()

    jobs = JobStore(path)
    assert jobs.recover() == [running, first, second]
    job = jobs.get(running)
    assert job.state is JobState.QUEUED
    assert job.outputs == (Output(MAX_SEED, "aa"),)
    assert jobs.get(done).state is JobState.SUCCEEDED
    jobs.close()


def test_a_job_that_keeps_killing_the_process_fails(jobs):
    job_id = create(jobs)
    for _ in range(MAX_ATTEMPTS - 1):
        jobs.start(job_id)
        assert jobs.recover() == [job_id]
    jobs.start(job_id)
    assert jobs.recover() == []
    job = jobs.get(job_id)
    assert job.state is JobState.FAILED
    assert job.failure.code == "synthesis_failed"


def test_a_stop_on_purpose_is_no_attempt(jobs):
    job_id = create(jobs)
    for _ in range(MAX_ATTEMPTS + 2):
        assert jobs.start(job_id) is not None
        jobs.requeue(job_id)
    jobs.start(job_id)
    assert jobs.recover() == [job_id]


def test_an_expired_job_is_told_from_an_unknown_one(jobs):
    job_id, waiting = create(jobs), create(jobs)
    jobs.start(job_id)
    jobs.finish(job_id)
    finished_at = jobs.get(job_id).finished_at
    assert jobs.finished_before(finished_at) == []
    assert jobs.finished_before(finished_at + timedelta(seconds=1)) == [job_id]
    for each in (job_id, waiting):
        jobs.expire(each)
    with pytest.raises(JobExpired, match=job_id):
        jobs.get(job_id)
    assert jobs.get(waiting).state is JobState.QUEUED
    assert jobs.finished_before(finished_at + timedelta(days=1)) == []


def test_tombstones_go_in_the_end(jobs):
    job_id = create(jobs)
    jobs.start(job_id)
    jobs.finish(job_id)
    jobs.expire(job_id)
    jobs.forget_expired_before(datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(JobExpired):
        jobs.get(job_id)
    jobs.forget_expired_before(datetime.now(UTC) + timedelta(seconds=1))
    with pytest.raises(JobUnknown):
        jobs.get(job_id)


def test_refuses_a_file_of_another_version(tmp_path):
    path = tmp_path / "newer.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(SettingsInvalid, match=r"SIAN_DATA_DIR.*schema 99"):
        JobStore(path)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(SettingsInvalid, match=r"SIAN_DATA_DIR: .*damaged.sqlite cannot be used"):
        JobStore(path)


def test_a_file_damaged_in_the_middle_is_named(tmp_path):
    path = tmp_path / "damaged.sqlite"
    jobs = JobStore(path)
    for _ in range(100):
        create(jobs)
    jobs.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(SettingsInvalid, match=r"SIAN_DATA_DIR: .*damaged.sqlite cannot be used"):
        JobStore(path)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(SettingsInvalid, match="cannot be used"):
        JobStore(tmp_path)


def test_a_retry_counts_as_an_attempt(jobs):
    job_id = create(jobs)
    failure = Failure("synthesis_failed", "why")
    for _ in range(MAX_ATTEMPTS - 1):
        assert jobs.start(job_id) is not None
        jobs.retry(job_id, failure)
        assert jobs.get(job_id).state is JobState.QUEUED
    jobs.retry(job_id, failure)  # of a job that does not run
    assert jobs.start(job_id) is not None
    jobs.retry(job_id, failure)
    assert jobs.get(job_id).failure == failure


def test_knows_whose_files_may_be_there(jobs):
    queued, gone = create(jobs), create(jobs)
    jobs.start(gone)
    jobs.finish(gone)
    assert jobs.unexpired() == {queued, gone}
    jobs.expire(gone)
    assert jobs.unexpired() == {queued}


def test_knows_its_own_ids():
    assert is_job_id(new_job_id())
    assert not is_job_id("thumbnails-3f0c9a7e5d1b4c86")
    assert not is_job_id(new_job_id() + "\n")
