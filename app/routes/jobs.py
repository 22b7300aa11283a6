"""GET /jobs/{id} and its outputs."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import JSONResponse, Response

from app.problems import documented
from app.schemas import JobDocument, JobError, JobLinks, OutputDocument, Progress
from app.service import Service, ServiceDep
from model.errors import JobExpired, JobUnknown, OutputUnknown, ParameterInvalid
from worker.jobs import Job, Output, expired

TILE_HEADERS: dict[str, Any] = {
    "X-Seed": {"description": "Seed of the tile.", "schema": {"type": "integer"}},
    "ETag": {"description": "SHA-256 of the tile, in quotes.", "schema": {"type": "string"}},
    "Content-Location": {"description": "The job.", "schema": {"type": "string"}},
}

JobId = Annotated[
    str, Path(description="Id of the job.", examples=["3f0c9a7e5d1b4c86a2f4d8e19b7c6a50"])
]
Index = Annotated[int, Path(description="Which tile, from 0.", examples=[0])]

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}",
    summary="State of a job",
    responses=documented(JobUnknown, JobExpired, 500),
)
def get_job(request: Request, service: ServiceDep, job_id: JobId) -> JobDocument:
    """Where a job stands, and links to the tiles that are stored."""
    return job_document(request, service, service.jobs.get(job_id))


@router.get(
    "/jobs/{job_id}/outputs/{index}",
    summary="A tile",
    name="get_output",
    response_class=Response,
    responses={
        200: {
            "description": "The tile. Its text chunks say what it was made from.",
            "content": {
                "image/png": {"schema": {"type": "string", "contentMediaType": "image/png"}}
            },
            "headers": TILE_HEADERS,
        },
        304: {"description": "The client's copy, named by If-None-Match, is the tile."},
        **documented(JobUnknown, JobExpired, OutputUnknown, ParameterInvalid, 500),
    },
)
def get_output(
    request: Request,
    service: ServiceDep,
    job_id: JobId,
    index: Index,
    if_none_match: Annotated[
        str | None,
        Header(
            description="ETag of a copy the client has.",
            examples=['"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"'],
        ),
    ] = None,
) -> Response:
    """The PNG of one tile, as soon as it is stored."""
    job = service.jobs.get(job_id)
    etag = f'"{_output(job, index).sha256}"'
    known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers={"ETag": etag})
    return output_response(service, job, index)


@router.get(
    "/jobs/{job_id}/outputs/{index}/manifest",
    summary="What a tile was made from",
    name="get_manifest",
    response_class=JSONResponse,
    responses=documented(JobUnknown, JobExpired, OutputUnknown, ParameterInvalid, 500),
)
def get_manifest(service: ServiceDep, job_id: JobId, index: Index) -> Response:
    """Checkpoint, code version, seed, style, mask, licence and time, as JSON."""
    job = service.jobs.get(job_id)
    _output(job, index)
    return Response(_file(service, job, f"{index}.json"), media_type="application/json")


def output_response(service: Service, job: Job, index: int) -> Response:
    """The PNG of a stored tile."""
    output = _output(job, index)
    return Response(
        _file(service, job, f"{index}.png"),
        media_type="image/png",
        headers={"ETag": f'"{output.sha256}"', "X-Seed": str(output.seed)},
    )


def job_document(request: Request, service: Service, job: Job) -> JobDocument:
    """The JSON form of a job. Links are paths from the root, so that they hold behind a proxy
    of any name, but not behind one that strips a prefix."""
    error = None
    if job.failure is not None:
        error = JobError(code=job.failure.code, detail=job.failure.message)
    retention = timedelta(hours=service.settings.retention_hours)
    return JobDocument(
        id=job.id,
        status=job.state,
        error=error,
        progress=Progress(done=len(job.outputs), total=job.request.n),
        seed=job.request.seed,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        expires_at=None if job.finished_at is None else job.finished_at + retention,
        links=JobLinks(self=request.url_for("get_job", job_id=job.id).path),
        outputs=[
            OutputDocument(
                href=request.url_for("get_output", job_id=job.id, index=index).path,
                manifest=request.url_for("get_manifest", job_id=job.id, index=index).path,
                seed=output.seed,
                sha256=output.sha256,
            )
            for index, output in enumerate(job.outputs)
        ],
    )


def _output(job: Job, index: int) -> Output:
    if not 0 <= index < len(job.outputs):
        raise OutputUnknown(
            f"Job {job.id!r} has no tile {index}: it asks for {job.request.n}, and "
            f"{len(job.outputs)} are stored so far (it is {job.state})."
        )
    return job.outputs[index]


def _file(service: Service, job: Job, name: str) -> bytes:
    try:
        return service.artifacts.get(job.id, name)
    except FileNotFoundError:
        # Expired between the record's reading and the file's.
        raise expired(job.id) from None
