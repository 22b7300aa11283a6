"""One job's way through the engine, from its claim to its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from model.errors import (
    JobExpired,
    JobKindUnknown,
    JobUnknown,
    OutOfMemory,
    SianError,
    StorageUnavailable,
    StoreUnavailable,
    SynthesisFailed,
)
from worker import metrics
from worker.artifacts import Artifacts
from worker.batcher import DeviceLost
from worker.dataset.part import DatasetPart
from worker.job_request import JobRequest, StyleRequest, UnknownRequest
from worker.jobs import Claim, Failure, Job, JobStore, Output, Progress, lost
from worker.patience import Patience, lacks_descriptors
from worker.waiting import Expectation, Interrupted, Stopped
from worker.workbench import Maker, Product

_PAUSE_S = 0.5
"""Between attempts to record something in a store that is away."""

# The log of a job reads as the engine's.
logger = logging.getLogger("worker.engine")

_DESCRIPTORS_PAUSE_S = 5.0
"""Before a job that found no file descriptor free is tried again."""


class _NoDescriptors(Exception):
    """The process has too many files and connections open, which is not the job's fault."""


class _ClaimLost(Interrupted):
    """The job was canceled, or taken back because its lease ran out."""


class JobRunner:
    """Has claimed jobs made by the maker of their kind, stores what that makes and records the
    end. Safe to use from many threads, one a job.

    Args:
        makers: by kind of job.
        patience: with files that cannot be written.
        stopping: set when jobs should go back to the queue.
    """

    def __init__(
        self,
        jobs: JobStore,
        artifacts: Artifacts,
        makers: Mapping[str, Maker],
        *,
        patience: Patience,
        stopping: threading.Event,
    ) -> None:
        self._jobs, self._artifacts = jobs, artifacts
        self._makers = makers
        self._patience = patience
        self._stopping = stopping

    def run(self, claim: Claim, expectation: Expectation) -> bool:
        """Run a job whose claim is renewed meanwhile. What goes wrong is the job's error.

        expectation: of the first it will hand to the device.

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
                self._end(claim, self._make(claim, expectation), began)
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
            n, unit = job.request.n, job.request.unit
            logger.info("job %s done in %.2f s, %d %s", job.id, took_s, n, unit)
        else:
            self._record(claim, lambda: self._jobs.fail(claim, failure))
            metrics.JOBS.labels("failed", failure.code).inc()
            logger.info("job %s failed: %s: %s", job.id, failure.code, failure.message)
        self._discard_inputs(job)

    def _make(self, claim: Claim, expectation: Expectation) -> Failure | None:
        """Make and store the outputs that are missing; what went wrong, if it is the job's."""
        job, index = claim.job, len(claim.job.outputs)
        try:
            for made in self._maker(job.request).make(claim, expectation):
                if isinstance(made, Progress):
                    self._report(claim, made)
                else:
                    self._store(claim, index, made)
                    index += 1
        except (Interrupted, StoreUnavailable):
            raise
        except Exception as error:
            if lacks_descriptors(error):
                raise _NoDescriptors from error
            return self._failure(job, error)
        return None

    def _maker(self, request: JobRequest) -> Maker:
        kind = request.kind
        if kind not in self._makers or isinstance(request, UnknownRequest):
            raise JobKindUnknown(
                f"This worker knows no such jobs of the kind {kind!r}; its version has "
                f"{', '.join(sorted(self._makers))}. Front ends and workers must have the same "
                "version; bring the workers up to date, and send the request again."
            )
        return self._makers[kind]

    def _failure(self, job: Job, error: Exception) -> Failure:
        """What is told of a job that went wrong."""
        if isinstance(error, SianError):
            return Failure(error.code, str(error))
        if isinstance(error, MemoryError):
            what = "image" if job.request.kind == StyleRequest.kind else "mask"
            message = f"The service has too little memory for this job; send a smaller {what}."
            return Failure(OutOfMemory.code, message)
        logger.error("job %s went wrong", job.id, exc_info=error)
        message = (
            f"The {job.request.kind} could not be made; the server's log says why (job {job.id})."
        )
        return Failure(SynthesisFailed.code, message)

    def _store(self, claim: Claim, index: int, made: Product) -> None:
        """Files first: an output that is recorded can be read."""
        job_id = claim.job.id
        self._put(job_id, f"{index}{made.suffix}", made.data)
        self._put(job_id, f"{index}.json", made.manifest)
        output = Output(seed=made.seed, sha256=made.sha256, suffix=made.suffix)
        # A part of a dataset may run for hours, beside others that may kill the worker.
        forgiving = claim.job.request.kind == DatasetPart.kind
        self._record(
            claim, lambda: self._jobs.add_output(claim, output, index, forgiving=forgiving)
        )
        if claim.job.request.unit == "tiles":
            metrics.TILES.inc()

    def _put(self, job_id: str, name: str, data: bytes) -> None:
        self._patience(lambda: self._artifacts.put(job_id, name, data), job_id=job_id)

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
                if self._stopping.is_set():
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
                    self._discard_inputs(claim.job)
                return True
            except (JobUnknown, JobExpired):
                self._remove_files(job_id)  # those that were written after it was removed
                return True
            except StoreUnavailable:
                if self._stopping.is_set():
                    return True  # whoever reaps it runs it again
            self._stopping.wait(_PAUSE_S)

    def _remove_files(self, job_id: str) -> None:
        try:
            self._artifacts.remove(job_id)
        except StorageUnavailable as error:
            logger.warning("files of job %s are left, which was removed: %s", job_id, error)

    def _discard_inputs(self, job: Job) -> None:
        try:
            for name in job.request.inputs:
                self._artifacts.discard(job.id, name)
        except StorageUnavailable as error:
            logger.warning("inputs of job %s are left until it expires: %s", job.id, error)


def _too_many_open() -> Failure:
    return Failure(
        StorageUnavailable.code,
        "The service has too many files and connections open; send the request again later.",
    )
