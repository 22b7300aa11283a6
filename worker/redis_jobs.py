"""Job records that front ends and workers on many machines share, in Redis."""

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from worker.job_request import JobRequest, request_from_json
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
from worker.moments import from_us, span_us, to_us
from worker.redis_client import connect, mapped
from worker.redis_listener import Listener

_STEPS = "#!lua flags=allow-oom\n" + Path(__file__).with_suffix(".lua").read_text()
"""Also when the memory of Redis is full: jobs that were accepted must come to their end. New ones
ask for room themselves."""


class RedisJobs:
    """``JobStore`` on Redis 7 or newer, with an append-only file and without eviction. All
    moments and leases are of the clock of Redis.

    Every method gives up about a second after Redis stops answering.

    Raises:
        SettingsInvalid: not a Redis URL.
    """

    def __init__(self, url: str, *, on_change: Callable[[str], None] = lambda job_id: None):
        self.on_change = on_change
        # redis-py's types allow every answer to be text or bytes; here all are bytes.
        self._client: Any = connect(url)
        self._steps = self._client.register_script(_STEPS)
        self._name = secrets.token_hex(8)
        self._listener = Listener(url, "sian:changes", self._heard, self._changed_within)

    def listen(self) -> None:
        """Call ``on_change`` also for what other processes change, from a thread that sits out
        every outage and then names all jobs that may have changed meanwhile."""
        self._listener.start()

    def close(self) -> None:
        self._listener.stop()
        self._client.close()

    def create(
        self,
        job_id: str,
        request: JobRequest,
        *,
        limit: int,
        deadline_at: datetime | None = None,
        idempotency: Idempotency | None = None,
    ) -> Job:
        with mapped():
            outcome, *values = self._steps(
                args=[
                    "create", self._name, job_id, request.to_json(), limit,
                    "" if deadline_at is None else to_us(deadline_at),
                    "" if idempotency is None else _key(idempotency),
                    "" if idempotency is None else plain(idempotency.fingerprint),
                ]
            )  # fmt: skip
        if outcome == b"full":
            raise full(limit, values[0])
        if outcome == b"taken":
            raise ValueError(f"there is a job {job_id} already")
        known, record = values[0].decode(), _fields(values[1])
        return _agreed(known, record, idempotency) if idempotency else _job(known, record)

    def find(self, idempotency: Idempotency) -> Job | None:
        found = self._step("find", _key(idempotency))
        if found is None:
            return None
        return _agreed(found[0].decode(), _fields(found[1]), idempotency)

    def discard(self, job_id: str) -> None:
        self._change("discard", job_id)

    def get(self, job_id: str) -> Job:
        return _present(job_id, _fields(self._step("get", plain(job_id))))

    def state(self, job_id: str) -> JobState:
        found: bytes | None = self._step("state", plain(job_id))
        return living(job_id, None if found is None else found.decode())

    def position(self, job_id: str) -> int | None:
        with mapped():
            place: int | None = self._client.zrank("sian:queued", plain(job_id))
        return place

    def start(self, job_id: str, *, lease_s: float) -> Claim | None:
        token = secrets.token_hex(8)
        record = self._step("start", plain(job_id), token, span_us(lease_s))
        if record is None:
            return None
        self.on_change(job_id)
        return Claim(_job(job_id, _fields(record)), token)

    def renew(self, claims: Sequence[Claim], *, lease_s: float) -> set[str]:
        pairs = [text for claim in claims for text in (plain(claim.job.id), claim.token)]
        return set(_ids(self._step("renew", span_us(lease_s), *pairs)))

    def add_output(
        self, claim: Claim, output: Output, index: int, *, forgiving: bool = False
    ) -> bool:
        text = json.dumps(asdict(output))
        done: int = self._step(
            "add_output", plain(claim.job.id), claim.token, text, index, int(forgiving)
        )
        if done == 1:
            self.on_change(claim.job.id)
        return done > 0

    def report(self, claim: Claim, progress: Progress) -> bool:
        told = json.dumps([progress.done, progress.total])
        return self._change("report", claim.job.id, claim.token, told)

    def finish(self, claim: Claim) -> bool:
        return self._change("finish", claim.job.id, claim.token)

    def fail(self, claim: Claim, failure: Failure) -> bool:
        return self._change("fail", claim.job.id, claim.token, *_plain(failure))

    def requeue(self, claim: Claim) -> bool:
        return self._change("requeue", claim.job.id, claim.token)

    def retry(self, claim: Claim, failure: Failure) -> bool:
        return self._change("retry", claim.job.id, claim.token, MAX_ATTEMPTS, *_plain(failure))

    def cancel(self, job_id: str) -> Job:
        has_changed, record = self._step("cancel", plain(job_id))
        if has_changed:
            self.on_change(job_id)
        return _present(job_id, _fields(record))

    def reap(self, *, everything: bool = False) -> list[str]:
        queued, failed = self._step("reap", int(everything), MAX_ATTEMPTS, *_plain(lost()))
        for job_id in _ids(queued + failed):
            self.on_change(job_id)
        return _ids(queued)

    def queued(self) -> list[str]:
        with mapped():
            return _ids(self._client.zrange("sian:queued", 0, -1))

    def published(self, job_id: str) -> None:
        self._step("published", plain(job_id))

    def unpublished(self, *, before: datetime, count: int) -> list[str]:
        return _ids(self._step("unpublished", to_us(before), count))

    def counts(self) -> dict[JobState, int]:
        return dict(zip(JobState, self._step("counts", *JobState), strict=True))

    def failures(self) -> dict[str, int]:
        with mapped():
            found = self._client.hgetall("sian:failures")
        return {code.decode(): int(count) for code, count in found.items()}

    def finished_since(self, moment: datetime) -> int:
        count: int = self._step("finished_since", to_us(moment))
        return count

    def unexpired(self) -> set[str]:
        return set(_ids(self._step("ids", *set(JobState) - {JobState.EXPIRED})))

    def finished_before(self, moment: datetime) -> list[str]:
        return _ids(self._step("finished_before", to_us(moment)))

    def expire(self, job_id: str) -> None:
        self._change("expire", job_id)

    def forget_expired_before(self, moment: datetime) -> None:
        while self._step("forget", to_us(moment)):
            pass

    def files_mark(self) -> str | None:
        """The mark of the files that the jobs belong to, see ``worker.same_files``."""
        with mapped():
            mark: bytes | None = self._client.get("sian:files")
        return None if mark is None else mark.decode()

    def mark_files(self, mark: str) -> str:
        """Set it, unless there is one; the one there is."""
        known: bytes = self._step("mark_files", mark)
        return known.decode()

    def _step(self, name: str, *values: str | int) -> Any:
        with mapped():
            return self._steps(args=[name, self._name, *values])

    def _change(self, name: str, job_id: str, *values: str | int) -> bool:
        """A step that says whether it changed the job."""
        has_changed = bool(self._step(name, plain(job_id), *values))
        if has_changed:
            self.on_change(job_id)
        return has_changed

    def _heard(self, message: str) -> None:
        who, _, job_id = message.partition(" ")
        if who != self._name:
            self.on_change(job_id)

    def _changed_within(self, seconds: float) -> None:
        for job_id in _ids(self._step("changed_within", span_us(seconds))):
            self.on_change(job_id)


