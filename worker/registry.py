"""Which workers there are: each renews a record in Redis that is gone soon after it is."""

import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from model.errors import StoreUnavailable
from worker.health import Health
from worker.redis_client import connect, mapped

_BEAT_S = 5.0
_GONE_AFTER_S = 3 * _BEAT_S
_NAMES = "sian:workers"
_PUT = """#!lua flags=allow-oom
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
"""
"""A Redis whose memory is full refuses every MULTI, and its workers are no less alive."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerRecord:
    """What a worker says of itself.

    name: host and process.
    checkpoint_sha256: of what it serves.
    metrics: its Prometheus metrics as text.
    """

    name: str
    health: Health
    checkpoint_sha256: str
    metrics: str


class WorkerRegistry:
    """The records of all workers on one Redis. Methods raise StoreUnavailable."""

    def __init__(self, url: str) -> None:
        # redis-py's types allow every answer to be text or bytes; here all are bytes.
        self._client: Any = connect(url)
        self._put = self._client.register_script(_PUT)

    def close(self) -> None:
        self._client.close()

    def put(self, record: WorkerRecord) -> None:
        """Renew a worker's record."""
        with mapped():
            self._put(
                keys=[_NAMES, _key(record.name)],
                args=[record.name, json.dumps(asdict(record)), int(1000 * _GONE_AFTER_S)],
            )

    def remove(self, name: str) -> None:
        """Take a worker out, when it ends."""
        with mapped(), self._client.pipeline() as pipe:
            pipe.srem(_NAMES, name)
            pipe.delete(_key(name))
            pipe.execute()

    def workers(self) -> list[WorkerRecord]:
        """Those whose record is fresh, by name."""
        with mapped():
            names = sorted(name.decode() for name in self._client.smembers(_NAMES))
            found = self._client.mget([_key(name) for name in names]) if names else []
            gone = [name for name, text in zip(names, found, strict=True) if text is None]
            if gone:
                self._client.srem(_NAMES, *gone)
        return [_record(text) for text in found if text is not None]


class Heartbeat:
    """Keeps one worker's record fresh from a thread of its own. An outage is sat out.

    checkpoint_sha256, metrics: as in ``WorkerRecord``.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        *,
        health: Callable[[], Health],
        checkpoint_sha256: str,
        metrics: Callable[[], str],
    ) -> None:
        self._registry = registry
        self._health = health
        self._checkpoint_sha256 = checkpoint_sha256
        self._metrics = metrics
        self._now = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sian-heartbeat")
        self.name = f"{socket.gethostname()}-{os.getpid()}"

    def start(self) -> None:
        self._thread.start()

    def beat(self) -> None:
        """Renew the record now: the health has changed."""
        self._now.set()

    def stop(self) -> None:
        """End the thread and take the worker out."""
        self._stopping = True
        self._now.set()
        self._thread.join()
        try:
            self._registry.remove(self.name)
        except StoreUnavailable:
            logger.info("the worker's record could not be removed; it is gone in a moment")

    def _run(self) -> None:
        is_out = False
        while not self._stopping:
            self._now.clear()
            try:
                self._registry.put(
                    WorkerRecord(
                        self.name, self._health(), self._checkpoint_sha256, self._metrics()
                    )
                )
                is_out = False
            except StoreUnavailable as error:
                if not is_out:
                    logger.warning("no heartbeat: %s", error)
                is_out = True
            except Exception:
                logger.exception("no heartbeat this time")
            self._now.wait(_BEAT_S)


def _key(name: str) -> str:
    return f"sian:worker:{name}"


def _record(text: bytes) -> WorkerRecord:
    values = json.loads(text)
    return WorkerRecord(**{**values, "health": Health(**values["health"])})
