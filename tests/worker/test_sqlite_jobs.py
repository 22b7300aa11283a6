"""What only the store on SQLite does: versions and damage of its file, locks, full disks."""

import sqlite3
from contextlib import closing

import pytest

from model.errors import SettingsInvalid, StoreUnavailable
from tests.small_disk import run_on_a_small_disk
from tests.worker.records import create, start
from worker.jobs import JobState, Output, Progress
from worker.sqlite_jobs import SqliteJobs


@pytest.mark.parametrize("version", [1, 99])
def test_refuses_a_file_of_another_version(tmp_path, version):
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(SettingsInvalid, match=rf"SIAN_DATA_DIR.*schema {version}, .* writes 4"):
        SqliteJobs(path)


def _as_version(path, version):
    """Make a file one of a former version: 3 has outputs in the record, 2 has no progress."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript("""
            ALTER TABLE jobs ADD COLUMN outputs TEXT NOT NULL DEFAULT '[]';
            UPDATE jobs SET outputs = (
                SELECT json_group_array(json(output))
                FROM (SELECT output FROM outputs WHERE job = place ORDER BY number)
            );
            DROP TABLE outputs;
        """)
        if version == 2:
            database.execute("ALTER TABLE jobs DROP COLUMN progress")
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()


@pytest.mark.parametrize("version", [2, 3])
def test_goes_on_with_the_file_of_a_former_version(tmp_path, version):
    path = tmp_path / "jobs.sqlite"
    jobs = SqliteJobs(path)
    untouched, done, half = create(jobs), create(jobs), create(jobs)
    outputs = tuple(Output(k, f"{k:064x}") for k in range(12))
    claim = start(jobs, done)
    for k, output in enumerate(outputs):
        assert jobs.add_output(claim, output, k)
    assert jobs.finish(claim)
    claim = start(jobs, half)
    assert jobs.add_output(claim, outputs[5], 0)
    jobs.close()
    _as_version(path, version)
    for _ in range(2):
        jobs = SqliteJobs(path)
        assert jobs.queued() == [untouched]
        assert jobs.get(done).outputs == outputs
        jobs.close()
    jobs = SqliteJobs(path)
    assert jobs.report(claim, Progress(1, 2))
    assert jobs.add_output(claim, outputs[6], 1)
    assert jobs.get(half).outputs == (outputs[5], outputs[6])
    jobs.close()


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "jobs.sqlite"
    jobs = SqliteJobs(path)
    job_id = create(jobs)
    jobs.close()
    _as_version(path, 3)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE jobs SET outputs = 'none of it is JSON'")
        database.commit()
    before = _all_of(path)
    with pytest.raises(SettingsInvalid, match="JSON"):
        SqliteJobs(path)
    assert _all_of(path) == before
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE jobs SET outputs = '[]'")
        database.commit()
    jobs = SqliteJobs(path)
    assert jobs.queued() == [job_id]
    jobs.close()


def _all_of(path):
    with closing(sqlite3.connect(path)) as database:
        return [*database.iterdump(), *database.execute("PRAGMA user_version").fetchone()]


def test_nothing_is_left_of_the_outputs_of_jobs_that_are_gone(tmp_path):
    path = tmp_path / "jobs.sqlite"
    jobs = SqliteJobs(path)
    expired, discarded = create(jobs), create(jobs)
    for job_id in (expired, discarded):
        claim = start(jobs, job_id)
        assert jobs.add_output(claim, Output(1, "aa"), 0)
        assert jobs.requeue(claim)
    jobs.cancel(expired)
    jobs.expire(expired)
    jobs.discard(discarded)
    jobs.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM outputs").fetchone() == (0,)


def test_what_an_output_costs_does_not_grow_with_those_before_it(tmp_path):
    """A dataset has up to 100,000; each is written once."""
    path = tmp_path / "jobs.sqlite"
    jobs = SqliteJobs(path)
    with jobs._transaction() as execute:
        execute("PRAGMA wal_autocheckpoint = 0")  # the log holds all that was written
    claim = start(jobs, create(jobs))
    sizes = [_log_bytes(path)]
    for k in range(400):
        assert jobs.add_output(claim, Output(k, f"{k:064x}"), k)
        sizes.append(_log_bytes(path))
    jobs.close()
    first, last = sizes[100] - sizes[0], sizes[400] - sizes[300]
    assert 0 < last < 1.5 * first


def _log_bytes(path):
    return path.with_name(path.name + "-wal").stat().st_size


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
