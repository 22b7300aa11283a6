"""What one call of a client is, when it is made again, and what the service's errors become.

A flow is a generator that yields what is to be done, a ``Call`` or a ``Pause``, and is sent the
``Reply`` to each call. ``app.client_http`` runs flows, with and without asyncio.
"""

import json
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from app.problems import OUTCOMES
from model.errors import RequestInFlight, ServiceError, SianError, StoreUnavailable, TryAgainLater

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
_BUSY = (429, 503)
_CLASSES = {kind.code: kind for kind in OUTCOMES}


@dataclass(frozen=True)
class Call:
    """A request.

    safe: it may be sent again when no answer came.
    into: where the content of a good answer goes as it comes, so that it is never whole in memory;
        what the file held is replaced. Of an error the reply has it.
    """

    method: str
    path: str
    safe: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] | None = None
    files: Sequence[tuple[str, bytes]] | None = None
    body: Any = None
    into: Path | None = None


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Reply:
    """content: empty where the call names a file for it."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Unreachable(Exception):
    """Thrown into a flow in place of a reply."""


Result = TypeVar("Result")
Flow = Generator[Call | Pause, Reply, Result]


def call(wanted: Call, patience_s: float) -> Flow[Reply]:
    """A call, again while the service is busy or cannot be reached, until so long after the first
    time that it failed: what comes in pieces may have taken longer than that already.

    Raises:
        SianError: what the service says of a request that failed, of its class in
            ``model.errors``; StoreUnavailable when it cannot be reached.
    """
    until, pause_s = float("inf"), FIRST_PAUSE_S
    while True:
        try:
            reply = yield wanted
        except Unreachable as error:
            until = min(until, time.monotonic() + patience_s)
            if not wanted.safe or time.monotonic() + pause_s > until:
                raise StoreUnavailable(
                    f"The service cannot be reached ({error}).", retry_after_s=1
                ) from error
        else:
            if reply.status < 400:
                return reply
            if reply.status not in _BUSY or not wanted.safe:
                raise _error_of(reply)
            until = min(until, time.monotonic() + patience_s)
            pause_s = max(pause_s, _retry_after_s(reply))
            if time.monotonic() + pause_s > until:
                raise _error_of(reply)
        yield Pause(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def error_named(code: str, detail: str, *, retry_after_s: int = 1) -> SianError:
    """The error of this code; ServiceError if this version knows none."""
    kind = _CLASSES.get(code, ServiceError)
    if issubclass(kind, TryAgainLater):
        return kind(detail, retry_after_s=retry_after_s)
    return kind(detail)


def _error_of(reply: Reply) -> SianError:
    try:
        problem = json.loads(reply.content)
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"The service answered {reply.status}, which is not its own answer.")
    if code == RequestInFlight.code:
        return RequestInFlight(detail, job_id=str(problem.get("job", "")).rpartition("/")[2])
    return error_named(code, detail, retry_after_s=max(1, round(_retry_after_s(reply))))


def _retry_after_s(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
