"""What all requests that make a job have in common: idempotency, a place in the line, waiting."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Header, Request
from fastapi.responses import Response

from app.auth import client_of
from app.decoding import decoding
from app.idempotency import identify
from app.negotiation import preferred_wait
from app.schemas import JobDocument
from app.service import Accepted, Service
from model import errors
from model.errors import RequestInFlight, SianError
from worker.jobs import Idempotency, Job

Prefer = Annotated[
    str | None,
    Header(
        description="`respond-async`: answer 202 at once. `wait=N`, alone or with it: answer "
        "202 if it is not done after N seconds. Without either the server waits as long as "
        "it is set to, 60 s.",
        examples=["respond-async"],
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Names the request, so that it can be sent again without being done "
        "again: 1 to 255 printable ASCII characters, a UUID for instance.",
        examples=['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    ),
]

HEADERS: dict[str, Any] = {
    "Content-Location": {"description": "The job.", "schema": {"type": "string"}},
    "Preference-Applied": {
        "description": "The preferences that were followed (RFC 7240).",
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": "`true`: the answer to an earlier request with the same Idempotency-Key.",
        "schema": {"type": "string"},
    },
}
NOT_DONE: dict[str, Any] = {
    "description": "Not done yet: the job. Follow its events, poll its link, or send "
    "`Prefer: wait=N`.",
    "model": JobDocument,
    "headers": {
        "Location": {"description": "The job.", "schema": {"type": "string"}},
        **HEADERS,
    },
}
"""The response 202."""
ERRORS: tuple[type[SianError] | int, ...] = (
    errors.ParameterInvalid,
    errors.UploadTooLarge,
    errors.IdempotencyMismatch,
    errors.KeyInvalid,
    errors.RequestInFlight,
    errors.JobCanceled,
    errors.JobExpired,
    errors.JobKindUnknown,
    errors.QueueFull,
    errors.RateLimited,
    errors.StoreUnavailable,
    errors.StorageUnavailable,
    errors.DeadlineExceeded,
    errors.OutOfMemory,
    errors.WorkerLost,
    errors.SynthesisFailed,
    400,
    415,
    500,
)
"""What may go wrong with any of them."""


async def submit(
    request: Request,
    service: Service,
    idempotency_key: str | None,
    *,
    sent: Mapping[str, Any],
    accept: Callable[[Idempotency | None], Accepted],
) -> Accepted:
    """The job of a request, which an earlier one with the same idempotency key may have made.

    Args:
        sent: everything that was asked for, as the client sent it.
        accept: looks into the files, stores them and queues the job; called in a thread, when
            there is a place for that.

    Raises what ``accept`` raises, QueueFull, IdempotencyMismatch, StoreUnavailable, ClientGone.
    """
    idempotency = None
    if idempotency_key is not None:
        idempotency = identify(idempotency_key, client=client_of(request), sent=dict(sent))
    known = await anyio.to_thread.run_sync(_look, service, idempotency)
    if known is not None:
        accepted = Accepted(known, is_new=False)
    else:
        async with decoding(request, service):
            accepted = await anyio.to_thread.run_sync(
                service.hangs.guard, partial(accept, idempotency)
            )
    request.state.job_id = accepted.job.id
    return accepted


async def finished(
    service: Service,
    accepted: Accepted,
    prefer: str | None,
    answer: Callable[[Job], Response],
) -> Response:
    """Wait for the job as long as the client prefers, and answer with what has become of it.

    answer: called in a thread.

    Raises what ``answer`` raises, RequestInFlight, JobUnknown, JobExpired.
    """
    job, is_new = accepted
    wait_s, applied = preferred_wait(prefer, longest_s=service.settings.response_wait_s)
    if is_new:
        job = await service.waiters.wait(service.jobs, job, wait_s)
    elif not job.is_finished and wait_s > 0:
        raise RequestInFlight(
            "The first request with this Idempotency-Key is still being worked on; follow its "
            "job, or send it again later.",
            job_id=job.id,
        )
    response = await anyio.to_thread.run_sync(answer, job)
    if applied is not None:
        response.headers["Preference-Applied"] = applied
    if not is_new:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _look(service: Service, idempotency: Idempotency | None) -> Job | None:
    """The job that is known; else whether there is room for another. Cheap, so that a full queue,
    or a store that is away, is said at once and not when those before have been decoded."""
    known = service.jobs.find(idempotency) if idempotency is not None else None
    if known is None:
        service.check_room()  # the store decides, when it comes to that
    return known
