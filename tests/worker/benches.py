"""A batcher on a fake device."""

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from worker.batcher import Batcher

PATIENCE_S = 30


class NoMemory(Exception):
    """The device has too little memory."""


class Broken(Exception):
    """The device can do nothing more."""


class FakeDevice:
    """Gives back what it is given; notes what was computed together.

    fault: called with the payloads and how many are computed at once; may raise.
    """

    def __init__(self, full: int = 4, together: int | None = None) -> None:
        self.full, self.together = full, full if together is None else together
        self.fault: Callable[[Sequence[Any], int], None] = lambda payloads, at_once: None
        self.calls: list[tuple[Hashable, list[Any]]] = []
        self.released = 0
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def batch_size(self, key: Hashable) -> int:
        return self.full

    def at_once(self, key: Hashable) -> int:
        return self.together

    def compute(self, key: Hashable, payloads: Sequence[Any], *, at_once: int) -> list[Any]:
        self.calls.append((key, list(payloads)))
        self.busy.set()
        assert self.go_on.wait(PATIENCE_S)
        self.fault(payloads, at_once)
        return [(key, payload) for payload in payloads]

    def release_memory(self) -> None:
        self.released += 1

    def is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, NoMemory)

    def is_lost(self, error: Exception) -> bool:
        return isinstance(error, Broken)


class Bench:
    """A batcher on a fake device."""

    def __init__(self, device: FakeDevice, *, max_wait_s: float = 0.0, stall_s: float = 60.0):
        self.device = device
        self.unwanted: set[str] = set()
        self.asked: list[set[str]] = []
        self.failures: list[Exception] = []
        self.failed = threading.Event()
        self.batcher = Batcher(
            device,
            max_wait_s=max_wait_s,
            stall_s=stall_s,
            wanted=self._wanted,
            on_failure=self._fail,
        )

    def _wanted(self, owners: set[str]) -> set[str]:
        self.asked.append(owners)
        return owners - self.unwanted

    def _fail(self, error: Exception) -> None:
        self.failures.append(error)
        self.failed.set()

    def submit(
        self,
        payload: Any,
        key: Hashable = "a",
        owner: str = "me",
        deadline_at: datetime | None = None,
        patient: bool = False,
    ) -> "Future[Any]":
        with self.batcher.expect(owner, deadline_at=deadline_at, patient=patient) as place:
            place.reserve(key)
            return place.submit(payload)

    def busy_with(self, payload: Any, key: Hashable = "busy") -> "Future[Any]":
        """What comes after waits until the device may go on."""
        self.device.go_on.clear()
        self.device.busy.clear()
        future = self.submit(payload, key)
        assert self.device.busy.wait(PATIENCE_S)
        return future


def outcome(future: "Future[Any]") -> Any:
    """Its result, or its exception."""
    error = future.exception(PATIENCE_S)
    return future.result() if error is None else error


def computed(bench: Bench) -> list[list[Any]]:
    """What was computed together, without what kept the device busy."""
    return [payloads for key, payloads in bench.device.calls if key != "busy"]
