"""What has to be done now and then: take back the jobs of dead workers, remove what is old."""

import logging
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from model.errors import (
    JobExpired,
    JobUnknown,
    SettingsInvalid,
    SianError,
    StorageUnavailable,
    StoreUnavailable,
    TryAgainLater,
)
from worker.artifacts import Artifacts
from worker.dataset.part import DatasetPart
from worker.jobs import JobStore, is_job_id, made_at

_TICK_S = 5.0
_GRACE = timedelta(seconds=12)
"""After an outage of the store, before jobs are taken back. Leases ran out that nobody could
renew; whoever is alive renews them now."""
_SWEEP = timedelta(minutes=1)
_ORPHANS = timedelta(hours=1)
"""Files come before their job's record. Files without one are orphans if they are older: the
front end died in between."""
_TOMBSTONES = timedelta(days=30)

logger = logging.getLogger(__name__)


class Housekeeper:
    """Runs in every worker, since all it does may be done twice: in one thread what brings jobs
    back, in another what removes them.

    submit: tells the queue of a job.
    forgotten: queued jobs that the queue should be told of again.
    retention: how long a finished job and its tiles are kept.
    check: raises SettingsInvalid if the files are not those of the jobs any more: unmounted, say.
    on_failure: called with that, in a thread of the housekeeper's, which then does no more.
    """

    def __init__(
        self,
        jobs: JobStore,
        artifacts: Artifacts,
        *,
        submit: Callable[[str], None],
        retention: timedelta,
        forgotten: Callable[[], list[str]] = list,
        check: Callable[[], None] = lambda: None,
        on_failure: Callable[[SianError], None] = lambda error: None,
    ) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._submit = submit
        self._forgotten = forgotten
        self._check, self._on_failure = check, on_failure
        self._retention = retention
        self._sweep_every = min(_SWEEP, retention / 4)
        self._next_reap = self._next_sweep = self._next_orphans = datetime.now(UTC)
        self._stopping = threading.Event()
        # Removing the files of thousands of jobs takes minutes, in which workers may die.
        self._threads = [
            threading.Thread(target=self._run, args=[act], name=f"sian-{name}")
            for name, act in (("housekeeping", self.take_back), ("sweeping", self.clear))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def take_back(self, now: datetime) -> None:
        """Put the jobs of dead workers back in the queue, and tell it of those it has forgotten.

        Raises StoreUnavailable.
        """
        try:
            forgotten = self._forgotten()
            reaped = self._jobs.reap() if now >= self._next_reap else []
        except StoreUnavailable:
            self._next_reap = now + _GRACE
            raise
        # Where the queue takes none, a full Redis above all, those of ``reaped`` are forgotten ones
        # the next time.
        for job_id in reaped:
            logger.warning("job %s goes back to the queue: its worker is gone", job_id)
            self._submit(job_id)
        for job_id in forgotten:
            logger.warning("job %s is published again", job_id)
            self._submit(job_id)

    def clear(self, now: datetime) -> None:
        """Remove what is old, if that is due.

        Raises StoreUnavailable, StorageUnavailable, and what ``check`` raises.
        """
        if now >= self._next_sweep:
            self._next_sweep = now + self._sweep_every
            self._check()
            self.sweep(now)
        if now >= self._next_orphans:
            self._next_orphans = now + _ORPHANS
            self.sweep_orphans(now)

    def sweep(self, now: datetime) -> None:
        """Remove the files of jobs that finished longer than ``retention`` ago; keep a tombstone
        of each for 30 days. Ends early at a stop."""
        due = self._jobs.finished_before(now - self._retention)
        random.shuffle(due)  # all workers sweep, and each begins elsewhere
        for job_id in due:
            if self._stopping.is_set():
                return
            if not self._is_needed(job_id, now) and self._remove(job_id):
                self._jobs.expire(job_id)
        self._jobs.forget_expired_before(now - _TOMBSTONES)

    def _is_needed(self, job_id: str, now: datetime) -> bool:
        """Whether it is part of a dataset of which others are being made, or were lately."""
        try:
            request = self._jobs.get(job_id).request
        except (JobUnknown, JobExpired):
            return False  # another worker was faster
        if not isinstance(request, DatasetPart):
            return False
        return any(self._is_young(other, now) for other in request.job_ids())

    def _is_young(self, job_id: str, now: datetime) -> bool:
        try:
            finished_at = self._jobs.get(job_id).finished_at
        except (JobUnknown, JobExpired):
            return False
        return finished_at is None or finished_at >= now - self._retention

    def sweep_orphans(self, now: datetime) -> None:
        """Remove files without a job that are an hour old."""
        scopes = [scope for scope in self._artifacts.scopes() if is_job_id(scope)]
        old = [scope for scope in scopes if made_at(scope) < now - _ORPHANS]
        # Asked after listing: what has a record now had one before, or its files are younger.
        known = self._jobs.unexpired()
        for scope in old:
            if self._stopping.is_set():
                return
            if scope not in known:
                logger.info("removing files without a job: %s", scope)
                self._remove(scope)

    def _remove(self, scope: str) -> bool:
        """Files that cannot be removed now are no reason to keep those of other jobs."""
        try:
            self._artifacts.remove(scope)
        except StorageUnavailable as error:
            logger.warning("files of job %s are left: %s", scope, error)
            return False
        return True

    def _run(self, act: Callable[[datetime], None]) -> None:
        is_out = False
        while not self._stopping.wait(min(_TICK_S, self._sweep_every.total_seconds())):
            try:
                act(datetime.now(UTC))
                is_out = False
            except TryAgainLater as error:
                if not is_out:
                    logger.warning("housekeeping waits: %s", error)
                is_out = True
            except SettingsInvalid as error:
                self._on_failure(error)
                return
            except Exception:
                logger.exception("housekeeping failed")
