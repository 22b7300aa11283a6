"""Is the process alive, is it ready, and what does it serve."""

from dataclasses import asdict

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from app.problems import documented
from app.schemas import Health, ModelCard, Readiness
from app.service import ServiceDep

router = APIRouter(tags=["service"])


@router.get("/healthz", summary="Is the process alive", responses=documented(500))
async def healthz() -> Health:
    """Answers as long as the process does."""
    return Health(status="ok")


@router.get("/readyz", summary="Is it ready", responses=documented(500, 503))
async def readyz(service: ServiceDep) -> Readiness:
    """Answers 200 once a warm network is taking jobs. Jobs sent before are queued."""
    if not service.engine.is_ready:
        detail = "The network is being loaded; jobs that are sent now are queued."
        raise HTTPException(503, detail, {"Retry-After": "1"})
    return Readiness(status="ready", checkpoint=service.card.name, waiting=service.queue.waiting)


@router.get("/model", summary="The checkpoint", responses=documented(500))
async def get_model(service: ServiceDep) -> ModelCard:
    """The card of the checkpoint that is served."""
    fields = asdict(service.card)
    return ModelCard(**{name: fields[name] for name in ModelCard.model_fields})
