"""What only the store on SQLite does: versions and damage of its file, locks, full disks."""

import sqlite3
from contextlib import closing

import pytest

from model.errors import SettingsInvalid, StoreUnavailable
from tests.small_disk import run_on_a_small_disk
from tests.worker.records import create, start
from worker.jobs import JobState, Progress
from worker.sqlite_jobs import SqliteJobs


@pytest.mark.parametrize("version", [1, 99])
def test_refuses_a_file_of_another_version(tmp_path, version):
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(SettingsInvalid, match=rf"SIAN_DATA_DIR.*schema {version}, .* writes 3"):
        SqliteJobs(path)


def test_goes_on_with_a_file_that_knows_no_progress(tmp_path):
    path = tmp_path / "jobs.sqlite"
    jobs = SqliteJobs(path)
    job_id = create(jobs)
    jobs.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE jobs DROP COLUMN progress")
        database.execute("PRAGMA user_version = 2")
        database.commit()
    for _ in range(2):
        jobs = SqliteJobs(path)
        assert jobs.queued() == [job_id]
        jobs.close()
    jobs = SqliteJobs(path)
    assert jobs.report(start(jobs, job_id), Progress(1, 2))
    jobs.close()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(SettingsInvalid, match=r"SIAN_DATA_DIR: .*damaged.sqlite cannot be used"):
        SqliteJobs(path)


def test_a_file_damaged_in_the_middle_is_named(tmp_path):
    path = tmp_path / "damaged.sqlite"
    jobs = SqliteJobs(path)
    for _ in range(100):
        create(jobs)
    jobs.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(SettingsInvalid, match=r"SIAN_DATA_DIR: .*damaged.sqlite cannot be used"):
        SqliteJobs(path)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(SettingsInvalid, match="cannot be used"):
        SqliteJobs(tmp_path)


def test_every_change_is_synced(tmp_path):
    """An accepted job outlives a power cut: SQLite syncs at each commit with FULL (2)."""
    jobs = SqliteJobs(tmp_path / "jobs.sqlite")
    with jobs._transaction() as execute:
        assert execute("PRAGMA synchronous")[0][0] == 2
        assert execute("PRAGMA journal_mode")[0][0] == "wal"
    jobs.close()


def test_a_file_that_another_writes_is_read_all_the_same(tmp_path):
    path = tmp_path / "jobs.sqlite"
    jobs = SqliteJobs(path)
    job_id = create(jobs)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert jobs.get(job_id).state is JobState.QUEUED
        for change in (lambda: create(jobs), lambda: start(jobs, job_id), jobs.reap):
            with pytest.raises(StoreUnavailable, match="locked") as refusal:
                change()
            assert refusal.value.retry_after_s >= 1
    start(jobs, job_id)
    create(jobs)
    jobs.close()


_FILL_THE_DISK = """
import sys
from pathlib import Path
from model.errors import StoreUnavailable
from tests.worker.records import create, start
from worker.jobs import JobState, Progress
from worker.sqlite_jobs import SqliteJobs

folder = Path(sys.argv[1])
(folder / "ballast").write_bytes(bytes(100_000))
jobs = SqliteJobs(folder / "jobs.sqlite")
accepted = [create(jobs)]
claim = start(jobs, accepted[0])
while True:
    try:
        accepted.append(create(jobs, limit=10**6))
    except StoreUnavailable as error:
        assert "full" in str(error), error
        break
assert jobs.queued() == accepted[1:]
assert all(jobs.get(job_id).state is JobState.QUEUED for job_id in accepted[1:])
(folder / "ballast").unlink()
assert jobs.finish(claim)
accepted.append(create(jobs, limit=10**6))
jobs.close()
jobs = SqliteJobs(folder / "jobs.sqlite")
assert jobs.queued() == accepted[1:]
jobs.close()
"""


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    run_on_a_small_disk(tmp_path, "600k", _FILL_THE_DISK)
