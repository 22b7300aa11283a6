"""GET and DELETE /jobs/{id}."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from app.dataset_jobs import end_dataset, read_dataset
from app.documents import job_document
from app.problems import documented
from app.schemas import JobDocument
from app.service import ServiceDep
from app.waiting import Moment, read
from model.errors import (
    JobExpired,
    JobUnknown,
    KeyInvalid,
    ParameterInvalid,
    StorageUnavailable,
    StoreUnavailable,
)
from worker.dataset.part import DatasetPart

NO_STORE = {"Cache-Control": "no-store"}
"""A job changes by itself."""

JobId = Annotated[
    str, Path(description="Id of the job.", examples=["3f0c9a7e5d1b4c86a2f4d8e19b7c6a50"])
]
Only = Annotated[
    Literal["cancel"] | None,
    Query(
        description="`cancel`: never remove. What has finished by the time that the request comes "
        "stays as it is.",
        examples=["cancel"],
    ),
]
CANCELED = (
    "now canceled; or as it has ended, where that was faster or `only=cancel` keeps it from being "
    "removed."
)
"""What DELETE answers 200 with."""

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}",
    summary="State of a job",
    responses=documented(KeyInvalid, JobUnknown, JobExpired, StoreUnavailable, 500),
)
def get_job(
    request: Request, response: Response, service: ServiceDep, job_id: JobId
) -> JobDocument:
    """Where a job stands, and links to the tiles that are stored."""
    response.headers.update(NO_STORE)
    return job_document(request, service, read(service.jobs, job_id))


@router.delete(
    "/jobs/{job_id}",
    summary="Cancel or remove a job",
    response_model=JobDocument,
    responses={
        200: {"description": f"The job, {CANCELED}"},
        204: {"description": "The job had finished; its tiles are removed."},
        **documented(
            KeyInvalid,
            JobUnknown,
            JobExpired,
            ParameterInvalid,
            StoreUnavailable,
            StorageUnavailable,
            500,
        ),
    },
)
def delete_job(
    request: Request, response: Response, service: ServiceDep, job_id: JobId, only: Only = None
) -> Response | JobDocument:
    """Cancel a job that has not finished: it is not started, or goes no further than the tiles
    that are stored, which stay until it expires. A job that has finished is removed with its
    tiles, and is expired from then on; with `only=cancel` it stays as it is. The job of a part of
    a dataset stands for all of it."""
    job = service.jobs.get(job_id)
    response.headers.update(NO_STORE)
    if isinstance(job.request, DatasetPart):
        dataset = read_dataset(service.jobs, job.request.dataset_id)
        if end_dataset(service, dataset, may_remove=only is None):
            return Response(status_code=204)
        return job_document(request, service, read(service.jobs, job_id))
    if job.is_finished and only is None:
        service.remove(job_id)
        return Response(status_code=204)
    return job_document(request, service, Moment(service.cancel(job_id), position=None))
