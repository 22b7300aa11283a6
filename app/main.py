"""The FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from app import deployment, openapi, problems
from app.auth import Authentication
from app.dataset_reads import DatasetReads
from app.decoding import ClientGone, on_client_gone
from app.forms import on_http_exception
from app.list_headers import ListHeaders
from app.methods import Methods, add_head
from app.metrics import HttpMetrics
from app.middleware import BodyLimit, RequestContext
from app.rate_limit import RateLimiting
from app.routes import datasets, events, health, jobs, masks, outputs, studio, styles, synthesize
from app.service import Service
from app.settings import Settings
from model.errors import SianError
from model.version import code_version

_READERS = 32
"""Threads in which waiting requests and event streams read jobs."""


def create_app(
    settings: Settings, *, on_failure: Callable[[SianError], None] = lambda error: None
) -> FastAPI:
    """The service for one checkpoint; what runs in the background starts with the lifespan.

    Args:
        on_failure: called from a thread of the engine's if it cannot go on.

    Raises:
        CheckpointError: the checkpoint is missing, damaged or of another version.
        SettingsInvalid: the data folder cannot be used, or a URL makes no sense.
        StorageUnavailable: S3 does not answer.
    """
    # The documentation pages load their scripts from this server, not from a CDN. ReDoc is left
    # out: its page fetches a logo from elsewhere.
    app = FastAPIOffline(
        title="SIAN",
        version=code_version(),
        description=openapi.DESCRIPTION,
        redoc_url=None,
        swagger_ui_parameters={"validatorUrl": None},
        lifespan=_lifespan,
    )
    parts = deployment.build(settings, on_failure=on_failure)
    app.state.service = parts
    app.state.http_metrics = HttpMetrics()
    app.state.dataset_reads = DatasetReads()
    for routes in (
        synthesize, jobs, events, outputs, styles, masks, datasets, health, studio,
    ):  # fmt: skip
        app.include_router(routes.router)
    add_head(app)
    app.add_exception_handler(SianError, problems.on_sian_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(ClientGone, on_client_gone)
    app.add_exception_handler(RequestValidationError, problems.on_validation_error)
    # What is added last comes first.
    app.add_middleware(Methods)
    app.add_middleware(ListHeaders)
    app.add_middleware(BodyLimit, max_bytes=int(settings.max_upload_mb * 2**20))
    if parts.rate_limit is not None:
        app.add_middleware(RateLimiting, rate_limit=parts.rate_limit)
    app.add_middleware(Authentication, keyring=parts.keyring)
    app.add_middleware(RequestContext, metrics=app.state.http_metrics)
    app.openapi = openapi.documenting(  # type: ignore[method-assign]
        app, needs_key=bool(parts.keyring)
    )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Service = app.state.service
    loop = asyncio.get_running_loop()
    # Threads that mostly wait for the store: by default there are few more than processors.
    loop.set_default_executor(ThreadPoolExecutor(_READERS, "reader"))
    parts.waiters.attach(loop)
    parts.start()
    try:
        yield
    finally:
        await asyncio.to_thread(parts.stop)
        parts.waiters.attach(None)
