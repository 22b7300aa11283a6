"""Job records and the store that keeps them, on SQLite.

queued ── start ──> running ── finish ──> succeeded ── expire ──> (tombstone)
  ^                  │    └─── fail ────> failed ───── expire ──> (tombstone)
  └─ requeue, retry ─┘
"""

import json
import re
import sqlite3
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from model.errors import JobExpired, JobUnknown, SettingsInvalid
from worker.request import SynthesisRequest

MAX_ATTEMPTS = 3
"""A job that was running each time the process died, or whose end could not be recorded each
time, is not tried a fourth time."""

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed')),
    request TEXT NOT NULL,
    outputs TEXT NOT NULL DEFAULT '[]',
    attempts INTEGER NOT NULL DEFAULT 0,
    error_code TEXT,
    error_message TEXT,
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    expired_at REAL
);
CREATE INDEX IF NOT EXISTS jobs_finished_at ON jobs (finished_at) WHERE expired_at IS NULL;
"""


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Output:
    """One stored tile: its seed and the SHA-256 of the PNG."""

    seed: int
    sha256: str


@dataclass(frozen=True)
class Failure:
    """Why a job failed, as in ``model.errors``."""

    code: str
    message: str


@dataclass(frozen=True)
class Job:
    """A record as it stood when it was read. Times are UTC."""

    id: str
    state: JobState
    request: SynthesisRequest
    outputs: tuple[Output, ...]
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: Failure | None = None

    @property
    def is_finished(self) -> bool:
        return self.state in (JobState.SUCCEEDED, JobState.FAILED)


class JobStore:
    """Jobs in one SQLite file. Every method is atomic and may be called from any thread.

    ``on_finish`` is called with the id of each job that succeeds or fails, in the thread that
    brought it about.

    Raises:
        SettingsInvalid: the file is damaged, cannot be written or is of another version.
    """

    def __init__(self, path: Path, *, on_finish: Callable[[str], None] = lambda job_id: None):
        self.on_finish = on_finish
        self._lock = threading.Lock()
        self._db = _open(path)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def create(self, job_id: str, request: SynthesisRequest) -> Job:
        """A new queued job; ``job_id`` from ``new_job_id``."""
        rows = self._execute(
            "INSERT INTO jobs (id, state, request, created_at) VALUES (?, ?, ?, ?) RETURNING *",
            job_id, JobState.QUEUED, request.to_json(), _now(),
        )  # fmt: skip
        return _job(rows[0])

    def discard(self, job_id: str) -> None:
        """Forget a queued job that was never accepted."""
        self._execute("DELETE FROM jobs WHERE id = ? AND state = ?", job_id, JobState.QUEUED)

    def get(self, job_id: str) -> Job:
        """Raises JobUnknown, JobExpired."""
        rows = self._execute("SELECT * FROM jobs WHERE id = ?", job_id)
        if not rows:
            raise JobUnknown(f"There is no job {job_id!r}.")
        if rows[0]["expired_at"] is not None:
            raise expired(job_id)
        return _job(rows[0])

    def start(self, job_id: str) -> Job | None:
        """Take a queued job. None if it isn't queued: taken by another, finished or gone."""
        rows = self._execute(
            "UPDATE jobs SET state = ?, attempts = attempts + 1, "
            "started_at = coalesce(started_at, ?) WHERE id = ? AND state = ? RETURNING *",
            JobState.RUNNING, _now(), job_id, JobState.QUEUED,
        )  # fmt: skip
        return _job(rows[0]) if rows else None

    def add_output(self, job_id: str, output: Output) -> None:
        """Record the next stored tile of a running job."""
        self._execute(
            "UPDATE jobs SET outputs = json_insert(outputs, '$[#]', json(?)) "
            "WHERE id = ? AND state = ?",
            json.dumps(asdict(output)), job_id, JobState.RUNNING,
        )  # fmt: skip

    def finish(self, job_id: str) -> None:
        """running -> succeeded."""
        rows = self._execute(
            "UPDATE jobs SET state = ?, finished_at = ? WHERE id = ? AND state = ? RETURNING id",
            JobState.SUCCEEDED, _now(), job_id, JobState.RUNNING,
        )  # fmt: skip
        if rows:
            self.on_finish(job_id)

    def fail(self, job_id: str, failure: Failure) -> None:
        """running -> failed."""
        rows = self._execute(
            "UPDATE jobs SET state = ?, finished_at = ?, error_code = ?, error_message = ? "
            "WHERE id = ? AND state = ? RETURNING id",
            JobState.FAILED, _now(), failure.code, failure.message, job_id, JobState.RUNNING,
        )  # fmt: skip
        if rows:
            self.on_finish(job_id)

    def requeue(self, job_id: str) -> None:
        """running -> queued, for a stop on purpose: the attempt does not count."""
        self._execute(
            "UPDATE jobs SET state = ?, attempts = attempts - 1 WHERE id = ? AND state = ?",
            JobState.QUEUED, job_id, JobState.RUNNING,
        )  # fmt: skip

    def retry(self, job_id: str, failure: Failure) -> None:
        """running -> queued, after a run whose end could not be recorded: the attempt counts.
        The last of ``MAX_ATTEMPTS`` fails the job."""
        rows = self._execute(
            "UPDATE jobs SET state = ? WHERE id = ? AND state = ? AND attempts < ? RETURNING id",
            JobState.QUEUED, job_id, JobState.RUNNING, MAX_ATTEMPTS,
        )  # fmt: skip
        if not rows:
            self.fail(job_id, failure)

    def recover(self) -> list[str]:
        """After a start: put back what the last process left running; all queued ids, in order.

        A job that was running when the process died ``MAX_ATTEMPTS`` times probably killed it,
        and fails.
        """
        self._execute(
            "UPDATE jobs SET state = ?, finished_at = ?, error_code = 'synthesis_failed', "
            "error_message = ? WHERE state = ? AND attempts >= ?",
            JobState.FAILED, _now(),
            f"The server stopped {MAX_ATTEMPTS} times while this job was running; "
            "it may need more memory than there is.",
            JobState.RUNNING, MAX_ATTEMPTS,
        )  # fmt: skip
        self._execute(
            "UPDATE jobs SET state = ? WHERE state = ?", JobState.QUEUED, JobState.RUNNING
        )
        rows = self._execute("SELECT id FROM jobs WHERE state = ? ORDER BY rowid", JobState.QUEUED)
        return [row["id"] for row in rows]

    def unexpired(self) -> set[str]:
        """Ids of all jobs that may have files."""
        rows = self._execute("SELECT id FROM jobs WHERE expired_at IS NULL")
        return {row["id"] for row in rows}

    def finished_before(self, moment: datetime) -> list[str]:
        """Ids of finished jobs that have not expired yet."""
        rows = self._execute(
            "SELECT id FROM jobs WHERE finished_at < ? AND expired_at IS NULL", moment.timestamp()
        )
        return [row["id"] for row in rows]

    def expire(self, job_id: str) -> None:
        """Keep only a tombstone of a finished job: ``get`` then tells expired from unknown."""
        self._execute(
            "UPDATE jobs SET expired_at = ?, request = '{}', outputs = '[]' "
            "WHERE id = ? AND finished_at IS NOT NULL",
            _now(), job_id,
        )  # fmt: skip

    def forget_expired_before(self, moment: datetime) -> None:
        """Remove old tombstones."""
        self._execute("DELETE FROM jobs WHERE expired_at < ?", moment.timestamp())

    def _execute(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def _open(path: Path) -> sqlite3.Connection:
    try:
        # Autocommit: each statement of the store is a transaction of its own.
        database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            _set_up(database, path)
        except BaseException:
            database.close()
            raise
    except sqlite3.Error as error:
        raise SettingsInvalid(
            f"SIAN_DATA_DIR: {path} cannot be used ({error}). Make it writable, restore it, or "
            "choose another folder."
        ) from None
    return database


def _set_up(database: sqlite3.Connection, path: Path) -> None:
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")  # an accepted job outlives a power cut
    (finding,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(" ".join(finding.split()))
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in (0, _SCHEMA_VERSION):
        raise SettingsInvalid(
            f"SIAN_DATA_DIR: {path} was written by another version of this software "
            f"(schema {version}, this one writes {_SCHEMA_VERSION}); choose another folder."
        )
    database.executescript(_SCHEMA)
    database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def new_job_id() -> str:
    """32 hexadecimal digits that cannot be guessed."""
    return uuid.uuid4().hex


def is_job_id(name: str) -> bool:
    """Whether ``new_job_id`` may have given it."""
    return re.fullmatch(r"[0-9a-f]{32}", name) is not None


def expired(job_id: str) -> JobExpired:
    """The error for a job whose files are gone."""
    return JobExpired(f"Job {job_id!r} has expired and its tiles were removed; send it again.")


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _job(row: sqlite3.Row) -> Job:
    failure = None
    if row["error_code"] is not None:
        failure = Failure(row["error_code"], row["error_message"])
    return Job(
        id=row["id"],
        state=JobState(row["state"]),
        request=SynthesisRequest.from_json(row["request"]),
        outputs=tuple(Output(**output) for output in json.loads(row["outputs"])),
        created_at=datetime.fromtimestamp(row["created_at"], UTC),
        started_at=_moment(row["started_at"]),
        finished_at=_moment(row["finished_at"]),
        failure=failure,
    )


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
