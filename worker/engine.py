"""The engine: loads the network once, runs jobs tile by tile, keeps house between them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING

from model.errors import SianError, SynthesisFailed
from worker import synthesis
from worker.artifacts import Artifacts
from worker.jobs import MAX_ATTEMPTS, Failure, Job, JobStore, Output, is_job_id
from worker.request import Style, SynthesisRequest, sha256

if TYPE_CHECKING:
    from model.synthesizer import Synthesizer  # imports torch

MASK, STYLE = "mask", "style"
"""Names of a job's input artifacts: the bytes as they were sent."""

_TOMBSTONES = timedelta(days=30)
_SWEEP_S = 60.0

logger = logging.getLogger(__name__)


class Engine:
    """Everything that touches the network. Its methods are called from one thread only,
    except ``is_ready``.

    load: returns the Synthesizer; called once, by ``prepare``.
    retention: how long a finished job and its tiles are kept.
    """

    def __init__(
        self,
        load: Callable[[], Synthesizer],
        jobs: JobStore,
        artifacts: Artifacts,
        *,
        retention: timedelta,
    ) -> None:
        self._load = load
        self._jobs = jobs
        self._artifacts = artifacts
        self._retention = retention
        self._sweep_s = min(_SWEEP_S, retention.total_seconds() / 4)
        self._swept_at = -float("inf")
        self._synthesizer: Synthesizer | None = None

    @property
    def is_ready(self) -> bool:
        """A warm network is waiting for jobs."""
        return self._synthesizer is not None

    def prepare(self, *, should_stop: Callable[[], bool]) -> None:
        """Load, and warm up by painting the thumbnails that are missing (one at least).

        should_stop is asked before every thumbnail; if it says so, the engine is left unready.

        Raises what loading raises, CheckpointError above all.
        """
        began = time.monotonic()
        synthesizer = self._load()
        mask = thumbnail_mask()
        scope = thumbnail_scope(synthesizer.card.sha256)
        organs = synthesizer.styles.organs
        missing = [name for name in organs if not self._artifacts.exists(scope, f"{name}.png")]
        for organ in missing or organs[:1]:
            if should_stop():
                return
            request = SynthesisRequest(mask_sha256=sha256(mask), style=Style(organ=organ), seed=0)
            for tile in synthesis.synthesize(synthesizer, request, mask):
                self._artifacts.put(scope, f"{organ}.png", tile.png)
        self._synthesizer = synthesizer
        logger.info("ready after %.1f s: %s", time.monotonic() - began, synthesizer.card.name)

    def run(self, job_id: str, *, should_stop: Callable[[], bool]) -> None:
        """Run one queued job to its end, and remove its inputs. What goes wrong is the job's error.

        should_stop is asked before every tile; if it says so, the job goes back to the queue
        with the tiles it has, and goes on from there.

        Raises what the store raises if it cannot record the end, even as a failure. The job is
        then left as it is; ``retry`` puts it back.
        """
        job = self._jobs.start(job_id)
        if job is None:
            return
        try:
            if not self._run(job, should_stop):
                return
        except SianError as error:
            logger.info("job %s failed: %s: %s", job_id, error.code, error)
            self._jobs.fail(job_id, Failure(error.code, str(error)))
        except Exception:
            logger.exception("job %s failed", job_id)
            message = (
                f"The tile could not be synthesized; the server's log says why (job {job_id})."
            )
            self._jobs.fail(job_id, Failure(SynthesisFailed.code, message))
        for name in (MASK, STYLE):
            self._artifacts.discard(job_id, name)

    def retry(self, job_id: str) -> None:
        """After ``run`` has raised: put the job back, or fail it if that was its last attempt.

        Raises what the store raises.
        """
        message = (
            f"The server could not record this job in {MAX_ATTEMPTS} attempts; its log says why "
            f"(job {job_id})."
        )
        self._jobs.retry(job_id, Failure(SynthesisFailed.code, message))

    def _run(self, job: Job, should_stop: Callable[[], bool]) -> bool:
        """False if it was stopped before the end."""
        if self._synthesizer is None:
            raise RuntimeError("prepare() comes before run()")
        began = time.monotonic()
        request = job.request
        mask = self._artifacts.get(job.id, MASK)
        style = self._artifacts.get(job.id, STYLE) if request.style.image_sha256 else None
        tiles = synthesis.synthesize(
            self._synthesizer, request, mask, style, first=len(job.outputs)
        )
        for index in range(len(job.outputs), request.n):
            if should_stop():
                self._jobs.requeue(job.id)
                return False
            tile = next(tiles)
            self._artifacts.put(job.id, f"{index}.png", tile.png)
            self._artifacts.put(job.id, f"{index}.json", tile.manifest)
            self._jobs.add_output(job.id, Output(seed=tile.seed, sha256=tile.sha256))
        self._jobs.finish(job.id)
        logger.info("job %s done in %.2f s, %d tiles", job.id, time.monotonic() - began, request.n)
        return True

    def keep_house(self) -> None:
        """Expire old jobs, if it has been a while."""
        if time.monotonic() - self._swept_at >= self._sweep_s:
            self._swept_at = time.monotonic()
            self.sweep(datetime.now(UTC))

    def sweep(self, now: datetime) -> None:
        """Remove the files of jobs that finished longer than ``retention`` ago; keep a tombstone
        of each for 30 days."""
        for job_id in self._jobs.finished_before(now - self._retention):
            self._artifacts.remove(job_id)
            self._jobs.expire(job_id)
        self._jobs.forget_expired_before(now - _TOMBSTONES)

    def sweep_orphans(self) -> None:
        """Remove files without a job, which a process leaves that dies between storing one and
        the other. Not while jobs are accepted: their files come first."""
        known = self._jobs.unexpired()
        for scope in self._artifacts.scopes():
            if is_job_id(scope) and scope not in known:
                self._artifacts.remove(scope)


def thumbnail_mask() -> bytes:
    """The label PNG, 128 x 128, that thumbnails of organ presets are painted from."""
    return resources.files("worker").joinpath("thumbnail-mask.png").read_bytes()


def thumbnail_scope(checkpoint_sha256: str) -> str:
    """Where in the artifacts the thumbnails of a checkpoint are."""
    return f"thumbnails-{checkpoint_sha256[:16]}"
