"""The JSON form of a job."""

from datetime import timedelta

from fastapi import Request

from app.schemas import (
    ONLY_CANCEL,
    JobDocument,
    JobError,
    JobLinks,
    OutputDocument,
    Progress,
)
from app.service import Service
from app.waiting import Moment
from worker.dataset.part import DatasetPart
from worker.job_request import StyleRequest
from worker.jobs import Job, JobState, Output


def job_document(request: Request, service: Service, moment: Moment) -> JobDocument:
    """Links are paths from the root, so that they hold behind a proxy of any name, but not
    behind one that strips a prefix."""
    job = moment.job
    error = None
    if job.failure is not None:
        error = JobError(code=job.failure.code, detail=job.failure.message)
    retention = timedelta(hours=service.settings.retention_hours)
    self = job_path(request, job.id)
    return JobDocument(
        id=job.id,
        kind=job.request.kind,
        status=job.state,
        position=moment.position,
        attempts=job.attempts,
        error=error,
        progress=_progress(job),
        seed=job.request.seed,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        expires_at=None if job.finished_at is None else job.finished_at + retention,
        deadline_at=job.deadline_at,
        links=JobLinks(
            self=self,
            events=request.url_for("get_events", job_id=job.id).path,
            cancel=None if job.is_finished else f"{self}{ONLY_CANCEL}",
            remove=self if job.is_finished else None,
            dataset=_dataset_path(request, job),
            style=_style_path(request, job),
        ),
        outputs=[
            OutputDocument(
                href=request.url_for("get_output", job_id=job.id, index=index).path,
                manifest=request.url_for("get_manifest", job_id=job.id, index=index).path,
                seed=output.seed,
                sha256=output.sha256,
            )
            for index, output in enumerate(_listed(job))
        ],
    )


def _progress(job: Job) -> Progress:
    if job.progress is not None:
        return Progress(done=job.progress.done, total=job.progress.total, unit="windows")
    return Progress(done=len(job.outputs), total=job.request.n, unit=job.request.unit)


def _listed(job: Job) -> tuple[Output, ...]:
    """Not the hundreds of a part of a dataset, with every tile that is added."""
    return () if isinstance(job.request, DatasetPart) else job.outputs


def _dataset_path(request: Request, job: Job) -> str | None:
    part = job.request
    if not isinstance(part, DatasetPart):
        return None
    return request.url_for("get_dataset", dataset_id=part.dataset_id).path


def _style_path(request: Request, job: Job) -> str | None:
    wanted = job.request
    if not isinstance(wanted, StyleRequest) or wanted.name is None:
        return None
    if job.state is not JobState.SUCCEEDED:
        return None
    return request.url_for("get_style", name=wanted.name).path


def job_path(request: Request, job_id: str) -> str:
    """Path of ``GET /jobs/{id}``."""
    return request.url_for("get_job", job_id=job_id).path
