"""A thread that follows one channel of Redis through every outage."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from worker.redis_client import connect

_POLL_S = 0.2
"""How soon the thread sees that it should end."""
_PING_S = 5.0
_SILENT_S = 15.0
"""A connection that answers no ping for so long is replaced."""
_AGAIN_S = 0.5
_MARGIN_S = 60.0

logger = logging.getLogger(__name__)


class Listener:
    """Messages that are published while there is no connection are lost, so that after each
    connection somebody must look for what they would have said.

    on_message: called with each message.
    catch_up: called once connected, with a number of seconds; all that was missed is younger.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        on_message: Callable[[str], None],
        catch_up: Callable[[float], None],
    ) -> None:
        self._client: Any = connect(url)  # redis-py's pubsub has no types
        self._channel = channel
        self._on_message = on_message
        self._catch_up = catch_up
        self._heard_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sian-listener")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._client.close()

    def _run(self) -> None:
        is_out = False
        while not self._stopping.is_set():
            try:
                with self._client.pubsub() as channel:
                    channel.subscribe(self._channel)
                    is_out = False
                    self._follow(channel)
            except Exception as error:  # of Redis, or of whoever is called: neither ends this
                if not is_out:
                    logger.warning("changes made elsewhere are not heard: %r", error)
                is_out = True
                self._stopping.wait(_AGAIN_S)

    def _follow(self, channel: Any) -> None:
        alive_at = asked_at = time.monotonic()
        while not self._stopping.is_set():
            message = channel.get_message(timeout=_POLL_S)
            now = time.monotonic()
            if message is not None:
                alive_at = now
                self._take(message, now)
            elif now - alive_at > _SILENT_S:
                raise redis.TimeoutError("no answer to pings")
            elif now - asked_at > _PING_S:
                asked_at = now
                channel.ping()

    def _take(self, message: dict[str, object], now: float) -> None:
        if message["type"] == "subscribe":
            self._catch_up(now - self._heard_at + _MARGIN_S)
        elif message["type"] == "message":
            data = message["data"]
            assert isinstance(data, bytes)
            self._on_message(data.decode())
        self._heard_at = now
