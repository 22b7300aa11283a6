"""LocalQueue: jobs wait in memory and run in a thread of the server process."""

import collections
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from model.errors import QueueFull, SianError, SynthesisFailed
from worker.engine import Engine

_IDLE_S = 1.0
"""How long the thread waits for a job before it looks for housekeeping."""
_PAUSE_S = 5.0
"""How long it gives a store that cannot be written to recover."""

logger = logging.getLogger(__name__)


class LocalQueue:
    """First in, first out, one job at a time, bounded.

    What waits here is also ``queued`` in the job store, so a process that dies loses nothing.

    engine: prepared in the queue's own thread, which is the only one that touches the network.
    limit: how many jobs may wait.
    on_failure: called in that thread if the engine cannot be prepared; the queue is then over.
    """

    def __init__(
        self, engine: Engine, *, limit: int, on_failure: Callable[[SianError], None]
    ) -> None:
        self._engine = engine
        self._limit = limit
        self._on_failure = on_failure
        self._waiting: collections.deque[str] = collections.deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._job_s = 1.0  # running mean of a job's duration
        self._thread = threading.Thread(target=self._run, name="sian-engine")

    @property
    def waiting(self) -> int:
        """Jobs that wait, without the one that runs."""
        return len(self._waiting)

    def start(self, recovered: Sequence[str]) -> None:
        """Start the thread. ``recovered`` jobs of the last process run first, beyond the limit."""
        self._waiting.extend(recovered)
        self._thread.start()

    def check_room(self) -> None:
        """Raises QueueFull if ``submit`` would now."""
        if len(self._waiting) >= self._limit:
            raise QueueFull(
                f"{self._limit} jobs are waiting, which is all this server accepts; "
                "send the request again later.",
                # A place is free when the running job is done.
                retry_after_s=max(1, math.ceil(self._job_s)),
            )

    def submit(self, job_id: str) -> None:
        """Raises QueueFull."""
        with self._changed:
            self.check_room()
            self._waiting.append(job_id)
            self._changed.notify()

    def stop(self) -> None:
        """Finish the running tile, leave the rest queued in the store, end the thread."""
        self._stopping.set()
        with self._changed:
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._engine.prepare(should_stop=self._stopping.is_set)
        except SianError as error:
            self._on_failure(error)
            return
        except Exception as error:
            logger.exception("the network could not be loaded")
            self._on_failure(SynthesisFailed(f"The network could not be loaded: {error}"))
            return
        while not self._stopping.is_set():
            job_id = self._next()
            if job_id is not None:
                began = time.monotonic()
                self._run_job(job_id)
                self._job_s += (time.monotonic() - began - self._job_s) / 4
            try:
                self._engine.keep_house()
            except Exception:
                logger.exception("old jobs could not be removed")

    def _run_job(self, job_id: str) -> None:
        """Run a job, and again while the store cannot record how it ended.

        The store bounds the attempts. None counts while nothing can be written at all, a full
        disk most likely, but then no other job would fare better.
        """
        was_run = False
        while not self._stopping.is_set():
            try:
                if was_run:
                    self._engine.retry(job_id)
                self._engine.run(job_id, should_stop=self._stopping.is_set)
                return
            except Exception:
                logger.exception("job %s could not be recorded; it is tried again", job_id)
                was_run = True
                self._stopping.wait(_PAUSE_S)

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping.is_set(), _IDLE_S)
            if self._stopping.is_set() or not self._waiting:
                return None
            return self._waiting.popleft()
