"""What happens around every request: its id, its log line, the last resort, the size limit."""

import logging
import re
import time
import uuid
from urllib.parse import quote

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs
from app.metrics import HttpMetrics
from app.problems import HTTP_CODES, on_sian_error, problem
from model.errors import UploadTooLarge

_PROBES = ("/healthz", "/readyz", "/metrics")  # asked every few seconds, not worth a line each
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PLAIN_BYTES = 64 * 2**10  # many times what a wish for a mask or a dataset takes

logger = logging.getLogger(__name__)


class RequestContext:
    """Gives a request its id, logs and counts it, and turns an unexpected exception into a
    problem.

    A client's own ``X-Request-ID`` is kept if it is short and plain.
    """

    def __init__(self, app: ASGIApp, *, metrics: HttpMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        logs.request_id.set(request_id)
        status = 0
        began = time.monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            logger.exception("unexpected error")
            if status:
                raise  # half an answer is out: the server must cut the connection
            detail = f"Something went wrong in the server; its log says what, at {request_id}."
            response = problem(Request(scope), 500, HTTP_CODES[500], detail)
            await response(scope, receive, send_with_id)
        finally:
            took_s = time.monotonic() - began
            self.metrics.observe(scope, status, took_s)
            _log(scope, status, took_s)


def _log(scope: Scope, status: int, took_s: float) -> None:
    level = logging.DEBUG if scope["path"] in _PROBES else logging.INFO
    # Quoted again: a decoded path may hold line breaks, and so forge lines of the log.
    path = quote(scope["path"], errors="replace")
    client = _client(scope)
    fields = {
        "client": client,
        "method": scope["method"],
        "path": path,
        "status": status,
        "duration_ms": round(1000 * took_s, 1),
    }
    job_id = scope["state"].get("job_id") or scope.get("path_params", {}).get("job_id")
    if job_id is not None:
        fields["job_id"] = job_id
    logger.log(
        level,
        "%s %s %d %.0f ms %s",
        *(scope["method"], path, status, 1000 * took_s, client),
        extra=fields,
    )


def _client(scope: Scope) -> str:
    """Name of the key that a request came with, or else the address that it came from."""
    if (name := scope["state"].get("client")) is not None:
        return str(name)
    address = scope.get("client")
    # A proxy may be made to pass on anything as an address.
    return quote(str(address[0]), safe=":", errors="replace") if address else "-"


class BodyLimit:
    """Refuses a body that is too large: by its declared length at once, else while it is read.

    What is read ends in ``UploadTooLarge``, so nothing beyond the limit is parsed or spooled. Only
    forms carry files. Anything else is parsed whole in memory by the thread that serves everybody,
    and may have no more than ``_PLAIN_BYTES``.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        max_bytes = self.max_bytes if is_form else min(self.max_bytes, _PLAIN_BYTES)
        declared = headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:19]) > max_bytes:
            response = await on_sian_error(Request(scope), _too_large(max_bytes, is_form))
            # The connection is of no use with the rest of the body in it.
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise _too_large(max_bytes, is_form)
            return message

        await self.app(scope, receive_limited, send)


def _too_large(max_bytes: int, is_form: bool) -> UploadTooLarge:
    if is_form:
        return UploadTooLarge(
            f"The request is larger than {max_bytes / 2**20:.3g} MiB. Send a compressed mask "
            "(PNG or TIFF) and a crop of the style image."
        )
    return UploadTooLarge(
        f"The request is larger than {max_bytes / 2**10:.3g} KiB, which is as much as one without "
        "files may have. Send files as multipart/form-data."
    )
