"""The outputs of jobs, tiles above all, and what each was made from."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from app import ranges
from app.problems import documented
from app.routes.jobs import JobId
from app.service import Service, ServiceDep
from app.stored_tiles import JSON, PNG, TIFF, ZIP, StoredTile, file_of, output_of
from model.errors import (
    JobExpired,
    JobUnknown,
    KeyInvalid,
    OutputUnknown,
    ParameterInvalid,
    StorageUnavailable,
    StoreUnavailable,
)
from worker.job_request import JobRequest
from worker.jobs import Job

TILE_CONTENT: dict[str, Any] = {
    media_type: {"schema": {"type": "string", "contentMediaType": media_type}}
    for media_type in (PNG, TIFF, ZIP)
}
_OUTPUT_CONTENT: dict[str, Any] = {**TILE_CONTENT, JSON: {"schema": {"type": "object"}}}
TILE_HEADERS: dict[str, Any] = {
    "X-Seed": {"description": "Seed of the tile.", "schema": {"type": "integer"}},
    "ETag": {"description": "SHA-256 of the tile, in quotes.", "schema": {"type": "string"}},
}
CACHED: dict[str, Any] = {
    "Cache-Control": {
        "description": "It never changes, and is there until the job expires.",
        "schema": {"type": "string"},
    }
}

_ETAG = '"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"'
_ERRORS = (
    KeyInvalid,
    JobUnknown,
    JobExpired,
    OutputUnknown,
    ParameterInvalid,
    StoreUnavailable,
    StorageUnavailable,
    500,
)

Index = Annotated[int, Path(description="Which tile, from 0.", examples=[0])]

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}/outputs/{index}",
    summary="A tile, or an encoded style",
    name="get_output",
    response_class=Response,
    responses={
        200: {
            "description": "The tile, whose text chunks say what it was made from; or the encoded "
            "style.",
            "content": _OUTPUT_CONTENT,
            "headers": {**TILE_HEADERS, **CACHED},
        },
        206: {
            "description": "The part of the file that Range asks for.",
            "content": {**TILE_CONTENT, JSON: {"schema": {"type": "string"}}},
            "headers": {
                **TILE_HEADERS,
                **CACHED,
                "Content-Range": {
                    "description": "Which part it is, and the size of the whole.",
                    "schema": {"type": "string"},
                },
            },
        },
        304: {"description": "The client's copy, named by If-None-Match, is the tile."},
        **documented(*_ERRORS, 416),
    },
)
def get_output(
    request: Request,
    service: ServiceDep,
    job_id: JobId,
    index: Index,
    if_none_match: Annotated[
        str | None, Header(description="ETag of a copy the client has.", examples=[_ETAG])
    ] = None,
    range_: Annotated[
        str | None,
        Header(alias="Range", description="One part of the tile.", examples=["bytes=1000-"]),
    ] = None,
    if_range: Annotated[
        str | None,
        Header(description="ETag of the tile the part should be of.", examples=[_ETAG]),
    ] = None,
) -> Response:
    """One output, as soon as it is stored: of a job for tiles a PNG, or of a mask above 1024 px a
    side a TIFF; of a job for a style its vector and origin as JSON; of a part of a dataset a ZIP
    with a tile, its mask and annotations."""
    job = service.jobs.get(job_id)
    etag = f'"{output_of(job, index).sha256}"'
    known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    caching = _cache_control(service, job)
    if etag in known or "*" in known:
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": caching})
    tile, headers = StoredTile(service, job, index), {"Cache-Control": caching}
    # Only GET has parts.
    if request.method != "GET" or if_range not in (None, etag):
        return tile.whole(headers, has_body=request.method == "GET")
    try:
        part = ranges.requested(range_, tile.size)
    except ranges.NotSatisfiable:
        detail = f"The tile has {tile.size} bytes, and none of them are in {range_!r}."
        raise HTTPException(416, detail, {"Content-Range": f"bytes */{tile.size}"}) from None
    return tile.whole(headers) if part is None else tile.part(part, headers)


@router.get(
    "/jobs/{job_id}/outputs/{index}/manifest",
    summary="What a tile was made from",
    name="get_manifest",
    response_class=JSONResponse,
    responses=documented(*_ERRORS),
)
def get_manifest(service: ServiceDep, job_id: JobId, index: Index) -> Response:
    """Checkpoint, code version, seed, style, mask, licence and time, as JSON."""
    job = service.jobs.get(job_id)
    output_of(job, index)
    return Response(
        file_of(service, job, f"{index}.json"),
        media_type="application/json",
        headers={"Cache-Control": _cache_control(service, job)},
    )


def tile_media_type(request: JobRequest) -> str:
    """What a tile of this request is stored as."""
    return TIFF if request.large else PNG


def _cache_control(service: Service, job: Job) -> str:
    """For the client alone and not beyond the time that the job is kept."""
    retention = timedelta(hours=service.settings.retention_hours)
    left = (job.finished_at or datetime.now(UTC)) + retention - datetime.now(UTC)
    return f"private, immutable, max-age={max(0, int(left.total_seconds()))}"
