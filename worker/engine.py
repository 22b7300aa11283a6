"""The engine: runs jobs, many at a time, on one network that is loaded once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from model.errors import JobExpired, JobUnknown, SianError, WorkerStalled
from worker import thumbnails
from worker.artifacts import Artifacts
from worker.batcher import Batcher
from worker.dataset.maker import DatasetMaker
from worker.dataset.part import DatasetPart
from worker.health import Health
from worker.job_request import JobRequest, StyleRequest
from worker.job_run import JobRunner
from worker.jobs import JobStore
from worker.leases import Leases
from worker.network import Network
from worker.patience import Patience
from worker.request import SynthesisRequest
from worker.room import Room
from worker.style_maker import StyleMaker
from worker.tile_maker import TileMaker
from worker.waiting import NotNow, Stopped
from worker.workbench import Maker, Workbench

if TYPE_CHECKING:
    from model.synthesizer import Synthesizer  # imports torch

_LEAVING_S = 30.0
"""How long a stop waits for jobs to record what they have."""

logger = logging.getLogger(__name__)


class Engine:
    """Runs jobs: takes them from the store, paints their tiles together with those of others,
    stores the tiles and records the end.

    A job that was started before runs alone, so that one that kills the process takes no other
    along.

    Args:
        load: returns the Synthesizer; called once, by ``prepare``.
        max_batch: tiles in a full batch, as the Synthesizer's; how many tiles of one job are
            under way at a time.
        max_styles: how many custom styles are kept.
        max_wait_s: how long a batch that isn't full waits for tiles that are being prepared.
        lease_s: how long a job is held without a sign of life.
        stall_s: a computation that takes longer has stalled.
        storage_wait_s: how long a job waits for files that cannot be read or written.
        on_failure: called, in a thread of the engine's, when it can't go on. It should end the
            process, with ``stop``.
    """

    def __init__(
        self,
        load: Callable[[], Synthesizer],
        jobs: JobStore,
        artifacts: Artifacts,
        *,
        max_batch: int = 8,
        max_styles: int = 1000,
        max_wait_s: float = 0.02,
        lease_s: float = 15.0,
        stall_s: float = 120.0,
        storage_wait_s: float = 120.0,
        on_failure: Callable[[SianError], None] = lambda error: None,
    ) -> None:
        self._jobs, self._artifacts = jobs, artifacts
        self._max_batch = max_batch
        self._lease_s, self._stall_s = lease_s, stall_s
        self._on_failure = on_failure
        self._network = Network(load)
        self._leases = Leases(jobs, lease_s=lease_s, may_renew=self._may_renew)
        self._batcher = Batcher(
            self._network,
            max_wait_s=max_wait_s,
            stall_s=stall_s,
            wanted=self._leases.wanted,
            on_failure=self._fail,
        )
        self._stopping = threading.Event()
        self._room = Room()
        patience = Patience(storage_wait_s, self._stopping)
        bench = Workbench.with_cores(
            artifacts,
            self._network,
            self._batcher,
            max_batch=max_batch,
            stopping=self._stopping,
            patience=patience,
            is_wanted=lambda: self._room.is_wanted,
        )
        makers: dict[str, Maker] = {
            SynthesisRequest.kind: TileMaker(bench),
            StyleRequest.kind: StyleMaker(bench, limit=max_styles),
            DatasetPart.kind: DatasetMaker(bench, jobs),
        }
        self._runner = JobRunner(
            jobs, artifacts, makers, patience=patience, stopping=self._stopping
        )
        # Jobs that take long leave threads to others.
        self._large = threading.BoundedSemaphore(1)
        self._datasets = threading.BoundedSemaphore(max(1, max_batch // 2))
        self._is_warm = False
        self._failure: SianError | None = None

    @property
    def slots(self) -> int:
        """How many threads should call ``run``: enough to prepare a batch beside the one that
        is on the device."""
        return 2 * self._max_batch

    def prepare(self, *, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Load, and warm up by painting the thumbnails that are missing (one at least).

        should_stop is asked before every thumbnail; if it says so, the engine is left unready.

        Raises what loading raises, CheckpointError above all.
        """
        self._batcher.start(lambda: self._warm_up(should_stop))
        self._leases.start()

    def health(self) -> Health:
        if self._stopping.is_set():
            return Health(False, "The worker is stopping.")
        if self._failure is not None:
            return Health(False, str(self._failure))
        if not self._is_warm:
            return Health(False, "The network is being loaded; jobs that are sent now are queued.")
        if self._batcher.is_stalled:
            return Health(False, str(self._stalled()))
        return Health(True)

    def run(self, job_id: str) -> bool:
        """Run one queued job to its end; safe to call from many threads, also twice for a job.

        What goes wrong is the job's error. A job that isn't queued is left alone. One whose
        claim is lost is let go of, quietly.

        Returns:
            False if the job went back to the queue with the tiles it has: a stop came first, an
            outage of the store was too long, or the device failed.

        Raises:
            NotNow: it is still queued, and should be submitted again.
            StoreUnavailable: the job could not be started; or a stop came before what happened
                could be recorded, and whoever reaps it will run it again.
        """
        if not self._is_warm and not self._stopping.is_set():
            raise RuntimeError("prepare() comes before run()")
        try:
            job = self._jobs.get(job_id)
            with self._admitted(job.request):
                # What came with no file from outside is not what kills processes.
                return self._run(job_id, alone=job.attempts > 0 and bool(job.request.inputs))
        except Stopped:
            return False
        except (JobUnknown, JobExpired) as error:
            logger.info("job %s is not run: %s", job_id, error)
            return True

    def expecting(self) -> AbstractContextManager[object]:
        """While a job is about to come: tiles that are ready wait for its tiles, up to
        ``max_wait_s``."""
        return self._batcher.expect_some()

    def stop(self) -> None:
        """Finish the batch that is on the device, requeue what is left, end the threads. May be
        called again, and from any thread."""
        self._stopping.set()
        self._room.close()
        self._batcher.stop()
        if not self._room.wait_until_empty(_LEAVING_S):
            logger.warning("jobs are still running; they come back when their leases run out")
        self._leases.stop()

    def _warm_up(self, should_stop: Callable[[], bool]) -> None:
        began = time.monotonic()
        synthesizer = self._network.open()
        if thumbnails.paint_missing(synthesizer, self._artifacts, should_stop):
            self._is_warm = True
            took_s = time.monotonic() - began
            logger.info("ready after %.1f s: %s", took_s, synthesizer.card.name)

    def _run(self, job_id: str, *, alone: bool) -> bool:
        with self._room.taken(alone=alone), self._batcher.expect_some() as expectation:
            since = time.monotonic()
            claim = self._jobs.start(job_id, lease_s=self._lease_s)
            if claim is None:
                return True
            if alone or claim.job.attempts == 1 or not claim.job.request.inputs:
                with self._leases.holding(claim, since=since):
                    return self._runner.run(claim, expectation)
            self._jobs.requeue(claim)  # its worker died while it waited here
        return self._run(job_id, alone=True)

    @contextmanager
    def _admitted(self, request: JobRequest) -> Iterator[None]:
        """One job of a large mask at a time, for each holds up to a gigabyte; parts of datasets
        in a quarter of the threads. Raises NotNow."""
        if request.large:
            sort, places = "large", self._large
        elif request.kind == DatasetPart.kind:
            sort, places = DatasetPart.kind, self._datasets
        else:
            yield
            return
        if not places.acquire(blocking=False):
            raise NotNow(sort)
        try:
            yield
        finally:
            places.release()

    def _may_renew(self) -> bool:
        """Asked in the thread of the leases, which thereby is the one that notices a stall."""
        if not self._batcher.is_stalled:
            return True
        if self._failure is None:
            self._fail(self._stalled())
        return False

    def _stalled(self) -> WorkerStalled:
        return WorkerStalled(
            f"The device has made no progress for more than {self._stall_s:.0f} s; the worker "
            "needs to be started anew."
        )

    def _fail(self, error: SianError) -> None:
        self._failure = error
        self._on_failure(error)
