"""The parts of the service, put together in one place from the settings."""

import fcntl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO, Annotated

import anyio
from fastapi import Depends, Request

from app.settings import Settings
from app.waiting import Waiters
from model.checkpoint import Card, verify
from model.errors import QueueFull, SettingsInvalid, SianError
from model.styles import StyleBank
from worker import synthesis
from worker.artifacts import Artifacts
from worker.engine import MASK, STYLE, Engine
from worker.jobs import Job, JobStore, new_job_id
from worker.queue import LocalQueue
from worker.request import SynthesisRequest

_DECODERS = 2
"""Uploads decoded at the same time; each may need several hundred MiB."""


@dataclass(frozen=True)
class Service:
    settings: Settings
    card: Card
    styles: StyleBank
    jobs: JobStore
    artifacts: Artifacts
    engine: Engine
    queue: LocalQueue
    waiters: Waiters
    decoders: anyio.CapacityLimiter
    lock: IO[str]

    def accept(self, request: SynthesisRequest, mask: bytes, style_image: bytes | None) -> Job:
        """Store a request that has been validated, and queue it. Raises QueueFull."""
        job_id = new_job_id()
        try:
            # Files first: whatever is queued can be run, also by a process that starts after a
            # crash.
            self.artifacts.put(job_id, MASK, mask)
            if style_image is not None:
                self.artifacts.put(job_id, STYLE, style_image)
            job = self.jobs.create(job_id, request)
            self._submit(job_id)
        except Exception:
            self.artifacts.remove(job_id)
            raise
        return job

    def _submit(self, job_id: str) -> None:
        try:
            self.queue.submit(job_id)
        except QueueFull:
            self.jobs.discard(job_id)
            raise

    def start(self) -> None:
        """Take up what the last process left, and load the network."""
        self.engine.sweep_orphans()
        self.queue.start(self.jobs.recover())

    def stop(self) -> None:
        """Finish the running tile; the rest waits in the data folder for the next process."""
        self.queue.stop()
        self.jobs.close()
        self.lock.close()


def build(settings: Settings, *, on_failure: Callable[[SianError], None]) -> Service:
    """Check the checkpoint and the data folder, and construct everything; starts nothing.

    Args:
        on_failure: called from the engine's thread if the network cannot be loaded.

    Raises:
        CheckpointError, SettingsInvalid
    """
    card = verify(settings.checkpoint)
    lock = _exclusive(settings.data_dir)
    waiters = Waiters()
    try:
        artifacts = _artifacts(settings.data_dir)
        jobs = JobStore(settings.data_dir / "jobs.sqlite", on_finish=waiters.notify)
    except SettingsInvalid:
        lock.close()
        raise
    engine = Engine(
        partial(
            synthesis.load, settings.checkpoint, device=settings.device, threads=settings.threads
        ),
        jobs,
        artifacts,
        retention=timedelta(hours=settings.retention_hours),
    )
    return Service(
        settings=settings,
        card=card,
        styles=StyleBank.load(settings.checkpoint),
        jobs=jobs,
        artifacts=artifacts,
        engine=engine,
        queue=LocalQueue(engine, limit=settings.queue_limit, on_failure=on_failure),
        waiters=waiters,
        decoders=anyio.CapacityLimiter(_DECODERS),
        lock=lock,
    )


def _exclusive(data_dir: Path) -> IO[str]:
    """A lock on the data folder that lasts as long as the process: two servers on one folder
    would run each other's jobs."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise _unwritable(data_dir, data_dir, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise SettingsInvalid(
            f"SIAN_DATA_DIR={data_dir}: a server is running on this folder already. Use it, "
            "or set SIAN_DATA_DIR to another folder for a second."
        ) from None
    return lock


def _artifacts(data_dir: Path) -> Artifacts:
    folder = data_dir / "artifacts"
    try:
        return Artifacts(folder)
    except OSError as error:
        raise _unwritable(data_dir, folder, error) from None


def _unwritable(data_dir: Path, folder: Path, error: OSError) -> SettingsInvalid:
    return SettingsInvalid(
        f"SIAN_DATA_DIR={data_dir}: the folder {folder} cannot be written ({error.strerror}). "
        "Make it writable or choose another."
    )


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
