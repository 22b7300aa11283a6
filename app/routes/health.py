"""Is the process alive, is it ready, what does it serve, and how is it doing."""

from dataclasses import asdict

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from app import metrics
from app.problems import documented
from app.schemas import Health, ModelCard, Readiness
from app.service import Service, ServiceDep
from model.errors import KeyInvalid, StoreUnavailable
from worker.health import Health as WorkerHealth
from worker.jobs import JobState

router = APIRouter(tags=["service"])


@router.get("/healthz", summary="Is the process alive", responses=documented(500))
async def healthz() -> Health:
    """Answers as long as the process does."""
    return Health(status="ok")


@router.get("/readyz", summary="Is it ready", responses=documented(500, 503))
def readyz(service: ServiceDep) -> Readiness:
    """Answers 200 as long as a warm network takes jobs and makes progress. Jobs that are sent
    before it does are queued. When the server is told to stop, this is the first to know."""
    health, waiting = _health(service)
    if not health.is_ready:
        raise HTTPException(503, health.reason, {"Retry-After": "1"})
    return Readiness(status="ready", checkpoint=service.card.name, waiting=waiting)


@router.get("/model", summary="The checkpoint", responses=documented(KeyInvalid, 500))
async def get_model(service: ServiceDep) -> ModelCard:
    """The card of the checkpoint that is served."""
    fields = asdict(service.card)
    return ModelCard(**{name: fields[name] for name in ModelCard.model_fields})


@router.get(
    "/metrics",
    summary="How it is doing",
    response_class=PlainTextResponse,
    responses=documented(KeyInvalid, 500),
)
def get_metrics(request: Request, service: ServiceDep) -> Response:
    """Requests, jobs, queue and workers in Prometheus' text format."""
    text = metrics.exposition(request.app.state.http_metrics, service)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _health(service: Service) -> tuple[WorkerHealth, int]:
    """And how many jobs wait."""
    if service.stopping.is_set():
        return WorkerHealth(False, "The server is stopping."), 0
    health = service.queue.health()
    if not health.is_ready:
        return health, 0
    try:
        return health, service.jobs.counts()[JobState.QUEUED]
    except StoreUnavailable as error:
        return WorkerHealth(False, str(error)), 0
