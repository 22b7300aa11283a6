"""One job's way through the engine, from its claim to its end."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from model.errors import (
    DeadlineExceeded,
    JobExpired,
    JobUnknown,
    OutOfMemory,
    SianError,
    StorageUnavailable,
    StoreUnavailable,
    SynthesisFailed,
)
from worker import metrics
from worker.artifacts import Artifacts
from worker.batcher import Batcher, DeviceLost
from worker.inputs import MASK, STYLE
from worker.jobs import Claim, Failure, Job, JobStore, Output, Progress, lost
from worker.leases import Leases
from worker.network import STYLE as STYLE_KEY
from worker.network import Network
from worker.waiting import Expectation, Interrupted, Place, Stopped
from worker.work import Tile, Work, work_on

if TYPE_CHECKING:
    from model.styles import StyleVector

_PAUSE_S = 0.5
"""Between attempts to record something in a store that is away."""

# The log of a job reads as the engine's.
logger = logging.getLogger("worker.engine")


_GONE_AGAIN_S = 5
_DESCRIPTORS_PAUSE_S = 5.0
"""Before a job that found no file descriptor free is tried again."""


class _NoDescriptors(Exception):
    """The process has too many files and connections open, which is not the job's fault."""


class _ClaimLost(Interrupted):
    """The job was canceled, or taken back because its lease ran out."""


