"""The SQLite file of ``SqliteJobs``: its schema, opening it, and what its rows mean."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from model.errors import SettingsInvalid
from worker.job_request import request_from_json
from worker.jobs import Failure, Job, JobState, Output, Progress
from worker.moments import from_us

_BUSY_S = 1.0
"""How long to wait for another process that writes. One server has the file at a time, so that
there is none but by mistake."""

_SCHEMA_VERSION = 4
# A job keeps its place in the queue for life. Times are whole microseconds since 1970. Outputs are
# not in the record: a dataset has thousands, and SQLite writes a row anew with each change.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (
        state IN ('queued', 'running', 'succeeded', 'failed', 'canceled', 'expired')
    ),
    request TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    attempts INTEGER NOT NULL DEFAULT 0,
    token TEXT,
    leased_until INTEGER,
    progress TEXT,
    idempotency_key TEXT UNIQUE,
    fingerprint TEXT,
    error_code TEXT,
    error_message TEXT,
    created_at INTEGER NOT NULL,
    published_at INTEGER,
    deadline_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    expired_at INTEGER
);
CREATE INDEX IF NOT EXISTS jobs_states ON jobs (state, error_code);
CREATE INDEX IF NOT EXISTS jobs_queue ON jobs (place) WHERE state = 'queued';
CREATE INDEX IF NOT EXISTS jobs_leases ON jobs (leased_until) WHERE state = 'running';
CREATE INDEX IF NOT EXISTS jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_expired ON jobs (expired_at) WHERE expired_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS outputs (
    job INTEGER NOT NULL REFERENCES jobs (place) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    output TEXT NOT NULL,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
"""

_UPGRADES = {
    2: "ALTER TABLE jobs ADD COLUMN progress TEXT;",
    3: """
        INSERT INTO outputs SELECT place, key, value FROM jobs, json_each(jobs.outputs);
        ALTER TABLE jobs DROP COLUMN outputs;
    """,
}
"""What makes a file of a version one of the next, after the tables that are new."""

RECORD = """*, (
    SELECT json_group_array(json(output))
    FROM (SELECT output FROM outputs WHERE job = jobs.place ORDER BY number)
) AS outputs"""
"""The columns that ``job_of`` reads."""


def open_writer(path: Path) -> sqlite3.Connection:
    """Creates the file if there is none. Raises SettingsInvalid."""
    with _refusing(path):
        database = _connect(path)
        try:
            _set_up(database, path)
        except BaseException:
            database.close()
            raise
    return database


def open_reader(path: Path) -> sqlite3.Connection:
    """To read what ``open_writer`` has set up. Raises SettingsInvalid."""
    with _refusing(path):
        database = _connect(path)
        database.execute("PRAGMA query_only = ON")
    return database


def job_of(row: sqlite3.Row) -> Job:
    """The record in a row of ``RECORD``."""
    failure = None
    if row["error_code"] is not None:
        failure = Failure(row["error_code"], row["error_message"])
    return Job(
        id=row["id"],
        state=JobState(row["state"]),
        request=request_from_json(row["request"]),
        outputs=tuple(Output(**output) for output in json.loads(row["outputs"])),
        version=row["version"],
        attempts=row["attempts"],
        created_at=from_us(row["created_at"]),
        deadline_at=_moment(row["deadline_at"]),
        started_at=_moment(row["started_at"]),
        finished_at=_moment(row["finished_at"]),
        failure=failure,
        progress=None if row["progress"] is None else Progress(*json.loads(row["progress"])),
    )


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit: a statement is a transaction of its own unless one is begun.
    database = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None)
    database.row_factory = sqlite3.Row
    return database


def _set_up(database: sqlite3.Connection, path: Path) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")  # an accepted job outlives a power cut
    (finding,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(" ".join(finding.split()))
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in (0, *_UPGRADES, _SCHEMA_VERSION):
        raise SettingsInvalid(
            f"SIAN_DATA_DIR: {path} was written by another version of this software "
            f"(schema {version}, this one writes {_SCHEMA_VERSION}); choose another folder."
        )
    # In one transaction: a file between two versions would be of neither.
    steps = [_SCHEMA, *(_UPGRADES[k] for k in _UPGRADES if 0 < version <= k)]
    steps.append(f"PRAGMA user_version = {_SCHEMA_VERSION};")
    database.executescript("\n".join(["BEGIN IMMEDIATE;", *steps, "COMMIT;"]))
    database.execute("PRAGMA foreign_keys = ON")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise SettingsInvalid(
            f"SIAN_DATA_DIR: {path} cannot be used ({error}). Make it writable, restore it, or "
            "choose another folder."
        ) from None


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else from_us(microseconds)
