"""Connections that cost the server no more than they must.

A file descriptor is what a client takes without sending anything, and jobs need them too: to
read their inputs and to store tiles. So the number of connections is bounded by what the process
may open, and those that stop in the middle of a request, or of reading its answer, are closed.
"""

import asyncio
import contextlib
import logging
import resource
import time

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger(__name__)

STALLED_S = 30.0
"""How long the head of a request may take, and how long its body may pause."""

UNREAD_S = 60.0
"""How long a client may take none of what is sent to it."""

BACKLOG = 64
"""Connections that the system accepts at once, before the server can refuse any."""

_TELL_EVERY_S = 60.0
_RESERVED = 128 + BACKLOG  # the network, job records, Redis, files of jobs
MOST_FILES = 10
"""Files in one request: a mask, up to 8 style images, and one more, to be told what is too many."""

_PER_CONNECTION = 1 + MOST_FILES  # the socket, and files that are too large for memory
_MOST = 4096


def raise_open_files() -> None:
    """As many as the most connections take, where the system lets the process have them: many
    systems start it with fewer than it may ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _RESERVED + _MOST * _PER_CONNECTION
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with contextlib.suppress(OSError, ValueError):  # macOS has another limit besides
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """From the limit of open files (``ulimit -n``)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(8, min(_MOST, (soft - _RESERVED) // _PER_CONNECTION))


class Refusals:
    """A line in the log once a minute at most: an attack must not fill the disk with them."""

    def __init__(self) -> None:
        self._count = 0
        self._told_at = float("-inf")

    def warn(self, most: int) -> None:
        """One more connection was refused."""
        self._count += 1
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY_S:
            logger.warning("refused %d connections: %d are open", self._count, most)
            self._count, self._told_at = 0, now


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which has a limit for requests but none for connections, and no limit
    for the time that a request takes to arrive."""

    most = _MOST
    _refused = Refusals()
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refused.warn(self.most)
            transport.abort()
        else:
            self._expect_more()

    def data_received(self, data: bytes) -> None:
        was_expecting_head = self.conn.their_state is h11.IDLE and self._timer is not None
        super().data_received(data)
        match self.conn.their_state:
            case h11.IDLE if was_expecting_head:
                pass  # a head that comes in drops has no more time than another
            case h11.IDLE | h11.SEND_BODY:
                self._expect_more()
            case _:
                self._expect_nothing()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        self._expect_no_reading()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        self._expect_no_reading()
        super().connection_lost(exc)

    def _expect_reading(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(UNREAD_S, self._check_reading, waiting)

    def _expect_no_reading(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _check_reading(self, waited: int) -> None:
        """A slow client goes on; one that reads nothing holds what others wait for."""
        if self.transport.get_write_buffer_size() < waited:
            self._expect_reading()
        elif not self.transport.is_closing():
            self.transport.abort()

    def _expect_more(self) -> None:
        self._expect_nothing()
        self._timer = self.loop.call_later(STALLED_S, self._give_up)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if self.flow.read_paused:  # the server is the one that is slow
            self._expect_more()
        elif not self.transport.is_closing():
            self.transport.abort()


def bounded() -> type[BoundedProtocol]:
    """The protocol, with the limit of this process."""
    return type("Bounded", (BoundedProtocol,), {"most": most_connections()})
