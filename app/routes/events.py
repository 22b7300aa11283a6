"""GET /jobs/{id}/events: a job's changes as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic import BaseModel

from app.documents import job_document
from app.problems import documented
from app.routes.jobs import JobId
from app.schemas import JobDocument
from app.service import Service, ServiceDep
from app.waiting import Moment, read
from model.errors import JobExpired, JobUnknown, KeyInvalid, RateLimited, StoreUnavailable

KEEP_ALIVE_S = 15.0
"""Proxies cut connections that are silent for longer, commonly after 60 s."""
RETRY_MS = 2000

# Nothing on the way may keep events back: neither a cache nor nginx's buffer.
UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def stream_of(name: str, document: type[BaseModel]) -> dict[str, Any]:
    """A stream of events of one name, each with a document, as OpenAPI 3.2 describes it."""
    event = {
        "type": "object",
        "required": ["event", "id", "data"],
        "properties": {
            "event": {"type": "string", "const": name},
            "id": {"type": "string", "description": "For Last-Event-ID."},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": f"#/components/schemas/{document.__name__}"},
            },
        },
    }
    return {EventSourceResponse.media_type: {"itemSchema": event}}


router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}/events",
    summary="A job as it changes",
    # FastAPI would take a route with the response class of events for a generator of them; this
    # one answers before it begins to stream.
    response_class=Response,
    responses={
        200: {
            "description": "Events named `job`, each with the whole job as in `GET /jobs/{id}`; "
            "the last when it has finished.",
            "content": stream_of("job", JobDocument),
        },
        204: {"description": "The job has finished and the client knows; there is no more."},
        **documented(KeyInvalid, JobUnknown, JobExpired, RateLimited, StoreUnavailable, 500),
    },
)
async def get_events(
    request: Request,
    service: ServiceDep,
    job_id: JobId,
    last_event_id: Annotated[
        str | None,
        Header(description="Id of the last event the client has; it goes on after it.",
               examples=["2-0"]),
    ] = None,
) -> Response:  # fmt: skip
    """The job now, and again whenever its state, its tiles or its position in the queue change.
    The stream ends with the job, or when the server stops or loses its records; clients then
    connect again, as browsers do by themselves."""
    service.waiters.check_followers()
    now = await asyncio.to_thread(read, service.jobs, job_id)
    if now.job.is_finished and last_event_id == _id(now):
        return Response(status_code=204)  # tells browsers not to connect again
    if request.method == "HEAD":
        return Response(media_type=EventSourceResponse.media_type, headers=UNBUFFERED)
    events = _events(request, service, job_id, last_event_id)
    return EventSourceResponse(events, headers=UNBUFFERED)


async def _events(
    request: Request, service: Service, job_id: str, seen: str | None
) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=RETRY_MS)
    moments = service.waiters.follow(service.jobs, job_id, idle_s=KEEP_ALIVE_S)
    async with aclosing(moments):
        try:
            async for moment in moments:
                if _id(moment) == seen:
                    yield KEEPALIVE_COMMENT
                    continue
                seen = _id(moment)
                document = job_document(request, service, moment)
                yield format_sse_event(event="job", data_str=document.model_dump_json(), id=seen)
        except (JobUnknown, JobExpired, StoreUnavailable):
            return  # whoever connects again is told why


def _id(moment: Moment) -> str:
    """Differs where the document does."""
    version = str(moment.job.version)
    return version if moment.position is None else f"{version}-{moment.position}"
