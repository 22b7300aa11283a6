"""Files that hang: who has to wait for a place finds out at once what others have found out."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from model.errors import StorageUnavailable

_SLOW_S = 3.0
"""A failure that took so long is a hang: a disk that is full says so at once."""
_AGAIN_S = 10.0
"""After a hang nobody tries for so long."""

Result = TypeVar("Result")


class Hangs:
    """An S3 that does not answer costs each request half a minute, and there are few places in
    which requests are read: those behind in the line would wait for all before them, to hear the
    same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over_at = float("-inf")

    def guard(self, act: Callable[[], Result]) -> Result:
        """What ``act`` returns. Safe to use from many threads.

        Raises:
            StorageUnavailable: of ``act``; or at once, as long as it would likely hang.
        """
        began = time.monotonic()
        with self._lock:
            left_s = self._over_at - began
        if left_s > 0:
            raise StorageUnavailable(
                "The files of the service did not answer a moment ago; send the request again "
                "later.",
                retry_after_s=round(left_s) + 1,
            )
        try:
            return act()
        except StorageUnavailable:
            now = time.monotonic()
            if now - began >= _SLOW_S:
                with self._lock:
                    self._over_at = now + _AGAIN_S
            raise