_Record = dict[str, bytes]


def _present(job_id: str, record: _Record) -> Job:
    living(job_id, record["state"].decode() if record else None)
    return _job(job_id, record)


def _agreed(job_id: str, record: _Record, idempotency: Idempotency) -> Job:
    if record["fingerprint"].decode() != plain(idempotency.fingerprint):
        raise mismatch()
    return _job(job_id, record)


def _job(job_id: str, record: _Record) -> Job:
    def moment(name: str) -> datetime | None:
        return from_us(int(record[name])) if name in record else None

    failure = None
    if "code" in record:
        failure = Failure(record["code"].decode(), record["message"].decode())
    return Job(
        id=job_id,
        state=JobState(record["state"].decode()),
        request=request_from_json(record["request"].decode()),
        outputs=_outputs(record),
        version=int(record["version"]),
        attempts=int(record["attempts"]),
        created_at=from_us(int(record["created_at"])),
        deadline_at=moment("deadline_at"),
        started_at=moment("started_at"),
        finished_at=moment("finished_at"),
        failure=failure,
        progress=Progress(*json.loads(record["progress"])) if "progress" in record else None,
    )


def _outputs(record: _Record) -> tuple[Output, ...]:
    """outputs: those that a former version has kept in the record."""
    parts = (record.get("outputs", b""), record.get("made", b""))
    found = json.loads(b"[%b]" % b",".join(part for part in parts if part))
    return tuple(Output(**output) for output in found)


def _fields(pairs: list[bytes]) -> _Record:
    """What HGETALL in a script gives: names and values in turn."""
    return dict(zip((name.decode() for name in pairs[::2]), pairs[1::2], strict=True))


def _key(idempotency: Idempotency) -> str:
    return f"sian:key:{plain(idempotency.key)}"


def _plain(failure: Failure) -> tuple[str, str]:
    return plain(failure.code), plain(failure.message)


def _ids(found: list[bytes]) -> list[str]:
    return [job_id.decode() for job_id in found]
