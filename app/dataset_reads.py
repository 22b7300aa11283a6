"""What clients read of datasets, shared among them and bounded."""

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Self

from app.dataset_jobs import Dataset, read_dataset
from model.errors import RateLimited
from worker.dataset.stored import StoredDataset
from worker.jobs import JobStore

NEWS_S = 1.0
"""How often a dataset that is followed is read: tiles come faster than anybody looks."""
_MOST_BUNDLES = 8
"""Downloads at a time; each keeps a thread of the server's busy."""
_BUNDLES_AGAIN_S = 30


class DatasetReads:
    """Of one server; ``read`` is for its event loop."""

    def __init__(self) -> None:
        self._reads: dict[str, tuple[float, asyncio.Task[Dataset]]] = {}
        self._bundles = threading.BoundedSemaphore(_MOST_BUNDLES)

    async def read(self, jobs: JobStore, dataset_id: str) -> Dataset:
        """A dataset as it was less than a second ago, read once for all who follow it. Raises as
        ``read_dataset``."""
        now = asyncio.get_running_loop().time()
        self._reads = {
            each: (at, task) for each, (at, task) in self._reads.items() if now - at < NEWS_S
        }
        if dataset_id not in self._reads:
            reading = asyncio.create_task(asyncio.to_thread(read_dataset, jobs, dataset_id))
            # All who asked may have gone.
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._reads[dataset_id] = (now, reading)
        return await asyncio.shield(self._reads[dataset_id][1])

    def bundle(self, dataset: StoredDataset) -> Iterator[bytes]:
        """The pieces of a bundle, which is counted until they are let go of.

        Raises RateLimited if too many are being sent.
        """
        if not self._bundles.acquire(blocking=False):
            raise RateLimited(
                f"{_MOST_BUNDLES} bundles are being sent, which is all this server sends at a "
                "time; try again in a moment.",
                retry_after_s=_BUNDLES_AGAIN_S,
            )
        return _Counted(dataset.bundle(), self._bundles.release)


class _Counted:
    """Pieces that are counted for as long as somebody has them; a generator that was never begun
    has no end."""

    def __init__(self, pieces: Iterator[bytes], release: Callable[[], None]) -> None:
        self._pieces = pieces
        self._release = weakref.finalize(self, release)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:  # the end above all
            self._release()
            raise
