"""The parts of the service, put together in one place from the settings.

Without a broker one process does it all: job records in SQLite, the engine in threads. With one
the front end and the workers are processes of their own that share Redis and the artifacts.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from app import stray_settings
from app.keys import Keyring
from app.network import load_network
from app.rate_limit import RateLimit
from app.service import Service
from app.settings import Settings
from app.waiting import Waiters
from model.checkpoint import Card, verify
from model.errors import SettingsInvalid, SianError, StoreUnavailable
from model.memory import keep_freed_memory
from model.styles import StyleBank
from worker import metrics
from worker.artifacts import Artifacts
from worker.engine import Engine
from worker.housekeeping import Housekeeper
from worker.jobs import JobStore
from worker.queue import LocalQueue
from worker.sqlite_jobs import SqliteJobs

if TYPE_CHECKING:
    from worker.celery_queue import CeleryQueue
    from worker.redis_jobs import RedisJobs
    from worker.registry import WorkerRegistry


def build(settings: Settings, *, on_failure: Callable[[SianError], None]) -> Service:
    """Check the checkpoint, the data folder and the settings, and construct everything; starts
    nothing.

    Args:
        on_failure: called from a thread of the engine's if it cannot go on.

    Raises:
        CheckpointError, SettingsInvalid, StorageUnavailable, StoreUnavailable
    """
    card = verify(settings.checkpoint)
    waiters = Waiters()
    service = partial(
        Service,
        settings=settings,
        card=card,
        styles=StyleBank.load(settings.checkpoint),
        waiters=waiters,
        keyring=Keyring(settings.api_keys),
        rate_limit=_rate_limit(settings),
    )
    if settings.broker_url is None:
        return _local(service, settings, waiters, on_failure)
    shared = _shared(settings, settings.broker_url, card, waiters.notify)
    return _distributed(service, shared)


def _local(
    service: Callable[..., Service],
    settings: Settings,
    waiters: Waiters,
    on_failure: Callable[[SianError], None],
) -> Service:
    with ExitStack() as undo:
        lock = _Lock(settings.data_dir)
        undo.callback(lock.stop)
        artifacts = _artifacts(settings)
        jobs = SqliteJobs(settings.data_dir / "jobs.sqlite", on_change=waiters.notify)
        undo.pop_all()
    engine = build_engine(settings, jobs, artifacts, on_failure=on_failure)
    queue = LocalQueue(engine, jobs, on_failure=on_failure)
    housekeeper = Housekeeper(
        jobs, artifacts, submit=queue.submit, retention=timedelta(hours=settings.retention_hours)
    )
    return service(
        jobs=jobs,
        artifacts=artifacts,
        queue=queue,
        parts=(_warnings(), lock, _Closing(jobs.close), queue, housekeeper),
        worker_metrics=lambda: {"local": metrics.exposition()},
    )


class _Shared(NamedTuple):
    """What front ends and workers have in common."""

    jobs: RedisJobs
    artifacts: Artifacts
    registry: WorkerRegistry
    queue: CeleryQueue
    check_files: Callable[[], None]

    def close(self) -> None:
        self.queue.stop()
        self.registry.close()
        self.jobs.close()
        self.artifacts.close()


def _shared(
    settings: Settings,
    broker_url: str,
    card: Card,
    on_change: Callable[[str], None] = lambda job_id: None,
) -> _Shared:
    # Celery and Redis take their time to import, which a single process need not wait for.
    from worker import same_files
    from worker.celery_queue import CeleryQueue
    from worker.redis_jobs import RedisJobs
    from worker.registry import WorkerRegistry

    artifacts = _artifacts(settings)
    jobs = RedisJobs(broker_url, on_change=on_change)
    registry = WorkerRegistry(broker_url)
    queue = CeleryQueue(broker_url, jobs, registry, checkpoint_sha256=card.sha256)
    check_files = partial(same_files.check, jobs, artifacts, place=_place(settings))
    shared = _Shared(jobs, artifacts, registry, queue, check_files)
    with ExitStack() as undo:
        undo.callback(shared.close)
        _check_first(check_files)
        undo.pop_all()
    return shared


def _check_first(check_files: Callable[[], None]) -> None:
    """At the start, when Redis has to be there: nobody may take or run a job before."""
    try:
        check_files()
    except StoreUnavailable as error:
        raise StoreUnavailable(
            "SIAN_BROKER_URL: Redis does not answer as it should. Start it, or correct the "
            "address, and try again.",
            retry_after_s=error.retry_after_s,
        ) from error


def _distributed(service: Callable[..., Service], shared: _Shared) -> Service:
    jobs, artifacts, registry, queue, _ = shared
    return service(
        jobs=jobs,
        artifacts=artifacts,
        queue=queue,
        parts=(
            _warnings(),
            _Closing(jobs.close, start=jobs.listen),
            _Closing(registry.close),
            queue,
        ),
        worker_metrics=lambda: {record.name: record.metrics for record in registry.workers()},
    )


def build_engine(
    settings: Settings,
    jobs: JobStore,
    artifacts: Artifacts,
    *,
    on_failure: Callable[[SianError], None],
) -> Engine:
    """The engine of this process; nothing is loaded yet."""
    keep_freed_memory()  # here and not when the network is loaded, which a thread does
    return Engine(
        partial(load_network, settings),
        jobs,
        artifacts,
        max_batch=settings.max_batch,
        max_styles=settings.max_styles,
        max_wait_s=settings.max_wait_ms / 1000,
        storage_wait_s=settings.storage_wait_s,
        on_failure=on_failure,
    )


def run_worker(settings: Settings, broker_url: str) -> int:
    """A worker until it is stopped; the exit code.

    Raises:
        CheckpointError, SettingsInvalid, StorageUnavailable, StoreUnavailable
    """
    from worker.node import Ending, Node

    stray_settings.warn()
    card = verify(settings.checkpoint)
    shared = _shared(settings, broker_url, card)
    jobs, artifacts, registry, queue, check_files = shared
    ending = Ending()
    node = Node(
        build_engine(settings, jobs, artifacts, on_failure=ending),
        queue,
        registry,
        Housekeeper(
            jobs,
            artifacts,
            submit=queue.submit_first,
            forgotten=queue.forgotten,
            retention=timedelta(hours=settings.retention_hours),
            check=check_files,
            on_failure=ending,
        ),
        ending,
        checkpoint_sha256=card.sha256,
    )
    try:
        return node.run()
    finally:
        shared.close()


class _Closing:
    """A part that only needs to be closed."""

    def __init__(
        self, close: Callable[[], None], *, start: Callable[[], None] = lambda: None
    ) -> None:
        self.start, self.stop = start, close


def _warnings() -> _Closing:
    """Of the settings, at the start and not before: then the log has its format."""
    return _Closing(lambda: None, start=stray_settings.warn)


class _Lock:
    """A lock on the data folder that lasts as long as the process: two servers on one folder
    would run each other's jobs."""

    def __init__(self, data_dir: Path) -> None:
        self._file = _exclusive(data_dir)

    def start(self) -> None:
        """It is held already."""

    def stop(self) -> None:
        self._file.close()


