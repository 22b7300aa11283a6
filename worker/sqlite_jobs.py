"""Job records of one machine, in one SQLite file."""

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from model.errors import StoreUnavailable
from worker.job_request import JobRequest
from worker.jobs import (
    MAX_ATTEMPTS,
    Claim,
    Failure,
    Idempotency,
    Job,
    JobState,
    Output,
    Progress,
    full,
    living,
    lost,
    mismatch,
    plain,
)
from worker.moments import span_us, to_us
from worker.sqlite_file import RECORD, job_of, open_reader, open_writer

_RETRY_AFTER_S = 5
_MINUTE_US = 60_000_000
_HELD = "WHERE id = :id AND state = 'running' AND token = :token"
_UNCLAIMED = "token = NULL, leased_until = NULL, progress = NULL, version = version + 1"


class SqliteJobs:
    """``JobStore`` on one file. Once a method returns, what it did outlives a power cut.

    Reading has a connection of its own, so that it never waits for the disk.

    Raises:
        SettingsInvalid: the file is damaged, cannot be written or is of another version.
    """

    def __init__(self, path: Path, *, on_change: Callable[[str], None] = lambda job_id: None):
        self.on_change = on_change
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._writer = open_writer(path)
        self._reader = open_reader(path)

    def close(self) -> None:
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def create(
        self,
        job_id: str,
        request: JobRequest,
        *,
        limit: int,
        deadline_at: datetime | None = None,
        idempotency: Idempotency | None = None,
    ) -> Job:
        now = _now()
        values = {
            "id": job_id,
            "request": request.to_json(),
            "now": now,
            "deadline": None if deadline_at is None else to_us(deadline_at),
            "key": None if idempotency is None else plain(idempotency.key),
            "fingerprint": None if idempotency is None else plain(idempotency.fingerprint),
        }
        with self._transaction() as execute:
            known = idempotency and _find(execute, idempotency)
            if known:
                return known
            (row,) = execute("SELECT count(*) FROM jobs WHERE state = 'queued'")
            if row[0] >= limit:
                (row,) = execute(
                    "SELECT count(*) FROM jobs WHERE finished_at > ?", now - _MINUTE_US
                )
                raise full(limit, row[0])
            if execute("SELECT 1 FROM jobs WHERE id = ?", job_id):
                raise ValueError(f"there is a job {job_id} already")
            (row,) = execute(
                "INSERT INTO jobs "
                "(id, request, created_at, deadline_at, idempotency_key, fingerprint) "
                "VALUES (:id, :request, :now, :deadline, :key, :fingerprint) "
                f"RETURNING {RECORD}",
                values,
            )
        return job_of(row)

    def find(self, idempotency: Idempotency) -> Job | None:
        return _find(self._read, idempotency)

    def discard(self, job_id: str) -> None:
        self._change("DELETE FROM jobs WHERE id = :id AND state = 'queued' RETURNING id", id=job_id)

    def get(self, job_id: str) -> Job:
        rows = self._read(f"SELECT {RECORD} FROM jobs WHERE id = ?", plain(job_id))
        living(job_id, rows[0]["state"] if rows else None)
        return job_of(rows[0])

    def state(self, job_id: str) -> JobState:
        rows = self._read("SELECT state FROM jobs WHERE id = ?", plain(job_id))
        return living(job_id, rows[0]["state"] if rows else None)

    def position(self, job_id: str) -> int | None:
        rows = self._read(
            "SELECT (SELECT count(*) FROM jobs WHERE state = 'queued' AND place < it.place) "
            "FROM jobs AS it WHERE id = ? AND state = 'queued'",
            plain(job_id),
        )
        return rows[0][0] if rows else None

    def start(self, job_id: str, *, lease_s: float) -> Claim | None:
        token, now = secrets.token_hex(8), _now()
        rows = self._change(
            "UPDATE jobs SET state = 'running', attempts = attempts + 1, version = version + 1, "
            "started_at = coalesce(started_at, :now), token = :token, leased_until = :until "
            f"WHERE id = :id AND state = 'queued' RETURNING {RECORD}",
            id=job_id, now=now, token=token, until=now + span_us(lease_s),
        )  # fmt: skip
        return Claim(job_of(rows[0]), token) if rows else None

    def renew(self, claims: Sequence[Claim], *, lease_s: float) -> set[str]:
        until = _now() + span_us(lease_s)
        with self._transaction() as execute:
            rows = [
                row
                for claim in claims
                for row in execute(
                    f"UPDATE jobs SET leased_until = :until {_HELD} RETURNING id",
                    {"until": until, "id": plain(claim.job.id), "token": claim.token},
                )
            ]
        return {row["id"] for row in rows}

    def add_output(
        self, claim: Claim, output: Output, index: int, *, forgiving: bool = False
    ) -> bool:
        held = {"id": plain(claim.job.id), "token": claim.token}
        with self._transaction() as execute:
            rows = execute(f"SELECT place FROM jobs {_HELD}", held)
            if not rows:
                return False
            place = rows[0]["place"]
            if not execute(
                "INSERT INTO outputs VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING number",
                place, index, json.dumps(asdict(output)),
            ):  # fmt: skip
                return True
            execute(
                "UPDATE jobs SET version = version + 1, attempts = iif(?, 1, attempts) "
                "WHERE place = ?",
                forgiving, place,
            )  # fmt: skip
        self.on_change(claim.job.id)
        return True

    def report(self, claim: Claim, progress: Progress) -> bool:
        return self._change_held(
            claim,
            "progress = :progress, version = version + 1",
            progress=json.dumps([progress.done, progress.total]),
        )

    def finish(self, claim: Claim) -> bool:
        return self._change_held(
            claim, f"state = 'succeeded', finished_at = :now, {_UNCLAIMED}", now=_now()
        )

    def fail(self, claim: Claim, failure: Failure) -> bool:
        return self._change_held(
            claim,
            "state = 'failed', finished_at = :now, error_code = :code, error_message = :message, "
            f"{_UNCLAIMED}",
            now=_now(), **_plain(failure),
        )  # fmt: skip

    def requeue(self, claim: Claim) -> bool:
        return self._change_held(claim, f"state = 'queued', attempts = attempts - 1, {_UNCLAIMED}")

    def retry(self, claim: Claim, failure: Failure) -> bool:
        return bool(
            self._put_back("id = :id AND token = :token", failure, id=claim.job.id,
                           token=claim.token)
        )  # fmt: skip

    def cancel(self, job_id: str) -> Job:
        self._change(
            f"UPDATE jobs SET state = 'canceled', finished_at = :now, {_UNCLAIMED} "
            "WHERE id = :id AND state IN ('queued', 'running') RETURNING id",
            id=job_id, now=_now(),
        )  # fmt: skip
        return self.get(job_id)

    def reap(self, *, everything: bool = False) -> list[str]:
        which = "TRUE" if everything else "leased_until <= :now"
        rows = sorted(self._put_back(which, lost()), key=lambda row: row["place"])
        return [row["id"] for row in rows if row["state"] == JobState.QUEUED]

    def queued(self) -> list[str]:
        return self._ids("state = 'queued' ORDER BY place")

    def published(self, job_id: str) -> None:
        self._write(
            "UPDATE jobs SET published_at = ? WHERE id = ? AND state = 'queued'",
            _now(), plain(job_id),
        )  # fmt: skip

    def unpublished(self, *, before: datetime, count: int) -> list[str]:
        return self._ids(
            "state = 'queued' AND coalesce(published_at, created_at) < ? ORDER BY place LIMIT ?",
            to_us(before), count,
        )  # fmt: skip

    def counts(self) -> dict[JobState, int]:
        rows = self._read("SELECT state, count(*) FROM jobs GROUP BY state")
        return dict.fromkeys(JobState, 0) | {JobState(state): count for state, count in rows}

    def failures(self) -> dict[str, int]:
        rows = self._read(
            "SELECT error_code AS code, count(*) AS jobs FROM jobs WHERE state = 'failed' "
            "GROUP BY error_code"
        )
        return {row["code"]: row["jobs"] for row in rows}

    def finished_since(self, moment: datetime) -> int:
        rows = self._read("SELECT count(*) FROM jobs WHERE finished_at > ?", to_us(moment))
        count: int = rows[0][0]
        return count

    def unexpired(self) -> set[str]:
        return set(self._ids("state <> 'expired'"))

    def finished_before(self, moment: datetime) -> list[str]:
        return self._ids("finished_at < ? ORDER BY finished_at, place", to_us(moment))

    def expire(self, job_id: str) -> None:
        with self._transaction() as execute:
            rows = execute(
                "UPDATE jobs SET state = 'expired', expired_at = :now, finished_at = NULL, "
                "request = '{}', idempotency_key = NULL, fingerprint = NULL, "
                "error_code = NULL, error_message = NULL, version = version + 1 "
                "WHERE id = :id AND finished_at IS NOT NULL RETURNING place",
                {"id": plain(job_id), "now": _now()},
            )
            for row in rows:
                execute("DELETE FROM outputs WHERE job = ?", row["place"])
        if rows:
            self.on_change(job_id)

    def forget_expired_before(self, moment: datetime) -> None:
        self._write("DELETE FROM jobs WHERE expired_at < ?", to_us(moment))

    def _put_back(self, which: str, failure: Failure, **values: Any) -> list[sqlite3.Row]:
        """The running jobs ``which`` names go back to the queue; their last attempt fails them."""
        return self._change(
            f"""
            UPDATE jobs SET
                state = iif(attempts < :most, 'queued', 'failed'),
                finished_at = iif(attempts < :most, NULL, :now),
                error_code = iif(attempts < :most, NULL, :code),
                error_message = iif(attempts < :most, NULL, :message),
                {_UNCLAIMED}
            WHERE state = 'running' AND {which} RETURNING id, state, place
            """,
            most=MAX_ATTEMPTS, now=_now(), **_plain(failure), **values,
        )  # fmt: skip

    def _change_held(self, claim: Claim, change: str, **values: Any) -> bool:
        return bool(
            self._change(
                f"UPDATE jobs SET {change} {_HELD} RETURNING id",
                id=claim.job.id, token=claim.token, **values,
            )
        )  # fmt: skip

    def _change(self, statement: str, **values: Any) -> list[sqlite3.Row]:
        """Run a statement that returns the rows it changed, and tell of them."""
        if "id" in values:
            values["id"] = plain(values["id"])
        rows = self._write(statement, values)
        for row in rows:
            self.on_change(row["id"])
        return rows

    def _write(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._writing, _mapped():
            return _execute(self._writer, statement, *values)

    def _read(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._reading, _mapped():
            return _execute(self._reader, statement, *values)

    def _ids(self, which: str, *values: Any) -> list[str]:
        return [row["id"] for row in self._read(f"SELECT id FROM jobs WHERE {which}", *values)]

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., list[sqlite3.Row]]]:
        """Gives what executes statements; all of them happen, or none."""
        with self._writing, _mapped():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield lambda statement, *values: _execute(self._writer, statement, *values)
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")


@contextmanager
def _mapped() -> Iterator[None]:
    """A full disk or a file that somebody else locks becomes StoreUnavailable."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(
            f"The job records cannot be read or written ({error}); try again in a moment.",
            retry_after_s=_RETRY_AFTER_S,
        ) from error


def _execute(database: sqlite3.Connection, statement: str, *values: Any) -> list[sqlite3.Row]:
    """values: one mapping, or the values in order."""
    if len(values) == 1 and isinstance(values[0], dict):
        return database.execute(statement, values[0]).fetchall()
    return database.execute(statement, values).fetchall()


def _find(execute: Callable[..., list[sqlite3.Row]], idempotency: Idempotency) -> Job | None:
    rows = execute(f"SELECT {RECORD} FROM jobs WHERE idempotency_key = ?", plain(idempotency.key))
    if not rows:
        return None
    if rows[0]["fingerprint"] != plain(idempotency.fingerprint):
        raise mismatch()
    return job_of(rows[0])


def _plain(failure: Failure) -> dict[str, str]:
    return {"code": plain(failure.code), "message": plain(failure.message)}


def _now() -> int:
    return time.time_ns() // 1000
