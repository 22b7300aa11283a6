"""Waiting for files that cannot be read or written for a while."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from model.errors import StorageUnavailable
from worker.waiting import Stopped

_PAUSE_S = 1.0

Result = TypeVar("Result")

# The log of a job reads as the engine's.
logger = logging.getLogger("worker.engine")


@dataclass(frozen=True)
class Patience:
    """A job keeps its place meanwhile: a disk that is full or an S3 that is started anew must not
    cost what was accepted.

    wait_s: for how long.
    stopping: set when jobs should go back to the queue.
    """

    wait_s: float
    stopping: threading.Event

    def __call__(self, act: Callable[[], Result], *, job_id: str) -> Result:
        """What ``act`` returns, which is called again as long as it raises StorageUnavailable.

        Raises:
            StorageUnavailable: also after ``wait_s``; or at once, where files are not the matter
                but the descriptors of this process.
            Stopped: a stop came first.
        """
        until = time.monotonic() + self.wait_s
        has_told = False
        while True:
            try:
                return act()
            except StorageUnavailable as error:
                if lacks_descriptors(error) or time.monotonic() >= until:
                    raise
                if not has_told:
                    logger.warning("job %s waits for its files: %s", job_id, error)
                has_told = True
            if self.stopping.wait(_PAUSE_S):
                raise Stopped


def lacks_descriptors(error: BaseException | None) -> bool:
    """Whether it goes back to a file or connection that could not be opened for that reason."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False
