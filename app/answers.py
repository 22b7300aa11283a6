"""What a request that makes a job is answered with, once it has waited for that."""

from collections.abc import Callable

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from app.documents import job_document
from app.problems import problem, status_of
from app.routes.jobs import NO_STORE
from app.schemas import JobDocument
from app.service import Service
from app.waiting import Moment
from model.errors import JobCanceled, OutOfMemory, StorageUnavailable, StoreUnavailable
from worker.jobs import Job, JobState

JSON = "application/json"

_PASSING = frozenset({OutOfMemory.code, StorageUnavailable.code})
"""What may be otherwise in a minute: others use the same device, a disk is cleared."""
_RETRY_AFTER_S = 60
_AGAIN = "Send the request again, with a new Idempotency-Key if it has one."


def answer(
    request: Request,
    service: Service,
    job: Job,
    *,
    result: Callable[[Job], Response] | None = None,
) -> Response:
    """What the job has made, the job or the problem.

    result: what a job that has succeeded is answered with; the job itself if that is None.

    Raises JobExpired.
    """
    document = job_document(request, service, Moment(job, _position(service, job)))
    if job.failure is not None:
        code, detail, retry_after_s = job.failure.code, job.failure.message, None
        if code in _PASSING:
            detail, retry_after_s = f"{detail} {_AGAIN}", _RETRY_AFTER_S
        return _problem(request, code, detail, document, retry_after_s)
    if job.state is JobState.CANCELED:
        return _problem(request, JobCanceled.code, f"The job was canceled. {_AGAIN}", document)
    if job.state is JobState.SUCCEEDED and result is not None:
        try:
            response = result(job)
        except StorageUnavailable as error:
            # It is made, and is to be had at the job when files can be read again.
            detail = (
                f"The {job.request.kind} is made, and cannot be read now; follow its job. {error}"
            )
            return _problem(request, error.code, detail, document, error.retry_after_s)
    else:
        status = 200 if job.is_finished else 202
        response = JSONResponse(document.model_dump(mode="json"), status, NO_STORE)
        if job.request.seed is not None:
            response.headers["X-Seed"] = str(job.request.seed)
        if status == 202:
            response.headers["Location"] = document.links.self
    response.headers["Content-Location"] = document.links.self
    return response


def _problem(
    request: Request,
    code: str,
    detail: str,
    document: JobDocument,
    retry_after_s: int | None = None,
) -> Response:
    path = document.links.self
    headers = {"Content-Location": path}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return problem(request, status_of(code), code, detail, headers=headers, job=path)


def _position(service: Service, job: Job) -> int | None:
    if job.state is not JobState.QUEUED:
        return None
    try:
        return service.jobs.position(job.id)
    except StoreUnavailable:
        return None  # the job is accepted, and whoever sent it should learn its id
