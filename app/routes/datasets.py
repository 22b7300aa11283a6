"""Datasets on demand: POST /datasets, and what has become of one."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from app.dataset_documents import DatasetWish, dataset_document
from app.dataset_jobs import (
    Dataset,
    accept_dataset,
    end_dataset,
    read_dataset,
)
from app.dataset_reads import NEWS_S, DatasetReads
from app.problems import documented
from app.routes.events import KEEP_ALIVE_S, RETRY_MS, UNBUFFERED, stream_of
from app.routes.jobs import CANCELED, NO_STORE, Only
from app.schemas import DatasetDocument
from app.service import Accepted, Service, ServiceDep
from app.stored_tiles import ZIP
from app.submission import IdempotencyKey, submit
from model import errors
from model.errors import (
    DatasetUnfinished,
    JobExpired,
    JobUnknown,
    KeyInvalid,
    ParameterInvalid,
    RateLimited,
    StorageUnavailable,
    StoreUnavailable,
)
from worker.dataset.stored import StoredDataset
from worker.jobs import Idempotency, Job, JobState

DatasetId = Annotated[
    str, Path(description="Id of the dataset.", examples=["3f0c9a7e5d1b4c86a2f4d8e19b7c6a50"])
]
_FINDING = (KeyInvalid, JobUnknown, JobExpired, StoreUnavailable, 500)

router = APIRouter(tags=["datasets"])


@router.post(
    "/datasets",
    status_code=202,
    summary="Make a dataset",
    response_model=DatasetDocument,
    responses={
        202: {
            "description": "Accepted. Follow its events, or poll its link.",
            "headers": {
                "Location": {"description": "The dataset.", "schema": {"type": "string"}},
                "Idempotency-Replayed": {
                    "description": "`true`: an earlier request with this key made it.",
                    "schema": {"type": "string"},
                },
            },
        },
        **documented(
            ParameterInvalid,
            errors.StyleUnknown,
            errors.UploadTooLarge,
            errors.IdempotencyMismatch,
            errors.JobExpired,
            errors.QueueFull,
            KeyInvalid,
            RateLimited,
            StoreUnavailable,
            400,
            415,
            500,
        ),
    },
)
async def post_dataset(
    request: Request,
    service: ServiceDep,
    wish: DatasetWish,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Draw random masks with nuclei as those of organs, paint a tile of each, and bundle them with
    annotations in the formats asked for. The same request with the same seed gives the same tiles.

        curl -H 'Content-Type: application/json' -d '{"count": 100, "organs": ["kidney"]}' \\
            localhost:8000/datasets
    """
    accepted = await submit(
        request, service, idempotency_key,
        sent={"kind": "dataset", **wish.model_dump()}, accept=partial(_accept, service, wish),
    )  # fmt: skip
    dataset = await asyncio.to_thread(_as_accepted, service, accepted.job)
    document = dataset_document(request, service, dataset)
    response = JSONResponse(document.model_dump(mode="json"), 202, NO_STORE)
    response.headers["Location"] = document.links.self
    if not accepted.is_new:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _as_accepted(service: Service, first: Job) -> Dataset:
    """All of it; of what cannot be read now the first part, as it was: the dataset is accepted, and
    whoever sent it should learn its id."""
    try:
        return read_dataset(service.jobs, first.id)
    except StoreUnavailable:
        return Dataset((first,))


def _accept(service: Service, wish: DatasetWish, idempotency: Idempotency | None) -> Accepted:
    largest = service.settings.max_dataset_tiles
    if wish.count > largest:
        raise ParameterInvalid(
            f"count is {wish.count}; this service makes datasets of up to {largest} tiles "
            "(SIAN_MAX_DATASET_TILES). Ask for several with other seeds, or use 'sian dataset'."
        )
    asked = wish.request(service.styles)
    asked.check_styles(service.styles)
    return accept_dataset(service, asked, idempotency)


@router.get("/datasets/{dataset_id}", summary="State of a dataset", responses=documented(*_FINDING))
def get_dataset(
    request: Request, response: Response, service: ServiceDep, dataset_id: DatasetId
) -> DatasetDocument:
    """How many tiles are made, and a link to the bundle once all are."""
    response.headers.update(NO_STORE)
    return dataset_document(request, service, read_dataset(service.jobs, dataset_id))


