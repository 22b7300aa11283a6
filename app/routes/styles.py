"""Styles: the presets of the checkpoint, and custom styles of reference images."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, File, Form, Path, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from pydantic.json_schema import SkipJsonSchema
from starlette.exceptions import HTTPException

from app.answers import answer
from app.connections import MOST_FILES
from app.forms import STYLE_ERRORS, DeadlineS, Mpp, check_fields, sha256_of
from app.problems import documented
from app.routes.jobs import NO_STORE
from app.schemas import StyleDocument, StylesDocument
from app.service import Accepted, Service, ServiceDep
from app.stored_tiles import file_of
from app.style_documents import custom_document, preset_document, summaries
from app.submission import ERRORS, HEADERS, NOT_DONE, IdempotencyKey, Prefer, finished, submit
from model import errors
from model.errors import KeyInvalid, StorageUnavailable, StyleOutdated, StyleUnknown
from worker.custom_styles import SUFFIX, CustomStyle
from worker.inputs import STYLE
from worker.job_request import StyleRequest
from worker.jobs import Idempotency, Job
from worker.style import Reference
from worker.thumbnails import thumbnail_scope

_FIELDS = frozenset({"style", "name", "mpp", "deadline_s"})

Name = Annotated[
    str, Path(description="Name of a preset or of a custom style.", examples=["kidney"])
]

router = APIRouter(tags=["styles"], form_limits={"max_files": MOST_FILES})


@router.get(
    "/styles", summary="All styles", responses=documented(KeyInvalid, StorageUnavailable, 500)
)
def get_styles(request: Request, service: ServiceDep) -> StylesDocument:
    """What can be asked for by name: organs whose stain and texture came with the checkpoint, and
    the custom styles that were sent to this service, whoever sent them."""
    return StylesDocument(style_dim=service.card.style_dim, styles=summaries(request, service))


@dataclass(frozen=True)
class StyleForm:
    """The fields, of the right type and in range, but not yet looked into."""

    image: UploadFile
    name: str | None
    mpp: float | None
    deadline_s: float | None


async def style_form(
    request: Request,
    style: Annotated[
        UploadFile,
        File(
            description="Reference image of H&E-stained tissue: PNG, JPEG or TIFF, at least 64 "
            "pixels a side.",
            examples=["reference.png"],
        ),
    ],
    name: Annotated[
        str | SkipJsonSchema[None],
        Form(
            description="Keep the style under this name: 1 to 64 lower case letters, digits, "
            "hyphens and underscores, a letter or digit first. Without it the style is encoded "
            "and not kept.",
            examples=["ward-3"],
        ),
    ] = None,
    mpp: Mpp = None,
    deadline_s: DeadlineS = None,
) -> StyleForm:
    """Raises ParameterInvalid for fields that are unknown or sent twice."""
    await check_fields(request, _FIELDS)
    return StyleForm(image=style, name=name, mpp=mpp, deadline_s=deadline_s)


_POST_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Done within the time: the style.", "headers": HEADERS},
    202: NOT_DONE,
    **documented(
        *ERRORS,
        *STYLE_ERRORS,
        errors.StyleNameInvalid,
        errors.StyleNameTaken,
        errors.StyleIsPreset,
        StyleOutdated,
        errors.StylesFull,
    ),
}


@router.post(
    "/styles",
    summary="Encode a reference image",
    response_model=StyleDocument,
    responses=_POST_RESPONSES,
)
async def post_style(
    request: Request,
    service: ServiceDep,
    form: Annotated[StyleForm, Depends(style_form)],
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Encode a reference image as a style vector. With a name it is kept, for everybody who uses
    this service and until it is deleted; the same image may be sent again under its name.

        curl -F style=@reference.png -F name=ward-3 localhost:8000/styles
        curl -F mask=@mask.png -F organ=ward-3 localhost:8000/synthesize -o tile.png
    """
    digest = await anyio.to_thread.run_sync(sha256_of, form.image)
    wish = StyleRequest(image_sha256=digest, name=form.name, mpp=form.mpp)
    accepted = await submit(
        request, service, idempotency_key,
        sent={"kind": wish.kind, "style": digest, "name": form.name, "mpp": form.mpp,
              "deadline_s": form.deadline_s},
        accept=partial(_accept, service, form, wish),
    )  # fmt: skip
    await form.image.close()
    result = partial(_encoded, request, service)
    return await finished(
        service, accepted, prefer, partial(answer, request, service, result=result)
    )


def _accept(
    service: Service, form: StyleForm, wish: StyleRequest, idempotency: Idempotency | None
) -> Accepted:
    """Validate, store and queue. Everything that can be wrong with the input ends here."""
    if wish.name is not None:
        mpp = service.card.mpp if wish.mpp is None else wish.mpp
        service.custom_styles.check(wish.name, Reference(wish.image_sha256, mpp))
    image = form.image.file.read()
    service.check_style_image(image, mpp=wish.mpp)
    deadline_at = None
    if form.deadline_s is not None:
        deadline_at = datetime.now(UTC) + timedelta(seconds=form.deadline_s)
    return service.accept(wish, {STYLE: image}, deadline_at=deadline_at, idempotency=idempotency)


def _encoded(request: Request, service: Service, job: Job) -> Response:
    """The style that a job has encoded."""
    assert isinstance(job.request, StyleRequest)
    style = CustomStyle.from_file(file_of(service, job, f"0{SUFFIX}"))
    document = custom_document(request, service, style, job.request.name)
    return JSONResponse(document.model_dump(mode="json"), headers=NO_STORE)


@router.get(
    "/styles/{name}",
    summary="One style",
    responses=documented(KeyInvalid, StyleOutdated, StorageUnavailable, 404, 500),
)
def get_style(request: Request, service: ServiceDep, name: Name) -> StyleDocument:
    """The style vectors, where they come from, and their statistics."""
    if name in service.styles.organs:
        return preset_document(request, service, name)
    try:
        return custom_document(request, service, service.custom_styles.get(name), name)
    except StyleUnknown as error:
        raise _wrong_address(error) from None


@router.delete(
    "/styles/{name}",
    summary="Delete a custom style",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "It is deleted. Jobs that were accepted with it still use it."},
        **documented(KeyInvalid, errors.StyleIsPreset, StorageUnavailable, 404, 500),
    },
)
def delete_style(service: ServiceDep, name: Name) -> Response:
    """Delete a custom style, whoever sent it and whichever checkpoint encoded it. Presets stay."""
    try:
        service.custom_styles.delete(name)
    except StyleUnknown as error:
        raise _wrong_address(error) from None
    return Response(status_code=204)


@router.get(
    "/styles/{name}/thumbnail",
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
def get_thumbnail(service: ServiceDep, name: Name) -> Response:
    """A tile in this style, painted when the network was loaded. Presets have one."""
    try:
        service.styles.exemplars(name)
    except StyleUnknown as error:
        raise _wrong_address(error) from None
    try:
        png = service.artifacts.get(thumbnail_scope(service.card.sha256), f"{name}.png")
    except FileNotFoundError:
        if service.queue.health().is_ready:
            raise HTTPException(
                404,
                f"{name} has no thumbnail: it could not be stored when the network was loaded. "
                "The log says why; it is painted at the next start.",
            ) from None
        detail = "The thumbnails are painted while the network warms up; ask again shortly."
        raise HTTPException(503, detail, {"Retry-After": "5"}) from None
    return Response(png, media_type="image/png")


def _wrong_address(error: StyleUnknown) -> HTTPException:
    """In a request's form a wrong name is a wrong value; in a path it is a wrong address."""
    return HTTPException(404, str(error))
