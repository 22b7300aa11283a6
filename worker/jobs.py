"""Job records, and what every store of them does.

                 ┌─────── requeue, retry, reap ───────┐
                 v                                    │
    create ─> queued ── start ──> running ── finish ──┼─> succeeded ─┐
                 │                   ├────── fail ────┴─> failed ────┼─ expire ─> expired
                 └───── cancel ──────┴──────────────────> canceled ──┘

``SqliteJobs`` keeps them for one machine, ``RedisJobs`` for many. Both pass the same tests.
"""

import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from model.errors import IdempotencyMismatch, JobExpired, JobUnknown, QueueFull, WorkerLost
from worker.job_request import JobRequest

MAX_ATTEMPTS = 3
"""A job whose worker died each time it ran, or whose end could not be recorded each time, is not
tried a fourth time."""


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


FINISHED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED})
"""States a job ends in; after the retention it expires."""


@dataclass(frozen=True)
class Output:
    """One stored output, a tile or a style vector: its seed, None where nothing is drawn; the
    SHA-256 of its file, and the suffix of that."""

    seed: int | None
    sha256: str
    suffix: str = ".png"


@dataclass(frozen=True)
class Progress:
    """How far the run of a job is that has more steps than tiles."""

    done: int
    total: int


@dataclass(frozen=True)
class Failure:
    """Why a job failed, as in ``model.errors``."""

    code: str
    message: str


@dataclass(frozen=True)
class Job:
    """A record as it stood when it was read. Times are UTC.

    version: grows with every change of the record.
    attempts: how often it was started, without the starts that a stop on purpose undid.
    progress: of the run it is in, where that was reported.
    deadline_at: not worth starting after this moment.
    """

    id: str
    state: JobState
    request: JobRequest
    outputs: tuple[Output, ...]
    version: int
    attempts: int
    created_at: datetime
    deadline_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: Failure | None = None
    progress: Progress | None = None

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED


@dataclass(frozen=True)
class Claim:
    """The right to run a job, as long as its lease is renewed. What is done under a claim that
    was lost, to a cancellation or because the lease ran out, changes nothing.

    job: as it was when it was started.
    """

    job: Job
    token: str


@dataclass(frozen=True)
class Idempotency:
    """A client's word that two requests are one.

    key: the client's key, made unique to the client.
    fingerprint: of everything the client sent; two requests with one key must agree in it.
    """

    key: str
    fingerprint: str


