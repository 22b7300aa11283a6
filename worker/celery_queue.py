"""CeleryQueue: jobs wait in Redis and run in workers on any machine."""

import logging
import threading
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from kombu.exceptions import OperationalError

from model.errors import StoreUnavailable
from worker.health import Health
from worker.jobs import JobState, JobStore, made_at
from worker.redis_client import RETRY_AFTER_S, connect, mapped
from worker.registry import WorkerRegistry
from worker.tasks import FIRST, LISTS, ORDINARY, QUEUE, RUN, celery_app

_TAKEN_WITHIN = timedelta(seconds=60)
"""A job that waits longer while none runs says that the workers, whatever they say, take none."""
_LATER_S = 1.0
"""Until a job that waits for others of its sort is tried again."""
_FORGOTTEN_AFTER = timedelta(seconds=15)
"""When a queued job that the broker may have lost is published again. Twice is once too often
but does no harm: a job is only started if it is queued."""

logger = logging.getLogger(__name__)


class CeleryQueue:
    """Publishes job ids; the jobs themselves are records in ``jobs``.

    checkpoint_sha256: what workers must serve for this front end to be ready; the presets it
        shows are of that checkpoint.
    """

    def __init__(
        self, broker_url: str, jobs: JobStore, registry: WorkerRegistry, *, checkpoint_sha256: str
    ) -> None:
        self.app = celery_app(broker_url)
        # redis-py's types allow for its asynchronous client.
        self._client: Any = connect(broker_url)
        self._jobs = jobs
        self._registry = registry
        self._checkpoint_sha256 = checkpoint_sha256

    def start(self) -> None:
        """Nothing to do: the workers are elsewhere."""

    def submit(self, job_id: str) -> None:
        """Tell the workers of a queued job.

        Raises:
            StoreUnavailable: within about two seconds if Redis is down or frozen.
        """
        self._publish(job_id, ORDINARY)

    def submit_first(self, job_id: str) -> None:
        """Tell the workers of a job that is back in its old place in the queue.

        Raises StoreUnavailable.
        """
        self._publish(job_id, FIRST)

    def submit_later(self, job_id: str) -> None:
        """Tell the workers in a moment of a job that could not run now. Housekeeping does, should
        this process end before."""
        timer = threading.Timer(_LATER_S, self._submit_if_possible, [job_id])
        timer.daemon = True
        timer.start()

    def _submit_if_possible(self, job_id: str) -> None:
        try:
            self.submit(job_id)
        except StoreUnavailable:
            logger.warning("job %s is left to housekeeping", job_id)

    def _publish(self, job_id: str, priority: int) -> None:
        try:
            self.app.send_task(RUN, args=[job_id], queue=QUEUE, priority=priority, retry=False)
        except OperationalError as error:
            # Not for clients, who are shown what is raised.
            logger.warning("the queue cannot be reached: %s", error)
            raise StoreUnavailable(
                "The queue in Redis cannot be reached; try again in a moment.",
                retry_after_s=RETRY_AFTER_S,
            ) from error
        self._jobs.published(job_id)

    def forgotten(self) -> list[str]:
        """Queued jobs that the broker may know nothing of, and that should be submitted again.

        There should be a message for every queued job. If there are fewer, a front end died
        before it published, or a worker with messages that it had not begun; the oldest
        missing ones are named, those of the last seconds left out.
        """
        missing = self._jobs.counts()[JobState.QUEUED] - self._backlog()
        if missing <= 0:
            return []
        return self._jobs.unpublished(before=datetime.now(UTC) - _FORGOTTEN_AFTER, count=missing)

    def health(self) -> Health:
        """Ready if a warm worker serves this checkpoint and jobs do not lie about."""
        try:
            workers = self._registry.workers()
            if not workers:
                return Health(False, "No worker is running; start one with 'sian worker'.")
            ours = [w for w in workers if w.checkpoint_sha256 == self._checkpoint_sha256]
            if not ours:
                return Health(
                    False, "The workers serve another checkpoint; set SIAN_CHECKPOINT alike."
                )
            if not any(worker.health.is_ready for worker in ours):
                return ours[0].health
            return self._progress()
        except StoreUnavailable as error:
            return Health(False, str(error))

    def expecting(self) -> AbstractContextManager[object]:
        return nullcontext()  # the batches are formed elsewhere

    def stop(self) -> None:
        """Close the connections; jobs go on in their workers."""
        self.app.close()
        self._client.close()

    def _backlog(self) -> int:
        """Messages that no worker has taken."""
        with mapped():
            return sum(self._client.llen(name) for name in LISTS)

    def _progress(self) -> Health:
        now = datetime.now(UTC)
        counts = self._jobs.counts()
        if counts[JobState.RUNNING] or not counts[JobState.QUEUED]:
            return Health(True)
        oldest = self._jobs.unpublished(before=now + timedelta(days=1), count=1)
        waits = bool(oldest) and now - made_at(oldest[0]) > _TAKEN_WITHIN
        if waits and not self._jobs.finished_since(now - _TAKEN_WITHIN):
            return Health(False, "Jobs wait and no worker takes them; see the workers' logs.")
        return Health(True)
