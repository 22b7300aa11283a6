"""Batches across jobs: many threads hand in what is ready, one thread drives the device."""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, Protocol

from model.errors import DeadlineExceeded, OutOfMemory, SianError, SynthesisFailed
from worker import metrics
from worker.waiting import Expectation, Interrupted, Item, Place, Stopped, Waiting

_FAILED_BATCHES = 3
"""So many batches in a row without memory for any tile: the process is better started anew."""

logger = logging.getLogger(__name__)


class Unwanted(Interrupted):
    """Nobody wants the result any more."""


class DeviceLost(Interrupted):
    """The device failed, or stalled, while it computed this."""


class Device(Protocol):
    """What a batcher drives. ``compute`` and ``release_memory`` are called in its own thread
    only, the others in any."""

    def batch_size(self, key: Hashable) -> int:
        """How many items of this key make a full batch."""

    def at_once(self, key: Hashable) -> int:
        """How many of them are computed at once."""

    def compute(self, key: Hashable, payloads: Sequence[Any], *, at_once: int) -> list[Any]:
        """The results for up to ``at_once`` payloads. What they are must depend on neither their
        number nor their company."""

    def release_memory(self) -> None:
        """After it ran out."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether ``compute`` raised this for lack of memory."""

    def is_lost(self, error: Exception) -> bool:
        """Whether ``compute`` raised this because the device can do nothing more."""