@router.delete(
    "/datasets/{dataset_id}",
    summary="Cancel or remove a dataset",
    response_model=DatasetDocument,
    responses={
        200: {"description": f"The dataset, {CANCELED}"},
        204: {"description": "It had finished; its tiles are removed."},
        **documented(*_FINDING, ParameterInvalid, StorageUnavailable),
    },
)
def delete_dataset(
    request: Request,
    response: Response,
    service: ServiceDep,
    dataset_id: DatasetId,
    only: Only = None,
) -> Response | DatasetDocument:
    """Cancel a dataset that is being made, or remove one that is not; with `only=cancel` that
    stays as it is."""
    dataset = read_dataset(service.jobs, dataset_id)
    if end_dataset(service, dataset, may_remove=only is None):
        return Response(status_code=204)
    response.headers.update(NO_STORE)
    return dataset_document(request, service, read_dataset(service.jobs, dataset_id))


@router.get(
    "/datasets/{dataset_id}/events",
    summary="A dataset as it grows",
    response_class=Response,
    responses={
        200: {
            "description": "Events named `dataset`, once a second at most, each with the whole "
            "document as in `GET /datasets/{id}`; the last when nothing more is done.",
            "content": stream_of("dataset", DatasetDocument),
        },
        204: {"description": "It has finished and the client knows; there is no more."},
        **documented(*_FINDING, RateLimited),
    },
)
async def get_dataset_events(
    request: Request,
    service: ServiceDep,
    dataset_id: DatasetId,
    last_event_id: Annotated[
        str | None,
        Header(description="Id of the last event the client has.", examples=["17"]),
    ] = None,
) -> Response:
    """The dataset now, and again as it grows."""
    service.waiters.check_followers()
    now = await asyncio.to_thread(read_dataset, service.jobs, dataset_id)
    if now.is_finished and last_event_id == str(now.version):
        return Response(status_code=204)  # tells browsers not to connect again
    if request.method == "HEAD":
        return Response(media_type=EventSourceResponse.media_type, headers=UNBUFFERED)
    return EventSourceResponse(_events(request, service, now, last_event_id), headers=UNBUFFERED)


async def _events(
    request: Request, service: Service, dataset: Dataset, seen: str | None
) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=RETRY_MS)
    clock = asyncio.get_running_loop().time
    told_at = clock()
    reads: DatasetReads = request.app.state.dataset_reads
    with service.waiters.following():
        while True:
            version = str(dataset.version)
            if version != seen:
                seen, told_at = version, clock()
                text = dataset_document(request, service, dataset).model_dump_json()
                yield format_sse_event(event="dataset", data_str=text, id=version)
            elif clock() - told_at >= KEEP_ALIVE_S:
                told_at = clock()
                yield KEEPALIVE_COMMENT
            if dataset.is_finished or service.waiters.are_released:
                return
            await asyncio.sleep(NEWS_S)
            try:
                dataset = await reads.read(service.jobs, dataset.id)
            except (JobUnknown, JobExpired, StoreUnavailable):
                return  # whoever connects again is told why


_BUNDLE: dict[str, Any] = {
    "description": "A ZIP with `images/`, `masks/`, the annotations, `provenance/`, "
    "`manifest.json`, a card and SHA-256 sums (docs/datasets.md).",
    "content": {ZIP: {"schema": {"type": "string", "contentMediaType": ZIP}}},
}


@router.get(
    "/datasets/{dataset_id}/bundle",
    summary="The finished dataset",
    response_class=Response,
    responses={
        200: _BUNDLE,
        **documented(*_FINDING, DatasetUnfinished, RateLimited, StorageUnavailable),
    },
)
def get_bundle(request: Request, service: ServiceDep, dataset_id: DatasetId) -> Response:
    """All of it as one ZIP, which is made while it is sent.

    curl -OJ localhost:8000/datasets/3f0c9a7e5d1b4c86a2f4d8e19b7c6a50/bundle
    """
    dataset = read_dataset(service.jobs, dataset_id)
    if dataset.state is not JobState.SUCCEEDED:
        raise DatasetUnfinished(
            f"Of {dataset.request.count} tiles {dataset.done} are made (it is {dataset.state}); "
            "there is a bundle once it has succeeded."
        )
    name = f"sian-{dataset.request.count}-{dataset.request.seed}.zip"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "private",
        "Accept-Ranges": "none",
    }
    if request.method == "HEAD":
        return Response(media_type=ZIP, headers=headers)
    reads: DatasetReads = request.app.state.dataset_reads
    pieces = reads.bundle(StoredDataset(service.artifacts, dataset.parts))
    return StreamingResponse(pieces, media_type=ZIP, headers=headers)
