"""Any history of calls: every store does what a few dictionaries do."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from model.errors import IdempotencyMismatch, JobExpired, JobUnknown, QueueFull
from tests.redis_server import RedisServer
from worker.job_request import StyleRequest
from worker.jobs import (
    FINISHED,
    Claim,
    Failure,
    Idempotency,
    Job,
    JobState,
    JobStore,
    Output,
    Progress,
    new_job_id,
)
from worker.redis_jobs import RedisJobs
from worker.request import SynthesisRequest
from worker.sqlite_jobs import SqliteJobs
from worker.style import Style

LIMIT, ALL = 4, 100
MAX_ATTEMPTS = 2  # instead of 3: histories get there
EVER, NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)

keys = st.builds(Idempotency, key=st.sampled_from("ab"), fingerprint=st.sampled_from("xy"))
failures = st.builds(Failure, code=st.sampled_from(["out_of_memory", "odd"]), message=st.text())
leases = st.sampled_from([-1.0, 1000.0])
requests = st.builds(
    SynthesisRequest,
    mask_sha256=st.just("ab"),
    style=st.builds(Style, name=st.text()),
    seed=st.integers(0, 2**63 - 1),
    n=st.integers(1, 16),
    label_components=st.booleans(),
) | st.builds(StyleRequest, image_sha256=st.just("ab"), name=st.none() | st.text())
deadlines = st.none() | st.datetimes(EVER.replace(tzinfo=None), timezones=st.just(UTC))


@dataclass
class Known:
    """What the model knows of a job, besides its record.

    job: the record; of its moments and its version the store decides, they are taken over.
    """

    job: Job
    key: Idempotency | None
    place: int
    token: str | None = None
    is_lease_over: bool = False
    is_told: bool = False

    @property
    def state(self) -> JobState:
        return self.job.state


class JobsMachine(RuleBasedStateMachine):
    def __init__(self, make: Callable[[], JobStore]) -> None:
        super().__init__()
        self.store = make()
        self.store.on_change = lambda job_id: self.told.append(job_id)
        self.told: list[str] = []
        self.model: dict[str, Known] = {}
        self.ids: list[str] = []
        self.claims: list[Claim] = []

    def teardown(self) -> None:
        self.store.close()

    # Mostly what can be done, sometimes what cannot; enough jobs are left to run and to fail.

    def pick(self, data: st.DataObject, *states: JobState) -> str:
        fitting = self.within(*states)
        chosen = st.sampled_from(self.ids)
        return data.draw(st.sampled_from(fitting) | chosen if fitting else chosen, "job")

    def pick_claim(self, data: st.DataObject) -> Claim:
        held = [claim for claim in self.claims if self.is_held(claim)]
        chosen = st.sampled_from(self.claims)
        return data.draw(st.sampled_from(held) | chosen if held else chosen, "claim")

    # What the model says

    def within(self, *states: JobState) -> list[str]:
        """Ids in these states, in the order of their creation."""
        found = [known for known in self.model.values() if known.state in states]
        return [known.job.id for known in sorted(found, key=lambda known: known.place)]

    def holder_of(self, key: Idempotency) -> Known | None:
        for known in self.model.values():
            if known.key is not None and known.key.key == key.key:
                return known
        return None

    def is_held(self, claim: Claim) -> bool:
        known = self.model.get(claim.job.id)
        return known is not None and known.token == claim.token

    def changed(self, *job_ids: str, **changes: object) -> None:
        """These jobs, and no others, changed so; a finished one since now. The store told of
        each once, and its version grew."""
        assert sorted(self.told) == sorted(job_ids)
        self.told.clear()
        for job_id in job_ids:
            known = self.model[job_id]
            now = self.store.get(job_id)
            moments = {"version": now.version}
            if "state" in changes:
                moments["progress"] = None
            assert now.version > known.job.version
            if changes.get("state") in FINISHED:
                assert now.finished_at >= known.job.created_at
                moments["finished_at"] = now.finished_at
            if changes.get("state") is JobState.RUNNING and known.job.started_at is None:
                assert now.started_at >= known.job.created_at
                moments["started_at"] = now.started_at
            if "state" in changes and changes["state"] is not JobState.RUNNING:
                known.token = None
            known.job = replace(known.job, **changes, **moments)
            assert now == known.job

    def nothing_changed(self) -> None:
        assert self.told == []

    # What may be done

    @rule(
        request=requests,
        deadline_at=deadlines,
        key=st.none() | keys,
        limit=st.integers(1, LIMIT),
    )
    def create(self, request, deadline_at, key, limit):
        job_id = new_job_id()

        def create() -> Job:
            return self.store.create(
                job_id, request, limit=limit, deadline_at=deadline_at, idempotency=key
            )

        holder = self.holder_of(key) if key is not None else None
        if holder is not None and holder.key != key:
            with pytest.raises(IdempotencyMismatch):
                create()
        elif holder is not None:
            assert create() == holder.job
        elif len(self.within(JobState.QUEUED)) >= limit:
            with pytest.raises(QueueFull) as refusal:
                create()
            assert 1 <= refusal.value.retry_after_s <= 60
        else:
            job = create()
            expected = Job(
                job_id, JobState.QUEUED, request, (), job.version, 0, job.created_at, deadline_at
            )
            assert job == expected
            self.model[job_id] = Known(job, key, place=len(self.ids))
            self.ids.append(job_id)
        self.nothing_changed()

    @precondition(lambda self: len(self.within(JobState.QUEUED)) > 1)
    @rule(data=st.data())
    def discard(self, data):
        job_id = data.draw(st.sampled_from(sorted(self.model)), "job")
        self.store.discard(job_id)
        if job_id in self.within(JobState.QUEUED):
            del self.model[job_id]
            assert self.told == [job_id]
            self.told.clear()
        self.nothing_changed()

    @precondition(lambda self: self.within(JobState.QUEUED))
    @rule(data=st.data(), lease_s=leases)
    def start(self, data, lease_s):
        job_id = self.pick(data, JobState.QUEUED)
        claim = self.store.start(job_id, lease_s=lease_s)
        if job_id not in self.within(JobState.QUEUED):
            assert claim is None
            self.nothing_changed()
            return
        known = self.model[job_id]
        known.token, known.is_lease_over = claim.token, lease_s < 0
        self.changed(job_id, state=JobState.RUNNING, attempts=known.job.attempts + 1)
        assert claim.job == known.job
        self.claims.append(claim)

    @precondition(lambda self: self.within(JobState.RUNNING))
    @rule(data=st.data(), count=st.integers(0, 3), lease_s=leases)
    def renew(self, data, count, lease_s):
        claims = [self.pick_claim(data) for _ in range(count)]
        held = {claim.job.id for claim in claims if self.is_held(claim)}
        assert self.store.renew(claims, lease_s=lease_s) == held
        for job_id in held:
            self.model[job_id].is_lease_over = lease_s < 0
        self.nothing_changed()

    @precondition(lambda self: self.within(JobState.RUNNING))
    @rule(data=st.data(), output=st.builds(Output, st.integers(0, 2**63 - 1), st.text()))
    def add_output(self, data, output):
        claim = self.pick_claim(data)
        is_held = self.is_held(claim)
        outputs = self.model[claim.job.id].job.outputs if is_held else ()
        assert self.store.add_output(claim, output, len(outputs)) is is_held
        if is_held:
            self.changed(claim.job.id, outputs=(*outputs, output))
            assert self.store.add_output(claim, output, len(outputs))  # told twice, stored once
        self.nothing_changed()

    @precondition(lambda self: self.within(JobState.RUNNING))
    @rule(data=st.data(), progress=st.builds(Progress, st.integers(0, 99), st.just(99)))
    def report(self, data, progress):
        claim = self.pick_claim(data)
        is_held = self.is_held(claim)
        assert self.store.report(claim, progress) is is_held
        if is_held:
            self.changed(claim.job.id, progress=progress)
        self.nothing_changed()

    @precondition(lambda self: self.within(JobState.RUNNING))
    @rule(data=st.data())
    def finish(self, data):
        claim = self.pick_claim(data)
        is_held = self.is_held(claim)
        assert self.store.finish(claim) is is_held
        if is_held:
            self.changed(claim.job.id, state=JobState.SUCCEEDED)
        self.nothing_changed()

    @precondition(lambda self: self.within(JobState.RUNNING))
    @rule(data=st.data(), failure=failures)
    def fail(self, data, failure):
        claim = self.pick_claim(data)
        is_held = self.is_held(claim)
        assert self.store.fail(claim, failure) is is_held
        if is_held:
            self.changed(claim.job.id, state=JobState.FAILED, failure=failure)
        self.nothing_changed()

    @precondition(lambda self: self.within(JobState.RUNNING))
    @rule(data=st.data())
    def requeue(self, data):
        claim = self.pick_claim(data)
        is_held = self.is_held(claim)
        assert self.store.requeue(claim) is is_held
        if is_held:
            attempts = self.model[claim.job.id].job.attempts - 1
            self.changed(claim.job.id, state=JobState.QUEUED, attempts=attempts)
        self.nothing_changed()

    @precondition(lambda self: self.within(JobState.RUNNING))
    @rule(data=st.data(), failure=failures)
    def retry(self, data, failure):
        claim = self.pick_claim(data)
        is_held = self.is_held(claim)
        assert self.store.retry(claim, failure) is is_held
        if is_held and self.model[claim.job.id].job.attempts < MAX_ATTEMPTS:
            self.changed(claim.job.id, state=JobState.QUEUED)
        elif is_held:
            self.changed(claim.job.id, state=JobState.FAILED, failure=failure)
        self.nothing_changed()

    @precondition(lambda self: len(self.within(JobState.QUEUED, JobState.RUNNING)) > 1)
    @rule(data=st.data())
    def cancel(self, data):
        job_id = self.pick(data, JobState.QUEUED, JobState.RUNNING)
        known = self.model.get(job_id)
        if known is None:
            with pytest.raises(JobUnknown):
                self.store.cancel(job_id)
        elif known.state is JobState.EXPIRED:
            with pytest.raises(JobExpired):
                self.store.cancel(job_id)
        else:
            job = self.store.cancel(job_id)
            if known.state not in FINISHED:
                self.changed(job_id, state=JobState.CANCELED)
            assert job == known.job
        self.nothing_changed()

    @precondition(lambda self: self.within(JobState.RUNNING))
    @rule(everything=st.booleans())
    def reap(self, everything):
        lost = [
            known
            for job_id in self.within(JobState.RUNNING)
            if (known := self.model[job_id]).is_lease_over or everything
        ]
        back = [known.job.id for known in lost if known.job.attempts < MAX_ATTEMPTS]
        ended = [known.job.id for known in lost if known.job.attempts >= MAX_ATTEMPTS]
        assert self.store.reap(everything=everything) == back
        assert sorted(self.told) == sorted(back + ended)
        for job_id in back:
            self.told[:] = [job_id]
            self.changed(job_id, state=JobState.QUEUED)
        for job_id in ended:
            failure = self.store.get(job_id).failure
            assert failure.code == "worker_lost"
            self.told[:] = [job_id]
            self.changed(job_id, state=JobState.FAILED, failure=failure)
        self.told.clear()

    @precondition(lambda self: self.within(JobState.QUEUED))
    @rule(data=st.data())
    def published(self, data):
        job_id = self.pick(data, JobState.QUEUED)
        self.store.published(job_id)
        if job_id in self.within(JobState.QUEUED):
            self.model[job_id].is_told = True
        self.nothing_changed()

    @precondition(lambda self: self.within(*FINISHED))
    @rule(data=st.data())
    def expire(self, data):
        job_id = self.pick(data, *FINISHED)
        self.store.expire(job_id)
        if job_id in self.within(*FINISHED):
            known = self.model[job_id]
            known.job, known.key = replace(known.job, state=JobState.EXPIRED), None
            assert self.told == [job_id]
            self.told.clear()
        self.nothing_changed()

    @precondition(lambda self: self.within(JobState.EXPIRED))
    @rule(moment=st.sampled_from([EVER, NEVER]))
    def forget(self, moment):
        self.store.forget_expired_before(moment)
        if moment == NEVER:
            for job_id in self.within(JobState.EXPIRED):
                del self.model[job_id]
        self.nothing_changed()

    # What must hold after each step

    @invariant()
    def every_record_is_right(self):
        for job_id in self.ids:
            known = self.model.get(job_id)
            if known is None:
                with pytest.raises(JobUnknown):
                    self.store.get(job_id)
            elif known.state is JobState.EXPIRED:
                with pytest.raises(JobExpired):
                    self.store.get(job_id)
            else:
                assert self.store.get(job_id) == known.job

    @invariant()
    def every_key_names_its_job(self):
        for key, fingerprint in itertools.product("ab", "xy"):
            wanted = Idempotency(key, fingerprint)
            holder = self.holder_of(wanted)
            if holder is not None and holder.key != wanted:
                with pytest.raises(IdempotencyMismatch):
                    self.store.find(wanted)
            else:
                assert self.store.find(wanted) == (holder and holder.job)

    @invariant()
    def it_is_known_what_the_broker_was_told(self):
        """Who was never told counts since its creation, who was told since later than that."""
        queued = self.within(JobState.QUEUED)
        for count in (0, 1, ALL):
            assert self.store.unpublished(before=NEVER, count=count) == queued[:count]
        assert self.store.unpublished(before=EVER, count=ALL) == []
        for job_id in queued:
            known = self.model[job_id]
            named = self.store.unpublished(before=known.job.created_at + TICK, count=ALL)
            assert (job_id in named) is not known.is_told
            assert named == [each for each in queued if each in named]

    @invariant()
    def the_queue_is_in_order(self):
        queued = self.within(JobState.QUEUED)
        assert self.store.queued() == queued
        for job_id in self.model:
            place = queued.index(job_id) if job_id in queued else None
            assert self.store.position(job_id) == place

    @invariant()
    def all_is_counted(self):
        for state, count in self.store.counts().items():
            assert count == len(self.within(state)), state
        codes = [self.model[job_id].job.failure.code for job_id in self.within(JobState.FAILED)]
        assert self.store.failures() == {code: codes.count(code) for code in codes}
        unexpired = set(JobState) - {JobState.EXPIRED}
        assert self.store.unexpired() == set(self.within(*unexpired))

    @invariant()
    def it_is_known_what_finished_when(self):
        ended = self.within(*FINISHED)
        assert set(self.store.finished_before(NEVER)) == set(ended)
        assert self.store.finished_since(EVER) == len(ended)
        for moment in [self.model[job_id].job.finished_at for job_id in ended]:
            ends = {each: self.model[each].job.finished_at for each in ended}
            before = {each for each, end in ends.items() if end < moment}
            assert set(self.store.finished_before(moment)) == before
            since = sum(end > moment for end in ends.values())
            assert self.store.finished_since(moment) == since


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_any_history(kind, request, tmp_path, monkeypatch):
    monkeypatch.setattr(f"worker.{kind}_jobs.MAX_ATTEMPTS", MAX_ATTEMPTS)
    files = (tmp_path / f"{number}.sqlite" for number in itertools.count())

    def empty() -> JobStore:
        if kind == "sqlite":
            return SqliteJobs(next(files))
        server: RedisServer = request.getfixturevalue("redis_server")
        server.flush()
        return RedisJobs(server.url)

    run_state_machine_as_test(
        lambda: JobsMachine(empty), settings=settings(max_examples=60, stateful_step_count=40)
    )