class Batcher:
    """Computes on a device, in a thread of its own, what many threads hand in.

    Each item has exactly one outcome. One that nobody wants any more, or whose deadline has
    passed, costs no computation. An error is that of the item that caused it. When memory runs
    out, half as many are tried at once, once; those that still find none fail.

    Args:
        device: ready for use when ``start`` returns.
        max_wait_s: see ``Waiting``.
        stall_s: a computation that takes longer has stalled.
        wanted: which of these owners still want their results. Asked before each computation,
            in the device's thread.
        on_failure: called in the device's thread when the device can do no more. The batcher
            has then stopped.
    """

    def __init__(
        self,
        device: Device,
        *,
        max_wait_s: float,
        stall_s: float,
        wanted: Callable[[set[str]], set[str]],
        on_failure: Callable[[SianError], None],
    ) -> None:
        self._device = device
        self._stall_s = stall_s
        self._wanted, self._on_failure = wanted, on_failure
        self._waiting = Waiting(device.batch_size, device.at_once, max_wait_s=max_wait_s)
        self._stopping = threading.Event()
        self._failed_batches = 0
        self._on_device: list[Item] = []
        self._began: float | None = None
        self._ready: Future[None] = Future()
        self._thread: threading.Thread | None = None

    def start(self, warm_up: Callable[[], None]) -> None:
        """Start the device's thread and call ``warm_up`` in it; returns when it has returned.
        Raises what it raises, and has then stopped."""
        # A computation that never returns must not keep the process from ending: a daemon.
        self._thread = threading.Thread(
            target=self._run, args=[warm_up], name="sian-device", daemon=True
        )
        self._thread.start()
        self._ready.result()

    def stop(self) -> None:
        """Finish what is on the device, hand the rest back, end the thread; unless the device
        has stalled. May be called again, and from any thread."""
        self._hand_back()
        if self._thread is None or threading.current_thread() is self._thread:
            return
        while self._thread.is_alive() and not self.is_stalled:
            self._thread.join(min(1.0, self._stall_s))
        for item in self._on_device:  # stalled: nobody shall wait for it any more
            item.fail(DeviceLost())

    @property
    def is_stalled(self) -> bool:
        """Whether the device has been at one computation for too long."""
        began = self._began
        return began is not None and time.monotonic() - began > self._stall_s

    def expect_some(self) -> Expectation:
        """For what comes before ``expect``, when it isn't known yet what there will be."""
        return Expectation(self._waiting)

    def expect(
        self, owner: str, *, deadline_at: datetime | None = None, patient: bool = False
    ) -> Place:
        """A place for one item that is about to be prepared; to be used as a context.

        Args:
            owner: whom ``wanted`` is asked about.
            deadline_at: not worth computing after this moment.
            patient: one of so many that nobody waits for this one: others go first, for a while.
        """
        return Place(self._waiting, owner, deadline_at, patient=patient)

    def _run(self, warm_up: Callable[[], None]) -> None:
        try:
            warm_up()
        except BaseException as error:
            self._hand_back()
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        try:
            while batch := self._waiting.next_batch():
                self._compute_batch(batch)
        except DeviceLost:
            logger.exception("the device failed and needs a new process")
            self._fail(SynthesisFailed("The device failed; the worker's log says why."))
        except Exception:
            logger.exception("the batcher failed")
            self._fail(SynthesisFailed("The batcher failed; the worker's log says why."))

    def _compute_batch(self, batch: list[Item]) -> None:
        """Give every item of a batch its outcome."""
        try:
            wanted = self._still_wanted(batch)
            if not wanted:
                return
            metrics.BATCH_SIZE.observe(len(wanted))
            if not self._compute_in_steps(wanted):
                self._failed_batches = 0
                return
        finally:
            for item in batch:
                item.fail(Stopped())  # after a stop, the rest of it
        self._failed_batches += 1
        if self._failed_batches == _FAILED_BATCHES:
            self._fail(
                OutOfMemory(
                    f"The device had too little memory for {_FAILED_BATCHES} batches in a row; "
                    "set SIAN_MAX_BATCH lower, or free memory of other processes."
                )
            )

    def _compute_in_steps(self, batch: list[Item]) -> bool:
        """As many at once as the device takes, until a stop. True: no memory for any of them."""
        step = self._device.at_once(batch[0].key)
        out_of_memory = []
        for first in range(0, len(batch), step):
            if self._stopping.is_set():
                break
            items = batch[first : first + step]
            if first > 0:  # the steps before have taken their time
                items = self._still_wanted(items)
            if items:
                out_of_memory.append(self._compute_or_fail(items, step))
        return bool(out_of_memory) and all(out_of_memory)

    def _still_wanted(self, items: list[Item]) -> list[Item]:
        """Fails the others."""
        wanted = self._wanted({item.owner for item in items})
        now = datetime.now(UTC)
        kept = []
        for item in items:
            if item.owner not in wanted:
                item.fail(Unwanted())
            elif item.deadline_at is not None and item.deadline_at <= now:
                item.fail(DeadlineExceeded("The deadline passed before the tile was computed."))
            else:
                kept.append(item)
        return kept

    def _compute_or_fail(self, items: list[Item], at_once: int) -> bool:
        """Give every item its outcome. True: there was no memory for any of them."""
        error = self._try(items, at_once)
        if error is None:
            return False
        if self._device.is_out_of_memory(error):
            return self._compute_halves(items, at_once)
        self._compute_singly(items, at_once, error)
        return False

    def _compute_halves(self, items: list[Item], at_once: int) -> bool:
        half = max(1, at_once // 2)
        logger.warning(
            "out of memory with %d at once (%s); trying %d at once", at_once, items[0].key, half
        )
        self._device.release_memory()
        failed = 0
        for first in range(0, len(items), half):
            part = items[first : first + half]
            error = self._try(part, half)
            if error is not None and self._device.is_out_of_memory(error):
                self._device.release_memory()
                failed += len(part)
                for item in part:
                    item.fail(_no_memory())
            elif error is not None:
                self._compute_singly(part, half, error)
        return failed == len(items)

    def _compute_singly(self, items: list[Item], at_once: int, error: Exception) -> None:
        """After an error of a batch: only the items that caused it shall fail."""
        if len(items) == 1:
            items[0].fail(error)
            return
        logger.warning("a batch of %d failed (%r); trying one by one", len(items), error)
        for item in items:
            alone = self._try([item], at_once)
            if alone is not None:
                item.fail(_no_memory() if self._device.is_out_of_memory(alone) else alone)

    def _try(self, items: list[Item], at_once: int) -> Exception | None:
        """Compute, and hand out the results if that goes well; else the error."""
        payloads = [item.payload for item in items]
        self._on_device = items
        self._began = began = time.monotonic()
        try:
            results = self._device.compute(items[0].key, payloads, at_once=at_once)
        except Exception as error:
            if self._device.is_lost(error):
                for item in items:
                    item.fail(DeviceLost())
                raise DeviceLost(str(error)) from error
            if self._device.is_out_of_memory(error):
                return error.with_traceback(None)  # its frames hold what takes up the memory
            return error
        finally:
            self._began = None
            self._on_device = []
        metrics.INFERENCE_SECONDS.observe(time.monotonic() - began)
        for item, result in zip(items, results, strict=True):
            item.succeed(result)
        return None

    def _fail(self, error: SianError) -> None:
        self._hand_back()
        self._on_failure(error)

    def _hand_back(self) -> None:
        self._stopping.set()
        for item in self._waiting.close():
            item.fail(Stopped())


def _no_memory() -> OutOfMemory:
    return OutOfMemory(
        "The device has too little memory for this tile; send a smaller mask, or give the "
        "service more memory."
    )
