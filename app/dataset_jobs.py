"""A dataset as the jobs of its parts: accepted, read, canceled and removed together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from app.service import Accepted, Service
from model.errors import JobCanceled, JobExpired, JobUnknown, QueueFull, StoreUnavailable
from worker.dataset.part import DatasetPart, divide
from worker.dataset.request import DatasetRequest
from worker.jobs import (
    Failure,
    Idempotency,
    Job,
    JobState,
    JobStore,
    expired,
    new_job_id,
    unknown,
)

_ROOM_AGAIN_S = 60

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
    def failure(self) -> Failure | None:
        """Why it failed. Parts that end because another has are no reason."""
        failures = [job.failure for job in self.jobs if job.failure is not None]
        return next((each for each in failures if each.code != JobCanceled.code), None)

    @property
    def state(self) -> JobState:
        """Failed or canceled as soon as a part is, succeeded when all are."""
        if self.failure is not None:
            return JobState.FAILED
        states = {job.state for job in self.jobs}
        if states & {JobState.CANCELED, JobState.FAILED}:
            return JobState.CANCELED
        return states.pop() if len(states) == 1 else JobState.RUNNING

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
    first, *others = divide(
        request, dataset_id, checkpoint_sha256=service.card.sha256, most=limit // 2
    )
    _check_room(service.jobs, 1 + len(others), limit)
    created: list[str] = []
    try:
        for part, job_id in zip(others, first.job_ids()[1:], strict=True):
            service.jobs.create(job_id, part, limit=limit)
            created.append(job_id)
        # Last, since it is the one that makes a dataset of them: parts without it come to nothing.
        job = service.jobs.create(dataset_id, first, limit=limit, idempotency=idempotency)
    except Exception:
        _take_back(service.jobs, [dataset_id, *created])
        raise
    if job.id != dataset_id:  # another request with this key was faster
        _take_back(service.jobs, created)
        return Accepted(job, is_new=False)
    logger.info("dataset %s of %d tiles is accepted", dataset_id, request.count)
    for job_id in first.job_ids():
        service.publish(job_id)
    return Accepted(job, is_new=True)


def _check_room(jobs: JobStore, parts: int, limit: int) -> None:
    """Raises QueueFull if the parts of all datasets would fill more than half of the queue."""
    waiting = sum(_is_part(jobs, job_id) for job_id in jobs.queued())
    if waiting + parts > max(1, limit // 2):
        raise QueueFull(
            f"{waiting} parts of datasets are waiting, and this service keeps half of its queue "
            "for other requests; send the request again when a dataset is done.",
            retry_after_s=_ROOM_AGAIN_S,
        )


def _is_part(jobs: JobStore, job_id: str) -> bool:
    try:
        return isinstance(jobs.get(job_id).request, DatasetPart)
    except (JobUnknown, JobExpired):
        return False


def read_dataset(jobs: JobStore, dataset_id: str) -> Dataset:
    """Raises JobUnknown, JobExpired, StoreUnavailable."""
    try:
        first = jobs.get(dataset_id)
    except JobUnknown:
        raise unknown(dataset_id, "dataset") from None
    except JobExpired:
        raise expired(dataset_id, "dataset") from None
    part = first.request
    if not isinstance(part, DatasetPart) or part.part != 0:
        raise unknown(dataset_id, "dataset")
    try:
        return Dataset((first, *(jobs.get(job_id) for job_id in part.job_ids()[1:])))
    except (JobUnknown, JobExpired):
        raise expired(dataset_id, "dataset") from None


def end_dataset(service: Service, dataset: Dataset, *, may_remove: bool) -> bool:
    """Cancel what has not finished of a dataset; or, if all has and it may be, remove its tiles.
    Whether they are removed.

    Raises StoreUnavailable, StorageUnavailable.
    """
    if not (dataset.is_finished and may_remove):
        for job in dataset.jobs:
            if not job.is_finished:
                service.jobs.cancel(job.id)
        return False
    for job in dataset.jobs:  # harmless to do again, should one fail
        service.artifacts.remove(job.id)
    for job in reversed(dataset.jobs):
        service.jobs.expire(job.id)
    return True


def _take_back(jobs: JobStore, job_ids: Sequence[str]) -> None:
    """The first goes first: if it stays, the dataset stands, and is made."""
    for job_id in job_ids:
        try:
            jobs.discard(job_id)
        except StoreUnavailable as error:
            logger.warning("a dataset may have been accepted: %s", error)
            return
