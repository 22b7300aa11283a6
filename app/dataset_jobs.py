"""A dataset as the jobs of its parts: accepted, read, canceled and removed together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from app.service import Accepted, Service
from model.errors import JobExpired, JobUnknown, StoreUnavailable
from worker.dataset.part import DatasetPart, divide
from worker.dataset.request import DatasetRequest
from worker.jobs import Idempotency, Job, JobState, JobStore, new_job_id, unknown

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """The jobs of all parts of a dataset, as they stood; the first has its id."""

    jobs: tuple[Job, ...]

    @property
    def id(self) -> str:
        return self.jobs[0].id

    @property
    def parts(self) -> list[DatasetPart]:
        return [part for job in self.jobs if isinstance(part := job.request, DatasetPart)]

    @property
    def request(self) -> DatasetRequest:
        return self.parts[0].dataset

    @property
    def state(self) -> JobState:
        """Failed or canceled as soon as a part is, succeeded when all are."""
        states = {job.state for job in self.jobs}
        for state in (JobState.FAILED, JobState.CANCELED):
            if state in states:
                return state
        if len(states) == 1:
            return states.pop()
        return JobState.RUNNING

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is done for it. It may have failed before."""
        return all(job.is_finished for job in self.jobs)

    @property
    def done(self) -> int:
        """Tiles that are stored."""
        return sum(len(job.outputs) for job in self.jobs)

    @property
    def version(self) -> int:
        """Grows with every change."""
        return sum(job.version for job in self.jobs)


def accept_dataset(
    service: Service, request: DatasetRequest, idempotency: Idempotency | None
) -> Accepted:
    """Queue the parts of a dataset; the job of the first.

    Raises:
        QueueFull, IdempotencyMismatch, StoreUnavailable
    """
    dataset_id, limit = new_job_id(), service.settings.queue_limit
    # Half of the queue is left to others.
    first, *others = divide(request, dataset_id, most=limit // 2)
    created: list[str] = []
    try:
        for part, job_id in zip(others, first.job_ids()[1:], strict=True):
            service.jobs.create(job_id, part, limit=limit)
            created.append(job_id)
        # Last, since it is the one that makes a dataset of them: parts without it come to nothing.
        job = service.jobs.create(dataset_id, first, limit=limit, idempotency=idempotency)
    except Exception:
        _take_back(service.jobs, [*created, dataset_id])
        raise
    if job.id != dataset_id:  # another request with this key was faster
        _take_back(service.jobs, created)
        return Accepted(job, is_new=False)
    logger.info("dataset %s of %d tiles is accepted", dataset_id, request.count)
    for job_id in first.job_ids():
        service.publish(job_id)
    return Accepted(job, is_new=True)


def read_dataset(jobs: JobStore, dataset_id: str) -> Dataset:
    """Raises JobUnknown, JobExpired, StoreUnavailable."""
    first = jobs.get(dataset_id)
    part = first.request
    if not isinstance(part, DatasetPart) or part.part != 0:
        raise unknown(dataset_id)
    return Dataset((first, *(jobs.get(job_id) for job_id in part.job_ids()[1:])))


def cancel_dataset(service: Service, dataset: Dataset) -> None:
    """Cancel what has not finished. Raises StoreUnavailable."""
    for job in dataset.jobs:
        if not job.is_finished:
            service.jobs.cancel(job.id)


def remove_dataset(service: Service, dataset: Dataset) -> None:
    """Remove the tiles of a finished dataset. Raises StoreUnavailable, StorageUnavailable."""
    for job in reversed(dataset.jobs):  # as long as the first is there, it can be tried again
        service.remove(job.id)


def _take_back(jobs: JobStore, job_ids: Sequence[str]) -> None:
    for job_id in job_ids:
        try:
            jobs.discard(job_id)
        except (StoreUnavailable, JobUnknown, JobExpired) as error:
            logger.warning("part %s of a dataset that was not accepted is left: %s", job_id, error)
