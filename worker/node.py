"""A process that takes jobs from Redis and runs them on one device."""

import logging
import os
import socket
import threading
import warnings
from typing import Any

from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_shutting_down
from celery.worker import state

from model.errors import SianError
from worker import metrics
from worker.celery_queue import CeleryQueue
from worker.engine import Engine
from worker.health import Health
from worker.housekeeping import Housekeeper
from worker.registry import Heartbeat, WorkerRegistry
from worker.tasks import QUEUE, register

FAILED = 70  # EX_SOFTWARE; whoever supervises the process starts it again
_LAST_WORDS_S = 20.0

logger = logging.getLogger(__name__)


class Ending:
    """Ends the process when its engine cannot go on: as a stop if its threads can still be
    joined, by force a little later if not. What it held comes back when the leases run out."""

    def __init__(self) -> None:
        self.error: SianError | None = None

    def __call__(self, error: SianError) -> None:
        """The engine's ``on_failure``."""
        logger.error("the worker ends: %s", error)
        self.error = error
        state.should_stop = FAILED
        by_force = threading.Timer(_LAST_WORDS_S, os._exit, [FAILED])
        by_force.daemon = True
        by_force.start()


class Node:
    """Runs jobs from ``queue`` on ``engine`` until it is stopped.

    ending: also the engine's ``on_failure``.
    checkpoint_sha256: of what the engine serves.
    """

    def __init__(
        self,
        engine: Engine,
        queue: CeleryQueue,
        registry: WorkerRegistry,
        housekeeper: Housekeeper,
        ending: Ending,
        *,
        checkpoint_sha256: str,
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._housekeeper = housekeeper
        self._ending = ending
        self._stopping = threading.Event()
        self._heartbeat = Heartbeat(
            registry,
            health=self._health,
            checkpoint_sha256=checkpoint_sha256,
            metrics=metrics.exposition,
        )

    def run(self) -> int:
        """The exit code, once SIGTERM or SIGINT has come or the engine has failed.

        A first signal lets the batch on the device finish and puts everything else back in the
        queue.

        Raises what loading the network raises, CheckpointError above all.
        """
        self._heartbeat.start()
        try:
            self._engine.prepare(should_stop=self._stopping.is_set)
            self._housekeeper.start()
            return self._consume()
        finally:
            self._stopping.set()
            self._engine.stop()
            self._housekeeper.stop()
            self._heartbeat.stop()

    def _consume(self) -> int:
        register(
            self._queue.app,
            self._engine.run,
            submit_later=self._queue.submit_later,
            submit_first=self._queue.submit_first,
        )
        # Messages are JSON ids, never pickles, so root is no danger here.
        warnings.filterwarnings("ignore", category=SecurityWarning)
        # Celery reports a message that is put back as a warning with a traceback.
        logging.getLogger("celery.app.trace").setLevel(logging.ERROR)
        setup_logging.connect(_keep_logging)
        worker_shutting_down.connect(self._stop)
        try:
            worker = self._queue.app.Worker(
                hostname=f"sian@{socket.gethostname()}",
                queues=[QUEUE],
                pool="threads",
                concurrency=self._engine.slots,
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
                quiet=True,
            )
            worker.start()
        finally:
            worker_shutting_down.disconnect(self._stop)
        return FAILED if self._ending.error is not None else int(worker.exitcode or 0)

    def _stop(self, **_: Any) -> None:
        """In the signal handler: nothing here may wait."""
        self._stopping.set()
        self._heartbeat.beat()
        threading.Thread(target=self._engine.stop, name="sian-stop").start()

    def _health(self) -> Health:
        if self._stopping.is_set():
            return Health(False, "The worker is stopping.")
        return self._engine.health()


def _keep_logging(**_: Any) -> None:
    """Where anything is connected to this signal, Celery leaves logging as it is."""


def check(registry: WorkerRegistry) -> Health:
    """Health of the worker on this host, for a container's health check.

    Raises StoreUnavailable.
    """
    here = socket.gethostname()
    records = [r for r in registry.workers() if r.name.rpartition("-")[0] == here]
    if not records:
        return Health(False, "No worker on this host has given a sign of life lately.")
    return next((r.health for r in records if r.health.is_ready), records[0].health)
