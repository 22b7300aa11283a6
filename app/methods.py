"""Which methods an address knows: HEAD wherever GET, OPTIONS everywhere, and 405 with all of them
for any other."""

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from app.problems import on_http_exception


def add_head(app: FastAPI) -> None:
    """HEAD for every GET that there is so far; the server leaves out the body."""
    for route in list(iter_route_contexts(app.routes)):
        methods = route.methods or set()
        if "GET" in methods and "HEAD" not in methods:
            assert route.path is not None
            assert route.endpoint is not None
            app.add_api_route(route.path, route.endpoint, methods=["HEAD"], include_in_schema=False)


class Methods:
    """Answers OPTIONS, and methods that an address does not know: the router would name those of
    one of its routes only."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = _known(scope) if scope["type"] == "http" else set()
        if not known or scope["method"] in known:
            await self.app(scope, receive, send)
            return
        headers = {"Allow": ", ".join(sorted({*known, "OPTIONS"}))}
        if scope["method"] == "OPTIONS":
            response = Response(status_code=204, headers=headers)
        else:
            error = HTTPException(405, headers=headers)
            response = await on_http_exception(Request(scope), error)
        await response(scope, receive, send)


def _known(scope: Scope) -> set[str]:
    """Of all routes with this address; empty where there are none, or that answer anything."""
    known: set[str] = set()
    for route in iter_route_contexts(scope["app"].routes):
        if route.matches(scope)[0] is not Match.NONE:
            known |= route.methods or set()
    return known
