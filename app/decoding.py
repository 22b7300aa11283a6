"""Room for what takes much memory or time in the front end: few at a time, and not for clients
that have gone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from fastapi.responses import Response

from app.service import Service

_CLIENT_GONE = 499
"""For the log, as nginx has it: nobody is there to be answered."""


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


@asynccontextmanager
async def decoding(request: Request, service: Service) -> AsyncIterator[None]:
    """Wait for a place in which files are decoded, or masks drawn.

    Raises:
        QueueFull: too many wait already.
        ClientGone: the client has left meanwhile.
    """
    # Asked once for nothing: the server looks out for a client's end only from then on.
    await request.is_disconnected()
    service.check_line()
    async with service.decoders:
        if await request.is_disconnected():
            raise ClientGone
        yield


async def on_client_gone(request: Request, error: Exception) -> Response:
    """Exception handler."""
    return Response(status_code=_CLIENT_GONE)