class JobStore(Protocol):
    """Every method is atomic and may be called from any thread. A store that cannot be reached
    raises ``StoreUnavailable`` from any of them.

    on_change: called with the id of each job whose record changed or went, not of a new one; in
        the thread that brought it about, or of the listener if it happened in another process.
    """

    on_change: Callable[[str], None]

    def close(self) -> None: ...

    def create(
        self,
        job_id: str,
        request: JobRequest,
        *,
        limit: int,
        deadline_at: datetime | None = None,
        idempotency: Idempotency | None = None,
    ) -> Job:
        """A new queued job; ``job_id`` from ``new_job_id``. With an idempotency key that is
        known: the job that was created with it, whose id then is another.

        limit: how many jobs may be queued, this one included.

        Raises QueueFull, IdempotencyMismatch.
        """

    def find(self, idempotency: Idempotency) -> Job | None:
        """The unexpired job that was created with this key. Raises IdempotencyMismatch."""

    def discard(self, job_id: str) -> None:
        """Forget a queued job that was never accepted, with its idempotency key."""

    def get(self, job_id: str) -> Job:
        """Raises JobUnknown, JobExpired."""

    def state(self, job_id: str) -> JobState:
        """That of ``get``, without all that its job has made. Raises JobUnknown, JobExpired."""

    def position(self, job_id: str) -> int | None:
        """How many queued jobs come before it; None if it isn't queued."""

    def start(self, job_id: str, *, lease_s: float) -> Claim | None:
        """Take a queued job. None if it isn't queued: taken by another, finished or gone."""

    def renew(self, claims: Sequence[Claim], *, lease_s: float) -> set[str]:
        """Extend the leases; the ids of the jobs that are still held by these claims."""

    def add_output(
        self, claim: Claim, output: Output, index: int, *, forgiving: bool = False
    ) -> bool:
        """Record the next stored tile. ``index``: how many are recorded before it; one that is
        recorded already, by a call that seemed to fail, is not recorded twice. ``forgiving``:
        earlier attempts count no more, since this one has got on. False, here and below: the
        claim is lost."""

    def report(self, claim: Claim, progress: Progress) -> bool:
        """Record how far the run is; forgotten when it ends."""

    def finish(self, claim: Claim) -> bool:
        """running -> succeeded."""

    def fail(self, claim: Claim, failure: Failure) -> bool:
        """running -> failed."""

    def requeue(self, claim: Claim) -> bool:
        """running -> queued, in its old place, for a stop on purpose: the attempt does not
        count."""

    def retry(self, claim: Claim, failure: Failure) -> bool:
        """running -> queued, after a run whose end could not be recorded: the attempt counts.
        The last of ``MAX_ATTEMPTS`` fails the job."""

    def cancel(self, job_id: str) -> Job:
        """queued or running -> canceled; a finished job stays as it is. Raises as ``get``."""

    def reap(self, *, everything: bool = False) -> list[str]:
        """Put back the running jobs whose lease ran out; their ids, in order. A job that was
        running when its worker died ``MAX_ATTEMPTS`` times probably killed it, and fails with
        the code ``worker_lost``.

        everything: whatever their lease, for a store that only this process uses, at its start.
        """

    def queued(self) -> list[str]:
        """Ids of all queued jobs, in order."""

    def published(self, job_id: str) -> None:
        """Note that the broker was told of a queued job."""

    def unpublished(self, *, before: datetime, count: int) -> list[str]:
        """The first ``count`` queued jobs of which the broker was last told before a moment, or
        never and that were created before it."""

    def counts(self) -> dict[JobState, int]:
        """How many jobs there are in each state, all states named."""

    def failures(self) -> dict[str, int]:
        """How many of the failed jobs, until they expire, have each error code."""

    def finished_since(self, moment: datetime) -> int:
        """How many jobs that have not expired finished after it."""

    def unexpired(self) -> set[str]:
        """Ids of all jobs that may have files."""

    def finished_before(self, moment: datetime) -> list[str]:
        """Ids of finished jobs that have not expired yet."""

    def expire(self, job_id: str) -> None:
        """Keep only a tombstone of a finished job: ``get`` then tells expired from unknown. Its
        idempotency key is forgotten."""

    def forget_expired_before(self, moment: datetime) -> None:
        """Remove old tombstones."""


def new_job_id() -> str:
    """32 hexadecimal digits: the time in milliseconds, as in a UUID of version 7, then 80 random
    bits, so that it cannot be guessed."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def is_job_id(name: str) -> bool:
    """Whether ``new_job_id`` may have given it."""
    return re.fullmatch(r"[0-9a-f]{32}", name) is not None


def made_at(job_id: str) -> datetime:
    """When ``new_job_id`` gave it."""
    return datetime.fromtimestamp(int(job_id[:12], 16) / 1000, UTC)


def plain(text: str) -> str:
    """Text from outside in a form that every store can write: what is no character, half of a
    surrogate pair, becomes a question mark."""
    return text.encode(errors="replace").decode()


def living(job_id: str, state: str | None) -> JobState:
    """The state of a job, None of one without a record. Raises JobUnknown, JobExpired."""
    if state is None:
        raise unknown(job_id)
    if state == JobState.EXPIRED:
        raise expired(job_id)
    return JobState(state)


def unknown(job_id: str, what: str = "job") -> JobUnknown:
    """The error for a job, or what else the id would stand for, that is not there."""
    return JobUnknown(
        f"There is no {what} {job_id!r}: check the id, and that this is the service that accepted "
        "it, with the same SIAN_DATA_DIR or Redis."
    )


def expired(job_id: str, what: str = "job") -> JobExpired:
    """The error for a job, or what else the id stands for, whose files are gone."""
    return JobExpired(
        f"{what.capitalize()} {job_id!r} has expired or was removed, and its tiles with it; "
        "send it again."
    )


def full(limit: int, finished_last_minute: int) -> QueueFull:
    """The error for a queue that takes no more. A place is free when the next job is done."""
    return QueueFull(
        f"{limit} jobs are waiting, which is all this service accepts; "
        "send the request again later.",
        retry_after_s=min(60, max(1, round(60 / max(1, finished_last_minute)))),
    )


def mismatch() -> IdempotencyMismatch:
    """The error for a key that comes back with another request."""
    return IdempotencyMismatch(
        "This Idempotency-Key was used for another request; send a new key with a new request."
    )


def lost() -> Failure:
    """Why a job failed whose worker died each time."""
    return Failure(
        WorkerLost.code,
        f"The worker stopped {MAX_ATTEMPTS} times while this job was running; "
        "it may need more memory than there is.",
    )
