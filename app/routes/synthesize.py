"""POST /synthesize: a mask and a style in, tiles out."""

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response

from app.forms import SynthesisForm, synthesis_form
from app.negotiation import choose, preferred_wait
from app.problems import documented, problem, status_of
from app.routes.jobs import TILE_HEADERS, job_document, output_response
from app.schemas import JobDocument
from app.service import Service, ServiceDep
from model import errors
from model.errors import NotAcceptable
from worker.inputs import mask_input, style_input
from worker.jobs import Job, JobState
from worker.request import Style, SynthesisRequest, draw_seed, parse_weights, sha256

PNG, JSON = "image/png", "application/json"

_JOB_HEADERS = {
    "Location": {"description": "The job.", "schema": {"type": "string"}},
    "Preference-Applied": {
        "description": "The preferences that were followed (RFC 7240).",
        "schema": {"type": "string"},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Done within the time: the tile, or the job as JSON with links to its "
        "tiles, as Accept asks.",
        "content": {PNG: {"schema": {"type": "string", "contentMediaType": PNG}}},
        "headers": TILE_HEADERS,
    },
    202: {
        "description": "Not done yet: the job. Poll its link, or send `Prefer: wait=N`.",
        "model": JobDocument,
        "headers": _JOB_HEADERS,
    },
    **documented(
        errors.ParameterInvalid,
        errors.UploadTooLarge,
        errors.MaskMissing,
        errors.MaskEmptyFile,
        errors.MaskUnreadable,
        errors.MaskTooLarge,
        errors.MaskTooSmall,
        errors.MaskBinary,
        errors.MaskColour,
        errors.MaskFloat,
        errors.MaskNegative,
        errors.MaskIdTooLarge,
        errors.MaskShape,
        errors.StyleMissing,
        errors.StyleConflict,
        errors.StyleUnknown,
        errors.StyleUnreadable,
        errors.StyleTooSmall,
        errors.StyleTooLarge,
        errors.StyleWeightsInvalid,
        errors.NotAcceptable,
        errors.QueueFull,
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
            "`application/json` for the job with links to its tiles.",
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
) -> Response:
    """Synthesize H&E tiles whose nuclei lie exactly where an instance mask has them.

    Send the mask and exactly one of `style`, `organ` and `styles`. The same request with the
    same seed gives the same bytes.

        curl -F mask=@mask.png -F organ=kidney localhost:8000/synthesize -o tile.png
    """
    media_type = choose(accept, (PNG, JSON) if form.n == 1 else (JSON,))
    if media_type is None:
        offers = f"{PNG} or {JSON}" if form.n == 1 else f"{JSON} (several tiles do not fit a PNG)"
        raise NotAcceptable(f"Accept: {accept} takes nothing this request can give: {offers}.")
    service.queue.check_room()  # before the work of decoding; submit decides
    job = await anyio.to_thread.run_sync(_accept, service, form, limiter=service.decoders)
    wait_s, applied = preferred_wait(prefer, longest_s=service.settings.response_wait_s)
    job = await service.waiters.wait(service.jobs, job.id, wait_s)
    response = await anyio.to_thread.run_sync(_answer, request, service, job, media_type)
    if applied is not None:
        response.headers["Preference-Applied"] = applied
    return response


def _accept(service: Service, form: SynthesisForm) -> Job:
    """Validate, store and queue. Everything that can be wrong with the input ends here."""
    mask = form.mask.file.read()
    image = form.style.file.read() if form.style is not None else None
    synthesis_request = SynthesisRequest(
        mask_sha256=sha256(mask),
        style=Style(
            organ=form.organ,
            weights=parse_weights(form.styles) if form.styles is not None else None,
            image_sha256=sha256(image) if image is not None else None,
        ),
        seed=form.seed if form.seed is not None else draw_seed(),
        n=form.n,
        mpp=form.mpp,
        label_components=form.label_components,
    )
    network_mpp = service.card.mpp
    if form.organ is not None:
        service.styles.exemplars(form.organ)
    if synthesis_request.style.weights is not None:
        service.styles.mix(synthesis_request.style.weights)
    mask_input(mask, label_components=form.label_components, mpp=form.mpp, network_mpp=network_mpp)
    if image is not None:
        max_pixels = int(service.settings.max_style_mpx * 1e6)
        style_input(image, mpp=form.mpp, network_mpp=network_mpp, max_pixels=max_pixels)
    return service.accept(synthesis_request, mask, image)


def _answer(request: Request, service: Service, job: Job, media_type: str) -> Response:
    document = job_document(request, service, job)
    if job.failure is not None:
        return problem(
            request,
            status_of(job.failure.code),
            job.failure.code,
            job.failure.message,
            headers={"Content-Location": document.links.self},
            job=document.links.self,
        )
    if job.state is JobState.SUCCEEDED and media_type == PNG:
        response = output_response(service, job, 0)
    else:
        status = 200 if job.is_finished else 202
        response = JSONResponse(document.model_dump(mode="json"), status)
        response.headers["X-Seed"] = str(job.request.seed)
        if status == 202:
            response.headers["Location"] = document.links.self
    response.headers["Content-Location"] = document.links.self
    return response
