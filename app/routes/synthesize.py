"""POST /synthesize: a mask and a style in, tiles out."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Request, UploadFile
from fastapi.responses import Response

from app.answers import JSON, answer
from app.auth import client_of
from app.decoding import decoding
from app.forms import MASK_ERRORS, SynthesisForm, synthesis_form
from app.idempotency import identify
from app.negotiation import choose, preferred_wait
from app.problems import documented
from app.routes.outputs import TILE_CONTENT, TILE_HEADERS, tile_media_type
from app.schemas import JobDocument
from app.service import Accepted, Service, ServiceDep
from app.stored_tiles import PNG, TIFF
from model import errors
from model.errors import (
    NotAcceptable,
    RequestInFlight,
)
from worker.inputs import largest_mask_px, mask_input, style_input
from worker.jobs import Idempotency, Job
from worker.request import Style, SynthesisRequest, draw_seed, parse_weights

_COMMON_HEADERS = {
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
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Done within the time: the tile, or the job as JSON with links to its "
        "tiles, as Accept asks.",
        "content": TILE_CONTENT,
        "headers": {**TILE_HEADERS, **_COMMON_HEADERS},
    },
    202: {
        "description": "Not done yet: the job. Follow its events, poll its link, or send "
        "`Prefer: wait=N`.",
        "model": JobDocument,
        "headers": {
            "Location": {"description": "The job.", "schema": {"type": "string"}},
            **_COMMON_HEADERS,
        },
    },
    **documented(
        errors.ParameterInvalid,
        errors.UploadTooLarge,
        errors.IdempotencyMismatch,
        *MASK_ERRORS,
        errors.StyleMissing,
        errors.StyleConflict,
        errors.StyleUnknown,
        errors.StyleUnreadable,
        errors.StyleTooSmall,
        errors.StyleTooLarge,
        errors.StyleWeightsInvalid,
        errors.KeyInvalid,
        errors.NotAcceptable,
        errors.RequestInFlight,
        errors.JobCanceled,
        errors.JobExpired,
        errors.QueueFull,
        errors.RateLimited,
        errors.StoreUnavailable,
        errors.StorageUnavailable,
        errors.DeadlineExceeded,
        errors.OutOfMemory,
        errors.WorkerLost,
        errors.WorkerStalled,
        errors.SynthesisFailed,
        400,
        415,
        500,
    ),
}

router = APIRouter(tags=["synthesis"])


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
    prefer: Annotated[
        str | None,
        Header(
            description="`respond-async`: answer 202 at once. `wait=N`, alone or with it: answer "
            "202 if it is not done after N seconds. Without either the server waits as long as "
            "it is set to, 60 s.",
            examples=["respond-async"],
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Names the request, so that it can be sent again without being done "
            "again: 1 to 255 printable ASCII characters, a UUID for instance.",
            examples=['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
        ),
    ] = None,
) -> Response:
    """Synthesize H&E tiles whose nuclei lie exactly where an instance mask has them.

    Send the mask and exactly one of `style`, `organ` and `styles`. The same request with the
    same seed gives the same bytes.

        curl -F mask=@mask.png -F organ=kidney localhost:8000/synthesize -o tile.png
    """
    media_type_for(accept, (PNG, TIFF, JSON) if form.n == 1 else (JSON,))
    with service.queue.expecting():
        wish = await anyio.to_thread.run_sync(
            _look, service, form, client_of(request), idempotency_key
        )
        if wish.known is not None:
            job, is_new = Accepted(wish.known, is_new=False)
        else:
            async with decoding(request, service):
                job, is_new = await anyio.to_thread.run_sync(_accept, service, form, wish, accept)
    await form.close()
    request.state.job_id = job.id
    offers = (tile_media_type(job.request), JSON) if job.request.n == 1 else (JSON,)
    media_type = media_type_for(accept, offers)
    wait_s, applied = preferred_wait(prefer, longest_s=service.settings.response_wait_s)
    if is_new:
        job = await service.waiters.wait(service.jobs, job, wait_s)
    elif not job.is_finished and wait_s > 0:
        raise RequestInFlight(
            "The first request with this Idempotency-Key is still being worked on; follow its "
            "job, or send it again later.",
            job_id=job.id,
        )
    response = await anyio.to_thread.run_sync(answer, request, service, job, media_type)
    if applied is not None:
        response.headers["Preference-Applied"] = applied
    if not is_new:
        response.headers["Idempotency-Replayed"] = "true"
    response.headers["Vary"] = "Accept"
    return response


class _Wish(NamedTuple):
    """What is asked for, before the files are looked into. known: the job that an earlier request
    with the same idempotency key made."""

    request: SynthesisRequest
    idempotency: Idempotency | None
    known: Job | None


def _look(
    service: Service, form: SynthesisForm, client: str | None, idempotency_key: str | None
) -> _Wish:
    """Whether there is work to do and room for it. Cheap, so that a full queue, or a store that
    is away, is said at once and not when those before have been decoded."""
    request = _request(form)
    idempotency = None
    if idempotency_key is not None:
        sent = {
            "mask": request.mask_sha256,
            "style": request.style.to_dict(),
            "seed": form.seed,
            "n": form.n,
            "mpp": form.mpp,
            "label_components": form.label_components,
            "mask_size": form.mask_size,
            "deadline_s": form.deadline_s,
        }
        idempotency = identify(idempotency_key, client=client, sent=sent)
        known = service.jobs.find(idempotency)
        if known is not None:
            return _Wish(request, idempotency, known)
    service.check_room()  # the store decides, when it comes to that
    return _Wish(request, idempotency, None)


def _accept(service: Service, form: SynthesisForm, wish: _Wish, accept: str | None) -> Accepted:
    """Validate, store and queue. Everything that can be wrong with the input ends here."""
    mask = form.mask.file.read()
    image = form.style.file.read() if form.style is not None else None
    request = _checked(service, wish.request, form, mask, image)
    if request.n == 1:
        media_type_for(accept, (tile_media_type(request), JSON))
    deadline_at = None
    if form.deadline_s is not None:
        deadline_at = datetime.now(UTC) + timedelta(seconds=form.deadline_s)
    return service.accept(
        request, mask, image, deadline_at=deadline_at, idempotency=wish.idempotency
    )


def _request(form: SynthesisForm) -> SynthesisRequest:
    return SynthesisRequest(
        mask_sha256=_sha256(form.mask),
        style=Style(
            organ=form.organ,
            weights=parse_weights(form.styles) if form.styles is not None else None,
            image_sha256=_sha256(form.style) if form.style is not None else None,
        ),
        seed=form.seed if form.seed is not None else draw_seed(),
        n=form.n,
        mpp=form.mpp,
        label_components=form.label_components,
        mask_size=form.mask_size,
    )


def _sha256(upload: UploadFile) -> str:
    """Of a file that is not held in memory, and can be read again after it."""
    digest = hashlib.file_digest(upload.file, "sha256").hexdigest()  # type: ignore[arg-type]
    upload.file.seek(0)
    return digest


def _checked(
    service: Service,
    request: SynthesisRequest,
    form: SynthesisForm,
    mask: bytes,
    image: bytes | None,
) -> SynthesisRequest:
    """Look into mask and style; the request with what the mask says. Raises InvalidInput."""
    network_mpp = service.card.mpp
    if form.organ is not None:
        service.styles.exemplars(form.organ)
    if request.style.weights is not None:
        service.styles.mix(request.style.weights)
    is_large = mask_input(
        mask,
        label_components=form.label_components,
        mpp=form.mpp,
        network_mpp=network_mpp,
        largest_px=largest_mask_px(service.card),
        size=form.mask_size,
    ).is_large
    if image is not None:
        max_pixels = int(service.settings.max_style_mpx * 1e6)
        style_input(image, mpp=form.mpp, network_mpp=network_mpp, max_pixels=max_pixels)
    return replace(request, large=is_large)


def media_type_for(accept: str | None, offers: tuple[str, ...]) -> str:
    """The one of these to answer with. Raises NotAcceptable."""
    media_type = choose(accept, offers)
    if media_type is None:
        raise NotAcceptable(
            f"Accept: {accept} takes nothing this request can give: {' or '.join(offers)}."
        )
    return media_type
