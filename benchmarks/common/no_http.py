"""The service without HTTP: jobs go through SqliteJobs, Artifacts and a LocalQueue."""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.serve import label_mask
from model.errors import SianError
from worker.artifacts import Artifacts
from worker.engine import Engine
from worker.inputs import MASK
from worker.jobs import JobState, new_job_id
from worker.queue import LocalQueue
from worker.request import SynthesisRequest, sha256
from worker.sqlite_jobs import SqliteJobs
from worker.style import Style

SIDE_PX = 256
PATIENCE_S = 600.0


class Service:
    """The service without HTTP."""

    def __init__(self, engine: Engine, jobs: SqliteJobs, artifacts: Artifacts) -> None:
        self._jobs, self._artifacts = jobs, artifacts
        self._engine, self._failure = engine, ""
        self._queue = LocalQueue(engine, jobs, on_failure=self._fail)
        self._changed = threading.Condition()
        self._mask = label_mask(SIDE_PX)
        jobs.on_change = self._notify
        self._queue.start()

    def wait_until_ready(self) -> None:
        """Raises RuntimeError where the network cannot be loaded."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._engine.health().is_ready:
            if self._failure or time.monotonic() > deadline:
                raise RuntimeError(f"the engine does not start: {self._failure or 'no answer'}")
            time.sleep(0.05)

    def stop(self) -> None:
        self._queue.stop()
        self._jobs.close()

    def synthesize(self, seeds: Sequence[int], *, at_a_time: int) -> list[float]:
        """One job a seed, so many at a time; seconds that each took. Raises RuntimeError where one
        fails or does not end."""
        with ThreadPoolExecutor(at_a_time) as clients:
            return list(clients.map(self._synthesize, seeds))

    def _synthesize(self, seed: int) -> float:
        request = SynthesisRequest(sha256(self._mask), Style(name="kidney"), seed)
        job_id = new_job_id()
        began = time.perf_counter()
        self._artifacts.put(job_id, MASK, self._mask)
        self._jobs.create(job_id, request, limit=1000)
        self._queue.submit(job_id)
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._jobs.get(job_id).is_finished, timeout=PATIENCE_S
            ):
                raise RuntimeError("a job does not end")
        took_s = time.perf_counter() - began
        if self._jobs.get(job_id).state is not JobState.SUCCEEDED:
            raise RuntimeError(f"a job failed: {self._jobs.get(job_id).failure}")
        return took_s

    def _fail(self, error: SianError) -> None:
        self._failure = str(error)

    def _notify(self, job_id: str) -> None:
        with self._changed:
            self._changed.notify_all()


@contextmanager
def running(synthesizer: Any) -> Iterator[Service]:
    """With this network, ready, in an empty folder; stopped at the end."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = SqliteJobs(Path(folder) / "jobs.sqlite")
        artifacts = Artifacts(Path(folder) / "artifacts")
        service = Service(Engine(lambda: synthesizer, jobs, artifacts), jobs, artifacts)
        try:
            service.wait_until_ready()
            yield service
        finally:
            service.stop()
