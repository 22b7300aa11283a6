"""Queues of jobs: what each can do, and the one that runs them in this process."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from model.errors import SianError, StoreUnavailable, SynthesisFailed
from worker.engine import Engine
from worker.health import Health
from worker.jobs import JobStore
from worker.waiting import NotNow

_AGAIN_S = 0.2
"""Until a job that waits for others of its sort is tried again."""
_PAUSE_S = 5.0
"""How long a store that cannot be reached is given to recover."""

logger = logging.getLogger(__name__)


class Queue(Protocol):
    """Carries the ids of queued jobs to where they run. How many may wait is for the job store
    to say."""

    def start(self) -> None: ...

    def submit(self, job_id: str) -> None:
        """Have a queued job run. Twice does no harm.

        Raises StoreUnavailable.
        """

    def expecting(self) -> AbstractContextManager[object]:
        """While a job is about to be submitted, where that helps to fill batches."""

    def stop(self) -> None: ...

    def health(self) -> Health:
        """Whether a warm network takes jobs and makes progress."""


class LocalQueue:
    """Jobs run in threads of this process, in the order in which they came.

    What waits here is also ``queued`` in the job store, so a process that dies loses nothing.

    Args:
        jobs: of which this process is the only user.
        on_failure: called, in a thread of the queue's, if the engine cannot be prepared; nothing
            runs then.
    """

    def __init__(
        self, engine: Engine, jobs: JobStore, *, on_failure: Callable[[SianError], None]
    ) -> None:
        self._engine, self._jobs = engine, jobs
        self._on_failure = on_failure
        self._waiting: dict[str, None] = {}  # in order, each once
        self._later = _Later()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._starter = threading.Thread(target=self._start, name="sian-start")

    def start(self) -> None:
        """Take up what the last process left, and load the network in the background.

        Raises StoreUnavailable.
        """
        self._jobs.reap(everything=True)
        self._waiting = dict.fromkeys(self._jobs.queued())
        self._starter.start()

    def submit(self, job_id: str) -> None:
        with self._changed:
            self._waiting.setdefault(job_id)
            self._changed.notify()

    def expecting(self) -> AbstractContextManager[object]:
        return self._engine.expecting()

    def stop(self) -> None:
        """Finish the batch that is on the device, leave the rest queued in the store, end the
        threads."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        self._engine.stop()
        if self._starter.ident is not None:
            self._starter.join()
        for thread in self._threads:
            thread.join()

    def health(self) -> Health:
        return self._engine.health()

    def _start(self) -> None:
        try:
            self._engine.prepare(should_stop=self._stopping.is_set)
        except SianError as error:
            self._on_failure(error)
            return
        except Exception as error:
            logger.exception("the network could not be loaded")
            self._on_failure(SynthesisFailed(f"The network could not be loaded: {error}"))
            return
        for number in range(self._engine.slots):
            thread = threading.Thread(target=self._run, name=f"sian-job-{number}")
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while (job_id := self._next()) is not None:
            self._run_job(job_id)

    def _next(self) -> str | None:
        """None once stopping."""
        with self._changed:
            while not self._stopping.is_set():
                if (job_id := self._later.next()) is not None:
                    return job_id
                if self._waiting:
                    job_id = next(iter(self._waiting))
                    del self._waiting[job_id]
                    return job_id
                self._changed.wait(self._later.due_in_s)
            return None

    def _run_job(self, job_id: str) -> None:
        """Run a job, and try again while the store cannot be reached: a full disk, most likely.
        No other job would fare better."""
        while not self._stopping.is_set():
            try:
                if not self._engine.run(job_id):
                    if not self._engine.health().is_ready:  # it failed, or stops: no hurry
                        self._stopping.wait(_PAUSE_S)
                    self.submit(job_id)
                return
            except NotNow as reason:
                with self._changed:
                    self._later.put_back(job_id, reason.sort)
                    self._changed.notify()
                return
            except StoreUnavailable:
                logger.exception("job %s could not be recorded; it is tried again", job_id)
                self._stopping.wait(_PAUSE_S)
            except Exception:
                logger.exception("job %s could not be run", job_id)
                return


class _Later:
    """Jobs that have to wait for others of their sort. The first of each sort is tried again and
    again, so that they keep their order and hold no thread meanwhile."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[str]] = {}
        self._due: dict[str, float] = {}

    def put_back(self, job_id: str, sort: str) -> None:
        """To where it was: those that were tried before come first."""
        line = self._lines.setdefault(sort, deque())
        # One that was tried as the first of its line comes back before the others do.
        place = next((k for k, other in enumerate(line) if other > job_id), len(line))
        line.insert(place, job_id)
        self._due.setdefault(sort, time.monotonic() + _AGAIN_S)

    def next(self) -> str | None:
        """One whose turn it is to be tried."""
        now = time.monotonic()
        for sort, line in self._lines.items():
            if line and self._due[sort] <= now:
                self._due[sort] = now + _AGAIN_S
                return line.popleft()
        return None

    @property
    def due_in_s(self) -> float | None:
        """How long until one can be tried; None if there is none."""
        dues = [self._due[sort] for sort, line in self._lines.items() if line]
        return max(0.0, min(dues) - time.monotonic()) if dues else None
