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
_AWAY = (502, 503, 504)
"""What a proxy answers, in words of its own, while the service behind it restarts."""
_GONE = (404, 410)
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
    time that it failed: what comes in pieces may have taken longer than that already. A DELETE that
    was done, and whose answer was lost, finds nothing the next time, which is no error.

    Raises:
        SianError: what the service says of a request that failed, of its class in
            ``model.errors``; StoreUnavailable when it cannot be reached.
    """
    until, pause_s, may_be_done = float("inf"), FIRST_PAUSE_S, False
    while True:
        try:
            reply = yield wanted
            pause_s = max(pause_s, _retry_after_s(reply))
            if reply.status in _AWAY and _problem_in(reply) is None:
                raise Unreachable(f"a proxy before it answers {reply.status}")
        except Unreachable as error:
            until = min(until, time.monotonic() + patience_s)
            if not wanted.safe or time.monotonic() + pause_s > until:
                raise StoreUnavailable(
                    f"The service cannot be reached ({error}).", retry_after_s=1
                ) from error
            may_be_done = True
        else:
            if 200 <= reply.status < 300 or (may_be_done and _is_deleted(wanted, reply)):
                return reply
            if reply.status not in _BUSY or not wanted.safe:
                raise _error_of(reply)
            until = min(until, time.monotonic() + patience_s)
            if time.monotonic() + pause_s > until:
                raise _error_of(reply)
            # Of a request that is too many nothing was done; an outage may have begun amid it.
            may_be_done |= reply.status != 429
        yield Pause(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def error_named(code: str, detail: str, *, retry_after_s: int = 1) -> SianError:
    """The error of this code; ServiceError if this version knows none."""
    kind = _CLASSES.get(code, ServiceError)
    if issubclass(kind, TryAgainLater):
        return kind(detail, retry_after_s=retry_after_s)
    return kind(detail)


def _error_of(reply: Reply) -> SianError:
    problem = _problem_in(reply)
    if 300 <= reply.status < 400:
        return ServiceError(
            f"The address answers {reply.status} and sends on to "
            f"{reply.headers.get('location', 'nowhere')}. Give the client the address of the "
            "service itself, with https:// where it is asked for."
        )
    if problem is None:
        return ServiceError(f"The service answered {reply.status}, which is not its own answer.")
    code, detail = str(problem["code"]), str(problem["detail"])
    if code == RequestInFlight.code:
        return RequestInFlight(detail, job_id=str(problem.get("job", "")).rpartition("/")[2])
    return error_named(code, detail, retry_after_s=max(1, round(_retry_after_s(reply))))


def _problem_in(reply: Reply) -> dict[str, Any] | None:
    """What the service says was wrong; None in an answer that is not its own."""
    try:
        problem = json.loads(reply.content)
    except ValueError:
        return None
    if isinstance(problem, dict) and {"code", "detail"} <= problem.keys():
        return problem
    return None


def _is_deleted(wanted: Call, reply: Reply) -> bool:
    """Whether there is no more of what was to be deleted."""
    return wanted.method == "DELETE" and reply.status in _GONE and _problem_in(reply) is not None


def _retry_after_s(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
