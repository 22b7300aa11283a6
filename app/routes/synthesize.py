"""POST /synthesize: a mask and a style in, tiles out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response

from app.answers import JSON, answer
from app.connections import MOST_FILES
from app.forms import MASK_ERRORS, STYLE_ERRORS, SynthesisForm, sha256_of, synthesis_form
from app.negotiation import choose
from app.problems import documented
from app.routes.outputs import TILE_CONTENT, TILE_HEADERS, tile_media_type
from app.schemas import JobDocument
from app.service import Accepted, Service, ServiceDep
from app.stored_tiles import PNG, TIFF, StoredTile
from app.submission import ERRORS, HEADERS, NOT_DONE, IdempotencyKey, Prefer, finished, submit
from model import errors
from model.errors import NotAcceptable
from model.styles import shares_of
from worker import custom_styles
from worker.custom_styles import CustomStyle
from worker.inputs import CUSTOM_STYLES, MASK, largest_mask_px, mask_input, style_names
from worker.jobs import Idempotency
from worker.request import SynthesisRequest, draw_seed
from worker.style import Style

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Done within the time: the tile, or the job as JSON with links to its "
        "tiles, as Accept asks.",
        "content": TILE_CONTENT,
        "headers": {**TILE_HEADERS, **HEADERS},
    },
    202: NOT_DONE,
    **documented(
        *ERRORS,
        *MASK_ERRORS,
        *STYLE_ERRORS,
        errors.StyleConflict,
        errors.StyleUnknown,
        errors.StyleOutdated,
        errors.StyleWeightsInvalid,
        errors.NotAcceptable,
    ),
}

router = APIRouter(tags=["synthesis"], form_limits={"max_files": MOST_FILES})


@router.post(
    "/synthesize", summary="Make tiles from a mask", response_model=JobDocument,
    responses=_RESPONSES,
)  # fmt: skip
async def synthesize(
    request: Request,
    service: ServiceDep,
    form: Annotated[SynthesisForm, Depends(synthesis_form)],
    accept: Annotated[
        str | None,
        Header(
            description="`image/png` for the tile itself (n = 1, and the default then), "
            "`image/tiff` for that of a mask above 1024 px a side, `application/json` for the job "
            "with links to its tiles.",
            examples=["application/json"],
        ),
    ] = None,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Synthesize H&E tiles whose nuclei lie exactly where an instance mask has them.

    Send the mask and exactly one of `style` (several with `weights`), `organ` and `styles`. The
    same request with the same seed gives the same bytes.

        curl -F mask=@mask.png -F organ=kidney localhost:8000/synthesize -o tile.png
    """
    media_type_for(accept, (PNG, TIFF, JSON) if form.n == 1 else (JSON,))
    with service.queue.expecting():
        wish = await anyio.to_thread.run_sync(_request, form)
        accepted = await submit(
            request, service, idempotency_key,
            sent=_sent(form, wish), accept=partial(_accept, service, form, wish, accept),
        )  # fmt: skip
    await form.close()
    job = accepted.job
    offers = (tile_media_type(job.request), JSON) if job.request.n == 1 else (JSON,)
    media_type = media_type_for(accept, offers)
    response = await finished(
        service, accepted, prefer,
        partial(
            answer, request, service,
            result=None if media_type == JSON else lambda job: StoredTile(service, job, 0).whole(),
        ),
    )  # fmt: skip
    response.headers["Vary"] = "Accept"
    return response


def _sent(form: SynthesisForm, wish: SynthesisRequest) -> dict[str, Any]:
    return {
        "mask": wish.mask_sha256,
        "style": wish.style.to_dict(),
        "seed": form.seed,
        "n": form.n,
        "mpp": form.mpp,
        "label_components": form.label_components,
        "mask_size": form.mask_size,
        "deadline_s": form.deadline_s,
    }


def _accept(
    service: Service,
    form: SynthesisForm,
    wish: SynthesisRequest,
    accept: str | None,
    idempotency: Idempotency | None,
) -> Accepted:
    """Validate, store and queue. Everything that can be wrong with the input ends here."""
    images = [image.file.read() for image in form.style_images]
    files = {MASK: form.mask.file.read()}
    files |= zip(style_names(len(images)), images, strict=True)
    custom = _custom_styles(service, wish.style)
    if custom:
        files[CUSTOM_STYLES] = custom_styles.to_file(custom)
    references = {name: style.reference for name, style in custom.items()}
    request = replace(
        wish,
        style=replace(wish.style, custom=references),
        large=_is_large(service, form, files[MASK]),
    )
    for image in images:
        service.check_style_image(image, mpp=form.mpp)
    if request.n == 1:
        media_type_for(accept, (tile_media_type(request), JSON))
    deadline_at = None
    if form.deadline_s is not None:
        deadline_at = datetime.now(UTC) + timedelta(seconds=form.deadline_s)
    return service.accept(request, files, deadline_at=deadline_at, idempotency=idempotency)


def _request(form: SynthesisForm) -> SynthesisRequest:
    return SynthesisRequest(
        mask_sha256=sha256_of(form.mask),
        style=Style.of(
            name=form.organ,
            weights=form.styles,
            images_sha256=[sha256_of(image) for image in form.style_images],
            image_weights=form.weights,
        ),
        seed=form.seed if form.seed is not None else draw_seed(),
        n=form.n,
        mpp=form.mpp,
        label_components=form.label_components,
        mask_size=form.mask_size,
    )


def _custom_styles(service: Service, style: Style) -> dict[str, CustomStyle]:
    """The custom styles among those that are named. Raises StyleWeightsInvalid, StyleUnknown,
    StyleOutdated, StorageUnavailable."""
    if style.weights is not None:
        shares_of(style.weights)
    return service.custom_styles.of(style)


def _is_large(service: Service, form: SynthesisForm, mask: bytes) -> bool:
    """Whether the mask needs more than one pass of the network. Raises MaskError."""
    return mask_input(
        mask,
        label_components=form.label_components,
        mpp=form.mpp,
        network_mpp=service.card.mpp,
        largest_px=largest_mask_px(service.card),
        size=form.mask_size,
    ).is_large


def media_type_for(accept: str | None, offers: tuple[str, ...]) -> str:
    """The one of these to answer with. Raises NotAcceptable."""
    media_type = choose(accept, offers)
    if media_type is None:
        raise NotAcceptable(
            f"Accept: {accept} takes nothing this request can give: {' or '.join(offers)}."
        )
    return media_type