class JobRunner:
    """Paints the tiles of claimed jobs, stores them and records the end. Safe to use from many
    threads, one a job.

    Args:
        max_batch: how many tiles of one job are under way at a time.
        stopping: set when jobs should go back to the queue.
    """

    def __init__(
        self,
        jobs: JobStore,
        artifacts: Artifacts,
        network: Network,
        batcher: Batcher,
        leases: Leases,
        *,
        max_batch: int,
        stopping: threading.Event,
    ) -> None:
        self._jobs, self._artifacts = jobs, artifacts
        self._network, self._batcher, self._leases = network, batcher, leases
        self._max_batch = max_batch
        self._stopping = stopping
        # Decoding and layout maps take much memory for a moment; more at once would gain nothing.
        self._preparing = threading.BoundedSemaphore(os.cpu_count() or 1)

    def run(self, claim: Claim, expectation: Expectation) -> bool:
        """Run a job whose claim is renewed meanwhile. What goes wrong is the job's error.

        expectation: of its first tile; ended when that has a place.

        Returns:
            False if it went back to the queue.

        Raises:
            StoreUnavailable: a stop came before what happened could be recorded.
        """
        job = claim.job
        if job.attempts == 1 and job.started_at is not None:
            metrics.WAIT_SECONDS.observe((job.started_at - job.created_at).total_seconds())
        began = time.monotonic()
        try:
            try:
                self._end(claim, self._paint(claim, expectation), began)
            except Stopped:
                self._record(claim, lambda: self._jobs.requeue(claim))
                return False
            except DeviceLost:  # to which the job may have led
                self._record(claim, lambda: self._jobs.retry(claim, lost()))
                return False
            except _NoDescriptors:
                logger.warning("job %s found too many files open; it waits", job.id)
                self._stopping.wait(_DESCRIPTORS_PAUSE_S)
                self._record(claim, lambda: self._jobs.retry(claim, _too_many_open()))
                return False
        except Interrupted as reason:
            return self._let_go(claim, reason)
        return True

    def _end(self, claim: Claim, failure: Failure | None, began: float) -> None:
        job = claim.job
        if failure is None:
            self._record(claim, lambda: self._jobs.finish(claim))
            took_s = time.monotonic() - began
            metrics.JOBS.labels("succeeded", "").inc()
            metrics.JOB_SECONDS.observe(took_s)
            logger.info("job %s done in %.2f s, %d tiles", job.id, took_s, job.request.n)
        else:
            self._record(claim, lambda: self._jobs.fail(claim, failure))
            metrics.JOBS.labels("failed", failure.code).inc()
            logger.info("job %s failed: %s: %s", job.id, failure.code, failure.message)
        self._discard_inputs(job.id)

    def _paint(self, claim: Claim, expectation: Expectation) -> Failure | None:
        """Paint and store the tiles that are missing; what went wrong, if it is the job's."""
        job_id, index = claim.job.id, len(claim.job.outputs)
        try:
            for tile in self._tiles(claim, expectation):
                self._store(claim, index, tile)
                index += 1
        except (Interrupted, StoreUnavailable):
            raise
        except Exception as error:
            if _lacks_descriptors(error):
                raise _NoDescriptors from error
            return self._failure(job_id, error)
        return None

    def _failure(self, job_id: str, error: Exception) -> Failure:
        """What is told of a job that went wrong."""
        if isinstance(error, SianError):
            return Failure(error.code, str(error))
        if isinstance(error, MemoryError):
            message = "The service has too little memory for this job; send a smaller mask."
            return Failure(OutOfMemory.code, message)
        logger.error("job %s went wrong", job_id, exc_info=error)
        message = f"The tile could not be synthesized; the server's log says why (job {job_id})."
        return Failure(SynthesisFailed.code, message)

    def _tiles(self, claim: Claim, expectation: Expectation) -> Iterator[Tile]:
        """Those that the job doesn't have yet, in order; several passes under way at a time."""
        stored = len(claim.job.outputs)
        if stored == claim.job.request.n:
            return
        under_way: deque[tuple[int, Future[Any]]] = deque()
        with self._expect(claim) as place:
            expectation.end()
            work = self._work(claim.job)
            first = work.first_pass(stored)
            style = self._encoded_style(claim, work)
            under_way.append((first, self._submit(place, work, first, style)))
        following = first + 1
        while True:
            # Once stopping, what is under way is all that there will be.
            while (
                following < work.passes
                and len(under_way) < self._max_batch
                and not self._is_stopping
            ):
                with self._expect(claim) as place:
                    under_way.append((following, self._submit(place, work, following, style)))
                following += 1
            if not under_way:
                break
            index, image = under_way.popleft()
            tile = work.take(index, image.result())
            if tile is not None:
                yield tile
            elif work.is_large:
                self._report(claim, Progress(index + 1, work.passes))
        if following < work.passes:
            raise Stopped

    @property
    def _is_stopping(self) -> bool:
        return self._stopping.is_set()

    def _expect(self, claim: Claim) -> Place:
        return self._batcher.expect(claim.token, deadline_at=claim.job.deadline_at)

    def _work(self, job: Job) -> Work:
        if job.deadline_at is not None and job.deadline_at <= datetime.now(UTC):
            raise DeadlineExceeded("The deadline passed before the job could be started.")
        mask = self._input(job.id, MASK)
        style = self._input(job.id, STYLE) if job.request.style.image_sha256 else None
        with self._preparing:
            return work_on(self._network.synthesizer, job.request, mask, style)

    def _input(self, job_id: str, name: str) -> bytes:
        try:
            return self._artifacts.get(job_id, name)
        except FileNotFoundError:
            logger.error("job %s: its %s is not among the files of this worker", job_id, name)
            raise StorageUnavailable(
                f"The job's {name} is no longer among the files of the service; send the request "
                "again.",
                retry_after_s=_GONE_AGAIN_S,
            ) from None

    def _encoded_style(self, claim: Claim, work: Work) -> StyleVector | None:
        if work.style_input is None:
            return None
        with self._expect(claim) as place:
            place.reserve(STYLE_KEY)
            encoded = place.submit(work.style_input)
        vector: StyleVector = encoded.result()
        return vector

    def _submit(
        self, place: Place, work: Work, index: int, style: StyleVector | None
    ) -> Future[Any]:
        place.reserve(work.shape)
        with self._preparing:
            pass_input = work.pass_input(index, style)
        return place.submit(pass_input)

    def _store(self, claim: Claim, index: int, tile: Tile) -> None:
        """Files first: an output that is recorded can be read."""
        job_id = claim.job.id
        self._artifacts.put(job_id, f"{index}{tile.suffix}", tile.data)
        self._artifacts.put(job_id, f"{index}.json", tile.manifest)
        output = Output(seed=tile.seed, sha256=tile.sha256, suffix=tile.suffix)
        self._record(claim, lambda: self._jobs.add_output(claim, output, index))
        metrics.TILES.inc()

    def _report(self, claim: Claim, progress: Progress) -> None:
        self._record(claim, lambda: self._jobs.report(claim, progress))

    def _record(self, claim: Claim, write: Callable[[], bool]) -> None:
        """Write to the store, again and again while it is away. Whether the claim has outlived
        that is for the store to say.

        Raises:
            _ClaimLost
            StoreUnavailable: a stop came first.
        """
        was_away = False
        while True:
            try:
                if write():
                    return
                raise _ClaimLost
            except StoreUnavailable as error:
                if self._is_stopping:
                    raise
                if not was_away:
                    logger.warning("job %s cannot be recorded: %s", claim.job.id, error)
                was_away = True
            self._stopping.wait(_PAUSE_S)

    def _let_go(self, claim: Claim, reason: Interrupted) -> bool:
        """After the job was canceled, or taken back, or seems to have been since nobody could
        renew its lease. False: it was still held, and is back in the queue now."""
        job_id = claim.job.id
        logger.info("job %s is let go of: %s", job_id, type(reason).__name__.strip("_"))
        while True:
            try:
                if self._jobs.requeue(claim):
                    return False
                if self._jobs.get(job_id).is_finished:
                    self._discard_inputs(job_id)
                return True
            except (JobUnknown, JobExpired):
                return True  # its files went with it
            except StoreUnavailable:
                if self._is_stopping:
                    return True  # whoever reaps it runs it again
            self._stopping.wait(_PAUSE_S)

    def _discard_inputs(self, job_id: str) -> None:
        try:
            for name in (MASK, STYLE):
                self._artifacts.discard(job_id, name)
        except StorageUnavailable as error:
            logger.warning("inputs of job %s are left until it expires: %s", job_id, error)


def _lacks_descriptors(error: BaseException | None) -> bool:
    """Whether it goes back to a file or connection that could not be opened for that reason."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False


def _too_many_open() -> Failure:
    return Failure(
        StorageUnavailable.code,
        "The service has too many files and connections open; send the request again later.",
    )