def _exclusive(data_dir: Path) -> IO[str]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise SettingsInvalid(
            f"SIAN_DATA_DIR={data_dir}: the folder {data_dir} cannot be written "
            f"({error.strerror}). Make it writable or choose another."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise SettingsInvalid(
            f"SIAN_DATA_DIR={data_dir}: a server is running on this folder already. Use it, "
            "or set SIAN_DATA_DIR to another folder for a second."
        ) from None
    return lock


def _artifacts(settings: Settings) -> Artifacts:
    if settings.artifacts_url is not None:
        return Artifacts(settings.artifacts_url)
    return Artifacts(settings.data_dir / "artifacts")


def _place(settings: Settings) -> str:
    """The setting that says where the files are, and what it comes to in this folder."""
    if settings.artifacts_url is not None and "://" in settings.artifacts_url:
        return f"SIAN_ARTIFACTS_URL={settings.artifacts_url}"
    if settings.artifacts_url is not None:
        return f"SIAN_ARTIFACTS_URL={Path(settings.artifacts_url).absolute()}"
    return f"SIAN_DATA_DIR={settings.data_dir.absolute()}"


def _rate_limit(settings: Settings) -> RateLimit | None:
    if settings.rate_limit is None:
        return None
    return RateLimit(settings.rate_limit, settings.broker_url)
