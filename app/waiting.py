"""Requests that wait for a job or follow it, without asking the store over and over."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from app.connections import most_connections
from model.errors import RateLimited, StoreUnavailable
from worker.jobs import Job, JobState, JobStore

_AGAIN_S = 5.0
"""News of what other processes do may get lost, as in an outage of Redis: after so long without
any the job is read again."""
_STREAMS_AGAIN_S = 10
_POSITIONS_S = 1.0
"""How old positions in the queue may be."""
_ONE_READ_S = 1.0
"""A reading of a job may take so long however little time is left to wait for it."""
_MOST_FOLLOWERS = 1000


@dataclass(frozen=True)
class Moment:
    """A job as it stood, with the number of jobs before it if it was queued."""

    job: Job
    position: int | None


class Waiters:
    """Wakes requests when their job changes. It is the store's ``on_change``.

    ``notify`` may be called from any thread, everything else in the event loop.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: dict[str, set[asyncio.Event]] = {}
        self._released = False
        self._positions = _Positions()
        self._reads: dict[str, asyncio.Task[Moment]] = {}
        self._followers = 0
        # Each stream costs some work with every change, and a connection; half of these are for
        # other requests.
        self._most_followers = min(_MOST_FOLLOWERS, most_connections() // 2)

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Before the loop serves requests; None when it stops."""
        self._loop = loop

    def notify(self, job_id: str) -> None:
        # Who comes later reads the job after that, and so misses nothing.
        loop = self._loop
        if loop is not None and job_id in self._events:
            loop.call_soon_threadsafe(self._wake, job_id)

    def _wake(self, job_id: str) -> None:
        self._reads.pop(job_id, None)  # it may have begun before the change
        for event in self._events.get(job_id, ()):
            event.set()

    def release(self) -> None:
        """Nobody waits any more: the server is about to stop, their jobs are safe."""
        self._released = True
        for job_id in self._events:
            self._wake(job_id)

    async def wait(self, jobs: JobStore, job: Job, timeout_s: float) -> Job:
        """The job as it is when it has finished or the time is up. While the store cannot be
        reached it counts as it was: it is accepted, and whoever waits should learn its id.

        Raises JobUnknown, JobExpired.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + timeout_s
        with self._listening(job.id) as news:
            while True:
                # A store that hangs does not make the client wait longer than it wished.
                with contextlib.suppress(StoreUnavailable, TimeoutError):
                    async with asyncio.timeout_at(max(until, clock() + _ONE_READ_S)):
                        job = (await self._read(jobs, job.id)).job
                left_s = until - clock()
                if job.is_finished or left_s <= 0 or self._released:
                    return job
                await _first(news, min(left_s, _AGAIN_S))

    async def follow(self, jobs: JobStore, job_id: str, *, idle_s: float) -> AsyncGenerator[Moment]:
        """The job as it is now, and again whenever its record or its position has changed, to
        its end or the server's.

        idle_s: after so long without a change the last moment comes again.

        Raises JobUnknown, JobExpired, StoreUnavailable; close it with ``aclose``.
        """
        clock = asyncio.get_running_loop().time
        with self.following(), self._listening(job_id) as news:
            last, told_at = await self._read(jobs, job_id), clock()
            yield last
            while not last.job.is_finished and not self._released:
                queued = last.job.state is JobState.QUEUED
                is_news = await _first(news, _POSITIONS_S if queued else _AGAIN_S)
                moment = await self._next(jobs, last, reread=is_news or not queued)
                if moment != last or clock() - told_at >= idle_s:
                    last, told_at = moment, clock()
                    yield moment

    @property
    def are_released(self) -> bool:
        """Whether streams should end."""
        return self._released

    def check_followers(self) -> None:
        """Raises RateLimited if no more may follow a job."""
        if self._followers >= self._most_followers:
            raise RateLimited(
                "Too many event streams are open; ask for the job now and then instead.",
                retry_after_s=_STREAMS_AGAIN_S,
            )

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """For an event stream, which is counted."""
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1

    async def _next(self, jobs: JobStore, last: Moment, *, reread: bool) -> Moment:
        """reread: the record and not only the position."""
        if not reread:
            position = await self._positions.of(jobs, last.job.id)
            if position is not None:
                return Moment(last.job, position)
        return await self._read(jobs, last.job.id)

    async def _read(self, jobs: JobStore, job_id: str) -> Moment:
        """Read once for all who ask meanwhile: a job may have a thousand followers."""
        if job_id not in self._reads:
            reading = asyncio.create_task(asyncio.to_thread(read, jobs, job_id))
            self._reads[job_id] = reading
            reading.add_done_callback(lambda done: self._forget(job_id, done))
        return await asyncio.shield(self._reads[job_id])

    def _forget(self, job_id: str, reading: asyncio.Task[Moment]) -> None:
        if self._reads.get(job_id) is reading:
            del self._reads[job_id]
        if not reading.cancelled():
            reading.exception()  # all who asked may have gone

    @contextlib.contextmanager
    def _listening(self, job_id: str) -> Iterator[asyncio.Event]:
        """Set with each change from now on. The job is read after this, so that no change
        between the two is missed."""
        event = asyncio.Event()
        self._events.setdefault(job_id, set()).add(event)
        try:
            yield event
        finally:
            self._events[job_id].discard(event)
            if not self._events[job_id]:
                del self._events[job_id]


def read(jobs: JobStore, job_id: str) -> Moment:
    """A job as it is now. Raises JobUnknown, JobExpired, StoreUnavailable."""
    job = jobs.get(job_id)
    return Moment(job, jobs.position(job_id) if job.state is JobState.QUEUED else None)


class _Positions:
    """Positions of all queued jobs, read once for all who ask within a second."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._of: dict[str, int] = {}

    async def of(self, jobs: JobStore, job_id: str) -> int | None:
        """How many jobs come before it; None if it isn't queued."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now - self._read_at >= _POSITIONS_S:
                queued = await asyncio.to_thread(jobs.queued)
                self._of = {found: place for place, found in enumerate(queued)}
                self._read_at = now
        return self._of.get(job_id)


async def _first(news: asyncio.Event, timeout_s: float) -> bool:
    """Whether there was news within the time."""
    try:
        await asyncio.wait_for(news.wait(), timeout_s)
    except TimeoutError:
        return False
    news.clear()
    return True
