"""What waits for the device, in bounded room, and how batches are formed of it."""

import contextlib
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

_ROOM = 2
"""Full batches that may wait. More would cost memory and gain no time."""


class Interrupted(Exception):
    """There will be no result, through no fault of what was asked for."""


class Stopped(Interrupted):
    """A stop on purpose, or because the device fails; what waited is handed back."""


class NotNow(Exception):
    """A job that was not begun, since it has to wait for another; others may go first."""


@dataclass(eq=False)
class Item:
    """Something to compute, and the promise of its outcome.

    key: items of one key can be computed together.
    owner: who wants it.
    deadline_at: not worth computing after this moment.
    room: what it takes up while it waits, in full batches.
    """

    key: Hashable
    payload: Any
    owner: str
    deadline_at: datetime | None
    room: Fraction
    future: "Future[Any]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.future.set_running_or_notify_cancel()  # from here on it cannot be canceled

    def succeed(self, result: Any) -> None:
        """The outcome, unless there is one already."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """The outcome, unless there is one already."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)


class Waiting:
    """Items that wait, in the order in which they arrived.

    batch_size: how many items of a key make a full batch.
    at_once: how many of them are computed at once.
    max_wait_s: how long a batch that isn't full waits for more, from the arrival of its oldest
        item.
    """

    def __init__(
        self,
        batch_size: Callable[[Hashable], int],
        at_once: Callable[[Hashable], int],
        *,
        max_wait_s: float,
    ) -> None:
        self._batch_size, self._at_once = batch_size, at_once
        self._max_wait_s = max_wait_s
        self._changed = threading.Condition()
        self._items: list[Item] = []
        self._line: list[Place] = []  # places without room yet, first come first served
        self._taken = Fraction(0)
        self._expected = 0
        self._is_closed = False

    def next_batch(self) -> list[Item]:
        """Of the key of the oldest item, in order of arrival, as many as are there and fit.

        Waits for more only while something is known to be in preparation: a lone item never
        waits. What would leave the device half empty at the end of the batch stays for the
        next. Empty once closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_closed)
            if not self._items:
                return []
            oldest = self._items[0]
            full = self._batch_size(oldest.key)
            self._changed.wait_for(
                lambda: (
                    self._is_closed
                    or not self._expected
                    or sum(item.key == oldest.key for item in self._items) >= full
                ),
                oldest.arrived + self._max_wait_s - time.monotonic(),
            )
            batch = [item for item in self._items if item.key == oldest.key][:full]
            at_once = self._at_once(oldest.key)
            if at_once < len(batch) < full:
                batch = batch[: len(batch) - len(batch) % at_once]
            self._items = [item for item in self._items if item not in batch]
            self._taken -= sum(item.room for item in batch)
            self._changed.notify_all()
            return batch

    def close(self) -> list[Item]:
        """Take nothing more; what waited."""
        with self._changed:
            self._is_closed = True
            items, self._items = self._items, []
            self._changed.notify_all()
            return items

    def enter(self) -> None:
        with self._changed:
            self._expected += 1

    def leave(self, unused: Fraction) -> None:
        with self._changed:
            self._expected -= 1
            self._taken -= unused
            self._changed.notify_all()

    def reserve(self, place: "Place", key: Hashable) -> Fraction:
        room = Fraction(1, self._batch_size(key))
        with self._changed:
            self._line.append(place)
            try:
                self._changed.wait_for(
                    lambda: (
                        self._is_closed or (self._line[0] is place and self._taken + room <= _ROOM)
                    )
                )
                if self._is_closed:
                    raise Stopped
                self._taken += room
            finally:
                self._line.remove(place)
                self._changed.notify_all()
        return room

    def append(self, item: Item) -> None:
        with self._changed:
            if self._is_closed:
                raise Stopped
            self._items.append(item)
            self._changed.notify_all()


class Expectation:
    """Something is on its way that may become an item; a context. Batches wait for it, though
    never longer than ``max_wait_s``."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._is_over = True

    def __enter__(self) -> Self:
        self._waiting.enter()
        self._is_over = False
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """Before the context's end: something else stands for it now, or nothing comes."""
        if not self._is_over:
            self._is_over = True
            self._waiting.leave(unused=Fraction(0))


class Place:
    """A place for one item, from before it is prepared until it is submitted; a context."""

    def __init__(self, waiting: Waiting, owner: str, deadline_at: datetime | None) -> None:
        self._waiting = waiting
        self._owner, self._deadline_at = owner, deadline_at
        self._room = Fraction(0)
        self._key: Hashable = None

    def __enter__(self) -> Self:
        self._waiting.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiting.leave(unused=self._room)

    def reserve(self, key: Hashable) -> None:
        """Wait until there is room for an item of this key; before it takes up memory.

        Raises Stopped.
        """
        self._room = self._waiting.reserve(self, key)
        self._key = key

    def submit(self, payload: Any) -> "Future[Any]":
        """Hand the item in, after ``reserve``. The outcome is a result of ``Device.compute`` or
        an exception: what ``compute`` raised, OutOfMemory, DeadlineExceeded, Unwanted, Stopped
        or DeviceLost.

        Raises Stopped.
        """
        item = Item(self._key, payload, self._owner, self._deadline_at, self._room)
        self._waiting.append(item)
        self._room = Fraction(0)  # the item's now
        return item.future
