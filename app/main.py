"""The FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from app import openapi, problems, service
from app.middleware import BodyLimit, RequestContext
from app.routes import health, jobs, styles, synthesize
from app.settings import Settings
from model.errors import SianError
from model.version import code_version


def create_app(
    settings: Settings, *, on_failure: Callable[[SianError], None] = lambda error: None
) -> FastAPI:
    """The service for one checkpoint and one data folder; its engine starts with the lifespan.

    Args:
        on_failure: called from the engine's thread if the network cannot be loaded.

    Raises:
        CheckpointError: the checkpoint is missing, damaged or of another version.
        SettingsInvalid: the data folder cannot be used.
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
    app.state.service = service.build(settings, on_failure=on_failure)
    for routes in (synthesize, jobs, styles, health):
        app.include_router(routes.router)
    app.add_api_route("/", _to_docs, include_in_schema=False)
    app.add_exception_handler(SianError, problems.on_sian_error)
    app.add_exception_handler(HTTPException, problems.on_http_exception)
    app.add_exception_handler(RequestValidationError, problems.on_validation_error)
    app.add_middleware(BodyLimit, max_bytes=int(settings.max_upload_mb * 2**20))
    app.add_middleware(RequestContext)  # added last, so outermost
    app.openapi = openapi.documenting(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: service.Service = app.state.service
    parts.waiters.attach(asyncio.get_running_loop())
    parts.start()
    try:
        yield
    finally:
        await asyncio.to_thread(parts.stop)
        parts.waiters.attach(None)


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("docs")
