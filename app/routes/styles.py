"""GET /styles: the organ presets."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app.problems import documented
from app.schemas import (
    Exemplar,
    StyleDocument,
    StyleLinks,
    StylesDocument,
    StyleStatistics,
    StyleSummary,
)
from app.service import Service, ServiceDep
from model.errors import KeyInvalid, StorageUnavailable, StyleUnknown
from model.styles import StyleVector
from worker.thumbnails import thumbnail_scope

Organ = Annotated[str, Path(description="Name of a preset.", examples=["kidney"])]

router = APIRouter(tags=["styles"])


@router.get("/styles", summary="The presets", responses=documented(KeyInvalid, 500))
def get_styles(request: Request, service: ServiceDep) -> StylesDocument:
    """Organs whose stain and texture can be asked for by name."""
    return StylesDocument(
        style_dim=service.card.style_dim,
        styles=[
            StyleSummary(
                organ=organ,
                exemplars=len(service.styles.exemplars(organ)),
                spread=_spread(service.styles.exemplars(organ)),
                links=_links(request, organ),
            )
            for organ in service.styles.organs
        ],
    )


@router.get("/styles/{organ}", summary="One preset", responses=documented(KeyInvalid, 404, 500))
def get_style(request: Request, service: ServiceDep, organ: Organ) -> StyleDocument:
    """The style vectors of a preset, where they come from, and their statistics."""
    vectors = _exemplars(service, organ)
    return StyleDocument(
        organ=organ,
        style_dim=service.card.style_dim,
        exemplars=[
            Exemplar(vector=vector.tolist(), source=source)
            for vector, source in zip(vectors, service.card.styles[organ], strict=True)
        ],
        statistics=StyleStatistics(
            mean=vectors.mean(axis=0).tolist(), std=vectors.std(axis=0).tolist()
        ),
        links=_links(request, organ),
    )


@router.get(
    "/styles/{organ}/thumbnail",
    summary="What a preset looks like",
    response_class=Response,
    responses={
        200: {
            "description": "A synthetic tile, 128 x 128.",
            "content": {
                "image/png": {"schema": {"type": "string", "contentMediaType": "image/png"}}
            },
        },
        **documented(KeyInvalid, StorageUnavailable, 404, 500, 503),
    },
)
def get_thumbnail(service: ServiceDep, organ: Organ) -> Response:
    """A tile in this style, painted when the network was loaded."""
    _exemplars(service, organ)
    try:
        png = service.artifacts.get(thumbnail_scope(service.card.sha256), f"{organ}.png")
    except FileNotFoundError:
        detail = "The thumbnails are painted while the network warms up; ask again shortly."
        raise HTTPException(503, detail, {"Retry-After": "5"}) from None
    return Response(png, media_type="image/png")


def _exemplars(service: Service, organ: str) -> StyleVector:
    try:
        return service.styles.exemplars(organ)
    except StyleUnknown as error:
        # In a request's form a wrong organ is a wrong value; in a path it is a wrong address.
        raise HTTPException(404, str(error)) from None


def _spread(vectors: StyleVector) -> float:
    squared = ((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1)
    return float(np.sqrt(squared.mean()))


def _links(request: Request, organ: str) -> StyleLinks:
    return StyleLinks(
        self=request.url_for("get_style", organ=organ).path,
        thumbnail=request.url_for("get_thumbnail", organ=organ).path,
    )
