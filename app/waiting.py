"""Requests that wait for their job, without asking the store over and over."""

import asyncio
import contextlib

from worker.jobs import Job, JobStore


class Waiters:
    """Wakes requests when their job is finished.

    ``notify`` is called from the engine's thread, everything else in the event loop.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: dict[str, set[asyncio.Event]] = {}
        self._released = False

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Before the loop serves requests; None when it stops."""
        self._loop = loop

    def notify(self, job_id: str) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake, job_id)

    def _wake(self, job_id: str) -> None:
        for event in self._events.get(job_id, ()):
            event.set()

    def release(self) -> None:
        """Nobody waits any more: the server is about to stop, their jobs are safe."""
        self._released = True
        for job_id in self._events:
            self._wake(job_id)

    async def wait(self, jobs: JobStore, job_id: str, timeout_s: float) -> Job:
        """The job as it is when it has finished or the time is up.

        Raises JobExpired.
        """
        event = asyncio.Event()
        self._events.setdefault(job_id, set()).add(event)
        try:
            # Asked after registering, so that a job that finishes in between is not missed.
            job = await asyncio.to_thread(jobs.get, job_id)
            if job.is_finished or timeout_s <= 0 or self._released:
                return job
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), timeout_s)
            return await asyncio.to_thread(jobs.get, job_id)
        finally:
            self._events[job_id].discard(event)
            if not self._events[job_id]:
                del self._events[job_id]
