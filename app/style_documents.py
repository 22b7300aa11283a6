"""The JSON form of styles: presets of the checkpoint, and custom ones."""

import numpy as np
from fastapi import Request

from app.schemas import (
    Exemplar,
    StyleDocument,
    StyleLinks,
    StyleStatistics,
    StyleSummary,
)
from app.service import Service
from model.styles import StyleVector
from worker.custom_styles import CustomStyle

PRESET, CUSTOM = "preset", "custom"


def preset_document(request: Request, service: Service, organ: str) -> StyleDocument:
    """Raises StyleUnknown."""
    vectors = service.styles.exemplars(organ)
    return StyleDocument(
        name=organ,
        kind=PRESET,
        organ=organ,
        style_dim=service.card.style_dim,
        exemplars=[
            Exemplar(vector=vector.tolist(), source=source)
            for vector, source in zip(vectors, service.card.styles[organ], strict=True)
        ],
        statistics=_statistics(vectors),
        links=_links(request, organ, has_thumbnail=True),
    )


def custom_document(
    request: Request, service: Service, style: CustomStyle, name: str | None
) -> StyleDocument:
    """name: None of a style that is not kept."""
    source = {"image_sha256": style.image_sha256, "mpp": style.mpp}
    return StyleDocument(
        name=name,
        kind=CUSTOM,
        organ=None,
        style_dim=service.card.style_dim,
        exemplars=[Exemplar(vector=style.vector.tolist(), source=source)],
        statistics=_statistics(style.vector[None]),
        links=_links(request, name, has_thumbnail=False),
    )


def summaries(request: Request, service: Service) -> list[StyleSummary]:
    """The presets, then the custom styles, each by name. Raises StorageUnavailable."""
    presets = [
        StyleSummary(
            name=organ,
            kind=PRESET,
            organ=organ,
            exemplars=len(service.styles.exemplars(organ)),
            spread=_spread(service.styles.exemplars(organ)),
            outdated=False,
            links=_links(request, organ, has_thumbnail=True),
        )
        for organ in service.styles.organs
    ]
    custom = [
        StyleSummary(
            name=name,
            kind=CUSTOM,
            organ=None,
            exemplars=1,
            spread=0.0,
            outdated=not is_current,
            links=_links(request, name, has_thumbnail=False),
        )
        for name, is_current in service.custom_styles.names().items()
    ]
    return presets + custom


def _statistics(vectors: StyleVector) -> StyleStatistics:
    return StyleStatistics(mean=vectors.mean(axis=0).tolist(), std=vectors.std(axis=0).tolist())


def _spread(vectors: StyleVector) -> float:
    squared = ((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1)
    return float(np.sqrt(squared.mean()))


def _links(request: Request, name: str | None, *, has_thumbnail: bool) -> StyleLinks:
    return StyleLinks(
        self=None if name is None else request.url_for("get_style", name=name).path,
        thumbnail=request.url_for("get_thumbnail", name=name).path if has_thumbnail else None,
    )
