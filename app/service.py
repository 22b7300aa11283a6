"""What the routes work with: accept a request, cancel or remove its job."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple, Protocol

import anyio
from fastapi import Depends, Request

from app.canceling import cancel
from app.hangs import Hangs
from app.keys import Keyring
from app.rate_limit import RateLimit
from app.settings import Settings
from app.waiting import Waiters
from model.checkpoint import Card
from model.errors import QueueFull, StorageUnavailable, StoreUnavailable
from model.styles import StyleBank
from worker.artifacts import Artifacts
from worker.custom_styles import CustomStyles
from worker.inputs import style_input
from worker.job_request import JobRequest
from worker.jobs import Idempotency, Job, JobState, JobStore, full, new_job_id
from worker.queue import Queue

_LINE_RETRY_AFTER_S = 5
_DECODERS = 2
"""Uploads decoded at the same time; each may need several hundred MiB."""

logger = logging.getLogger(__name__)


class Accepted(NamedTuple):
    """is_new: the job was created for this request; else it is that of an earlier one with the
    same idempotency key."""

    job: Job
    is_new: bool


class Part(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Service:
    """parts: what starts and stops with the service, in the order of starting.
    worker_metrics: by name, what workers say of themselves to Prometheus. Raises
        StoreUnavailable.
    stopping: set when the server is told to stop, before it does.
    """

    settings: Settings
    card: Card
    styles: StyleBank
    jobs: JobStore
    artifacts: Artifacts
    queue: Queue
    waiters: Waiters
    parts: tuple[Part, ...]
    keyring: Keyring
    rate_limit: RateLimit | None
    worker_metrics: Callable[[], dict[str, str]]
    stopping: threading.Event = field(default_factory=threading.Event)
    hangs: Hangs = field(default_factory=Hangs)
    decoders: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(_DECODERS)
    )

    def accept(
        self,
        request: JobRequest,
        files: Mapping[str, bytes],
        *,
        deadline_at: datetime | None = None,
        idempotency: Idempotency | None = None,
    ) -> Accepted:
        """Store a request that has been validated, and queue it.

        Args:
            files: those of the request, by their names among the artifacts of the job.

        Raises:
            QueueFull, IdempotencyMismatch, StoreUnavailable, StorageUnavailable
        """
        job_id = new_job_id()
        try:
            # Files first: whatever is queued can be run, whatever happens to this process.
            for name, data in files.items():
                self.artifacts.put(job_id, name, data)
            job = self.jobs.create(
                job_id,
                request,
                limit=self.settings.queue_limit,
                deadline_at=deadline_at,
                idempotency=idempotency,
            )
        except StoreUnavailable:
            # With a key it is found when the request is sent again, or was by another already.
            if idempotency is None:
                self._take_back(job_id)
            raise
        except Exception:
            self._remove_files(job_id)
            raise
        if job.id != job_id:  # another request with this key was faster
            self._remove_files(job_id)
            return Accepted(job, is_new=False)
        logger.info("job %s is accepted", job_id)
        self.publish(job_id)
        return Accepted(job, is_new=True)

    def publish(self, job_id: str) -> None:
        """Tell the queue of a job that was created."""
        try:
            self.queue.submit(job_id)
        except StoreUnavailable as error:
            # The job is on record, so it is accepted; a worker's housekeeping will find it.
            logger.warning("job %s is not published yet: %s", job_id, error)

    @property
    def custom_styles(self) -> CustomStyles:
        return CustomStyles(self.artifacts, self.card, limit=self.settings.max_styles)

    def check_style_image(self, image: bytes, *, mpp: float | None) -> None:
        """Raises StyleError, the one that applies, if a style image cannot be used. mpp: its
        micrometres per pixel; None means the checkpoint's."""
        max_pixels = int(self.settings.max_style_mpx * 1e6)
        style_input(image, mpp=mpp, network_mpp=self.card.mpp, max_pixels=max_pixels)

    def check_room(self) -> None:
        """Raises QueueFull if another job would not be accepted now; StoreUnavailable."""
        limit = self.settings.queue_limit
        if self.jobs.counts()[JobState.QUEUED] >= limit:
            raise full(limit, self.jobs.finished_since(datetime.now(UTC) - timedelta(minutes=1)))

    def check_line(self) -> None:
        """Raises QueueFull if no more requests may wait for a decoder, which keep their uploads
        meanwhile: as many may as jobs may be queued."""
        if self.decoders.statistics().tasks_waiting >= self.settings.queue_limit:
            raise QueueFull(
                "Too many requests wait for their mask and style to be read; "
                "send the request again later.",
                retry_after_s=_LINE_RETRY_AFTER_S,
            )

    def cancel(self, job_id: str) -> Job:
        """Cancel an unfinished job; a finished one stays as it is.

        Raises JobUnknown, JobExpired, StoreUnavailable.
        """
        return cancel(self.jobs, lambda: self.artifacts, job_id)

    def remove(self, job_id: str) -> None:
        """Remove a finished job's files and keep its tombstone.

        Raises StoreUnavailable, StorageUnavailable.
        """
        self.artifacts.remove(job_id)
        self.jobs.expire(job_id)

    def _take_back(self, job_id: str) -> None:
        """The store failed while a job was created, which may have come about all the same. If
        that cannot be undone, the job keeps its files and will run; without a record, its files
        are an orphan's and the housekeeper removes them."""
        try:
            self.jobs.discard(job_id)
        except StoreUnavailable as error:
            logger.warning("job %s may have been created: %s", job_id, error)
        else:
            self._remove_files(job_id)

    def _remove_files(self, job_id: str) -> None:
        try:
            self.artifacts.remove(job_id)
        except StorageUnavailable as error:
            logger.warning("files of job %s are left: %s", job_id, error)

    def start(self) -> None:
        """Take up what the last process left, and begin to work. Raises StoreUnavailable."""
        for part in self.parts:
            part.start()

    def stop(self) -> None:
        """Finish the batch on the device; the rest waits for the next process."""
        for part in reversed(self.parts):
            part.stop()
        if self.rate_limit is not None:
            self.rate_limit.close()
        self.artifacts.close()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
